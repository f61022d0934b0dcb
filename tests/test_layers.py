"""The import order: a part of the package imports only what stands above it in the table, and nothing in a circle."""
import pytest
import source

# A row is a layer. Parts of one layer do not import each other.
LAYERS = (
    ("base",),
    ("core",),
    ("ops",),
    ("codegen",),  # before fuse, which describes kernels in codegen's terms (LoopSpec, Launch)
    ("fuse",),
    ("runtime",),
    ("engine",),
    ("autograd",),
    ("tensor",),
    ("overrides",),
    ("_C", "special", "return_types", "random", "settings", "streams", "fft", "linalg", "signal"),
    ("api",),
    ("functional", "_foreach"),
    ("nn",),  # before optim, whose AveragedModel is a module
    ("amp",),
    ("sparse",),  # before optim and serialization, which know sparse tensors
    ("optim", "utils", "serialization", "compiler", "distributions", "backends", "cpu", "cuda", "futures", "testing",
     "version"),
    ("func", "distributed"),  # distributed has optimizers and checkpoints of its own
    ("hub", "multiprocessing", "fx", "__config__", "__future__", "accelerator", "library", "masked", "mps", "mtia",
     "nested", "profiler", "quasirandom", "storage", "types", "xpu"),  # both read and write files with serialization
    ("export", "jit"),  # over the graphs of fx
    ("vision", "audio", "text"),
    ("alias",),
    ("tools", "__main__"),
    ("",),  # the package root itself, which nothing imports
)
# The rooms of a folder, in import order: a file imports from its own room and from those before it.
ROOMS = {
    "ops": ("basic", "index", "reduce", "random", "linalg", "signal", "nn", "media"),
    "codegen": ("ir", "math", "bodies", "lower", "loops", "cpu.gemm", "cpu.rows", "cpu.conv"),
}
LEVEL = {part: level for level, row in enumerate(LAYERS) for part in row}
# Third-party packages that may be imported inside a function: optional ones, and what start-up must not wait for.
LAZY = {"llvmlite", "PIL", "matplotlib", "scipy", "soundfile", "tensorboard", "mpi4py", "nccl4py", "flashlight"}
FORBIDDEN = {"torch", "torchvision", "torchaudio"}


def part_of(module):
    """The folder or file below the package that a module belongs to; "" for the root."""
    return module.split(".")[1] if "." in module else ""


def package_imports():
    """All imports between modules of the package: (importing module, line, imported module)."""
    for name in source.modules():
        for target, line, _ in source.imported_modules(name):
            yield name, line, target


def room_of(module, folder):
    """The room that a module of a folder lies in, as its level; None for the folder's own `__init__`s."""
    inside = module.removeprefix(f"rushlight.{folder}.") + "."
    return next((level for level, room in enumerate(ROOMS[folder]) if inside.startswith(room + ".")), None)


def show(rows):
    """One offence a line."""
    return "\n" + "\n".join(rows)


def test_every_part_has_a_layer():
    parts = {part_of(name) for name in source.modules()}
    assert parts <= set(LEVEL), f"add to LAYERS: {sorted(parts - set(LEVEL))}"


def test_imports_go_down():
    wrong = []
    for name, line, target in package_imports():
        own, part = part_of(name), part_of(target)
        if part != own and LEVEL.get(part, len(LAYERS)) >= LEVEL[own]:
            wrong.append(f"{name}:{line} imports {target}, which does not stand above it")
    assert not wrong, show(wrong)


@pytest.mark.parametrize("folder", ROOMS)
def test_rooms_are_in_import_order(folder):
    wrong = []
    for name, line, target in package_imports():
        if part_of(name) == part_of(target) == folder:
            own, other = room_of(name, folder), room_of(target, folder)
            if own is not None and other is not None and other > own:
                wrong.append(f"{name}:{line} imports {target}, whose room comes later")
    assert not wrong, show(wrong)


@pytest.mark.parametrize("folder", ROOMS)
def test_every_module_has_a_room(folder):
    inside = [name for name, path in source.modules().items()
              if name.startswith(f"rushlight.{folder}.") and path.name != "__init__.py"]
    homeless = [name for name in inside if room_of(name, folder) is None]
    assert inside and not homeless, show(homeless)


def test_the_package_root_is_not_imported():
    wrong = [f"{name}:{line}" for name, line, target in package_imports() if target == "rushlight"]
    assert not wrong, show(wrong)


def test_imports_stand_at_the_top():
    wrong = []
    for name in source.modules():
        for module, attribute, line, inside in source.imports(name):
            if inside and (module or "").partition(".")[0] not in LAZY:
                wrong.append(f"{name}:{line} imports {module} {attribute or ''} inside a function")
    assert not wrong, show(wrong)


def test_nothing_of_pytorch_is_imported():
    wrong = []
    for name in source.modules():
        for module, _, line, _ in source.imports(name):
            if (module or "").partition(".")[0] in FORBIDDEN:
                wrong.append(f"{name}:{line} imports {module}")
    assert not wrong, show(wrong)


def test_no_cycles():
    graph = {name: set() for name in source.modules()}
    for name, _, target in package_imports():
        if target != name:
            graph[name].add(target)
    cycle = find_cycle(graph)
    assert cycle is None, "imports in a circle: " + " -> ".join(cycle)


def find_cycle(graph):
    """The nodes of one cycle of a graph {node: set of nodes}, first and last the same, or None."""
    done = set()
    for start in graph:
        path = [start]
        pending = [iter(sorted(graph[start]))]
        while path:
            following = next(pending[-1], None)
            if following is None:
                done.add(path.pop())
                pending.pop()
            elif following in path:
                return path[path.index(following):] + [following]
            elif following in graph and following not in done:
                path.append(following)
                pending.append(iter(sorted(graph[following])))
    return None


def test_the_finder_of_cycles_finds_one():
    assert find_cycle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c", "b"]
    assert find_cycle({"a": {"b", "c"}, "b": {"c"}, "c": set()}) is None
