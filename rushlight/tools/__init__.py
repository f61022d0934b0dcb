"""Tools around the framework, one module each, run as `python -m rushlight NAME`; the table of names is in
__main__.py.
"""
