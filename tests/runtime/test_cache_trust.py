"""A kernel cache in which somebody has planted something: every odd file is a miss, nothing of it runs, nothing hangs,
and the kernels come out right all the same.
"""

import os
import stat
import subprocess
import sys
import warnings

import pytest
import source

from rushlight.codegen.ir.kernel import KernelSource
from rushlight.runtime.cpu import jit, llvm, object_cache, private_folder
from rushlight.runtime.cpu.object_cache import ObjectCache
from rushlight.runtime.cpu.private_folder import PrivateFolder

pytestmark = pytest.mark.skipif(os.name != "posix", reason="owners and modes of POSIX")
KEY, OTHER = "11" * 16, "22" * 16
root_only = pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="gives files to somebody else")

TEXT = "define i64 @{name}() {{\n  ret i64 {value}\n}}\n"
SCRIPT = """
import rushlight as rl
print(rl.ones(3).sum().item(), (rl.arange(4.) * 2).tolist())
"""


def _object(name, value):
    return llvm.Compiler().compile(TEXT.format(name=name, value=value))


def _cache(folder):
    """A cache with two packs, and a second view of it that has read nothing yet."""
    cache = ObjectCache(folder, "test")
    cache.store([KEY], b"code")
    cache.store([OTHER], b"other")
    assert stat.S_IMODE(os.stat(cache.folder).st_mode) == 0o700
    for name in os.listdir(cache.folder):
        assert stat.S_IMODE(os.stat(os.path.join(cache.folder, name)).st_mode) == 0o600
    return cache, ObjectCache(folder, "test")


def _plant(path, kind):
    """Put something else in the place of a file."""
    data = open(path, "rb").read()
    os.unlink(path)
    if kind == "fifo":
        os.mkfifo(path, 0o600)
    elif kind == "link":
        other = os.path.join(os.path.dirname(os.path.dirname(path)), "moved")
        with open(other, "wb") as file:
            file.write(data)
        os.chmod(other, 0o600)
        os.symlink(other, path)
    elif kind == "device":
        os.symlink("/dev/zero", path)
    elif kind == "socket":
        os.mknod(path, stat.S_IFSOCK | 0o600)
    elif kind == "folder":
        os.mkdir(path)
    elif kind == "sparse":
        with open(path, "wb") as file:
            file.write(data)
            file.truncate(8 << 30)
        os.chmod(path, 0o600)
    else:
        with open(path, "wb") as file:
            file.write(data[: len(data) // 2] if kind == "cut" else data)
        os.chmod(path, 0o666 if kind == "writable" else 0o600)
        if kind == "stranger":
            os.chown(path, 12345, 12345)


KINDS = ["fifo", "link", "device", "socket", "folder", "sparse", "cut", "writable",
         pytest.param("stranger", marks=root_only)]


@pytest.mark.parametrize("kind", KINDS)
def test_odd_pack_is_a_miss(tmp_path, kind):
    cache, again = _cache(tmp_path)
    _plant(os.path.join(cache.folder, cache.lookup(KEY)), kind)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert again.load(again.lookup(KEY)) is None
        assert again.load(again.lookup(OTHER)) == ([OTHER], b"other")
    if kind != "folder":
        again.store([KEY], b"code")
        assert ObjectCache(tmp_path, "test").load(again.lookup(KEY)) == ([KEY], b"code")


@pytest.mark.parametrize("name", ["index", "secret"])
@pytest.mark.parametrize("kind", KINDS)
def test_odd_index_or_secret_is_a_miss(tmp_path, kind, name):
    cache, again = _cache(tmp_path)
    _plant(os.path.join(cache.folder, name), kind)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore" if kind == "folder" else "error")
        found = again.lookup(KEY)
        assert found is None or kind == "cut" or name == "secret"
        if found is not None and name == "secret":
            assert again.load(found) is None
        again.store([KEY], b"code")
    if kind != "folder":
        third = ObjectCache(tmp_path, "test")
        assert third.load(third.lookup(KEY)) == ([KEY], b"code")


def test_pack_that_another_program_made_does_not_match(tmp_path):
    """The right checksum of the contents is not enough: it has to be keyed with the folder's secret."""
    cache, again = _cache(tmp_path / "a")
    theirs = ObjectCache(tmp_path / "b", "test")
    theirs.store([KEY], b"evil")
    name = theirs.lookup(KEY)
    os.rename(os.path.join(theirs.folder, name), os.path.join(cache.folder, cache.lookup(KEY)))
    assert again.load(again.lookup(KEY)) is None


def test_index_names_packs_only(tmp_path):
    cache, again = _cache(tmp_path)
    outside = "../" + "x" * 27 + "/a.o"
    assert len(outside) == 34
    with open(cache.index_path, "a") as index:
        index.write(f"\n{KEY} {outside}\n")
    assert again.lookup(KEY) == cache.lookup(KEY)


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o1777])
def test_folder_that_others_may_write_is_refused_with_one_warning(tmp_path, mode):
    cache, again = _cache(tmp_path)
    name = cache.lookup(KEY)
    os.chmod(cache.folder, mode)
    with pytest.warns(UserWarning, match="other users may write there") as seen:
        assert again.lookup(KEY) is None
        assert again.load(name) is None
        again.store([KEY], b"code")
    assert len(seen) == 1


@root_only
def test_folder_of_somebody_else_is_refused(tmp_path):
    cache, again = _cache(tmp_path)
    os.chown(cache.folder, 12345, 12345)
    with pytest.warns(UserWarning, match="belongs to user 12345"):
        assert again.lookup(KEY) is None


