"""Descriptions on disk: plain values that JSON can hold, found by a digest of what they depend on.

They lie beside the kernels, so that a program whose launches are all known loads neither the planner nor the code
generators: reading a description takes a twentieth of the time of making it, and half of the time to the first result
would go into importing what makes it.
"""

import atexit
import json

from ..base.memo import Memo
from ..core.kinds import OUTSIDE
from ..runtime.cpu import cpuinfo, jit

MOST_WAITING = 64  # descriptions that are made before they are written: whoever needs one reads them all
MOST_READ = 1 << 14  # descriptions of packs that stay in memory
waiting = {}  # name -> description that is not on disk yet
PACKS = Memo(MOST_READ, weigh=len)  # name of a pack -> the texts of its descriptions, by their names
machine = []  # the text that says which processor it is, once it is asked for


def name_of(parts):
    """The name of a description that depends on these values, on the processor and on the code of operators that are
    declared outside of the package; None where the values have no text that is the same in every process."""
    if not machine:
        machine.append(repr((cpuinfo.vector_bytes(), cpuinfo.cache_sizes(), cpuinfo.stack_bytes())))
    text = repr((parts, sorted(OUTSIDE.items())) if OUTSIDE else parts)
    return None if " at 0x" in text else jit.digest((text + machine[0]).encode())


def read(name):
    """The description of this name, or None."""
    cache = jit.disk()
    if name is None or cache is None:
        return None
    if name in waiting:
        return waiting[name]
    pack = cache.lookup(name)
    if pack is None:
        return None
    found = PACKS.get(pack)
    if found is None:
        content = cache.load(pack)
        if content is None or name not in content[0]:
            cache.forget(pack)
            return None
        found = PACKS.put(pack, dict(zip(content[0], content[1].split(b"\n"))))
    return json.loads(found[name]) if name in found else None


def keep(name, description):
    """Write a description with others: when there are many, or at the end of the process."""
    if name is not None and jit.disk() is not None:
        waiting[name] = description
        if len(waiting) >= MOST_WAITING:
            write()


@atexit.register
def write():
    """Put the descriptions that were made into a pack."""
    cache = jit.disk()
    if waiting and cache is not None:
        cache.store(list(waiting), "\n".join(map(json.dumps, waiting.values())).encode())
    waiting.clear()
