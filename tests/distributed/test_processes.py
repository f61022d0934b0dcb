"""Programs on two and four processes, as torchrun starts them. All have a timeout: a hang is a failure."""
import os
import pathlib
import re
import signal
import subprocess
import sys

import programs
import pytest
from distributed import kills

HERE = pathlib.Path(__file__).parent / "programs"
FULL = os.environ.get("RUSHLIGHT_TEST_FULL") == "1"
DTYPES = ("uint8,int8,bool,float16,bfloat16", "int16,int32,float32,int64", "float64,complex64", "complex128")
EVERY = [f"every_dtype.py 10000000 {names}" for names in DTYPES] if FULL else ["every_dtype.py 10000"]


def launch(name, *arguments, processes=2, status=0, options=(), timeout=100):
    """Run a program of programs/ on several processes."""
    return programs.run("-m", "rushlight.distributed.run", "--standalone", "--nproc-per-node", processes, *options,
                        HERE / name, *arguments, status=status, timeout=timeout)


@pytest.mark.parametrize("processes", [2, 4])
def test_the_demo_network(processes):
    for package in ("tqdm", "matplotlib"):
        pytest.importorskip(package)
    out, _ = launch("demo.py", processes=processes)
    assert len(re.findall("rank [0-9] done", out)) == processes


@pytest.mark.parametrize("processes", [2, 4])
@pytest.mark.parametrize("program", ["checkpoint.py", "collectives.py", "fsdp.py", "sync_batchnorm.py", "training.py",
                                     "zero.py", *EVERY])
def test_a_program_that_checks_itself(program, processes):
    out, _ = launch(*program.split(), processes=processes, timeout=290)
    assert sorted(re.findall("rank ([0-9]) done", out)) == [str(rank) for rank in range(processes)]


@pytest.mark.parametrize("way", ["kill", "leave"])
def test_the_end_of_a_rank_is_an_error_that_names_it(way):
    out, err = launch("killed.py", way, status=1)
    assert "after True: rank 1 has ended" in out
    assert "torchrun: local rank" in err


@pytest.mark.parametrize("seed", range(50) if FULL else (2, 8))
def test_a_killed_rank_is_named_by_all_others(seed):
    kills.run(seed, 2 + seed % 3)


def test_a_restarted_job_goes_on_from_its_checkpoint(tmp_path):
    """Rank 1 kills itself in step 3 of the first start; the second start loads what was saved before."""
    script = tmp_path / "again.py"
    script.write_text("""
import os, sys
import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp
dist.init_process_group()
state = {"step": 0, "sum": torch.zeros(2)}
if os.path.exists(sys.argv[1]):
    dcp.load(state, checkpoint_id=sys.argv[1])
print(f"from {state['step']} ", flush=True)
while state["step"] < 5:
    if state["step"] == 3 and os.environ["TORCHELASTIC_RESTART_COUNT"] == "0" and dist.get_rank() == 1:
        os.kill(os.getpid(), 9)
    x = torch.full((2,), state["step"] + 1.0)
    dist.all_reduce(x)
    state["sum"] += x
    state["step"] += 1
    dcp.save(state, checkpoint_id=sys.argv[1])
print(f"sum {state['sum'].tolist()}", flush=True)
""")
    out, err = launch(script, tmp_path / "saved", options=("--max-restarts", "1"))
    assert sorted(re.findall("from ([0-9])|(sum .*?])", out)) == [("", "sum [30.0, 30.0]")] * 2 + [
        ("0", "")] * 2 + [("3", "")] * 2, out
    assert "signal SIGKILL; 1 restarts left" in err


def test_restarts_end(tmp_path):
    script = tmp_path / "fails.py"
    script.write_text("import os\nprint(os.environ['TORCHELASTIC_RESTART_COUNT'], flush=True)\nraise SystemExit(4)\n")
    out, err = launch(script, options=("--max-restarts", "2"), processes=1, status=1)
    assert out.split() == ["0", "1", "2"] and "exit status 4; 0 restarts left" in err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_all_processes(tmp_path, number):
    script = tmp_path / "sleeps.py"
    script.write_text("import os, time\nos.write(1, b'%d\\n' % os.getpid())\ntime.sleep(60)\n")
    command = [sys.executable, "-m", "rushlight.distributed.run", "--nproc-per-node", "2", script]
    job = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        pids = [int(job.stdout.readline()) for _ in range(2)]
        job.send_signal(number)
        assert job.wait(20) == 128 + number
    finally:
        job.terminate()
        job.wait()
    assert not [pid for pid in pids if os.path.exists(f"/proc/{pid}")]


def test_logs_go_to_files(tmp_path):
    script = tmp_path / "says.py"
    script.write_text("import os\nprint('rank', os.environ['RANK'])\n")
    out, _ = launch(script, options=("--log-dir", tmp_path / "logs", "-r", "3"))
    assert out == ""
    logs = sorted(path.read_text() for path in tmp_path.glob("logs/*/attempt_0/*/stdout.log"))
    assert logs == ["rank 0\n", "rank 1\n"]


def test_multiprocessing():
    out, _ = programs.run("-m", "rushlight", HERE / "spawned.py", timeout=100)
    assert out == "done\n"
