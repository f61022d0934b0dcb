"""Products of matrices, solvers, factorisations and spectra."""
