"""`torch.testing`: assert_close."""

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
