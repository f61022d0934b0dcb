"""What kernels without a body compute, as plain NumPy: templates (products, convolutions) and native kernels.

`TABLE` maps the name of a lowering (core/declare.py, `lower=`) to a function (instruction, stored operands, stored
results, numbers) that writes the results. Each file here enters its own.
"""

TABLE = {}
