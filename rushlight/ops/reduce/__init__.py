"""Reductions, scans, softmax, statistics, order and sorting."""
