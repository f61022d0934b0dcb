"""The backend `mpi`, and programs that mpiexec starts. Skipped where mpi4py or mpiexec is absent."""
import importlib.util
import os
import pathlib
import re
import shutil
import subprocess
import sys

import pytest
import source

import rushlight.distributed as dist

HERE = pathlib.Path(__file__).parent / "programs"
MPIEXEC = shutil.which("mpiexec", path=os.pathsep.join([str(pathlib.Path(sys.executable).parent), os.environ["PATH"]]))
present = pytest.mark.skipif(importlib.util.find_spec("mpi4py") is None or MPIEXEC is None,
                             reason="mpi4py or mpiexec is absent: pip install mpi4py impi-rt")


def launch(program, *arguments, processes=2, backend="mpi"):
    """Run a program of programs/ under mpiexec."""
    path = os.pathsep.join([str(source.ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    command = [MPIEXEC, "-n", str(processes), sys.executable, "-m", "rushlight", HERE / program, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, env={
        **os.environ, "PYTHONPATH": path, "TEST_BACKEND": backend, "OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    assert sorted(re.findall("rank ([0-9]) done", done.stdout)) == [str(rank) for rank in range(processes)]


@present
@pytest.mark.parametrize("program", ["checkpoint.py", "collectives.py", "every_dtype.py 10000", "fsdp.py",
                                     "sync_batchnorm.py", "training.py", "zero.py"])
def test_a_program_that_checks_itself(program):
    launch(*program.split())


@present
def test_four_processes():
    launch("collectives.py", processes=4)


@present
def test_gloo_under_mpiexec():
    launch("training.py", backend="gloo")


def test_without_mpi(monkeypatch):
    monkeypatch.setitem(sys.modules, "mpi4py", None)
    with pytest.raises(ImportError, match=r"mpi.*pip install 'rushlight\[mpi\]'"):
        dist.init_process_group("mpi")
