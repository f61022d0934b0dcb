"""Versions as programs ask for them."""

__version__ = "2.13.0+rushlight"
cuda = hip = git_version = None
debug = False
