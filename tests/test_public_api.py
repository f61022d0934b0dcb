"""The public names, module by module, against a list in the repository: nothing comes or goes by accident.

After a deliberate change: `python tests/test_public_api.py --write`, and read the difference before committing it.
"""
import importlib
import pathlib
import sys
import types

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))  # for --write from any folder, without an installation

from rushlight.alias import OURS  # noqa: E402

LIST = pathlib.Path(__file__).with_name("public_api.txt")
MODULES = (
    "", "autograd", "autograd.functional", "engine", "nn", "nn.functional", "nn.init", "nn.utils", "optim",
    "optim.lr_scheduler", "utils.data", "utils.checkpoint", "hub", "vision", "vision.datasets", "vision.models",
    "vision.ops", "vision.io", "vision.transforms", "vision.transforms.functional", "vision.transforms.v2",
    "vision.transforms.v2.functional", "vision.tv_tensors", "vision.utils", "alias", "amp", "fx",
    "overrides", "autograd.forward_ad", "func", "utils._pytree",
)


def public_names(module):
    """The names a user may rely on: those of `__all__`, else all without underscore that are not foreign modules."""
    if hasattr(module, "__all__"):
        return sorted(module.__all__)
    names = []
    for name, value in vars(module).items():
        own = not isinstance(value, types.ModuleType) or _is_public_module(value.__name__)
        defined = getattr(value, "__module__", None)
        foreign = isinstance(defined, str) and not isinstance(value, types.ModuleType) and _is_foreign(defined)
        if not name.startswith("_") and own and not foreign:
            names.append(name)
    return sorted(names)


def _is_public_module(name):
    root, _, rest = name.partition(".")
    return root == "rushlight" and rest.partition(".")[0] not in OURS


def _is_foreign(module):
    return module.partition(".")[0] in ("typing", "collections", "functools", "numpy", "itertools", "pathlib")


def listing():
    """One line a name: `module.name`, and `Tensor.name` for the methods of tensors."""
    lines = []
    for short in MODULES:
        importlib.import_module(f"rushlight.{short}".rstrip("."))  # a module is an attribute of its parent from here on
    for short in MODULES:
        module = importlib.import_module(f"rushlight.{short}".rstrip("."))
        lines += [f"{short}.{name}".lstrip(".") for name in public_names(module)]
    tensor = importlib.import_module("rushlight").Tensor
    lines += [f"Tensor.{name}" for name in sorted(dir(tensor)) if not name.startswith("_")]
    return lines


def test_public_names_are_those_of_the_list():
    expected, found = set(LIST.read_text(encoding="utf-8").split()), set(listing())
    assert not expected - found, f"gone: {sorted(expected - found)}"
    hint = "python tests/test_public_api.py --write"
    assert not found - expected, f"new, and not in {LIST.name} ({hint}): {sorted(found - expected)}"


if __name__ == "__main__" and "--write" in sys.argv:
    LIST.write_text("\n".join(listing()) + "\n", encoding="utf-8")
