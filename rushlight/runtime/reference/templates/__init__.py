"""What kernels without a body compute, as plain NumPy: templates (products, convolutions) and native kernels.

`TABLE` maps the name of a lowering (`lower=` of an operator's declaration) to a function (instruction, stored operands,
stored results, numbers), which writes the results. Sums of floats run in double precision.
"""

from . import attention, indexed, products, recurrent, regions, rows, sampling, signals

TABLE = {}
for _module in (attention, indexed, products, recurrent, regions, rows, sampling, signals):
    TABLE |= _module.SPECIFICATIONS
