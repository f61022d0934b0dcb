"""Runs programs in processes of their own, as a user does: a command line comes in, what it prints goes out."""
import os
import subprocess
import sys

import source


def run(*arguments, status=0, cwd=None, timeout=120, **environment):
    """Run `python ARGUMENTS` with the package importable; checks the exit status; returns (stdout, stderr)."""
    path = os.pathsep.join([str(source.ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run([sys.executable, *map(str, arguments)], capture_output=True, text=True, cwd=cwd,
                          timeout=timeout, env={**os.environ, "PYTHONPATH": path, **environment})
    assert done.returncode == status, f"exit status {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout, done.stderr
