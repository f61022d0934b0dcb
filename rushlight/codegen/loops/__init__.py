"""Fused loops: element-wise kernels, reductions and tiles."""
