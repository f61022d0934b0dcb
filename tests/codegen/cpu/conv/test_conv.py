"""Convolutions and their gradients against a numpy loop over taps: dimensions, strides, padding, dilation, groups,
layouts.
"""

import itertools

import numpy as np
import pytest
from harness import Program

from rushlight.codegen.ir import target
from rushlight.codegen.cpu.conv import conv, winograd as conv_winograd
from rushlight.codegen.cpu.conv.conv import (
    ConvOperand, ConvSpec, plan_conv, plan_conv_input_grad, plan_conv_weight_grad,
)
from rushlight.codegen.ir.kernel import Memory


def tensor(name, array, dtype=None):
    return ConvOperand(Memory(name), dtype or str(array.dtype), tuple(s // array.itemsize for s in array.strides))


def out_sizes(size, kernel, stride, padding, dilation):
    return tuple(
        (i + 2 * p - d * (k - 1) - 1) // s + 1 for i, k, s, p, d in zip(size, kernel, stride, padding, dilation)
    )


def taps(spec):
    """(kernel index, slice of the padded input) of every tap."""
    for index in itertools.product(*(range(k) for k in spec["kernel"])):
        yield (
            index,
            tuple(
                slice(k * d, k * d + s * (o - 1) + 1, s)
                for k, d, s, o in zip(index, spec["dilation"], spec["stride"], spec["out_size"])
            ),
        )


def groups_of(spec):
    c, o = spec["channels"] // spec["groups"], spec["filters"] // spec["groups"]
    return [(slice(g * c, g * c + c), slice(g * o, g * o + o)) for g in range(spec["groups"])]


def pad(x, spec):
    return np.pad(x, [(0, 0), (0, 0)] + [(p, p) for p in spec["padding"]])


def reference(spec, x, w, dy):
    """(forward, input gradient, weight gradient) in float64."""
    xp = pad(x.astype(float), spec)
    y, dxp, dw = np.zeros(dy.shape), np.zeros(xp.shape), np.zeros(w.shape)
    for index, window in taps(spec):
        for c, o in groups_of(spec):
            at, part = (slice(None), c, *window), w[(o, slice(None), *index)].astype(float)
            y[:, o] += np.einsum("nc...,oc->no...", xp[at], part)
            dxp[at] += np.einsum("no...,oc->nc...", dy[:, o].astype(float), part)
            flat = dy[:, o].reshape(len(dy), part.shape[0], -1)
            dw[(o, slice(None), *index)] = np.einsum("ncp,nop->oc", xp[at].reshape(len(x), part.shape[1], -1), flat)
    inside = tuple(slice(p, p + i) for p, i in zip(spec["padding"], spec["size"]))
    return y, dxp[(slice(None), slice(None), *inside)], dw


def case(batch, channels, filters, size, kernel, stride=1, padding=0, dilation=1, groups=1):
    rank = len(size)
    stride, padding, dilation = ((v,) * rank if isinstance(v, int) else v for v in (stride, padding, dilation))
    return dict(
        batch=batch,
        channels=channels,
        filters=filters,
        size=size,
        kernel=kernel,
        stride=stride,
        padding=padding,
        dilation=dilation,
        groups=groups,
        out_size=out_sizes(size, kernel, stride, padding, dilation),
    )


CASES = {
    "1d": case(2, 3, 5, (20,), (3,)),
    "1d stride dilation": case(2, 6, 8, (37,), (4,), 3, 2, 2, 2),
    "2d": case(2, 3, 16, (9, 11), (3, 3), 1, 1),
    "2d wide": case(1, 40, 70, (8, 8), (3, 3), 1, 1),
    "2d 1x1": case(2, 20, 33, (6, 7), (1, 1)),
    "2d 1x1 stride": case(2, 20, 33, (6, 7), (1, 1), 2),
    "2d stride": case(2, 5, 6, (13, 12), (3, 2), (2, 3), (1, 0)),
    "2d stride 7x7": case(1, 3, 24, (30, 30), (7, 7), 2, 3),
    "2d dilation": case(2, 4, 6, (15, 14), (3, 3), 1, 2, 2),
    "2d stride dilation": case(1, 4, 6, (19, 20), (3, 3), (2, 4), 3, (4, 6)),
    "2d groups": case(2, 6, 9, (8, 9), (3, 3), 1, 1, 1, 3),
    "2d depthwise": case(2, 7, 7, (10, 33), (3, 3), 1, 1, 1, 7),
    "2d depthwise stride": case(2, 4, 8, (21, 22), (5, 3), 2, (2, 1), 1, 4),
    "2d one channel": case(3, 1, 32, (28, 28), (3, 3)),
    "2d big padding": case(1, 2, 3, (4, 4), (2, 2), 1, 3),
    "2d padding beyond kernel": case(1, 2, 3, (5, 4), (1, 1), 2, 2),
    "2d kernel is image": case(3, 4, 5, (4, 4), (4, 4)),
    "2d many pixels": case(4, 8, 40, (24, 24), (3, 3), 1, 1),
    "2d many filters": case(2, 12, 100, (14, 14), (3, 3), 1, 1),
    "2d narrow": case(2, 70, 40, (5, 3), (3, 3), 1, 1),
    "2d large kernel": case(1, 2, 30, (30, 30), (13, 13), 1, 6),
    "2d 1x1 groups": case(3, 8, 12, (9, 9), (1, 1), 1, 0, 1, 4),
    "2d few filters": case(2, 40, 3, (12, 40), (3, 3), 1, 1),
    "3d": case(2, 3, 4, (5, 6, 7), (3, 2, 3), (1, 2, 1), (1, 0, 1), (1, 1, 2)),
    "3d groups": case(1, 4, 6, (5, 5, 5), (2, 2, 2), 2, 1, 1, 2),
}
LAYOUTS = ["first", "last", "gaps"]


def place(array, how):
    """The same values contiguous, channels last, or with gaps."""
    if how == "last":
        return np.moveaxis(np.ascontiguousarray(np.moveaxis(array, 1, -1)), -1, 1)
    if how == "gaps":
        room = np.zeros([2 * s for s in array.shape], array.dtype)
        part = room[tuple(slice(None, None, 2) for _ in array.shape)]
        part[...] = array
        return part
    return np.ascontiguousarray(array)


def arrays(spec, dtype, seed=0):
    rng = np.random.default_rng(seed)
    shapes = [
        (spec["batch"], spec["channels"], *spec["size"]),
        (spec["filters"], spec["channels"] // spec["groups"], *spec["kernel"]),
        (spec["batch"], spec["filters"], *spec["out_size"]),
    ]
    return [rng.standard_normal(shape).astype(dtype) for shape in shapes]


def run(plan, spec, x, w, dy, bias=None):
    """Plan and run; the names of the kernels."""
    planned = ConvSpec(
        **spec,
        input=tensor("x", x),
        weight=tensor("w", w),
        out=tensor("y", dy),
        bias=tensor("bias", bias) if bias is not None else None,
    )
    launches = plan(planned)
    Program(launches, {"x": x, "w": w, "y": dy, "bias": bias}).run()
    return [launch.source.key[0] for launch in launches]


def nans(array, how="first"):
    return place(np.full(array.shape, np.nan, array.dtype), how)


@pytest.mark.parametrize("name", CASES)
def test_against_loops(name, machine):
    for how, dtype in itertools.product(LAYOUTS, ["float32", "float64"]):
        if machine == "avx512" or (how, dtype) == ("first", "float32"):
            check_against_loops(CASES[name], how, dtype)


def check_against_loops(spec, how, dtype):
    x, w, dy = arrays(spec, dtype)
    y, dx, dw = reference(spec, x, w, dy)
    tolerance = dict(rtol=1e-4, atol=2e-4) if dtype == "float32" else dict(rtol=1e-10, atol=1e-10)
    bias = np.arange(spec["filters"]).astype(dtype)
    out = nans(dy, how)
    run(plan_conv, spec, place(x, how), place(w, how), out, bias)
    np.testing.assert_allclose(out, y + bias.reshape(1, -1, *[1] * len(spec["size"])), **tolerance)
    out = nans(x, how)
    run(plan_conv_input_grad, spec, out, place(w, how), place(dy, how))
    np.testing.assert_allclose(out, dx, **tolerance)
    out = nans(w, how)
    run(plan_conv_weight_grad, spec, place(x, how), out, place(dy, how))
    np.testing.assert_allclose(out, dw, **tolerance)


def test_transposed_with_output_padding():
    spec = case(2, 4, 3, (9, 8), (3, 3), 2, 1)
    assert spec["out_size"] == (5, 4)
    x, w, dy = arrays(spec, "float32")
    bias = np.arange(4, dtype="float32")
    _, dx, _ = reference(spec, x, w, dy)
    out = nans(x)
    run(plan_conv_input_grad, spec, out, w, dy, bias)
    np.testing.assert_allclose(out, dx + bias.reshape(1, -1, 1, 1), rtol=1e-4, atol=1e-4)


def test_pointwise_with_output_padding():
    """A transposed convolution of one tap may be wider than its operand: the pixels no tap reaches are zero."""
    spec = case(2, 4, 3, (9,), (1,)) | dict(out_size=(8,))
    x, w, dy = arrays(spec, "float32")
    out = nans(x)
    run(plan_conv_input_grad, spec, out, w, dy)
    np.testing.assert_allclose(out[:, :, :8], np.einsum("nop,oc->ncp", dy, w[:, :, 0]), rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(out[:, :, 8:], 0.0)


def test_half():
    spec = CASES["2d groups"]
    x, w, dy = arrays(spec, "float16")
    y, dx, dw = reference(spec, x, w, dy)
    for plan, expected, index in [(plan_conv, y, 2), (plan_conv_input_grad, dx, 0), (plan_conv_weight_grad, dw, 1)]:
        given = [x, w, dy]
        given[index] = nans(given[index])
        run(plan, spec, *given)
        np.testing.assert_allclose(given[index], expected, rtol=4e-3, atol=4e-2)


def test_empty_batch():
    spec = case(0, 3, 4, (8, 8), (3, 3))
    x, w, dy = arrays(spec, "float32")
    run(plan_conv, spec, x, w, dy)
    run(plan_conv_input_grad, spec, x, w, dy)
    out = nans(w)
    run(plan_conv_weight_grad, spec, x, out, dy)
    np.testing.assert_array_equal(out, 0.0)


# -- Winograd ----------------------------------------------------------------------------------------------------------

WINOGRAD = {
    "padded": case(2, 24, 40, (9, 11), (3, 3), 1, 1),
    "plain": case(1, 16, 17, (8, 6), (3, 3)),
    "much padding": case(3, 33, 16, (3, 5), (3, 3), 1, 3),
    "narrow": case(2, 40, 24, (7, 1), (3, 3), 1, 1),
    "several blocks": case(9, 16, 70, (30, 12), (3, 3), 1, 1),
    "one result": case(1, 20, 20, (3, 3), (3, 3)),
}


@pytest.fixture
def winograd(monkeypatch):
    """Every other way is too dear."""
    for name in ("_product_cost", "weight_grad_cost"):
        monkeypatch.setattr(conv, name, lambda *_: float("inf"))
    for name in ("_direct", "_direct_weight"):
        monkeypatch.setattr(conv, name, lambda *_: None)


def all_kernels(spec):
    """The kernels of the three plans."""
    x, w, dy = arrays(spec, "float32")
    plans = plan_conv, plan_conv_input_grad, plan_conv_weight_grad
    return {name for plan in plans for name in run(plan, spec, x, w, dy)}


@pytest.mark.parametrize("name", WINOGRAD)
def test_winograd_against_loops(name, machine, winograd):
    check_against_loops(WINOGRAD[name], "first", "float32")
    if machine == "avx512":
        check_against_loops(WINOGRAD[name], "first", "float64")
    kernels = all_kernels(WINOGRAD[name]) - {"conv_plane", "conv_image"}
    assert kernels == {f"conv_winograd{part}" for part in ("", "_weight", "_weight_grad", "_weight_reduce")}


def test_winograd_is_taken_where_it_is_cheaper(machine):
    assert "conv_winograd" in all_kernels(case(4, 64, 64, (28, 28), (3, 3), 1, 1))
    for other in (case(4, 64, 64, (28, 28), (3, 3), 2, 1), case(1, 256, 512, (2, 2), (3, 3), 1, 1),
                  case(4, 64, 64, (28, 28), (3, 3), 1, 1, 1, 2), case(4, 64, 64, (28, 28), (3, 3), 1, 2, 2),
                  case(4, 3, 64, (28, 28), (3, 3), 1, 1), case(4, 64, 64, (28, 28), (5, 5), 1, 1)):
        assert not any("winograd" in name for name in all_kernels(other)), other


def test_winograd_half(winograd):
    spec = WINOGRAD["padded"]
    x, w, dy = arrays(spec, "float16")
    y, dx, dw = reference(spec, x, w, dy)
    bias = np.arange(spec["filters"]).astype("float16")
    given = {plan_conv: (2, y + bias[:, None, None], bias), plan_conv_input_grad: (0, dx, None),
             plan_conv_weight_grad: (1, dw, None)}
    for plan, (index, expected, added) in given.items():
        operands = [x, w, dy]
        operands[index] = nans(operands[index])
        assert any("winograd" in name for name in run(plan, spec, *operands, added))
        np.testing.assert_allclose(operands[index], expected, rtol=4e-3, atol=8e-2)


def test_winograd_needs_stack(monkeypatch, winograd):
    small = target.Target(64, 32, 49152, 1 << 21, 1 << 25, stack=1 << 20)
    monkeypatch.setattr(target, "current", small)
    assert not any("winograd" in name for name in all_kernels(WINOGRAD["padded"]))


@pytest.mark.parametrize("how", ["last", "gaps"])
def test_winograd_writes_contiguous_rows_only(how, winograd):
    """Operands may have any layout; results in another one take the implicit matrix product."""
    spec = WINOGRAD["padded"]
    x, w, dy = arrays(spec, "float32")
    y, _, _ = reference(spec, x, w, dy)
    out = nans(dy)
    assert "conv_winograd" in run(plan_conv, spec, place(x, how), place(w, how), out)
    np.testing.assert_allclose(out, y, rtol=1e-4, atol=2e-4)
    assert "conv_winograd" not in run(plan_conv, spec, x, w, nans(dy, how))


def test_winograd_in_steps_is_equal_bit_by_bit(monkeypatch, winograd):
    """However the tiles are cut: in blocks, rows in segments, all of them between three launches."""
    spec = case(3, 40, 50, (14, 45), (3, 3), 1, 1)
    x, w, dy = arrays(spec, "float32")
    found, cut = {}, conv_winograd._cut
    for name, l2 in (("blocks", 1 << 21), ("segments", 1 << 17), ("steps", 1 << 19)):
        monkeypatch.setattr(target, "current", target.Target(64, 32, 49152, l2, 1 << 25))
        whole = name != "steps"
        monkeypatch.setattr(conv_winograd, "_cut", lambda *a, whole=whole: cut(*a) if a[-1] == whole else None)
        out = nans(dy)
        found[name] = run(plan_conv, spec, x, w, out), out
    np.testing.assert_array_equal(found["blocks"][1], found["segments"][1])
    np.testing.assert_array_equal(found["blocks"][1], found["steps"][1])
    assert [len(found[name][0]) for name in found] == [3, 3, 5]


def test_winograd_spreads_nan_as_far_as_the_taps_reach(winograd):
    spec = case(1, 16, 16, (12, 12), (3, 3), 1, 1)
    x, w, dy = arrays(spec, "float32")
    for row, column in itertools.product(range(4, 8), range(4, 8)):
        holed, out = x.copy(), nans(dy)
        holed[0, 3, row, column] = np.nan
        assert "conv_winograd" in run(plan_conv, spec, holed, w, out)
        expected = np.zeros((12, 12), bool)
        expected[row - 1 : row + 2, column - 1 : column + 2] = True
        assert (np.isnan(out) == expected).all()


def test_winograd_errors_are_those_of_plain_sums(winograd):
    spec = case(1, 256, 64, (14, 14), (3, 3), 1, 1)
    x, w, dy = arrays(spec, "float32")
    exact = reference(spec, x, w, dy)[0]
    out = nans(dy)
    run(plan_conv, spec, x, w, out)
    plain = sum(  # in float32, tap by tap and channel by channel
        (pad(x, spec)[:, c, None, i : i + 14, j : j + 14] * w[None, :, c, i, j, None, None]
         for i in range(3) for j in range(3) for c in range(256)), start=np.zeros_like(dy)
    )
    assert np.abs(out - exact).max() < 1.5 * np.abs(plain - exact).max()
