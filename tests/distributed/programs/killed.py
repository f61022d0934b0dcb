"""Rank 1 dies of SIGKILL in the middle of a collective, or leaves; rank 0 has to say so, at once."""
import os
import signal
import sys
import time

import torch
import torch.distributed as dist

dist.init_process_group()
dist.barrier()
if dist.get_rank() == 1:
    time.sleep(0.1)
    if sys.argv[1] == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    sys.exit(0)
start = time.monotonic()
try:
    while True:
        dist.all_reduce(torch.ones(1000))
except dist.DistBackendError as error:
    print(f"after {time.monotonic() - start < 10}: {error}", flush=True)
    sys.exit(7)
