"""Bytecode that is kept in the cache folder: used when Python keeps none, and only if nobody else can have written
it."""
import marshal

import pytest
from programs import run

PROGRAM = "import rushlight; print(rushlight.version.__name__)"


def start(folder, **environment):
    return run("-c", PROGRAM, PYTHONDONTWRITEBYTECODE="1", RUSHLIGHT_CACHE=str(folder),
               PYTHONPYCACHEPREFIX=str(folder / "none"), **environment)[0].strip()


@pytest.fixture
def kept(tmp_path):
    """The kept file of rushlight.version, replaced by code that shows that it ran."""
    assert start(tmp_path) == "rushlight.version"
    [path] = tmp_path.glob("python-*/rushlight.version.pyc")
    stamp = path.read_bytes()[:24]
    path.write_bytes(stamp + marshal.dumps(compile("__name__ = 'from the file'", "version", "exec")))
    return path


def test_kept_code_is_used(kept):
    assert start(kept.parents[1]) == "from the file"


@pytest.mark.parametrize("change", [
    lambda path: path.chmod(0o666),
    lambda path: path.parent.chmod(0o777),
    lambda path: path.write_bytes(path.read_bytes()[:30]),
    lambda path: path.write_bytes(b"x" * 24 + path.read_bytes()[24:]),
    lambda path: path.write_bytes(b""),
    lambda path: path.symlink_to(path.rename(path.with_suffix(".moved"))),
], ids=["file others can write", "folder others can write", "cut off", "of another source", "empty", "link"])
def test_kept_code_is_not_used(kept, change):
    change(kept)
    assert start(kept.parents[1]) == "rushlight.version"


def test_nothing_is_kept_without_a_cache(tmp_path):
    run("-c", PROGRAM, PYTHONDONTWRITEBYTECODE="1", RUSHLIGHT_CACHE="0", PYTHONPYCACHEPREFIX=str(tmp_path / "none"))
    assert not list(tmp_path.iterdir())


def test_python_s_own_bytecode_comes_first(tmp_path):
    environment = {"RUSHLIGHT_CACHE": str(tmp_path / "cache"), "PYTHONPYCACHEPREFIX": str(tmp_path / "python"),
                   "PYTHONDONTWRITEBYTECODE": ""}
    run("-c", PROGRAM, **environment)
    assert not list(tmp_path.glob("cache/python-*"))
