"""`torch.testing`: assert_close and make_tensor."""

import math
import warnings

from . import api as rl

TOLERANCES = {"float16": (1e-3, 1e-5), "bfloat16": (1.6e-2, 1e-5), "float32": (1.3e-6, 1e-5), "float64": (1e-7, 1e-7)}


def assert_close(actual, expected, *, allow_subclasses=True, rtol=None, atol=None, equal_nan=False, check_device=True,
                 check_dtype=True,
                 check_layout=True, check_stride=False, msg=None):
    """AssertionError unless two tensors (numbers, arrays, sequences, mappings of them) are equal within tolerances of
    their dtype."""
    if isinstance(expected, (list, tuple)):
        if len(actual) != len(expected):
            raise AssertionError(f"The length of the sequences mismatch: {len(actual)} != {len(expected)}")
        for a, e in zip(actual, expected):
            assert_close(a, e, rtol=rtol, atol=atol, equal_nan=equal_nan, check_dtype=check_dtype,
                         check_stride=check_stride, msg=msg)
        return
    if isinstance(expected, dict):
        if set(actual) != set(expected):
            raise AssertionError(f"The keys of the mappings do not match: {sorted(actual)} != {sorted(expected)}")
        for key in expected:
            assert_close(actual[key], expected[key], rtol=rtol, atol=atol, equal_nan=equal_nan, check_dtype=check_dtype,
                         msg=msg)
        return
    a, e = rl.as_tensor(actual), rl.as_tensor(expected)
    compare(a, e, rtol, atol, equal_nan, check_dtype, check_stride, msg)


def compare(a, e, rtol, atol, equal_nan, check_dtype, check_stride, msg):
    if a.shape != e.shape:
        raise AssertionError(msg or f"The values for attribute 'shape' do not match: {a.shape} != {e.shape}.")
    if check_dtype and a.dtype is not e.dtype:
        raise AssertionError(msg or f"The values for attribute 'dtype' do not match: {a.dtype} != {e.dtype}.")
    if check_stride and a.stride() != e.stride():
        raise AssertionError(msg or f"The values for attribute 'stride()' do not match: {a.stride()} != {e.stride()}.")
    defaults = [TOLERANCES.get(t.dtype.name, (0.0, 0.0)) for t in (a, e)]
    rtol = max(d[0] for d in defaults) if rtol is None else rtol
    atol = max(d[1] for d in defaults) if atol is None else atol
    wide = rl.promote_types(a.dtype, e.dtype)
    a, e = a.detach().to(wide), e.detach().to(wide)
    close = rl.isclose(a, e, rtol=rtol, atol=atol, equal_nan=equal_nan)
    bad = int((~close).sum())
    if bad:
        worst = (a.double() - e.double()).abs().max().item() if a.numel() else 0.0
        raise AssertionError(msg or f"Tensor-likes are not close!\n\nMismatched elements: {bad} / {a.numel()}\n"
                             f"Greatest absolute difference: {worst} (up to {atol} allowed), rtol {rtol}")


def assert_allclose(actual, expected, rtol=None, atol=None, equal_nan=True, msg=""):
    """Deprecated: `assert_close` with numbers and arrays as tensors, whatever their dtypes."""
    warnings.warn("`torch.testing.assert_allclose()` is deprecated since 1.12 and will be removed in a future release. "
                  "Please use `torch.testing.assert_close()` instead.", FutureWarning, stacklevel=2)
    actual, expected = rl.as_tensor(actual), rl.as_tensor(expected)
    if rtol is None and atol is None:
        rtol, atol = TOLERANCES.get(actual.dtype.name, (0.0, 0.0))
    assert_close(actual, expected, rtol=rtol, atol=atol, equal_nan=equal_nan, check_dtype=False, msg=msg or None)


def make_tensor(*shape, dtype, device="cpu", low=None, high=None, requires_grad=False, noncontiguous=False,
                exclude_zero=False, memory_format=None):
    """A tensor of random values from [low, high): by default -9 to 9 (unsigned 0 to 9, bool False or True).

    `noncontiguous`: with gaps between elements. `exclude_zero`: no element is zero. ValueError for limits that are no
    numbers or not in order."""
    shape = tuple(shape[0]) if len(shape) == 1 and not isinstance(shape[0], int) else shape
    if noncontiguous and memory_format is not None:
        raise ValueError("The parameters `noncontiguous` and `memory_format` are mutually exclusive, but got "
                         f"noncontiguous={noncontiguous!r} and memory_format={memory_format!r}")
    if requires_grad and not (dtype.is_floating_point or dtype.is_complex):
        raise ValueError("`requires_grad=True` is only supported for floating or complex dtypes, but got "
                         f"dtype={dtype!r}")
    low, high = _limits(dtype, low, high)
    size = (*shape[:-1], 2 * shape[-1]) if noncontiguous and shape and math.prod(shape) > 1 else shape
    if dtype.is_complex:
        real = rl.empty(*size, 2, dtype=dtype.to_real(), device=device).uniform_(low, high)
        result = rl.view_as_complex(real)
    elif dtype.is_floating_point:
        result = rl.empty(size, dtype=dtype, device=device).uniform_(low, high)
    else:
        result = rl.randint(math.ceil(low), max(math.ceil(high), math.ceil(low) + 1), size, device=device).to(dtype)
    if noncontiguous and shape and math.prod(shape) > 1:
        result = result[..., ::2]
    elif memory_format is not None:
        result = result.clone(memory_format=memory_format)
    if exclude_zero:
        smallest = rl.finfo(dtype).tiny if dtype.is_floating_point or dtype.is_complex else 1
        result[result == 0] = smallest
    return result.requires_grad_() if requires_grad else result


def _limits(dtype, low, high):
    """The limits of random values of a dtype, defaults filled in and cut to what the dtype has."""
    if any([limit is not None and math.isnan(limit) for limit in (low, high)]):
        raise ValueError(f"`low` and `high` cannot be NaN, but got low={low!r} and high={high!r}")
    if dtype is rl.bool:
        least, most, default = 0, 2, (0, 2)
    elif dtype.is_floating_point or dtype.is_complex:
        least, most, default = rl.finfo(dtype).min, rl.finfo(dtype).max, (-9, 9)
    else:
        least, most = rl.iinfo(dtype).min, rl.iinfo(dtype).max + 1
        default = (-9, 10) if dtype.is_signed else (0, 10)
    low, high = default[0] if low is None else low, default[1] if high is None else high
    if low >= high:
        raise ValueError(f"`low` must be less than `high`, but got {low} >= {high}")
    if high < least or low >= most:
        raise ValueError(f"The value interval specified by `low` and `high` is [{low}, {high}), but {dtype} only "
                         f"supports [{least}, {most}).")
    return max(low, least), min(high, most)
