"""Reading and writing at computed positions: indexing, gather, scatter, masks, segments."""
