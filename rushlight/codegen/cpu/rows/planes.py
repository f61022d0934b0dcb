"""Adding values at given positions of planes: the gradient of taking maxima over windows.

In: values and positions (planes, n). Out: (planes, size), zero where nothing was added. A task takes whole planes, sets
each to zero and adds in the order of the values, so that results do not depend on threads; a plane of usual size stays
in the cache. Positions outside the plane are left out.

Static block: planes a task, planes, n, size; then slot, offset, byte strides of planes and elements for values,
positions and result.
"""

from ....core import dtype as dt
from ...bodies.handler import Handler, stored_type
from ...ir.kernel import KernelSource, Launch
from ...ir.statics import StaticBlock, kernel
from ...lower import memory

TASK_NANOSECONDS = 20000


def emit(module, name, dtype, index):
    """Write the kernel for values of `dtype` at positions of dtype `index`."""
    fn = kernel(module, name)
    k, entries = Handler(fn, 1), StaticBlock(fn)
    chunk, planes, count, size = entries.words(0, 4)
    operands = [(entries.pointer(at), *entries.words(at + 2, 2)) for at in (4, 8, 12)]
    start = fn.args[2] * chunk
    with fn.loop(start, fn.minimum(start + chunk, planes)) as plane:
        values, positions, result = [fn.gep(base, plane * stride) for base, stride, _ in operands]
        steps = [step for _, _, step in operands]
        fn.zero(result, size * dtype.itemsize)
        with fn.loop(0, count) as i:
            at = fn.load(fn.gep(positions, i * steps[1]), stored_type(index))
            if index is not dt.int64:
                at = fn.cast("sext", at, "i64")
            with fn.if_((at >= 0) & (at < size)):
                value = k.from_memory(dtype, fn.load(fn.gep(values, i * steps[0]), stored_type(dtype)))
                place = fn.gep(result, at * steps[2])
                old = k.from_memory(dtype, fn.load(place, stored_type(dtype)))
                fn.store(k.to_memory(k.rounded(old + value)), place, dtype.itemsize)
    fn.ret()


def plane_add(instruction):
    """ins: values, positions; outs: planes."""
    refs = [*instruction.ins, *instruction.outs]
    values, positions, result = [ref[1] for ref in refs]
    planes, size = result.shape
    if not result.numel:
        return []
    unit = 20 + 2.0 * values.shape[1] + 0.1 * size
    chunk = max(1, round(TASK_NANOSECONDS / unit))
    static = [chunk, planes, values.shape[1], size]
    for ref in refs:
        item = ref[1].dtype.itemsize
        static += [memory(ref), ref[1].strides[0] * item, ref[1].strides[1] * item]
    key = ("plane_add", values.dtype.name, positions.dtype.name)
    source = KernelSource(key, lambda module, name: emit(module, name, values.dtype, positions.dtype))
    return [Launch(source, static, -(-planes // chunk), planes * unit)]
