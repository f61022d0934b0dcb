"""What operators say of themselves: mistakes are found when the module is imported, and every declaration is whole."""
import dataclasses

import pytest

from rushlight.core import kinds
from rushlight.core.errors import BadData
from rushlight.core.kinds import OPERATORS, Elementwise, Gather, Kernel, Operator, Reduction, Scatter

CONCRETE = [kind for kind in vars(kinds).values()
            if isinstance(kind, type) and issubclass(kind, Operator) and kind is not Operator]


def body(k, input):
    return input


def test_a_misspelt_field_is_a_type_error():
    with pytest.raises(TypeError, match="heavvy"):
        Elementwise("made_up", body, heavvy=True)
    with pytest.raises(TypeError, match="reads"):
        Kernel("made_up", lower="gemm")
    assert "made_up" not in OPERATORS


@pytest.mark.parametrize("declare, text", [
    (lambda: Elementwise("made_up", body, promote="flaot"), "promote='flaot' is none of bool, compare"),
    (lambda: Elementwise("made_up", body, dtypes="floats"), "dtypes='floats'"),
    (lambda: Reduction("made_up", combine="som", accumulate=len, outs=len), "combine='som'"),
    (lambda: Kernel("made_up", lower="gemm", reads=("dence",)), "reads='dence'"),
    (lambda: Kernel("made_up", lower="gemm", reads="any", writes="packed"), "'packed' is none of any, contiguous"),
    (lambda: Scatter("made_up", combines={"twice": lambda k, old, new: new}), "needs a name"),
    (lambda: Elementwise("exp", body), "declared twice"),
])
def test_a_value_that_no_rule_knows_is_a_value_error(declare, text):
    with pytest.raises(ValueError, match=text):
        declare()
    assert "made_up" not in OPERATORS


def test_failures_and_gradients_are_checked():
    with pytest.raises(TypeError, match="must be of class BadData"):
        Gather("made_up", body, failures={"index": "out of range"})
    with pytest.raises(TypeError, match="unknown parameter 'other'"):
        Elementwise("made_up", body, grad={"other": lambda g: g})
    with pytest.raises(TypeError, match="lower must be a name or a function"):
        Kernel("made_up", lower=None, reads="any")


def test_declarations_do_not_change():
    with pytest.raises(dataclasses.FrozenInstanceError):
        OPERATORS["exp"].heavy = False


def test_a_failure_that_is_not_declared_cannot_be_reported():
    assert OPERATORS["embedding"].failure(OPERATORS["embedding"].code("take")).exception is IndexError
    with pytest.raises(KeyError, match="exp reports 'index', which it does not declare"):
        OPERATORS["exp"].code("index")


@pytest.mark.parametrize("kind", CONCRETE, ids=lambda kind: kind.__name__)
def test_every_declaration_of_a_kind_is_whole(kind):
    found = [op for op in OPERATORS.values() if type(op) is kind]
    assert found and kind.__doc__ and kind.kind == kind.__name__.lower()
    for op in found:
        assert OPERATORS[op.name] is op and callable(op.layouts), op
        assert op.body is None or callable(op.body), op
        assert op.checks == bool(op.failures), op
        for failure in op.failures.values():
            assert type(failure) is BadData and issubclass(failure.exception, Exception) and failure.text, op
        if op.grad is not None:
            named = {name for key in op.grad for name in (key if isinstance(key, tuple) else (key,))}
            assert named <= set(op.params), op
            for position in op.rule.formulas:
                known = {"g", "gs", "out", "outs", *op.params, *[f"{p}_layout" for p in op.params],
                         *[f"out{number}" for number in range(4)]}
                assert set(op.rule.takes(position)) <= known, (op, op.rule.takes(position))
