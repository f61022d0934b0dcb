"""Lowerings of operators that are not loop kernels: name -> function(instruction) -> list of Launches.

An operator declared with kind "template" or "native" names its lowering in `options["lower"]`; the modules that hold
templates enter them with `@lowering("gemm")`, and HOMES says which module holds which, so that a program loads the
templates it uses.
"""

import importlib

from .ir.kernel import Memory

LOWERINGS = {}
HOMES = {
    "cpu.gemm.products": ("gemm",),
    "cpu.conv.convolutions": ("conv", "conv_input_grad", "conv_weight_grad"),
    "cpu.rows.box_muller": ("box_muller",),
    "cpu.rows.attention": ("attention", "attention_back"),
    "cpu.rows.compress": ("compress", "count_blocks"),
    "cpu.rows.feedback": ("feedback",),
    "cpu.rows.fft": ("fft",),
    "cpu.rows.planes": ("plane_add",),
    "cpu.rows.random": ("random_draws", "random_normals", "random_shuffle"),
    "cpu.rows.recurrent": ("recurrent", "recurrent_back"),
    "cpu.rows.sampling": ("random_poisson", "rrelu_noise", "random_gamma", "random_binomial"),
    "cpu.rows.regions": ("regions", "suppression"),
    "cpu.rows.scan": ("scan",),
    "cpu.rows.scatter": ("scatter",),
    "cpu.rows.sort": ("argsort", "searchsorted", "topk"),
    "cpu.rows.sum_order": ("ordered_sum",),
}
LIGHT = frozenset(["ordered_sum"])  # whose homes need no code generator to make launches
HOME_OF = {name: home for home, names in HOMES.items() for name in names}


def lowering(name):
    """Enter a lowering under its name."""
    def enter(function):
        assert name not in LOWERINGS, f"lowering {name} is defined twice"
        LOWERINGS[name] = function
        return function
    return enter


def find(name):
    """The lowering of this name; its module is loaded when it is first asked for."""
    if name not in LOWERINGS:
        importlib.import_module(f"{__package__}.{HOME_OF[name]}")
    return LOWERINGS[name]


def memory(ref):
    """The Memory operand of an instruction's (slot, layout, offset)."""
    slot, layout, offset = ref
    return Memory(slot, offset * layout.dtype.itemsize)


def number_of(instruction, position):
    """("num", scalar position, class) of the n-th number argument of an instruction."""
    return [a for a in instruction.args if a[0] == "num"][position]
