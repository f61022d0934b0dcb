"""Programs on two and four processes, as torchrun starts them. All have a timeout: a hang is a failure."""
import os
import pathlib
import re

import programs
import pytest

HERE = pathlib.Path(__file__).parent / "programs"


LARGEST = "10000000" if os.environ.get("RUSHLIGHT_TEST_FULL") == "1" else "10000"


def launch(name, *arguments, processes=2, status=0, options=(), timeout=100):
    """Run a program of programs/ on several processes."""
    return programs.run("-m", "rushlight.distributed.run", "--standalone", "--nproc-per-node", processes, *options,
                        HERE / name, *arguments, status=status, timeout=timeout)


@pytest.mark.parametrize("processes", [2, 4])
@pytest.mark.parametrize("program", ["checkpoint.py", "collectives.py", f"every_dtype.py {LARGEST}", "fsdp.py",
                                     "sync_batchnorm.py", "training.py", "zero.py"])
def test_a_program_that_checks_itself(program, processes):
    out, _ = launch(*program.split(), processes=processes, timeout=290)
    assert sorted(re.findall("rank ([0-9]) done", out)) == [str(rank) for rank in range(processes)]


@pytest.mark.parametrize("way", ["kill", "leave"])
def test_the_end_of_a_rank_is_an_error_that_names_it(way):
    out, err = launch("killed.py", way, status=1)
    assert "after True: rank 1 has ended" in out
    assert "torchrun: local rank" in err


def test_restarts_run_again(tmp_path):
    script = tmp_path / "again.py"
    script.write_text("import os, sys\nprint(os.environ['RANK'], os.environ['TORCHELASTIC_RESTART_COUNT'])\n"
                      "sys.exit(os.environ['TORCHELASTIC_RESTART_COUNT'] == '0')\n")
    out, err = launch(script, options=("--max-restarts", "1"))
    assert {"0 1", "1 1"} <= set(out.splitlines()) and "1 restarts left" in err


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
