"""`python -m rushlight`: run a program written for PyTorch, unchanged, on Rushlight.

The program finds `torch`, `torchvision` and `torchaudio` (alias.py) and otherwise what Python itself would give it:
its own `__main__`, `sys.argv` and `sys.path[0]`, and tracebacks that start in its file. Tools are modules of tools/
with a `main`.
"""
import importlib
import io
import os
import runpy
import sys
import types
from importlib.machinery import SourceFileLoader

from . import alias

USAGE = """\
Run a program written for PyTorch on Rushlight, unchanged.

usage: python -m rushlight SCRIPT [ARGUMENT ...]       a file, or a folder or zip file with a __main__.py
       python -m rushlight -m MODULE [ARGUMENT ...]    a module, as python -m does
       python -m rushlight -c CODE [ARGUMENT ...]      a line of code, as python -c does
       python -m rushlight TOOL [ARGUMENT ...]         one of the tools below
       python -m rushlight -h                          this text

tools:
{tools}

Inside a program of your own, `from rushlight import alias` and `alias.install()` do the same.
"""
TOOLS = {
    "env": ("rushlight.tools.env", "print versions, CPU features, threads, the kernel cache, devices and switches"),
    "warm": ("rushlight.tools.warm", "compile the kernels that most programs need, so that their first runs find them"),
}


def main(arguments=None):
    """Do what the command line says (default: sys.argv[1:]); returns the exit status."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    first = arguments[0] if arguments else "-h"
    if first in ("-h", "--help"):
        print(usage(), end="")
        return 0
    if first in TOOLS:
        return importlib.import_module(TOOLS[first][0]).main(arguments[1:])
    if first in ("-m", "-c"):
        if len(arguments) < 2:
            return _refuse(f"argument expected for the {first} option")
        run = _run_module if first == "-m" else _run_code
        return run(arguments[1], arguments[2:])
    if first.startswith("-"):
        return _refuse(f"unknown option {first}")
    if not os.path.exists(first):
        return _refuse(f"can't open file {os.path.abspath(first)!r}: no such file")
    return _run_path(first, arguments[1:])


def usage():
    """The help text."""
    width = max(len(name) for name in TOOLS) + 2
    return USAGE.format(tools="\n".join(f"  {name:{width}}{text}" for name, (_, text) in TOOLS.items()))


def _refuse(text):
    print(f"rushlight: {text}\nTry 'python -m rushlight -h' for help.", file=sys.stderr)
    return 2


def _prepare(argv, first_path):
    """Set up what the program sees. The current folder, which `python -m` puts first on sys.path, is replaced."""
    alias.install()
    sys.argv[:] = argv
    sys.excepthook = _excepthook
    if not getattr(sys.flags, "safe_path", False):
        if _started_as_module():
            sys.path[0] = first_path
        else:
            sys.path.insert(0, first_path)


def _started_as_module():
    """True under `python -m rushlight`; the installed command `rushlight` has the folder of commands first instead."""
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    return spec is not None and spec.name == f"{__package__}.__main__"


def _excepthook(kind, error, traceback):
    """Print an uncaught exception without the frames of this file and of runpy above the program's own."""
    hidden = (__file__, runpy.__file__, "<frozen runpy>")
    inner = traceback
    while inner is not None and inner.tb_frame.f_code.co_filename in hidden:
        inner = inner.tb_next
    sys.__excepthook__(kind, error.with_traceback(inner), inner)


def _new_main(**attributes):
    """A fresh `__main__`; ours is kept alive, because its functions are still running."""
    module = types.ModuleType("__main__")
    module.__dict__.update(attributes, __builtins__=__builtins__, _rushlight_main=sys.modules["__main__"])
    sys.modules["__main__"] = module
    return module


def _run_path(path, arguments):
    if os.path.isdir(path) or not _is_source(path):
        _prepare([path, *arguments], path)
        runpy.run_path(path, run_name="__main__")
        return 0
    _prepare([path, *arguments], os.path.dirname(os.path.realpath(path)))
    with io.open_code(os.path.abspath(path)) as file:
        source = file.read()
    module = _new_main(__file__=path, __cached__=None, __spec__=None, __loader__=SourceFileLoader("__main__", path))
    code = compile(source, path, "exec", dont_inherit=True)
    exec(code, module.__dict__)
    return 0


def _is_source(path):
    """False for zip files and compiled files, which runpy runs."""
    with open(path, "rb") as file:
        return b"\0" not in file.read(4096)


def _run_module(name, arguments):
    _prepare([name, *arguments], os.getcwd())
    runpy.run_module(alias.real_name(name) or name, run_name="__main__", alter_sys=True)
    return 0


def _run_code(code, arguments):
    _prepare(["-c", *arguments], "")
    module = _new_main(__spec__=None, __loader__=None)
    exec(compile(code, "<string>", "exec", dont_inherit=True), module.__dict__)
    return 0


if __name__ == "__main__":
    sys.exit(main())
