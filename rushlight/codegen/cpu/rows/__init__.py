"""Kernels written by hand: attention, recurrent layers, sorting, scans, scattering, random numbers."""
