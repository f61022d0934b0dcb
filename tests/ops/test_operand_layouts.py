"""Templates and native kernels with operands of any layout: the values are those of contiguous copies, and nothing
outside an operand is read (Note [Layouts that kernels read] in core/declare.py)."""
import subprocess
import sys

import pytest

import rushlight as rl
from rushlight.core.kinds import FITS, OPERATORS, Kernel
from rushlight.core.record import record_form

pytestmark = pytest.mark.filterwarnings("ignore:This API is deprecated")
F = rl.nn.functional
rl.manual_seed(0)


def numbers(*shape):
    return rl.randn(*shape)


def recurrent(mode):
    layer = getattr(rl.nn, mode)(4, 6)
    names = [name for name, _ in layer.named_parameters()]

    def run(x, h, *weights):
        state = (h, h * 2) if mode == "LSTM" else h
        return rl.nn.utils.stateless.functional_call(layer, dict(zip(names, weights)), (x, state))[0]
    return run, (numbers(5, 3, 4), numbers(1, 3, 6), *[numbers(*w.shape) for w in layer.parameters()])


CASES = {
    "conv1d": (lambda x, w, b: F.conv1d(x, w, b, padding=1), (numbers(2, 3, 9), numbers(8, 3, 3), numbers(8))),
    "conv2d": (lambda x, w, b: F.conv2d(x, w, b, padding=1), (numbers(2, 3, 7, 7), numbers(8, 3, 3, 3), numbers(8))),
    "conv2d of one tap": (F.conv2d, (numbers(2, 8, 5, 5), numbers(4, 8, 1, 1), numbers(4))),
    "conv2d by channel": (lambda x, w, b: F.conv2d(x, w, b, groups=4), (numbers(1, 4, 6, 6), numbers(4, 1, 3, 3),
                                                                      numbers(4))),
    "conv3d": (F.conv3d, (numbers(1, 2, 4, 4, 4), numbers(4, 2, 3, 3, 3), numbers(4))),
    "conv_transpose2d": (lambda x, w, b: F.conv_transpose2d(x, w, b, 2), (numbers(1, 4, 5, 5), numbers(4, 6, 3, 3),
                                                                         numbers(6))),
    "addmm": (rl.addmm, (numbers(5, 7), numbers(5, 3), numbers(3, 7))),
    "linear": (F.linear, (numbers(4, 5), numbers(6, 5), numbers(6))),
    "baddbmm": (rl.baddbmm, (numbers(2, 5, 7), numbers(2, 5, 3), numbers(2, 3, 7))),
    "attention": (F.scaled_dot_product_attention, (numbers(2, 3, 9, 8), numbers(2, 3, 10, 8), numbers(2, 3, 10, 8),
                                                   numbers(2, 3, 9, 10))),
    "lstm": recurrent("LSTM"),
    "gru": recurrent("GRU"),
    "layer_norm": (lambda x, w, b: F.layer_norm(x, (6,), w, b), (numbers(4, 5, 6), numbers(6), numbers(6))),
    "cumsum": (lambda x: x.cumsum(0), (numbers(4, 7),)),
    "topk": (lambda x: x.topk(2, 1).values, (numbers(4, 7),)),
}


def layouts(tensor):
    """(name, a tensor of this shape in another layout): around each is what must not be read."""
    last = tensor.dim() - 1
    for d in {0, last}:
        around = rl.full([3 * n + 2 if i == d else n for i, n in enumerate(tensor.shape)], float("nan"))
        part = around.narrow(d, 1, 3 * tensor.shape[d])[(slice(None),) * d + (slice(None, None, 3),)]
        part.copy_(tensor)
        yield f"steps along {d}", part
        yield f"expanded along {d}", tensor.narrow(d, 0, 1).clone().expand(tensor.shape)
    around = rl.full((tensor.numel() + 7,), float("nan"))
    around[3:3 + tensor.numel()] = tensor.reshape(-1)
    yield "offset", around[3:3 + tensor.numel()].view(tensor.shape)
    yield "turned", tensor.transpose(0, last).contiguous().transpose(0, last)


def results(function, operands):
    leaves = [x.detach().requires_grad_() for x in operands]
    out = function(*leaves)
    return [out, *rl.autograd.grad(out, leaves, (rl.arange(out.numel()) % 5 - 2.0).reshape(out.shape))]


@pytest.mark.parametrize("name", CASES)
def test_values_do_not_depend_on_the_layout(name):
    function, operands = CASES[name]
    for position, operand in enumerate(operands):
        for label, other in layouts(operand):
            given, packed = list(operands), list(operands)
            given[position] = other
            packed[position] = other.clone(memory_format=rl.contiguous_format)
            for found, expected in zip(results(function, given), results(function, packed)):
                assert rl.allclose(found, expected, 1e-4, 1e-4), (position, label)


def test_every_kernel_says_what_it_reads():
    for op in OPERATORS.values():
        if op.reads is not None:
            assert isinstance(op, Kernel) and (callable(op.reads) or set(op.reads) <= set(FITS))
    assert OPERATORS["convolution"].reads == ("any", "any", "contiguous")


def test_what_does_not_fit_is_refused_before_it_is_recorded():
    op = OPERATORS["convolution"]
    image, weight, bias = rl.zeros(1, 1, 2, 2), rl.zeros(4, 1, 1, 1), rl.ones(1).expand(4)
    attrs = (("stride", (1, 1)), ("padding", (0, 0)), ("dilation", (1, 1)), ("groups", 1),
             ("out", (((1, 4, 2, 2), rl.float32),)))
    with pytest.raises(RuntimeError, match="is not contiguous"):
        record_form(op.form("ttt", attrs), (image, weight, bias))
    assert F.conv2d(image, weight, bias).tolist() == [[[[1, 1], [1, 1]]] * 4]


EDGES = """
import ctypes, mmap, sys
sys.path.insert(0, sys.argv[1])
import numpy as np
import rushlight as rl
import test_operand_layouts as cases
protect = ctypes.CDLL(None).mprotect
protect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
PAGE, kept = mmap.PAGESIZE, []

def at_edge(tensor, end):
    size = tensor.numel() * 4
    pages = -(-size // PAGE)
    kept.append(mmap.mmap(-1, (pages + 2) * PAGE))
    whole = np.frombuffer(kept[-1], np.uint8)
    start = PAGE * (pages + 1) - size if end else PAGE
    found = rl.from_numpy(whole[start:start + size].view(np.float32)).view(tensor.shape)
    found.copy_(tensor)
    for page in (0, pages + 1):
        assert not protect(whole.ctypes.data + page * PAGE, PAGE, 0)
    return found

for name, (function, operands) in cases.CASES.items():
    for end in (True, False):
        print(name, end, flush=True)
        found = cases.results(function, [at_edge(x, end) for x in operands])
        for x, y in zip(found, cases.results(function, operands)):
            assert rl.allclose(x, y, 1e-4, 1e-4), name
print("all", flush=True)
"""


def test_nothing_beyond_an_operand_is_read():
    """Operands that end, or begin, at a page that cannot be read: a step beyond ends the program."""
    done = subprocess.run([sys.executable, "-c", EDGES, __file__.rpartition("/")[0]], capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.endswith("all\n"), (done.stdout[-200:], done.stderr[-800:])
