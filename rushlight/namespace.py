"""Namespaces from the registry: `fill(globals(), "nn.functional")` gives a module the operators registered under that
path."""

from .core.declare import REGISTRY


def fill(target, path):
    """Enter every registered operator `path.name` (path "": names without a dot) into the dictionary `target`; the
    names entered."""
    prefix = f"{path}." if path else ""
    names = []
    for name, function in REGISTRY.items():
        if name.startswith(prefix) and "." not in name[len(prefix):]:
            target[name[len(prefix):]] = function
            names.append(name[len(prefix):])
    return names


def missing(module, name):
    """The AttributeError of a name that does not exist (yet)."""
    return AttributeError(f"module '{module}' has no attribute '{name}'")
