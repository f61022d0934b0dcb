"""Flushing: look up or make the program of a block, and count what happens.

Takes blocks from the stream (core/stream.py). Read `executable` for the run of a program, and `recover` for what
happens when an instruction fails.
"""

import sys
import time

from ..base import switches
from ..core.stream import STREAM
from ..runtime.cpu import jit
from . import direct, machine, records  # noqa: F401  (machine: before the first plan)
from .executable import Counters, Executable


def statistics():
    """What the engine has done so far: instructions run, flushes, programs planned, kernels compiled (and loaded from
    disk), launches, bytes of results allocated, seconds spent planning."""
    tallies = Counters.tallies
    return dict(
        instructions=sum(t[0] * t[1] for t in tallies) + direct.TALLY[1],
        flushes=sum(t[0] for t in tallies) + direct.TALLY[0],
        direct_runs=direct.TALLY[0],
        records_made=records.made,
        programs_planned=Counters.planned,
        kernels_compiled=jit.stats["compiled"],
        kernels_loaded=jit.stats["loaded"],
        launches=sum(t[0] * t[2] for t in tallies) + direct.TALLY[2],
        bytes_allocated=sum(t[0] * t[3] for t in tallies) + direct.TALLY[3],
        plan_seconds=Counters.plan_seconds,
    )


def reset_statistics():
    """Set all counters to zero."""
    Counters.planned, Counters.plan_seconds = 0, 0.0
    for tally in Counters.tallies:
        tally[0] = 0
    direct.TALLY[:] = 0, 0, 0, 0
    records.made = 0
    jit.stats["compiled"] = jit.stats["loaded"] = 0


FAILED = ()  # the table of a block whose planning has failed: it runs directly


def make(block, mask):
    """Plan and compile; the step remembers the program."""
    began = time.perf_counter()
    step = block.step
    path = step.path()
    log = switches.LOG
    if "stream" in log:
        print(f"[stream] {len(path)} instructions", *map(repr, path), sep="\n  ", file=sys.stderr)
    try:
        executable = Executable(path, mask, block.scalars)
    except Exception:
        block.table = FAILED
        raise
    if not step.programs or len(step.programs) >= direct.MOST_PROGRAMS:
        step.programs = {}
    step.programs[mask] = executable
    STREAM.planned += len(path)
    Counters.planned += 1
    Counters.plan_seconds += time.perf_counter() - began
    if "fuse" in log:
        describe(executable)
    if "time" in log:
        print(f"[time] planned {len(path)} instructions in {1e3 * (time.perf_counter() - began):.2f} ms",
              file=sys.stderr)
    return executable


def describe(executable):
    """Print a plan: one line per launch."""
    print(f"[fuse] {executable.plan.instructions} live instructions, arena {executable.plan.arena} bytes",
          file=sys.stderr)
    for segment in executable.plan.segments:
        for row in segment.launches:
            key = row[0].source.key
            what = key[:2] if key[0] != "loop" else [getattr(node, "op", None) or node.combine for node in key[7]
                                                     if hasattr(node, "op") or hasattr(node, "combine")]
            print(f"  {len(row)} x {row[0].tasks} tasks, {sum(x.cost for x in row) / 1e3:.1f} us: {what}",
                  file=sys.stderr)
        if segment.host is not None:
            print(f"  host {segment.host!r}", file=sys.stderr)
