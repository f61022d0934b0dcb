"""Matrix products against numpy: layouts, edges, batches, dtypes, bias and factors."""

import dataclasses
import itertools

import harness
import numpy as np
import pytest
from harness import Program

from rushlight.codegen.ir import target
from rushlight.codegen.cpu.gemm.gemm import GemmSpec, Operand, plan_gemm
from rushlight.codegen.ir.kernel import Argument, Memory


def operand(name, array, dtype=None):
    size = array.itemsize
    *batch, row, column = (stride // size for stride in array.strides)
    return Operand(Memory(name), dtype or str(array.dtype), row, column, tuple(batch))


def bf16(array):
    """float32 rounded to bfloat16, as uint16 words."""
    bits = np.ascontiguousarray(array, np.float32).view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)


def from_bf16(words):
    return (words.astype(np.uint32) << 16).view(np.float32)


def run(a, b, out, bias=None, alpha=None, beta=None, dtypes=(None, None, None)):
    """Plan and run out = beta * bias + alpha * a @ b on arrays of equal batch rank."""
    spec = GemmSpec(
        out.shape[-2],
        out.shape[-1],
        a.shape[-1],
        operand("a", a, dtypes[0]),
        operand("b", b, dtypes[1]),
        operand("out", out, dtypes[2]),
        operand("bias", bias) if bias is not None else None,
        Argument(0) if alpha is not None else None,
        Argument(1) if beta is not None else None,
        out.shape[:-2],
    )
    launches = plan_gemm(spec)
    Program(launches, {"a": a, "b": b, "out": out, "bias": bias}, {0: alpha, 1: beta}).run()
    return launches


def layout(array, how):
    """The same values stored row by row, column by column, or with gaps."""
    if how == "n":
        return np.ascontiguousarray(array)
    if how == "t":
        return np.ascontiguousarray(array.swapaxes(-1, -2)).swapaxes(-1, -2)
    gaps = np.zeros((*array.shape[:-2], array.shape[-2] * 2, array.shape[-1] * 3), array.dtype)
    gaps[..., ::2, ::3] = array
    return gaps[..., ::2, ::3]


def values(rng, shape, dtype):
    if np.dtype(dtype).kind in "iu":
        return rng.integers(-50 if np.dtype(dtype).kind == "i" else 0, 50, shape).astype(dtype)
    return rng.standard_normal(shape).astype(dtype)


def check(out, expected, k, dtype):
    if np.dtype(dtype).kind in "iu":
        np.testing.assert_array_equal(out, expected.astype(dtype))
    else:
        eps = np.finfo(dtype).eps
        np.testing.assert_allclose(
            out, expected, atol=8 * eps * (k + 4) ** 0.5 * 4, rtol=1e-5 if dtype == "float32" else 1e-12
        )


SIZES = [(1, 1, 1), (5, 3, 2), (64, 10, 512), (33, 65, 70), (100, 130, 300), (200, 17, 1000)]
LAYOUTS = ["".join(p) for p in itertools.product("nt", "nt", "nt")] + ["gnn", "ngn", "nng", "tgt", "ggg"]


@pytest.mark.parametrize("layouts", LAYOUTS)
def test_layouts(layouts, machine):
    for m, n, k in SIZES if machine == "avx512" else SIZES[3:4]:
        check_layouts(m, n, k, layouts)


def check_layouts(m, n, k, layouts):
    rng = np.random.default_rng(0)
    a, b = values(rng, (m, k), "float32"), values(rng, (k, n), "float32")
    expected = a.astype(float) @ b
    a, b, out = layout(a, layouts[0]), layout(b, layouts[1]), layout(np.full((m, n), np.nan, "float32"), layouts[2])
    run(a, b, out)
    check(out, expected, k, "float32")


@pytest.mark.parametrize("dtype", ["float64", "int64", "int32", "int16", "int8", "uint8"])
def test_dtypes(dtype, machine):
    rng = np.random.default_rng(1)
    for m, n, k in [(3, 4, 5), (50, 70, 90), (64, 64, 64), (1, 100, 100), (100, 1, 100)]:
        a, b = values(rng, (m, k), dtype), values(rng, (k, n), dtype)
        out = np.zeros((m, n), dtype)
        run(a, b, out)
        check(out, a.astype(np.int64 if dtype != "float64" else float) @ b, k, dtype)


@pytest.mark.parametrize("m,n,k", [(20, 40, 30), (130, 70, 600), (1, 90, 80), (7, 90, 2000)])
def test_half(m, n, k, machine):
    rng = np.random.default_rng(2)
    a, b = values(rng, (m, k), "float32"), values(rng, (k, n), "float32")
    a16, b16 = a.astype(np.float16), b.astype(np.float16)
    out = np.zeros((m, n), np.float16)
    run(a16, b16, out)
    np.testing.assert_allclose(out, a16.astype(float) @ b16, rtol=2e-3, atol=2e-3 * k**0.5)
    a16, b16 = bf16(a), bf16(b)
    out = np.zeros((m, n), np.uint16)
    run(a16, b16, out, dtypes=("bfloat16",) * 3)
    expected = from_bf16(a16).astype(float) @ from_bf16(b16)
    np.testing.assert_allclose(from_bf16(out), expected, rtol=8e-3, atol=1e-4 * k**0.5)


