"""Names of packages that are imported when they are first used: they look as if they had been there all along."""
import inspect

import pytest
from programs import run

import rushlight as torch


def test_importing_loads_no_library():
    run("-c", """if True:
        import sys
        import rushlight
        early = {"nn", "optim", "serialization", "utils", "vision", "autograd.functional", "autograd.function"}
        loaded = {name.removeprefix("rushlight.") for name in sys.modules}
        assert not early & loaded, early & loaded
        assert not {"numpy", "llvmlite"} & set(sys.modules)
    """)


def test_a_first_step_needs_neither_numpy_nor_llvm():
    program = """if True:
        import sys
        import rushlight as torch
        model = torch.nn.Sequential(torch.nn.Linear(10, 32), torch.nn.ReLU(), torch.nn.Linear(32, 2))
        optimizer = torch.optim.Adam(model.parameters())
        loss = torch.nn.functional.cross_entropy(model(torch.randn(8, 10)), torch.randint(0, 2, (8,)))
        loss.backward()
        optimizer.step()
        print(float(model[0].weight.sum()))
        print(sorted({"numpy", "llvmlite.binding"} & set(sys.modules)))
    """
    run("-c", program)  # puts its kernels on disk
    assert run("-c", program)[0].splitlines()[1] == "[]"


@pytest.mark.parametrize("package", ["", "nn", "nn.modules", "optim", "autograd"])
def test_names_are_listed_and_can_be_read(package):
    module = torch if not package else __import__(f"rushlight.{package}", fromlist=["_"])
    for name in module.__all__:
        assert name in dir(module)
        assert getattr(module, name) is vars(module)[name]
    assert len(inspect.getmembers(module)) == len(dir(module))


def test_star_imports_take_the_libraries():
    run("-c", """if True:
        from rushlight import *
        from rushlight.optim import *
        assert nn.Linear and load and save and Adam and lr_scheduler
    """)


def test_a_name_that_does_not_exist():
    for module in (torch, torch.nn, torch.optim, torch.nn.modules):
        with pytest.raises(AttributeError, match="has no attribute 'no_such_name'"):
            module.no_such_name
    with pytest.raises(ImportError):
        from rushlight.nn import NoSuchLayer  # noqa: F401


def test_looking_at_values_needs_no_numpy():
    run("-c", """if True:
        import sys
        import rushlight as torch
        x = torch.arange(30.0).reshape(6, 5)
        print(x.median(), x.t(), x[1:, ::2].tolist(), x[:, None].expand(6, 2, 5)[0].tolist())
        assert x.t()[1:, ::2].tolist() == [[float(i + 5 * j) for j in (0, 2, 4)] for i in range(1, 5)]
        assert "numpy" not in sys.modules
    """)
