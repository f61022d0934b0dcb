"""Element-wise operators, creation, copies, views, shapes, and reading at positions: what all other rooms use."""
