"""Every operator on the devices cpu, reference and meta: same layouts, and the same values where there are any."""

import pytest

import rushlight as rl
from device_samples import CALLS, operands, steps
from rushlight.core.device import resolve
from rushlight.core.kinds import OPERATORS, OUTSIDE
from rushlight.core.record import record
from rushlight.fuse.expand import expand

REFERENCE = resolve("reference")
TOLERANCE = {rl.float32: 2e-5, rl.complex64: 2e-5, rl.float64: 1e-9, rl.complex128: 1e-9}
# Not implemented over NumPy, with an error that names the operator.
NOT_COVERED = {"standard_gamma_grad", "beta_slope"}


def declared(kind):
    return [op for op in OPERATORS.values() if op.kind == kind]


def flat(value):
    """The tensors of a result."""
    if isinstance(value, rl.Tensor):
        return [value]
    return [t for item in value for t in flat(item)] if isinstance(value, (list, tuple)) else []


def check(found, expected):
    """The same layout and, within rounding, the same values."""
    assert found.dtype is expected.dtype and found.shape == expected.shape and found.stride() == expected.stride()
    found, expected = found.detach().cpu(), expected.detach()
    if expected.dtype in TOLERANCE:
        scale = max(1.0, float(expected.abs().nan_to_num(0, 0, 0).max())) if expected.numel() else 1.0
        limit = TOLERANCE[expected.dtype]
        rl.testing.assert_close(found, expected, rtol=10 * limit, atol=limit * scale, equal_nan=True)
    else:
        assert rl.equal(found, expected)


@pytest.mark.parametrize("op", declared("elementwise"), ids=lambda op: op.name)
def test_bodies(op):
    if op.name in NOT_COVERED:
        pytest.skip("not implemented on the device reference")
    pattern, attrs, tensors, numbers = operands(op)
    outs = [rl.empty(3, 4)] if op.name in ("fill", "copy_") else None
    results = []
    for device in ("cpu", "reference", "meta"):
        given = None if outs is None else [t.to(device) for t in outs]
        results += record(op, pattern, attrs, [t.to(device) for t in tensors], numbers, given, resolve(device))
    expected, found, described = results
    check(found, expected)
    assert described.shape == expected.shape and described.stride() == expected.stride()
    assert described.dtype is expected.dtype and described.is_meta


@pytest.mark.parametrize("op", declared("reduction"), ids=lambda op: op.name)
def test_reductions(op):
    dtype = rl.bool if op.name in ("any_reduce", "all_reduce") else rl.float32
    attrs = (("dims", (0, 2)), ("keepdim", True), ("dtype", dtype))
    x = steps(4, 5, 6, dtype=rl.float32)
    expected, found, described = [record(op, "t", attrs, [x.to(d)]) for d in ("cpu", "reference", "meta")]
    for a, b, c in zip(found, expected, described, strict=True):
        check(a, b)
        assert c.is_meta and c.shape == b.shape


def run(function, device):
    """(results, gradients of all leaves) of a call."""
    leaves = []

    def leaf(*shape, **kwargs):
        tensor = steps(*shape, **kwargs).to(device)
        if tensor.is_floating_point():
            leaves.append(tensor.requires_grad_())
        return tensor
    results = flat(function(leaf))
    parts = [t.abs() if t.is_complex() else t for t in results if t.requires_grad]
    gradients = []
    if parts:
        total = sum([(t * t.detach().cos()).sum() for t in parts])
        gradients = [g for g in rl.autograd.grad(total, leaves, allow_unused=True) if g is not None]
    return results, gradients


@pytest.mark.parametrize("function", CALLS, ids=lambda function: function.__name__)
def test_calls(function):
    expected, wanted = run(function, "cpu")
    results, gradients = run(function, "reference")
    assert len(gradients) == len(wanted)
    for a, b in zip([*results, *gradients], [*expected, *wanted], strict=True):
        assert a.device == REFERENCE
        check(a, b)


def test_every_operator_is_run():
    """The samples reach every operator of the registry."""
    seen = set()

    def watch(block):
        path = block.step.path()
        instructions = expand(path, len(block.slots), len(block.scalars))[0]  # what macros stand for, too
        seen.update([i.op.name for i in (*path, *instructions)])
    REFERENCE.stream.watch = watch
    try:
        for function in CALLS:
            run(function, "reference")
            REFERENCE.stream.flush()
    finally:
        REFERENCE.stream.watch = None
    direct = {op.name for op in (*declared("elementwise"), *declared("reduction"))}
    missing = set(OPERATORS) - seen - direct - set(OUTSIDE)  # the latter are those of other tests
    assert not missing, sorted(missing)


def test_what_is_not_covered_says_so():
    x = rl.full((3,), 0.5, device="reference")
    with pytest.raises(NotImplementedError, match="standard_gamma_grad"):
        record(OPERATORS["standard_gamma_grad"], "tt", (), [x, x])[0].tolist()
