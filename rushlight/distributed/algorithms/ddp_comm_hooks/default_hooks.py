"""Averages of buckets, in full precision or sent as half of the bytes. For `register_comm_hook(state, hook)`."""
from .... import api as rl
from ... import collectives, world

__all__ = ["allreduce_hook", "bf16_compress_hook", "bf16_compress_wrapper", "fp16_compress_hook",
           "fp16_compress_wrapper"]


def _average(group, tensor):
    """A future of the average of a tensor over the ranks; the tensor is used up."""
    group = world.member(group)
    tensor.div_(group.size())
    work = collectives.all_reduce(tensor, group=group, async_op=True)
    return work.get_future().then(lambda future: future.value()[0])


def allreduce_hook(process_group, bucket):
    """The average over the ranks of `process_group` (None: all)."""
    return _average(process_group, bucket.buffer())


def _compress(process_group, bucket, dtype):
    buffer = bucket.buffer()

    def widen(future):
        with rl.no_grad():
            return buffer.copy_(future.value())
    return _average(process_group, buffer.to(dtype)).then(widen)


def fp16_compress_hook(process_group, bucket):
    """The average, sent and summed in float16."""
    return _compress(process_group, bucket, rl.float16)


def bf16_compress_hook(process_group, bucket):
    """The average, sent and summed in bfloat16."""
    return _compress(process_group, bucket, rl.bfloat16)


def _wrapper(hook, dtype):
    def compressed(state, bucket):
        whole = bucket.buffer()
        bucket.set_buffer(whole.to(dtype))

        def widen(future):
            value = future.value()
            with rl.no_grad():
                return whole.copy_(value[0] if isinstance(value, list) else value)
        return hook(state, bucket).then(widen)
    return compressed


def fp16_compress_wrapper(hook):
    """A hook that gives `hook` the bucket in float16."""
    return _wrapper(hook, rl.float16)


def bf16_compress_wrapper(hook):
    """A hook that gives `hook` the bucket in bfloat16."""
    return _wrapper(hook, rl.bfloat16)
