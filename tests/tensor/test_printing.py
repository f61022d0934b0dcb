"""The text of tensors, to the character (expected texts come from torch 2.13)."""
import pytest

import rushlight as rl

SHOWN = [
    (lambda: rl.tensor([1.0, 2.5, -3.0]), "tensor([ 1.0000,  2.5000, -3.0000])"),
    (lambda: rl.tensor([1.0, 2.0, -3.0]), "tensor([ 1.,  2., -3.])"),
    (lambda: rl.tensor([1e-5, 1.0]), "tensor([1.0000e-05, 1.0000e+00])"),
    (lambda: rl.tensor([1.0, 1e9]), "tensor([1.0000e+00, 1.0000e+09])"),
    (lambda: rl.tensor([1e5, 12345678.0]), "tensor([  100000., 12345678.])"),
    (lambda: rl.tensor([float("nan"), 1.0, float("-inf")]), "tensor([nan, 1., -inf])"),
    (lambda: rl.tensor([float("nan"), 1.5]), "tensor([   nan, 1.5000])"),
    (lambda: rl.zeros(2, 3), "tensor([[0., 0., 0.],\n        [0., 0., 0.]])"),
    (lambda: rl.tensor(3), "tensor(3)"),
    (lambda: rl.tensor(2.5, dtype=rl.float64), "tensor(2.5000, dtype=torch.float64)"),
    (lambda: rl.tensor([True, False]), "tensor([ True, False])"),
    (lambda: rl.tensor([-1, 100]), "tensor([ -1, 100])"),
    (lambda: rl.zeros(0), "tensor([])"),
    (lambda: rl.zeros(2, 0, 3), "tensor([], size=(2, 0, 3))"),
    (lambda: rl.zeros(0, dtype=rl.int64), "tensor([], dtype=torch.int64)"),
    (lambda: rl.zeros(2, dtype=rl.bfloat16), "tensor([0., 0.], dtype=torch.bfloat16)"),
    (lambda: rl.arange(2000), "tensor([   0,    1,    2,  ..., 1997, 1998, 1999])"),
    (lambda: rl.arange(10000.0).view(100, 100),
     "tensor([[0.0000e+00, 1.0000e+00, 2.0000e+00,  ..., 9.7000e+01, 9.8000e+01,\n"
     "         9.9000e+01],\n"
     "        [1.0000e+02, 1.0100e+02, 1.0200e+02,  ..., 1.9700e+02, 1.9800e+02,\n"
     "         1.9900e+02],\n"
     "        [2.0000e+02, 2.0100e+02, 2.0200e+02,  ..., 2.9700e+02, 2.9800e+02,\n"
     "         2.9900e+02],\n"
     "        ...,\n"
     "        [9.7000e+03, 9.7010e+03, 9.7020e+03,  ..., 9.7970e+03, 9.7980e+03,\n"
     "         9.7990e+03],\n"
     "        [9.8000e+03, 9.8010e+03, 9.8020e+03,  ..., 9.8970e+03, 9.8980e+03,\n"
     "         9.8990e+03],\n"
     "        [9.9000e+03, 9.9010e+03, 9.9020e+03,  ..., 9.9970e+03, 9.9980e+03,\n"
     "         9.9990e+03]])"),
    (lambda: rl.arange(8.0).view(2, 2, 2),
     "tensor([[[0., 1.],\n"
     "         [2., 3.]],\n"
     "\n"
     "        [[4., 5.],\n"
     "         [6., 7.]]])"),
    (lambda: rl.arange(40),
     "tensor([ 0,  1,  2,  3,  4,  5,  6,  7,  8,  9, 10, 11, 12, 13, 14, 15, 16, 17,\n"
     "        18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35,\n"
     "        36, 37, 38, 39])"),
    (lambda: rl.arange(30.0, requires_grad=True) * 1.5,
     "tensor([ 0.0000,  1.5000,  3.0000,  4.5000,  6.0000,  7.5000,  9.0000, 10.5000,\n"
     "        12.0000, 13.5000, 15.0000, 16.5000, 18.0000, 19.5000, 21.0000, 22.5000,\n"
     "        24.0000, 25.5000, 27.0000, 28.5000, 30.0000, 31.5000, 33.0000, 34.5000,\n"
     "        36.0000, 37.5000, 39.0000, 40.5000, 42.0000, 43.5000],\n"
     "       grad_fn=<MulBackward0>)"),
    (lambda: rl.ones(3, requires_grad=True), "tensor([1., 1., 1.], requires_grad=True)"),
    (lambda: rl.ones(2, dtype=rl.float64).requires_grad_().sum(),
     "tensor(2., dtype=torch.float64, grad_fn=<SumBackward0>)"),
    (lambda: rl.nn.Parameter(rl.arange(3.0)), "Parameter containing:\ntensor([0., 1., 2.], requires_grad=True)"),
    (lambda: rl.tensor([0.1, 0.25], dtype=rl.float16), "tensor([0.1000, 0.2500], dtype=torch.float16)"),
    (lambda: rl.ones(2, 3).t(), "tensor([[1., 1.],\n        [1., 1.],\n        [1., 1.]])"),
]


@pytest.mark.parametrize("make,expected", SHOWN, ids=range(len(SHOWN)))
def test_repr(make, expected):
    assert repr(make()) == expected


@pytest.fixture
def options():
    yield
    rl.set_printoptions(profile="default")


OPTIONED = [
    (dict(precision=2), lambda: rl.tensor([1.234567, 100.0]), "tensor([  1.23, 100.00])"),
    (dict(threshold=4, edgeitems=1), lambda: rl.arange(9.0).view(3, 3),
     "tensor([[0.,  ..., 2.],\n        ...,\n        [6.,  ..., 8.]])"),
    (dict(linewidth=20), lambda: rl.arange(8), "tensor([0, 1, 2, 3,\n        4, 5, 6, 7])"),
    (dict(sci_mode=True), lambda: rl.tensor([1.5, 2.0]), "tensor([1.5000e+00, 2.0000e+00])"),
    (dict(sci_mode=False), lambda: rl.tensor([1e-5, 1.0]), "tensor([0.0000, 1.0000])"),
    (dict(profile="short"), lambda: rl.tensor([1.234567, 100.0]), "tensor([  1.23, 100.00])"),
    (dict(profile="full"), lambda: rl.ones(1001).sum(), "tensor(1001.)"),
]


@pytest.mark.parametrize("chosen,make,expected", OPTIONED, ids=range(len(OPTIONED)))
def test_options(chosen, make, expected, options):
    rl.set_printoptions(**chosen)
    assert repr(make()) == expected


def test_only_the_edges_of_a_big_tensor_are_read():
    big = rl.zeros(300, 300, dtype=rl.bfloat16)
    big[150, 150] = 1e9  # in the middle: it does not widen the numbers shown
    assert "e+" not in repr(big) and repr(big).count("...") == 7
