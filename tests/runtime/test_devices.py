"""A device is a folder: what a made-up one that inherits the reference device has to write."""

import dataclasses
import sys

import pytest

import rushlight as rl
from rushlight import runtime
from rushlight.core import device as devices
from rushlight.core.device import CPU, Parts, resolve
from rushlight.core.stream import ELSEWHERE

# Everything that a device has to say, if it takes its memory and its launcher from the reference device.
LANTERN = '''
import dataclasses
from rushlight.runtime import reference

class Kernels:
    """The generator: kernels of the reference device, counted by the name of their operator."""
    made = []

    @classmethod
    def kernel(cls, instruction):
        cls.made.append(instruction.op.name)
        return reference.kernels.kernel(instruction) if instruction.op.name != "tanh" else None

PARTS = dataclasses.replace(reference.PARTS, name="lantern", generator=Kernels)
'''


@pytest.fixture
def lantern(tmp_path, monkeypatch):
    folder = tmp_path / "lantern"
    folder.mkdir()
    (folder / "__init__.py").write_text(LANTERN)
    monkeypatch.setattr(runtime, "__path__", [*runtime.__path__, str(tmp_path)])
    streams = list(ELSEWHERE)
    yield resolve("lantern")
    devices.FOUND.pop("lantern")
    runtime._loaded.pop("lantern")
    sys.modules.pop("rushlight.runtime.lantern")
    ELSEWHERE[:] = streams


def test_a_folder_makes_a_device(lantern):
    x = rl.arange(4.0, device="lantern", requires_grad=True)
    y = (x.to("reference").to("lantern") * x).sum()
    y.backward()
    assert y.item() == 14.0 and x.grad.tolist() == [0.0, 2.0, 4.0, 6.0] and x.device == rl.device("lantern")
    assert "mul" in lantern.parts.generator.made
    rl.manual_seed(1)
    expected = rl.randn(20)
    rl.manual_seed(1)
    rl.testing.assert_close(rl.randn(20, device="lantern").cpu(), expected)


def test_what_its_generator_lacks_is_named(lantern):
    x = rl.ones(2, device="lantern")
    with pytest.raises(NotImplementedError, match="tanh is not implemented on device lantern"):
        x.tanh().tolist()


def test_devices_without_a_folder_are_refused():
    with pytest.raises(RuntimeError, match="Expected one of cpu, cuda"):
        rl.device("lantern")
    with pytest.raises(AssertionError, match="not compiled with CUDA"):
        rl.zeros(1, device="cuda")


def test_every_device_fills_the_table():
    fields = {field.name for field in dataclasses.fields(Parts)}
    assert fields == {"name", "stream", "allocator", "generator", "launcher"}
    for device in (CPU, resolve("reference"), resolve("meta")):
        parts = device.parts
        assert parts.name == device.type and hasattr(device.stream, "flush")
        with pytest.raises(dataclasses.FrozenInstanceError):
            parts.name = "other"
    for device in (CPU, resolve("reference")):
        storage = rl.zeros(3, device=device)._storage
        device.stream.flush()
        device.parts.allocator.fill(storage, rl.ones(3).numpy())
        assert bytes(device.parts.allocator.content(storage)) == rl.ones(3).numpy().tobytes()
