"""What other launchers say about a process's rank."""
import pytest

from rushlight.distributed import started


def test_the_environment_wins():
    found = started.settings({"RANK": "3", "PMI_RANK": "1", "PMI_SIZE": "8", "MASTER_PORT": "5"})
    assert found["RANK"] == "3" and found["WORLD_SIZE"] == "8" and found["MASTER_PORT"] == "5"
    assert started.settings({}) == {}


def test_mpiexec_on_one_machine():
    found = started.settings({"PMI_RANK": "1", "PMI_SIZE": "4", "MPI_LOCALRANKID": "1", "MPI_LOCALNRANKS": "4"})
    assert found["MASTER_ADDR"] == "127.0.0.1" and 20000 <= int(found["MASTER_PORT"]) < 32000
    assert found["LOCAL_RANK"] == "1"
    assert "MASTER_ADDR" not in started.settings({"PMI_RANK": "1", "PMI_SIZE": "4", "MPI_LOCALNRANKS": "2"})


def test_slurm():
    values = {"SLURM_PROCID": "5", "SLURM_NTASKS": "8", "SLURM_LOCALID": "1", "SLURM_JOB_ID": "77",
              "SLURM_JOB_NODELIST": "node[003-005,9]"}
    found = started.settings(values)
    assert (found["RANK"], found["WORLD_SIZE"], found["LOCAL_RANK"]) == ("5", "8", "1")
    assert found["MASTER_ADDR"] == "node003" and found["MASTER_PORT"] == started.settings(values)["MASTER_PORT"]


@pytest.mark.parametrize("nodes, first", [("a1", "a1"), ("a1,b2", "a1"), ("n[7,9]", "n7"), ("n[08-12]-ib,m", "n08-ib"),
                                          ("", "")])
def test_the_first_of_slurms_nodes(nodes, first):
    assert started.first_of(nodes) == first
