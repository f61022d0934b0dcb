"""Code generation: a planned kernel comes in, the text of an LLVM IR module goes out.

`builder` writes IR text, `scalar` holds the mathematical functions, `loops` the loop kernels, `cpu/` the contraction
templates.
Nothing here knows tensors or streams; nothing here calls LLVM (that is `runtime/`).
"""