def test_private_fallback(tmp_path, monkeypatch):
    shared, home = tmp_path / "shared", tmp_path / "home"
    shared.mkdir()
    os.chmod(shared, 0o777)
    monkeypatch.setenv("XDG_CACHE_HOME", str(home))
    private_folder.trusted.cache_clear()
    with pytest.warns(UserWarning, match="is not used: other users may write there") as seen:
        assert private_folder.trusted(str(shared)) == str(home / "rushlight")
        assert private_folder.trusted(str(shared)) == str(home / "rushlight")
    assert len(seen) == 1
    environ = {**os.environ, "RUSHLIGHT_CACHE": str(shared), "PYTHONPATH": str(source.ROOT)}
    done = subprocess.run([sys.executable, "-c", SCRIPT], env=environ, capture_output=True, text=True, timeout=120)
    assert done.stdout == "3.0 [0.0, 2.0, 4.0, 6.0]\n", done.stderr
    assert done.stderr.count("is not used") == 1
    assert list(home.glob("rushlight/cpu-*/*.o")) and not os.listdir(shared)
    assert stat.S_IMODE(os.stat(home / "rushlight").st_mode) == 0o700
    private_folder.trusted.cache_clear()


def test_a_whole_cache_of_odd_files(tmp_path):
    """The program starts and computes right with every file of its cache exchanged; also with swapped index lines."""
    environ = {**os.environ, "RUSHLIGHT_CACHE": str(tmp_path), "PYTHONPATH": str(source.ROOT)}

    def start():
        done = subprocess.run([sys.executable, "-c", SCRIPT], env=environ, capture_output=True, text=True, timeout=120)
        assert (done.returncode, done.stdout) == (0, "3.0 [0.0, 2.0, 4.0, 6.0]\n"), done.stderr
    start()
    (folder,) = tmp_path.glob("cpu-*")
    lines = [line for line in (folder / "index").read_text().split("\n") if line]
    assert len(lines) > 1
    names = [line[33:] for line in lines]
    swapped = [line[:33] + name for line, name in zip(lines, names[1:] + names[:1])]
    (folder / "index").write_text("\n".join(swapped) + "\n")
    start()
    for kind in ("fifo", "device", "cut"):
        for path in [*folder.glob("*.o"), *tmp_path.glob("host-*"), folder / "index"]:
            _plant(str(path), kind)
        start()


# -- objects -----------------------------------------------------------------------------------------------------------


def test_bad_object_with_the_right_checksum_is_compiled_again(tmp_path, monkeypatch, add):
    cache = ObjectCache(tmp_path, "test")
    monkeypatch.setattr(jit, "disk", lambda: cache)
    monkeypatch.setattr(jit, "_loaded_packs", {})
    good = _object("good", 1)
    packs = {10: b"", 11: b"\x7fELF", 12: good[:-40], 13: bytearray(good), 14: good, 15: b"\0" * 5000}
    packs[13][40:48] = b"\xff" * 8  # where the table of sections is
    for amount, code in packs.items():
        name = jit.kernel_name(("test.add", ("trust", amount)))
        cache.store([name[2:]], bytes(code))
        assert cache.lookup(name[2:])
    sources = [KernelSource(("test.add", ("trust", n)), add(n).emit) for n in packs]
    before = jit.stats["compiled"]
    assert all(jit.compile_kernels(sources).values())
    assert jit.stats["compiled"] == before + len(packs)


def test_mutated_objects_are_refused_or_load():
    """No change of a byte in an object's tables writes outside of its own memory or ends the process."""
    code = """
import random, sys
sys.path[:0] = {path!r}
from test_cache_trust import _object, TEXT
from rushlight.runtime.cpu import jit, llvm, loader
good = llvm.Compiler().compile('''
@table = internal constant [4 x double] [double 1.0, double 2.5, double 4.0, double 8.0]
@pointers = internal global [2 x ptr] [ptr @table, ptr @pointers]
declare double @cos(double)
define double @f(i64 %i) {{
  %p = getelementptr [4 x double], ptr @table, i64 0, i64 %i
  %v = load double, ptr %p
  %c = call double @cos(double %v)
  ret double %c
}}''')
random.seed(0)
refused = loaded = 0
for _ in range(4000):
    bad = bytearray(good)
    for _ in range(random.choice((1, 1, 2, 8))):
        bad[random.randrange(len(bad))] = random.choice((0, 1, 127, 128, 255, random.randrange(256)))
    if random.random() < 0.1:
        bad = bad[:random.randrange(len(bad))]
    try:
        loader.check(bytes(bad))
        loader.load(bytes(bad), jit._resolve)
        loaded += 1
    except (ValueError, AttributeError):
        refused += 1
print(refused > 500 and loaded > 500)
"""
    here = os.path.dirname(os.path.abspath(__file__))
    path = [here, os.path.dirname(here), str(source.ROOT)]
    done = subprocess.run([sys.executable, "-c", code.format(path=path)], capture_output=True, text=True, timeout=300)
    assert done.stdout == "True\n", (done.returncode, done.stderr)


def test_large_object_is_not_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(object_cache, "MOST_PACK", 2 << 20)
    cache = ObjectCache(tmp_path, "test")
    cache.store([KEY], b"x" * (2 << 20))
    assert cache.lookup(KEY) is None and not os.path.exists(cache.folder)


def test_folder_is_opened_before_it_is_believed(tmp_path):
    """A folder behind a link is as good as its own owner and mode."""
    real, link = tmp_path / "real", tmp_path / "link"
    real.mkdir(mode=0o700)
    link.symlink_to(real)
    PrivateFolder(link).write("a", b"text")
    assert PrivateFolder(link).read("a", 10) == b"text" and PrivateFolder(link).read("a", 3) is None
    os.chmod(real, 0o777)
    with pytest.raises(private_folder.Untrusted):
        PrivateFolder(link).read("a", 10)
