"""The RUSHLIGHT_* switches: the environment's values as plain module attributes.

Read one as `switches.EAGER` (never `from switches import EAGER`, which would keep the value of import time). The
environment is read once, when this module is imported; `env(...)` changes switches for the length of a `with` block.
`TABLE` below is the only list of them: docs/switches.md and `python -m rushlight env` are checked against it. Next to
read: core/stream.py (EAGER, LOG), runtime/ (CACHE, THREADS).
"""
import contextlib
import os
from typing import Callable, NamedTuple

TIERS = ("auto", "0", "1", "random")
LOG_NAMES = ("stream", "fuse", "ir", "asm", "time", "memory")


class Switch(NamedTuple):
    """One row of the table: the name without its prefix, how its text is read, its default text and a line of help."""
    name: str
    parse: Callable
    default: str
    help: str


def _flag(name, text):
    word = text.strip().lower()
    if word in ("", "0", "false", "off", "no"):
        return False
    if word in ("1", "true", "on", "yes"):
        return True
    raise ValueError(f"RUSHLIGHT_{name}: expected 0 or 1, got {text!r}")


def _log_names(name, text):
    if text.strip() in ("", "0"):
        return frozenset()
    chosen = frozenset(word.strip() for word in text.split(",") if word.strip())
    unknown = sorted(chosen.difference(LOG_NAMES))
    if unknown:
        raise ValueError(f"RUSHLIGHT_{name}: expected names out of {', '.join(LOG_NAMES)}, got {', '.join(unknown)}")
    return chosen


def _folder(name, text):
    if text.strip() in ("", "0"):
        return None
    return os.path.abspath(os.path.expanduser(text))


def _threads(name, text):
    if not text.strip():
        return None
    if not text.strip().isdecimal():
        raise ValueError(f"RUSHLIGHT_{name}: expected a number of threads, got {text!r}")
    return max(1, int(text))  # 0 means off, as everywhere: the calling thread works alone


def default_cache():
    """The folder for object code unless RUSHLIGHT_CACHE says so: $XDG_CACHE_HOME/rushlight or ~/.cache/rushlight."""
    return os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.join("~", ".cache"), "rushlight")


def _tier(name, text):
    word = text.strip().lower() or "auto"
    if word not in TIERS:
        raise ValueError(f"RUSHLIGHT_{name}: expected one of {', '.join(TIERS)}, got {text!r}")
    return word


TABLE = (
    Switch("EAGER", _flag, "0", "1: run every operator at once instead of recording it"),
    Switch("TIER", _tier, "auto", "0: plan no block; 1: plan every block; random: either; auto: those that come back"),
    Switch("LOG", _log_names, "", f"print what happens to stderr; names out of {','.join(LOG_NAMES)}"),
    Switch("CACHE", _folder, default_cache(), "the folder of compiled kernels; 0 keeps none on disk"),
    Switch("THREADS", _threads, "", "threads of the CPU runtime; unset: one for every available core"),
)
_ROWS = {row.name: row for row in TABLE}
WATCHERS = []  # functions to call after a change, of those that keep something that depends on a switch

EAGER: bool
TIER: str
LOG: frozenset
CACHE: str | None
THREADS: int | None


def _text(value):
    """The environment's form of a Python value given to `env`: True, 2, None, ("fuse", "ir") and text all work."""
    if value is None:
        return ""
    if value is False:
        return "0"
    if value is True:
        return "1"
    if isinstance(value, (list, tuple, set, frozenset)):
        return ",".join(value)
    return os.fspath(value) if hasattr(value, "__fspath__") else str(value)


def read(environ=None):
    """Set every switch from a mapping with RUSHLIGHT_* keys (default: os.environ). ValueError names a bad one."""
    environ = os.environ if environ is None else environ
    values = {row.name: row.parse(row.name, environ.get("RUSHLIGHT_" + row.name, row.default)) for row in TABLE}
    _change(values)


def _change(values):
    globals().update(values)
    for watcher in WATCHERS:
        watcher()


@contextlib.contextmanager
def env(**values):
    """Change switches inside a `with` block and restore them after it, e.g. `with env(EAGER=1, LOG="fuse,ir"):`.

    Values are the environment's texts or the Python values they stand for; None is the empty text. A switch that does
    not exist raises TypeError. The block holds for the whole process, other threads included.
    """
    unknown = sorted(set(values).difference(_ROWS))
    if unknown:
        raise TypeError(f"env: expected switches out of {', '.join(_ROWS)}, got {', '.join(unknown)}")
    parsed = {name: _ROWS[name].parse(name, _text(value)) for name, value in values.items()}
    module = globals()
    before = {name: module[name] for name in parsed}
    try:
        _change(parsed)  # a watcher may raise what was pending; the switches go back then as well
        yield
    finally:
        _change(before)


read()
