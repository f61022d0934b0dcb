"""The text of LLVM IR: builder, vectors, the ABI of kernels, their static blocks, the target."""
