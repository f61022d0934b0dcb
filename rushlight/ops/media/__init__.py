"""Operators of `vision` and `audio`: regions of images, recursive filters, the transducer loss."""
