"""The attention kernels for every kind of machine, against NumPy."""

import types

import harness
import numpy as np
import pytest
from harness import Program

from rushlight.codegen.cpu.rows import attention as native_attention
from rushlight.core import dtype as dt
from rushlight.core.layout import contiguous_layout
from rushlight.runtime.cpu import cpuinfo

RNG = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def _instructions(machine):
    """Skip targets with instructions of their own for exp (AVX-512) where the host cannot run them."""
    if harness.TARGETS[machine].vector_bytes > cpuinfo.vector_bytes():
        pytest.skip("the host lacks the instructions that exp uses on this target")


def run(lowering, ins, outs, **attrs):
    """Lower an instruction over named arrays and run it."""
    def ref(name, array):
        return name, contiguous_layout(array.shape, dt.by_name(str(array.dtype))), 0

    arrays = {**ins, **outs}
    instruction = types.SimpleNamespace(attrs=tuple(attrs.items()), ins=[ref(*item) for item in ins.items()],
                                        outs=[ref(*item) for item in outs.items()])
    launches = lowering(instruction)
    for name in outs:
        arrays[name][...] = np.nan
    Program(launches, arrays).run()


@pytest.mark.parametrize("causal, masked", [(False, False), (True, False), (False, True)])
def test_values_and_gradients(machine, causal, masked):
    shapes = (2, 3, 30, 20), (2, 3, 530, 20), (2, 3, 530, 36)
    q, k, v = (RNG.standard_normal(shape).astype(np.float32) for shape in shapes)
    g = RNG.standard_normal((2, 3, 30, 36)).astype(np.float32)
    mask = np.broadcast_to(RNG.random((30, 530)) > 0.5, (2, 3, 30, 530)).copy()
    seen = np.tri(30, 530, dtype=bool) if causal else mask if masked else np.ones((30, 530), bool)
    scores = np.where(seen, np.einsum("bhie,bhje->bhij", q.astype(float), k) * 0.2, -np.inf)
    logs = np.log(np.exp(scores).sum(-1, keepdims=True))
    weights = np.exp(scores - logs)
    out = weights @ v
    slope = weights * (np.einsum("bhie,bhje->bhij", g.astype(float), v) - (g * out).sum(-1, keepdims=True)) * 0.2
    expected = {"dq": slope @ k, "dk": np.swapaxes(slope, 2, 3) @ q, "dv": np.swapaxes(weights, 2, 3) @ g}
    ins = {"query": q, "key": k, "value": v, **({"mask": mask} if masked else {})}
    options = dict(scale=0.2, causal=causal, grouped=False, masked=masked)
    found = {"out": np.empty_like(g), "logs": np.empty((2, 3, 30, 1), np.float32)}
    run(native_attention.attention, ins, found, **options)
    np.testing.assert_allclose(found["out"], out, atol=1e-5)
    np.testing.assert_allclose(found["logs"], logs, atol=1e-5)
    slopes = {"dq": np.empty_like(q), "dk": np.empty_like(k), "dv": np.empty_like(v)}
    run(native_attention.attention_back, {**ins, **found, "g": g}, slopes, **options)
    for name, value in expected.items():
        np.testing.assert_allclose(slopes[name], value, atol=2e-5)
