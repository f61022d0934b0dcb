"""The package's source as the structure tests see it: every file, parsed once, with the imports in it."""
import ast
import functools
import pathlib

ROOT = pathlib.Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "rushlight"


@functools.lru_cache(maxsize=None)
def modules():
    """A dictionary from module names ("rushlight.base.errors") to their files."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


@functools.lru_cache(maxsize=None)
def tree(path):
    """The syntax tree of a file; a file is parsed once for all tests."""
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


@functools.lru_cache(maxsize=None)
def imports(name):
    """What a module imports: a list of (module, name or None, line, inside a function).

    `import a.b` gives ("a.b", None), `from a import b` gives ("a", "b"); relative imports are resolved. Imports under
    `if TYPE_CHECKING:` are never executed and left out.
    """
    path = modules()[name]
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    found = []
    _collect(tree(path), package, False, found)
    return found


def _collect(node, package, inside, found):
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and ast.unparse(child.test).endswith("TYPE_CHECKING"):
            continue
        if isinstance(child, ast.Import):
            found += [(alias.name, None, child.lineno, inside) for alias in child.names]
        elif isinstance(child, ast.ImportFrom):
            source = _absolute(child, package)
            found += [(source, alias.name, child.lineno, inside) for alias in child.names]
        function = isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
        _collect(child, package, inside or function, found)


def _absolute(node, package):
    if node.level == 0:
        return node.module
    parts = package.split(".")
    base = parts[: len(parts) - node.level + 1]
    return ".".join(base + ([node.module] if node.module else []))


@functools.lru_cache(maxsize=None)
def imported_modules(name):
    """The modules of the package that a module imports: a list of (module, line, inside a function)."""
    found = []
    for source, attribute, line, inside in imports(name):
        if source is None or source.partition(".")[0] != "rushlight":
            continue
        full = f"{source}.{attribute}"
        found.append((full if full in modules() else source, line, inside))
    return found
