"""Files that a killed save leaves: the next save in the folder removes them, and no others."""

import os
import signal
import subprocess
import sys
import time

import pytest
import rushlight as rl
import source

from rushlight.serialization import writer

pytestmark = pytest.mark.skipif(os.name != "posix", reason="locks and signals of POSIX")

SAVES = """
import sys
import rushlight as rl
tensor = rl.ones(1 << 20)
rl.save(tensor, sys.argv[1])
print("ready", flush=True)
while True:
    rl.save(tensor, sys.argv[1])
"""


def _leftovers(folder):
    return [name for name in os.listdir(folder) if writer.TEMPORARY.fullmatch(name)]


def test_killed_saves_leave_nothing_after_the_next_one(tmp_path):
    path = tmp_path / "model.pt"
    environ = {**os.environ, "PYTHONPATH": str(source.ROOT)}
    left = 0
    process = subprocess.Popen([sys.executable, "-c", SAVES, str(path)], env=environ, stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"ready\n"
    deadline = time.monotonic() + 60
    while not _leftovers(tmp_path) and time.monotonic() < deadline:
        time.sleep(0.0005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    left = len(_leftovers(tmp_path))
    assert rl.load(path).sum().item() == 1 << 20  # whole, old or new
    for number in range(20):  # what earlier deaths left, as far as names tell
        (tmp_path / f".model.pt.{process.pid}-{number:016x}.tmp").write_bytes(b"half")
    assert len(_leftovers(tmp_path)) == left + 20
    rl.save(rl.zeros(3), tmp_path / "other.pt")
    assert _leftovers(tmp_path) == [] and rl.load(path).sum().item() == 1 << 20


def test_a_living_save_keeps_its_file(tmp_path):
    """Also if its file is old: it holds the lock."""
    with writer.replacing(tmp_path / "a.pt") as out:
        out.write(b"part")
        (name,) = _leftovers(tmp_path)
        os.utime(tmp_path / name, (1, 1))
        with writer.replacing(tmp_path / "b.pt") as other:
            other.write(b"other")
        assert _leftovers(tmp_path) == [name]
        out.write(b"s")
    assert (tmp_path / "a.pt").read_bytes() == b"parts" and _leftovers(tmp_path) == []


def test_what_is_not_ours_stays(tmp_path):
    mine = f".m.{os.getpid()}-{0:016x}.tmp"
    kept = [".m.tmp", "m.1-0000000000000000.tmp", ".m.x-0000000000000000.tmp", ".m.1-00.tmp", mine]
    for name in kept:
        (tmp_path / name).write_bytes(b"")
    odd = tmp_path / f".m.{2**22 + 5}-{1:016x}.tmp"
    odd.mkdir()
    fifo = tmp_path / f".m.{2**22 + 5}-{2:016x}.tmp"
    os.mkfifo(fifo)
    link = tmp_path / f".m.{2**22 + 5}-{3:016x}.tmp"
    link.symlink_to(tmp_path / ".m.tmp")
    writer.remove_leftovers(tmp_path)
    assert sorted(os.listdir(tmp_path)) == sorted([*kept, odd.name, fifo.name, link.name])
    os.utime(tmp_path / mine, (1, 1))  # nobody holds it any more
    writer.remove_leftovers(tmp_path)
    assert not (tmp_path / mine).exists()
    writer.remove_leftovers(tmp_path / "missing")


def test_age_decides_where_there_are_no_locks(tmp_path, monkeypatch):
    monkeypatch.setattr(writer, "fcntl", None)
    path = tmp_path / f".m.1-{0:016x}.tmp"
    path.write_bytes(b"")
    writer.remove_leftovers(tmp_path)
    assert path.exists()
    os.utime(path, (1, 1))
    writer.remove_leftovers(tmp_path)
    assert not path.exists()
    rl.save(rl.ones(2), tmp_path / "a.pt")
    assert os.listdir(tmp_path) == ["a.pt"]


def test_a_failed_save_leaves_nothing(tmp_path):
    with pytest.raises(KeyboardInterrupt), writer.replacing(tmp_path / "a.pt") as out:
        out.write(b"half")
        raise KeyboardInterrupt
    assert os.listdir(tmp_path) == []
