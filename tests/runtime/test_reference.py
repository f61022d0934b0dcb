"""The device "reference": bodies over NumPy, with a stream, memory and random numbers of its own."""

import pytest

import rushlight as rl
from rushlight import nn
from rushlight.core.device import resolve
from rushlight.core.stream import STREAM

DEVICE = resolve("reference")


def test_there_and_back():
    x = rl.arange(6.0).reshape(2, 3).t()
    there = x.to("reference")
    assert there.device == rl.device("reference") and there.stride() == x.stride() and not there.is_cpu
    assert rl.equal(there.cpu(), x) and there.tolist() == x.tolist() and there[1, 1].item() == 4.0
    assert rl.equal(x[:, 1].to("reference").cpu(), x[:, 1])
    assert there.to(rl.float64).dtype is rl.float64 and there.cpu().to("reference", rl.int32).device == there.device
    assert repr(there[0]) == "tensor([0., 3.], device='reference')"
    z = rl.view_as_complex(rl.arange(4.0).reshape(2, 2))
    assert rl.equal(z.conj().to("reference").cpu(), z.conj().resolve_conj())


def test_constructors_make_tensors_there():
    for make in (lambda: rl.zeros(2, 3, device="reference"), lambda: rl.tensor([1.0, 2.0], device="reference"),
                 lambda: rl.arange(3, device="reference"), lambda: rl.randn(3, device="reference")):
        assert make().device == DEVICE
    with rl.device("reference"):
        assert (rl.ones(2) + 1).device == DEVICE and rl.ones_like(rl.ones(2)).device == DEVICE
    rl.set_default_device("reference")
    try:
        assert rl.eye(2).device == DEVICE
    finally:
        rl.set_default_device(None)


def test_operands_must_be_on_one_device():
    x, y = rl.ones(2), rl.ones(2, device="reference")
    for mixed in (lambda: x + y, lambda: y + x, lambda: rl.stack([y, x]), lambda: y.matmul(x)):
        with pytest.raises(RuntimeError, match="Expected all tensors to be on the same device"):
            mixed()
    assert (y * rl.tensor(3.0)).tolist() == [3.0, 3.0]  # numbers of the CPU may be anywhere
    assert (rl.tensor(3.0) - y).device == DEVICE
    assert y[rl.tensor([1, 0])].device == DEVICE  # and so may indices
    assert x.copy_(y * 2).tolist() == [2.0, 2.0] and y.copy_(x).tolist() == [2.0, 2.0]


def test_memory_is_its_own():
    x = rl.ones(3, device="reference")
    for read in (x.numpy, lambda: x.__dlpack__()):
        with pytest.raises((TypeError, BufferError), match="reference"):
            read()
    assert x.numpy(force=True).tolist() == [1.0] * 3
    with pytest.raises(TypeError, match="the CPU cannot reach the memory of device reference"):
        x.untyped_storage().data_ptr()


def test_paths_of_two_devices_stay_apart():
    def step(x):
        return (x * 2 + 1).sum()
    x, y = rl.ones(5), rl.ones(5, device="reference")
    for _ in range(3):  # the same keys, in a tree for each device
        a, b = step(x), step(y)
        assert a.device.type == "cpu" and b.device == DEVICE and a.item() == b.item() == 15.0
    assert y._storage.pending is not STREAM.block


def test_views_and_writes():
    x = rl.zeros(3, 4, device="reference")
    x[1] = 5
    x.t()[2:].add_(1)
    x[:, 0].copy_(rl.arange(3.0))
    x.view(-1)[::5] = -1
    assert x.tolist() == [[-1.0, 0.0, 1.0, 1.0], [1.0, -1.0, 6.0, 6.0], [2.0, 0.0, -1.0, 1.0]]
    x.resize_(20).fill_(3)
    assert x.sum().item() == 60.0


def test_an_operator_fails_alone():
    x = rl.tensor([1, 2], device="reference")
    bad = rl.arange(3, device="reference")[x + 5]
    good = x + 1
    assert good.tolist() == [2, 3]
    with pytest.raises(IndexError, match="index"):
        bad.tolist()
    with pytest.raises(IndexError):
        (bad + 1).tolist()


def test_random_numbers_are_those_of_the_cpu():
    draws = [lambda **d: rl.rand(700, **d), lambda **d: rl.randn(37, **d), lambda **d: rl.randperm(20, **d),
             lambda **d: rl.randint(0, 100, (9,), **d), lambda **d: nn.functional.dropout(rl.ones(50, **d), 0.3)]
    rl.manual_seed(3)
    expected = [draw() for draw in draws]
    rl.manual_seed(3)
    for draw, value in zip(draws, expected):
        rl.testing.assert_close(draw(device="reference").cpu(), value)
    generator = rl.Generator("reference").manual_seed(8)
    assert rl.rand(2, generator=generator, device="reference").device == DEVICE
    with pytest.raises(RuntimeError, match="Expected a 'cpu' device type for generator"):
        rl.rand(2, generator=generator)


def train(device):
    rl.manual_seed(0)
    with rl.device(device):
        model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
                              nn.Dropout(0.2), nn.Linear(36, 5))
        optimizer = rl.optim.Adam(model.parameters(), lr=0.01)
        x, y = rl.randn(8, 1, 8, 8), rl.randint(0, 5, (8,))
        losses = []
        for _ in range(4):
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    assert all(p.device.type == device and p.grad.device.type == device for p in model.parameters())
    return losses


def test_training_gives_the_same_losses():
    assert train("reference") == pytest.approx(train("cpu"), rel=1e-4)


def test_gradients_flow_between_devices():
    x = rl.ones(3, requires_grad=True)
    y = (x.to("reference") * 3).cpu() * 2
    y.sum().backward()
    assert x.grad.tolist() == [6.0] * 3 and x.to("reference").grad_fn.name() == "ToCopyBackward0"
    leaf = rl.ones(2, device="reference", requires_grad=True)
    (leaf * leaf).sum().backward()
    assert leaf.grad.device == DEVICE and leaf.grad.tolist() == [2.0, 2.0]
