"""`import torch` means Rushlight: the same objects, answers to probes, clear errors, and worker processes too."""
import pytest
import source
from programs import run

from rushlight import alias

INSTALL = "from rushlight import alias\nalias.install()\n"


def test_names_are_the_same_objects():
    run("-c", INSTALL + """if True:
        import sys
        import rushlight
        import torch
        import torch.nn as nn
        import torch.nn.functional as F
        import torch.utils.data
        from torch.optim import lr_scheduler
        from torch.optim.lr_scheduler import StepLR
        from torch.utils.data import DataLoader
        assert torch is rushlight and torch.Tensor is rushlight.Tensor
        assert nn is rushlight.nn and F is rushlight.nn.functional and nn.functional is F
        assert lr_scheduler.StepLR is StepLR is rushlight.optim.lr_scheduler.StepLR
        assert DataLoader is rushlight.utils.data.DataLoader
        assert torch.nn.__name__ == torch.nn.__spec__.name == "rushlight.nn"
        second = [name for name in sys.modules if name.startswith("torch.") and sys.modules[name].__name__ == name]
        assert not second, f"loaded twice: {second}"
        alias.install()
        assert sum(type(finder).__module__ == "rushlight.alias" for finder in sys.meta_path) == 1
    """)


def test_torchvision():
    pytest.importorskip("PIL")
    run("-c", INSTALL + """if True:
        import torchvision
        import torchvision.transforms.functional as TF
        from torchvision import datasets, transforms
        from torchvision.transforms import ToTensor
        from torchvision.utils import make_grid
        import rushlight.vision
        assert torchvision is rushlight.vision and transforms is rushlight.vision.transforms
        assert TF is rushlight.vision.transforms.functional
    """)


def test_probes():
    run("-c", INSTALL + """if True:
        import importlib.metadata
        import importlib.util
        assert importlib.util.find_spec("torch").origin.endswith("__init__.py")
        assert importlib.util.find_spec("torch.nn") is not None
        assert importlib.util.find_spec("torch.no_such_part") is None
        assert importlib.metadata.version("torch") == "2.13.0"
        assert importlib.metadata.version("torchvision") == "0.28.0"
        assert importlib.metadata.distribution("torch").metadata["Name"] == "torch"
        assert {"torch", "numpy"} <= {item.name.lower() for item in importlib.metadata.distributions() if item.name}
        importlib.metadata.entry_points()
        import torch
        assert importlib.util.find_spec("torch") is not None
        major, minor = torch.__version__.split(".")[:2]
        assert (int(major), int(minor)) == (2, 13)
    """)


def test_missing_names_are_named():
    run("-c", INSTALL + """if True:
        import torch
        def error(code, kind):
            try:
                exec(code)
            except kind as caught:
                return str(caught)
            raise AssertionError(f"{code} raised nothing")
        assert "no_such_function" in error("torch.no_such_function", AttributeError)
        assert "NoSuchLayer" in error("from torch.nn import NoSuchLayer", ImportError)
        assert "torch.no_such_part" in error("import torch.no_such_part", ModuleNotFoundError)
        assert "torch.nn.no_such_part" in error("import torch.nn.no_such_part", ModuleNotFoundError)
        assert "torch.core" in error("import torch.core", ModuleNotFoundError)
        assert "torch.codegen" in error("import torch.codegen.builder", ModuleNotFoundError)
    """)


def test_every_part_is_ours_or_one_of_pytorch():
    theirs = {
        "", "_C", "amp", "autograd", "backends", "compiler", "cpu", "cuda", "distributed", "distributions", "fft",
        "func", "functional", "fx", "hub", "linalg", "multiprocessing", "nn", "optim", "overrides", "random",
        "return_types",
        "serialization", "signal", "sparse", "special", "testing", "utils", "version",
        "__config__", "__future__", "accelerator", "export", "jit", "library", "masked", "mps", "mtia", "nested",
        "profiler", "quasirandom", "storage", "types", "xpu", "futures",
    }
    parts = {name.split(".")[1] if "." in name else "" for name in source.modules()}
    unknown = parts - theirs - alias.OURS
    assert not unknown, f"a module of PyTorch's, or ours (alias.OURS)? {sorted(unknown)}"


def test_an_early_import_is_refused(tmp_path):
    (tmp_path / "torch.py").write_text("")
    run("-c", """if True:
        import torch
        from rushlight import alias
        try:
            alias.install()
        except RuntimeError as error:
            assert "torch was imported already" in str(error)
        else:
            raise AssertionError("not refused")
    """, cwd=tmp_path)


def test_an_installed_torch_is_hidden(tmp_path):
    (tmp_path / "torch.py").write_text("raise AssertionError('the wrong torch')")
    run("-c", INSTALL + "import torch\nassert torch.__name__ == 'rushlight'", cwd=tmp_path)


SPAWN = """
import multiprocessing
import sys
import torch
from torch.nn import Linear

class Double:
    def __call__(self, x):
        return x * 2

def work(layer, function):
    import torch
    assert torch.__name__ == "rushlight" and isinstance(layer, torch.nn.Linear)
    return function(layer.in_features)

if __name__ == "__main__":
    context = multiprocessing.get_context(sys.argv[1])
    with context.Pool(1) as pool:
        print(pool.starmap_async(work, [(Linear(2, 3), Double()), (Linear(5, 1), Double())]).get(timeout=60))
"""


@pytest.mark.parametrize("method", ["spawn", "forkserver", "fork"])
def test_worker_processes_see_the_same_names(tmp_path, method):
    script = tmp_path / "script.py"
    script.write_text(SPAWN)
    out, _ = run("-m", "rushlight", script, method, cwd=tmp_path)
    assert out == "[4, 10]\n"