@pytest.mark.parametrize("m,n,k", [(20, 40, 30), (130, 70, 600), (1, 90, 80), (90, 1, 80), (4, 4, 0)])
@pytest.mark.parametrize("shape", ["mn", "1n", "m1", "11", "t"])
@pytest.mark.parametrize("out_layout", "ntg")
def test_bias(m, n, k, shape, out_layout):
    rng = np.random.default_rng(3)
    a, b = values(rng, (m, k), "float64"), layout(values(rng, (k, n), "float64"), "t")
    full = {"mn": (m, n), "1n": (1, n), "m1": (m, 1), "11": (1, 1), "t": (n, m)}[shape]
    bias = values(rng, full, "float64")
    bias = np.broadcast_to(bias.T if shape == "t" else bias, (m, n))
    for alpha, beta in [(None, None), (0.25, -3.0)] if out_layout == "n" else [(0.5, 2.0)]:
        out = layout(np.full((m, n), np.nan), out_layout)
        run(a, b, out, bias, alpha, beta)
        expected = (1 if beta is None else beta) * bias + (1 if alpha is None else alpha) * (a @ b)
        check(out, expected, k, "float64")


@pytest.mark.skipif(not harness.tiles(), reason="no tile registers")
@pytest.mark.parametrize("layouts", LAYOUTS)
def test_tiles(layouts):
    """bfloat16 on AMX: every layout, edges, batches, bias and factors."""
    rng = np.random.default_rng(8)
    before = target.current
    target.set_current(dataclasses.replace(harness.TARGETS["avx512"], matrix="amx"))
    try:
        for m, n, k in [(33, 40, 70), (64, 64, 64), (100, 17, 333), (9, 260, 32)]:
            a, b = bf16(values(rng, (2, m, k), "float32")), bf16(values(rng, (2, k, n), "float32"))
            bias = values(rng, (n,) if k % 2 else (m, 1), "float32")
            expected = 2 * bias + 0.5 * (from_bf16(a).astype(float) @ from_bf16(b))
            a, b, out = (
                layout(a, layouts[0]),
                layout(b, layouts[1]),
                layout(np.zeros((2, m, n), "uint16"), layouts[2]),
            )
            spread = np.broadcast_to(bias, (2, m, n))
            launches = run(a, b, out, spread, 0.5, 2.0, dtypes=("bfloat16",) * 3)
            assert launches[-1].source.key[0] == "amx_gemm"
            np.testing.assert_allclose(from_bf16(np.ascontiguousarray(out)), expected, rtol=8e-3, atol=1e-3 * k**0.5)
    finally:
        target.set_current(before)


def test_zero_beta_hides_nan():
    out, bias = np.zeros((3, 4)), np.full((3, 4), np.nan)
    run(np.ones((3, 2)), np.ones((2, 4)), out, bias, None, 0.0)
    np.testing.assert_array_equal(out, 2.0)


def test_bias_in_place():
    rng = np.random.default_rng(4)
    a, b, out = values(rng, (70, 900), "float64"), values(rng, (900, 60), "float64"), values(rng, (70, 60), "float64")
    expected = 0.5 * out + a @ b
    run(a, b, out, out, None, 0.5)
    check(out, expected, 900, "float64")


@pytest.mark.parametrize("k", [0, 3, 64])
def test_batches(k, machine):
    rng = np.random.default_rng(5)
    for batch in [(5,), (2, 3), (2, 3, 4)]:
        a, b = values(rng, (*batch, 6, k), "float32"), values(rng, (*batch, k, 20), "float32")
        out = np.full((*batch, 6, 20), np.nan, "float32")
        run(a, b, out)
        check(out, a.astype(float) @ b, k, "float32")
        one = np.broadcast_to(b[(0,) * len(batch)], b.shape)
        run(a, one, out)
        check(out, a.astype(float) @ one, k, "float32")
    heads = values(rng, (2, 10, 3, 8), "float32").swapaxes(1, 2)
    keys = values(rng, (2, 12, 3, 8), "float32").swapaxes(1, 2).swapaxes(2, 3)
    out = np.full((2, 3, 10, 12), np.nan, "float32")
    run(heads, keys, out)
    check(out, heads.astype(float) @ keys, 8, "float32")


def test_long_k_is_split():
    rng = np.random.default_rng(6)
    a, b = values(rng, (20, 30000), "float32"), values(rng, (30000, 30), "float32")
    bias, out = values(rng, (30,), "float32"), np.full((20, 30), np.nan, "float32")
    launches = run(a, b, out, np.broadcast_to(bias, (20, 30)), 0.5, 2.0)
    assert launches[-1].source.key[0] == "gemm_reduce"
    check(out, 2.0 * bias + 0.5 * (a.astype(float) @ b), 30000, "float32")


def test_no_stray_writes():
    """Nothing outside the result is written, whatever the edge."""
    rng = np.random.default_rng(7)
    for m, n, k in [(13, 17, 40), (70, 50, 90), (1, 33, 64)]:
        for transposed in (False, True):
            a, b = values(rng, (m, k), "float32"), values(rng, (k, n), "float32")
            room = np.full((n + 2, m + 40) if transposed else (m + 2, n + 40), 7.0, "float32")
            out = room[1:-1, 20:-20].T if transposed else room[1:-1, 20:-20]
            run(a, b, out)
            check(out, a.astype(float) @ b, k, "float32")
            out[...] = 7.0
            np.testing.assert_array_equal(room, 7.0)


def test_empty():
    assert run(np.ones((0, 3)), np.ones((3, 4)), np.ones((0, 4))) == []
    out = np.full((3, 4), np.nan)
    run(np.ones((3, 0)), np.ones((0, 4)), out)
    np.testing.assert_array_equal(out, 0.0)
