"""Makes `import torch`, `torchvision` and `torchaudio` import Rushlight's modules.

`install()` puts a finder in front of `sys.meta_path`. `torch.nn` then *is* `rushlight.nn`: the same module object
under two names, so classes, `isinstance` and pickles agree. Installed versions are answered as those of the API that
is offered, and processes that `multiprocessing` spawns install the finder before they unpickle anything. Next to
read: __main__.py.
"""
import functools
import importlib
import importlib.util
import os
import runpy
import sys
from importlib import machinery

ROOTS = {"torch": "rushlight", "torchvision": "rushlight.vision", "torchaudio": "rushlight.audio"}
VERSIONS = {"torch": "2.13.0", "torchvision": "0.28.0", "torchaudio": "2.11.0"}
# Parts of Rushlight that PyTorch has no module for: `import torch.core` finds nothing.
OURS = frozenset((
    "_foreach", "alias", "api", "audio", "base", "codegen", "core", "data", "engine", "fuse", "ops", "runtime",
    "settings", "streams", "tensor", "text", "tools", "vision", "__main__",
))


def real_name(name):
    """The module of Rushlight that a name stands for (`torch.nn` → `rushlight.nn`), or None if it stands for none."""
    root, _, rest = name.partition(".")
    if root not in ROOTS:
        return None
    return f"{ROOTS[root]}.{rest}" if rest else ROOTS[root]


def install():
    """Make `torch`, `torchvision` and `torchaudio` importable as Rushlight; doing it twice changes nothing.

    A package of one of these names that is installed as well is hidden. Raises RuntimeError if one was imported before,
    because parts of the program would then go on using it.
    """
    if any(isinstance(finder, _Finder) for finder in sys.meta_path):
        return
    early = [name for name in ROOTS if name in sys.modules]
    if early:
        raise RuntimeError(f"alias.install: {', '.join(early)} was imported already; call install() before that import")
    sys.meta_path.insert(0, _Finder())
    if _SPAWN in sys.modules:
        _extend_preparation(sys.modules[_SPAWN])


class _Finder:
    """Answers for the aliased names and for what `importlib.metadata` asks about them; leaves all others alone."""

    def find_spec(self, fullname, path=None, target=None):
        real = real_name(fullname)
        if real is None:
            return _spawn_spec(path, target) if fullname == _SPAWN else None
        parent, _, child = real.rpartition(".")
        if fullname.startswith("torch.") and parent == "rushlight" and child in OURS:
            # Saying nothing would let the finder of ordinary files look, which would load a second copy of our module.
            raise ModuleNotFoundError(f"No module named {fullname!r}", name=fullname)
        found = _real_spec(real, parent, child)
        if found is None:
            return None
        spec = machinery.ModuleSpec(fullname, _Loader(real), origin=found.origin)
        spec.has_location = found.has_location
        spec.submodule_search_locations = found.submodule_search_locations
        return spec

    def find_distributions(self, context):
        """Distributions for `importlib.metadata`, which calls this and has therefore been imported."""
        names = VERSIONS if context.name is None else (context.name.lower(),)
        return [_distribution(name) for name in names if name in VERSIONS]

    def invalidate_caches(self):
        """Nothing is cached here; importlib calls this on every finder."""


def _real_spec(real, parent, child):
    """The spec of a module of Rushlight, also of a namespace that is an attribute and no file; else None."""
    try:
        found = importlib.util.find_spec(real)
    except ModuleNotFoundError as error:
        if error.name is not None and not f"{real}.".startswith(f"{error.name}."):
            raise
        found = None
    except ValueError:  # a namespace that is no file has no spec
        found = None
    if found is None and isinstance(_attribute(parent, child), type(sys)):
        found = machinery.ModuleSpec(real, None)
    return found


def _attribute(parent, child):
    return getattr(sys.modules.get(parent), child, None)


class _Loader:
    """Gives the import system the module that exists already, and puts back what the import system changes on it."""

    def __init__(self, real):
        self.real = real
        self.spec = None

    def create_module(self, spec):
        parent, _, child = self.real.rpartition(".")
        attribute = _attribute(parent, child)
        try:
            module = importlib.import_module(self.real)
        except ModuleNotFoundError as error:
            if error.name != self.real or not isinstance(attribute, type(sys)):
                raise
            module = attribute
        self.spec = module.__spec__
        return module

    def exec_module(self, module):
        module.__spec__ = self.spec


def _distribution(name):
    """A stand-in for the installed distribution `name`; its metadata say that it is Rushlight."""
    metadata = sys.modules["importlib.metadata"]

    class Distribution(metadata.Distribution):
        def read_text(self, filename):
            if filename != "METADATA":
                return None
            return f"Metadata-Version: 2.1\nName: {name}\nVersion: {VERSIONS[name]}\nSummary: provided by Rushlight\n"

        def locate_file(self, path):
            return path

    return Distribution()


# Note [Spawned processes]
# A process that multiprocessing spawns is a fresh interpreter. It unpickles a dictionary of preparation data first,
# and only then imports the program's main module and unpickles the work. An entry of that dictionary which runs this
# very file while it is unpickled is therefore early enough, and needs no environment variable, no start-up file and
# no other executable. It is run by its path, with the parent's module search path, because the child's own is set
# later, from the same dictionary.

_SPAWN = "multiprocessing.spawn"


def _extend_preparation(spawn):
    """Make the module of spawned processes add our entry to their preparation data."""
    ordinary = spawn.get_preparation_data

    @functools.wraps(ordinary)
    def get_preparation_data(name):
        data = ordinary(name)
        data["rushlight_alias"] = _InstallInWorker(data["sys_path"])
        return data
    spawn.get_preparation_data = get_preparation_data


def _spawn_spec(path, target):
    """The ordinary spec of multiprocessing.spawn, which most programs never import, with our entry added at its
    import."""
    spec = machinery.PathFinder.find_spec(_SPAWN, path, target)
    if spec is not None:
        spec.loader = _SpawnLoader(spec.loader)
    return spec


class _SpawnLoader:
    """The ordinary loader, which extends the module when it has been executed."""

    def __init__(self, ordinary):
        self.ordinary = ordinary

    def __getattr__(self, name):
        return getattr(self.ordinary, name)

    def create_module(self, spec):
        return self.ordinary.create_module(spec)

    def exec_module(self, module):
        self.ordinary.exec_module(module)
        _extend_preparation(module)


class _InstallInWorker:
    """Unpickled, it runs this file under another name, which calls `_install_in_worker`."""

    def __init__(self, parent_path):
        self.parent_path = parent_path

    def __reduce__(self):
        return runpy.run_path, (os.path.abspath(__file__), {"PARENT_PATH": self.parent_path}, "__rushlight_worker__")


def _install_in_worker(parent_path):
    here = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    before = list(sys.path)
    # The package that the parent runs comes first, even where the parent's path has lost its folder since.
    sys.path[:] = [here, *parent_path]
    try:
        importlib.import_module("rushlight.alias").install()
    finally:
        sys.path[:] = before


if __name__ == "__rushlight_worker__":
    _install_in_worker(globals()["PARENT_PATH"])
