"""What operators say of themselves: mistakes are found when the module is imported, and every declaration is whole."""
import dataclasses

import pytest

import rushlight as rl
from rushlight.core import kinds
from rushlight.core.declare import REGISTRY
from rushlight.core.errors import BadData
from rushlight.core.kinds import COMPOSITES, OPERATORS, Elementwise, Gather, Kernel, Operator, Reduction, Scatter, View

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


def cubes():
    """A tensor of 24 elements in three dimensions."""
    return rl.arange(24.0).reshape(2, 3, 4)


SAMPLES = {
    "Tensor.view": lambda x: x.view(6, 4), "Tensor.view_as": lambda x: x.view_as(rl.ones(4, 6)),
    "unflatten": lambda x: x.unflatten(2, (2, 2)), "permute": lambda x: x.permute(2, 0, 1),
    "transpose": lambda x: x.transpose(0, 2), "t": lambda x: x[0].t(), "movedim": lambda x: x.movedim(0, 2),
    "squeeze": lambda x: x[:1].squeeze(0), "unsqueeze": lambda x: x.unsqueeze(1), "adjoint": lambda x: x.adjoint(),
    "Tensor.expand": lambda x: x[:1].expand(5, 3, 4), "Tensor.expand_as": lambda x: x[:1].expand_as(rl.ones(5, 3, 4)),
    "broadcast_to": lambda x: rl.broadcast_to(x, (2, 2, 3, 4)), "select": lambda x: x.select(1, 2),
    "Tensor._slice": lambda x: x[:, 1:], "narrow": lambda x: x.narrow(0, 1, 1), "diagonal": lambda x: x.diagonal(),
    "linalg.diagonal": lambda x: rl.linalg.diagonal(x),
    "split": lambda x: x.split(2, 1), "chunk": lambda x: x.chunk(2, 2), "unbind": lambda x: x.unbind(1),
    "Tensor.alias": lambda x: REGISTRY["Tensor.alias"](x),
    "detach": lambda x: x.detach(), "conj": lambda x: rl.conj(rl.view_as_complex(x.view(2, 6, 2))),
    "torch._neg_view": lambda x: x._neg_view(), "torch.real": lambda x: rl.view_as_complex(x.view(2, 6, 2)).real,
    "torch.imag": lambda x: rl.view_as_complex(x.view(2, 6, 2)).imag, "Tensor.unfold": lambda x: x.unfold(2, 2, 1),
    "view_as_real": lambda x: rl.view_as_real(rl.view_as_complex(x.view(2, 6, 2))),
    "view_as_complex": lambda x: rl.view_as_complex(x.view(2, 6, 2)),
}


@pytest.mark.parametrize("name", sorted(name for name, op in COMPOSITES.items() if type(op) is View))
def test_views_lie_in_the_memory_of_their_operand(name):
    x = cubes()
    results = SAMPLES[name](x)
    for result in results if isinstance(results, (tuple, list)) else (results,):
        assert result._storage is x._storage, name


def test_composites_are_whole():
    for name, op in COMPOSITES.items():
        assert callable(op.function) and (op.grad is None or callable(REGISTRY[path_of(name)])), op
        if not name.startswith(("Tensor._", "torch._", "_")):
            assert REGISTRY[path_of(name)].__doc__, f"{name} has no docstring"


def path_of(name):
    """The key of the registry for a public name."""
    return name.removeprefix("torch.")
