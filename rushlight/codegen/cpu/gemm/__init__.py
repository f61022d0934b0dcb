"""Matrix products; read `gemm` first."""
