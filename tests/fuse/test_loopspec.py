"""Structures of loop kernels: what shares a kernel, and that kernels stay cheap to compile."""
import contextlib

import pytest

import rushlight as rl
from rushlight.base import switches
from rushlight.codegen.ir import target
from rushlight.codegen.ir.builder import Module
from rushlight.core.stream import STREAM
from rushlight.fuse import plan

pytestmark = pytest.mark.skipif(switches.EAGER, reason="the eager mode has recorded nothing to look at")


def kernels(build):
    """The sources of the kernels of what `build` records."""
    rl.synchronize()
    kept = build()
    block = STREAM.block
    path, scalars = block.step.path(), len(block.scalars)
    planned = plan.build(path, bytes([1]) * len(block.slots), scalars)
    del kept
    return [launch.source for segment in planned.segments for row in segment.launches for launch in row]


def text(source):
    module = Module()
    source.emit(module, "kernel")
    return module.text()


@contextlib.contextmanager
def machine(**what):
    before = target.current
    target.set_current(target.Target(**what))
    try:
        yield
    finally:
        target.set_current(before)


def test_one_element_shares_the_kernel_of_many():
    one, many, scalar = rl.ones(1), rl.ones(1000), rl.ones(())
    keys = {kernels(lambda x=x: x * 2 + x)[0].key for x in (one, many, scalar)}
    assert len(keys) == 1
    assert (scalar * 2 + scalar).item() == 3 and (one.exp() + scalar).tolist() == [pytest.approx(3.7182817)]


@pytest.mark.parametrize("width, dtype, masked", [(64, "uint8", True), (32, "uint8", False), (32, "float32", True),
                                                  (16, "float32", False)])
def test_tails_are_masked_only_where_the_machine_can(width, dtype, masked):
    x = rl.ones(3, dtype=getattr(rl, dtype))
    with machine(vector_bytes=width):
        source, = kernels(lambda: x + x)
        assert ("llvm.masked.store" in text(source)) == masked


def test_strided_memory_is_read_one_register_at_a_time():
    x = rl.arange(200.0)
    with machine(vector_bytes=32):
        source, = kernels(lambda: x[::2] + 1)
        assert text(source).count("insertelement <8 x float>") >= 8 and "<16 x float>" not in text(source)
    assert rl.equal(x[::2] + 1, rl.arange(1.0, 200.0, 2))


@pytest.mark.parametrize("dtype", ["uint8", "bool", "int16", "bfloat16", "float32", "int64"])
@pytest.mark.parametrize("size", [1, 63, 64, 65, 255, 256, 257, 1000])
def test_tails_of_every_size(dtype, size):
    kind = getattr(rl, dtype)
    a, b = (rl.arange(size) % 2).to(kind), (rl.arange(size) % 3 == 0).to(kind)
    both = rl.maximum(a, b) if dtype != "bool" else a | b
    assert both.to(rl.int64).tolist() == [max(i % 2, int(i % 3 == 0)) for i in range(size)]
    rows = (a.expand(3, size) == b[:1]).to(rl.int64).sum(1)
    assert rows.tolist() == [sum(int(i % 2 == 1) for i in range(size))] * 3


def test_transposed_operands_make_tiles():
    x = rl.arange(45.0 * 900).reshape(3, 300, 45)
    source, = kernels(lambda: x.mT.contiguous())
    assert source.key[2] == "tile"
    source, = kernels(lambda: x[:, :3, :3].mT.contiguous())
    assert source.key[2] == "row"


def test_what_transposes_stays_out_of_reductions():
    x = rl.arange(12000.0).reshape(120, 100).t()
    for build in (lambda: x.softmax(1), lambda: x.contiguous().softmax(1), lambda: (x + x.contiguous()).sum(1)):
        assert len({s.key for s in kernels(build)}) >= 2
    small = x[:10, :10]
    assert len({s.key for s in kernels(lambda: small.contiguous().softmax(1))}) == 1
    assert rl.allclose(x.softmax(1), x.contiguous().softmax(1))
    assert rl.allclose((x + x.contiguous()).sum(1), 2 * x.sum(1))


def test_tall_reductions_are_split_into_blocks_of_rows():
    x, small = rl.ones(5000, 70), rl.ones(100, 70)
    assert [s.key[2] for s in kernels(lambda: x.amax(0))] == ["col", "col"]
    assert [s.key[2] for s in kernels(lambda: small.amax(0))] == ["col"]


def test_passes_over_rows_ask_for_the_next_row():
    x, single = rl.ones(30, 200), rl.ones(200)
    source, = kernels(lambda: x.softmax(1))
    asked = [line for line in text(source).splitlines() if "call void @llvm.prefetch" in line]
    assert {line.split("i32 ")[1][0] for line in asked} == {"0", "1"}  # what is read, and what is written
    source, = kernels(lambda: single * 2)
    assert "prefetch" not in text(source)


def test_what_a_later_pass_reads_again_lies_in_the_place_of_its_result():
    x = rl.randn(6, 40)
    only, = kernels(lambda: x.softmax(-1))
    assert [dtype for dtype, _ in only.key[5]] == ["float32", "float32"]
    wanted = rl.tensor(x.tolist()).double().softmax(-1).float()
    assert rl.allclose(x.softmax(-1), wanted) and rl.allclose(x.exp() / x.exp().sum(-1, keepdim=True), wanted)


def test_what_is_read_is_no_place_for_values_of_other_passes():
    x = rl.randn(6, 40)
    wanted = x.double().softmax(-1).float()
    x.copy_(x.softmax(-1) + 0 * x)
    assert rl.allclose(x, wanted)
    wide = rl.randn(6, 40)
    exp, total = wide.exp(), wide.exp().sum(-1, keepdim=True)
    first, second = exp / total, exp * total  # two results of the pass that reads `exp` again
    e = rl.tensor(wide.tolist(), dtype=rl.float64).exp()
    assert rl.allclose(first, (e / e.sum(-1, keepdim=True)).float())
    assert rl.allclose(second, (e * e.sum(-1, keepdim=True)).float())
