"""Scalar functions as IR, each with a bound on its error; `scalar` holds the table of them."""
