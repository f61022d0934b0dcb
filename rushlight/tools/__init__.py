"""Tools around the framework, one module each, run as `python -m rushlight NAME`; the table of names is in
__main__.py.

For programs there are `summary` (model_summary.py), a table of a model's layers, and `picture` (graph_picture.py), an
SVG picture of a model or of a graph of gradients.
"""
from .graph_picture import picture
from .model_summary import summary

__all__ = ["picture", "summary"]
