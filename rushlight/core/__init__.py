"""The heart of the framework: dtypes, layouts, storages, the instruction stream, operator declarations and the
recording of operators.

Read in this order: `dtype`, `layout`, `storage`, `stream` (what a recorded instruction is), `graph` (gradient nodes),
`tensor` (the class), `record` (the hot path), `declare` (how an operator is declared). Nothing here computes: kernels
come from `codegen`, run by `engine`.
"""
