"""Templates of CPU kernels: contractions here (gemm, matvec, conv); read gemm.py first."""
