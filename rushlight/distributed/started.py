"""Which rank this process is: told by a launcher of ours, `mpiexec`, Slurm, or the caller's environment.

`settings()` gives RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR and MASTER_PORT as far as they are known. What the
environment says under these names wins.
"""
import os
import re
import zlib

NAMES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")
# Variables for rank, number of ranks, rank on the machine, and number of ranks on it.
LAUNCHERS = {
    "Open MPI": ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK",
                 "OMPI_COMM_WORLD_LOCAL_SIZE"),
    "MPICH": ("PMI_RANK", "PMI_SIZE", "MPI_LOCALRANKID", "MPI_LOCALNRANKS"),
    "Slurm": ("SLURM_PROCID", "SLURM_NTASKS", "SLURM_LOCALID", "SLURM_TASKS_PER_NODE"),
}


def settings(environment=None):
    """{name: value} of NAMES, as strings, for what is known."""
    environment = os.environ if environment is None else environment
    found = {name: environment[name] for name in NAMES if name in environment}
    for launcher, (rank, size, local, _) in LAUNCHERS.items():
        if rank in environment and size in environment:
            found.setdefault("RANK", environment[rank])
            found.setdefault("WORLD_SIZE", environment[size])
            if local in environment:
                found.setdefault("LOCAL_RANK", environment[local])
            found.setdefault("MASTER_ADDR", _first_host(launcher, environment))
            found.setdefault("MASTER_PORT", str(_port(launcher, environment)))
            break
    return {name: value for name, value in found.items() if value is not None}


def _first_host(launcher, environment):
    """The machine of rank 0, None if it is not known."""
    if launcher == "Slurm":
        nodes = environment.get("SLURM_STEP_NODELIST") or environment.get("SLURM_JOB_NODELIST", "")
        return first_of(nodes) or None
    if environment.get(LAUNCHERS[launcher][1]) == environment.get(LAUNCHERS[launcher][3]):
        return "127.0.0.1"  # all ranks are on this machine
    return None


def first_of(nodes):
    """The first name of a list in Slurm's form: "n[003-005,9],m1" is n003."""
    match = re.match(r"([^,\[]+)(?:\[([^,\-\]]+)[^\]]*\]([^,]*))?", nodes)
    return "".join(part or "" for part in match.groups()) if match else ""


def _port(launcher, environment):
    """A port that the ranks of one job agree on and other jobs of the machine hardly have."""
    if launcher == "Slurm":
        job = f"{environment.get('SLURM_JOB_ID')}.{environment.get('SLURM_STEP_ID')}"
    else:  # the ranks of one machine have one parent
        with open(f"/proc/{os.getppid()}/stat", encoding="utf-8") as file:
            job = f"{os.getppid()} {file.read().rpartition(')')[2].split()[19]}"  # its number and start time
    return 20000 + zlib.crc32(job.encode()) % 12000  # below the range from which systems take ports for clients
