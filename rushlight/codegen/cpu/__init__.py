"""Templates of CPU kernels; declarations of operators name the lowerings here."""
