import os
import shutil
import subprocess
import sys

import numpy
import pytest
import source

from rushlight.base import switches
from rushlight.codegen.ir.kernel import KernelSource
from rushlight.runtime.cpu import jit, loader, program
from rushlight.runtime.cpu.object_cache import ObjectCache


def test_known_kernels_keep_their_address(add):
    first = jit.compile_kernels([add(1), add(2), add(1)])
    assert set(first) == {("test.add", 1), ("test.add", 2)}
    compiled = jit.stats["compiled"]
    assert jit.compile_kernels([add(2), add(1)]) == first
    assert jit.stats["compiled"] == compiled


def test_kernel_runs(add, table):
    address = jit.compile_kernels([add(7)])["test.add", 7]
    data = numpy.arange(10)
    run = program.Program([(address, [1, 5], 2)]).run
    args = table(data)
    assert run(args.address) == 0
    assert (data == numpy.arange(10) + 7).all()


def test_rejected_text_is_a_runtime_error(capfd):
    source = KernelSource(("test.bad",), lambda module, name: module.declare("not IR at all"))
    with pytest.raises(RuntimeError, match="RUSHLIGHT_LOG=ir"):
        jit.compile_kernels([source])
    with switches.env(LOG="ir"), pytest.raises(RuntimeError, match="not IR at all"):
        jit.compile_kernels([source])
    assert "not IR at all" in capfd.readouterr().err


def test_key_without_stable_repr_is_refused():
    with pytest.raises(ValueError, match="stable repr"):
        jit.kernel_name(("test", object()))


def test_log_shows_text_and_assembly(add, capfd):
    with switches.env(LOG="ir,asm", CACHE=None):
        jit.compile_kernels([add(4711)])
    shown = capfd.readouterr().err
    assert "define  void @k_" in shown.replace("define void", "define  void")
    assert ".text" in shown
    assert "ret" in jit.assembly([add(4711)])


CHILD = """
import sys
sys.path[:0] = {path!r}
import conftest
from rushlight.codegen.ir.kernel import KernelSource
from rushlight.runtime.cpu import jit
assert "llvmlite" not in sys.modules or {strict} == 0
def add(amount):
    return KernelSource(("test.add", amount), lambda module, name: conftest._emit_add(module, name, amount))
jit._generators = lambda: "the same, whoever edits the package while this test runs"
jit.compile_kernels([add(amount) for amount in {amounts}])
print(jit.stats["compiled"], jit.stats["loaded"])
"""


def _child(folder, amounts, strict=0):
    here = os.path.dirname(os.path.abspath(__file__))
    path = [here, os.path.dirname(os.path.dirname(here))]
    code = CHILD.format(path=path, amounts=amounts, strict=strict)
    environ = {**os.environ, "RUSHLIGHT_CACHE": str(folder)}
    done = subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return [int(word) for word in done.stdout.split()]


def _packs(folder):
    return [os.path.join(root, name) for root, _, names in os.walk(folder) for name in names if name.endswith(".o")]


def test_second_process_compiles_nothing(tmp_path):
    assert _child(tmp_path, [1, 2]) == [2, 0]
    assert _child(tmp_path, [2, 1]) == [0, 2]
    assert _child(tmp_path, [2, 3]) == [1, 1]
    assert _child(tmp_path, [1, 2, 3]) == [0, 3]


@pytest.mark.skipif(not loader.supported(), reason="objects are loaded by LLVM here")
def test_warm_start_does_without_llvm(tmp_path):
    script = "import rushlight as rl, sys; print(rl.ones(3).sum().item(), 'llvmlite.binding' in sys.modules)"
    environ = {**os.environ, "RUSHLIGHT_CACHE": str(tmp_path), "PYTHONPATH": str(source.ROOT)}
    for expected in ("3.0 True", "3.0 False"):
        done = subprocess.run([sys.executable, "-c", script], env=environ, capture_output=True, text=True)
        assert done.stdout.split("\n")[0] == expected, done.stderr


