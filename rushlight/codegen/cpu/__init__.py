"""Templates of CPU kernels, chosen by `codegen/lower.py`."""
