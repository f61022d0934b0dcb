"""Code generation: from planned kernels to the text of LLVM IR modules.

`builder` writes IR text, `scalar` holds the mathematical functions, `loops` the loop kernels, `cpu/` the contraction
templates.
Nothing here knows tensors or streams; nothing here calls LLVM (that is `runtime/`).
"""