def test_packs_that_share_a_kernel_load_together(tmp_path):
    assert _child(tmp_path / "a", [1, 2]) == [2, 0]
    (secret,) = (tmp_path / "a").glob("cpu-*/secret")
    (tmp_path / "b" / secret.parent.name).mkdir(parents=True, mode=0o700)
    shutil.copy(secret, tmp_path / "b" / secret.parent.name)
    assert _child(tmp_path / "b", [2, 3]) == [2, 0]
    for path in _packs(tmp_path / "b"):
        os.rename(path, os.path.join(os.path.dirname(_packs(tmp_path / "a")[0]), os.path.basename(path)))
    (folder,) = [name for name in os.listdir(tmp_path / "a") if name.startswith("cpu-")]
    with open(tmp_path / "a" / folder / "index", "a") as index, open(tmp_path / "b" / folder / "index") as other:
        index.write(other.read())
    assert _child(tmp_path / "a", [1, 2, 3]) == [0, 3]


@pytest.mark.parametrize("damage", ["flip", "cut", "empty", "gone"])
def test_damaged_pack_is_rebuilt(tmp_path, damage):
    _child(tmp_path, [1])
    (path,) = _packs(tmp_path)
    data = bytearray(open(path, "rb").read())
    if damage == "gone":
        os.unlink(path)
    else:
        data[-9] ^= 1
        with open(path, "wb") as file:
            file.write({"flip": data, "cut": data[:50], "empty": b""}[damage])
    assert _child(tmp_path, [1]) == [1, 0]
    assert _child(tmp_path, [1]) == [0, 1]


def test_torn_index_line_spoils_only_itself(tmp_path):
    cache = ObjectCache(tmp_path, "test")
    cache.store(["11" * 16], b"code")
    with open(cache.index_path, "a") as file:
        file.write("22" * 16 + " 333")
    cache.store(["44" * 16], b"more")
    again = ObjectCache(tmp_path, "test")
    assert again.load(again.lookup("11" * 16)) == (["11" * 16], b"code")
    assert again.load(again.lookup("44" * 16)) == (["44" * 16], b"more")
    assert again.lookup("22" * 16) is None
    assert ObjectCache(tmp_path, "other").lookup("11" * 16) is None


def test_cache_is_bounded_and_drops_what_was_used_longest_ago(tmp_path):
    old = ObjectCache(tmp_path, "old version")
    old.store(["99" * 16], b"z" * 1000)
    cache = ObjectCache(tmp_path, "test", limit=10_000)
    keys = [f"{i:032x}" for i in range(12)]
    for i, key in enumerate(keys):
        cache.store([key], b"x" * 900)
        os.utime(os.path.join(cache.folder, cache.lookup(key)), (1000 + i, 1000 + i))
    for name in os.listdir(old.folder):
        os.utime(os.path.join(old.folder, name), (1, 1))
    cache.trim()
    kept = [key for key in keys if cache.lookup(key)]
    assert kept == keys[-len(kept) :] and 0 < len(kept) < 9
    assert not os.path.exists(old.folder)
    assert sum(os.path.getsize(path) for path in _packs(tmp_path)) <= 7500


def test_read_only_folder_is_reported_once(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    cache = ObjectCache(blocked, "test")
    with pytest.warns(UserWarning, match="kernels are not kept on disk"):
        cache.store(["11" * 16], b"code")
    cache.store(["11" * 16], b"code")
    assert cache.lookup("11" * 16) is None


def test_concurrent_processes_share_one_folder(tmp_path):
    here = os.path.dirname(os.path.abspath(__file__))
    code = CHILD.format(path=[here, os.path.dirname(os.path.dirname(here))], amounts=[1, 2, 3], strict=0)
    environ = {**os.environ, "RUSHLIGHT_CACHE": str(tmp_path)}
    running = [subprocess.Popen([sys.executable, "-c", code], env=environ, stdout=subprocess.DEVNULL) for _ in range(3)]
    assert [process.wait() for process in running] == [0, 0, 0]
    assert _child(tmp_path, [1, 2, 3]) == [0, 3]
