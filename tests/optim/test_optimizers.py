"""Every optimizer, step by step, against numbers from PyTorch 2.13 in float64; the shared machinery of `Optimizer`."""

import copy
import pickle
import warnings

import numpy as np
import pytest

import rushlight as rl
from rushlight import optim
from rushlight.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook

# (class, arguments, a and b of `fit` after 8 steps in PyTorch)
CASES = [
    ("SGD", {}, "1.038359721 -1.923280558 0.415608614 2.831217228 0.538359721 -1.084391386"),
    (
        "SGD",
        {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.1},
        "0.94611665 -0.86559451 -0.219922858 0.939068189 0.601388174 -1.254108287",
    ),
    (
        "SGD",
        {"lr": 0.1, "momentum": 0.9, "dampening": 0.5, "maximize": True},
        "-147.2549375 -298.509875 326.6608625 655.321725 -147.7549375 325.1608625",
    ),
    ("Adam", {}, "1.007997263 -1.992002737 0.492001236 2.992001236 0.507997263 -1.007998764"),
    (
        "Adam",
        {"lr": 0.1, "weight_decay": 0.1, "amsgrad": True},
        "1.703421584 -1.287011579 -0.278354785 2.221128492 1.205631842 -1.777876661",
    ),
    ("AdamW", {"lr": 0.1}, "1.698729612 -1.277354219 -0.279453856 2.200616004 1.20271564 -1.767495772"),
    ("RMSprop", {}, "1.36901175 -1.630988248 0.089050573 2.589050572 0.86901175 -1.410949427"),
    (
        "RMSprop",
        {"centered": True, "momentum": 0.5, "weight_decay": 0.1},
        "1.567600075 -1.415332171 -0.222372168 2.275864745 1.07147326 -1.72075346",
    ),
    (
        "Adagrad",
        {"lr": 0.1, "lr_decay": 0.5, "initial_accumulator_value": 0.1},
        "1.22304953 -1.776722933 0.267060057 2.767014035 0.72304953 -1.232939943",
    ),
    ("Adadelta", {"weight_decay": 0.1}, "1.026412169 -1.973572371 0.473398915 2.973396639 0.526415628 -1.02659901"),
    (
        "Adamax",
        {"lr": 0.1, "maximize": True},
        "0.304521317 -2.695478684 1.237048522 3.737048522 -0.195478683 -0.262951478",
    ),
    (
        "NAdam",
        {"lr": 0.1, "weight_decay": 0.1, "decoupled_weight_decay": True},
        "1.395172782 -1.373061301 -0.093910634 2.212951102 0.933800434 -1.478027676",
    ),
    ("RAdam", {"lr": 0.1}, "1.462945471 -1.070558399 -0.522736608 0.950971906 0.962945471 -2.022736608"),
    ("Rprop", {}, "1.164990848 -1.835009152 0.335009152 2.835009152 0.664990848 -1.164990848"),
    (
        "ASGD",
        {"t0": 2, "lr": 0.1, "lambd": 0.1},
        "1.309880926 -1.07872668 -0.385258278 1.07872771 0.847569859 -1.772191477",
    ),
    (
        "Adafactor",
        {"lr": 0.1, "weight_decay": 0.1},
        "1.562888453 -1.205345631 -0.516837709 1.790024027 0.812279787 -1.519408098",
    ),
    ("LBFGS", {"max_iter": 2}, "1.416666667 -1.166666667 -0.416666667 1.166666667 0.916666667 -1.916666667"),
    (
        "LBFGS",
        {"line_search_fn": "strong_wolfe", "max_iter": 3},
        "1.416666667 -1.166666667 -0.416666667 1.166666667 0.916666667 -1.916666667",
    ),
]
NAMES = sorted({case[0] for case in CASES})


def double(values):
    return rl.tensor(values, dtype=rl.float64, requires_grad=True)


def fit(name, steps=8, state=None, **kwargs):
    """Minimises |a x + b|^2: the optimizer and its parameters after some steps."""
    a, b = double([[1.0, -2.0], [0.5, 3.0]]), double([0.5, -1.0])
    x = rl.tensor([1.0, 2.0], dtype=rl.float64)
    optimizer = getattr(optim, name)([a, b], **kwargs)

    def closure():
        optimizer.zero_grad()
        loss = ((a @ x + b) ** 2).sum()
        loss.backward()
        return loss

    for _ in range(steps):
        optimizer.step(closure)
    return optimizer, a, b


def values(*tensors):
    return np.concatenate([tensor.detach().numpy().reshape(-1) for tensor in tensors])


def with_gradient(*shape, **kwargs):
    param = rl.ones(*shape, requires_grad=True, **kwargs)
    param.grad = rl.full(shape, 0.5, **kwargs)
    return param


@pytest.mark.parametrize("name, kwargs, expected", CASES)
def test_steps(name, kwargs, expected):
    _, a, b = fit(name, **kwargs)
    np.testing.assert_allclose(values(a, b), [float(value) for value in expected.split()], rtol=1e-7, atol=2e-9)


@pytest.mark.parametrize("name", ["SGD", "Adam", "Adagrad"])
def test_foreach_and_fused_give_the_same(name):
    plain = values(*fit(name)[1:])
    np.testing.assert_array_equal(values(*fit(name, foreach=True)[1:]), plain)
    np.testing.assert_array_equal(values(*fit(name, fused=True)[1:]), plain)


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW", "RMSprop", "Adagrad", "Adadelta", "Adamax", "NAdam", "RAdam"])
def test_tensor_lr(name):
    plain = values(*fit(name, lr=0.125)[1:])
    given = values(*fit(name, lr=rl.tensor(0.125, dtype=rl.float64))[1:])
    np.testing.assert_allclose(given, plain, rtol=1e-12)


@pytest.mark.parametrize("name, kwargs, expected", CASES)
def test_checkpoint_goes_on(name, kwargs, expected):
    half, a, b = fit(name, steps=4, **kwargs)
    state = pickle.loads(pickle.dumps(half.state_dict()))
    other = copy.deepcopy(half)
    for optimizer in (half, other):
        if optimizer is other:
            other.load_state_dict(state)
        a, b = other.param_groups[0]["params"] if optimizer is other else (a, b)
        x = rl.tensor([1.0, 2.0], dtype=rl.float64)

        def closure():
            optimizer.zero_grad()
            loss = ((a @ x + b) ** 2).sum()
            loss.backward()
            return loss

        for _ in range(4):
            optimizer.step(closure)
        np.testing.assert_allclose(values(a, b), [float(value) for value in expected.split()], rtol=1e-7, atol=2e-9)


def test_muon_makes_the_step_orthogonal():
    param = rl.eye(3, 2, requires_grad=True)
    param.grad = rl.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 7.0]])
    optim.Muon([param], lr=0.1, weight_decay=0.0).step()
    change = (rl.eye(3, 2) - param).detach().numpy() / (0.1 * 1.5**0.5)
    assert np.all(np.abs(np.linalg.svd(change, compute_uv=False) - 1) < 0.35)
    with pytest.raises(ValueError, match="Muon only supports 2D parameters"):
        optim.Muon([rl.ones(2)])


@pytest.mark.skipif(not hasattr(rl, "view_as_real"), reason="complex tensors are not there yet")
def test_complex_parameters():
    real = double([1.0, 2.0])
    param = rl.tensor([1.0 + 2.0j], dtype=rl.complex128, requires_grad=True)
    param.grad = rl.tensor([0.5 - 1.5j], dtype=rl.complex128)
    real.grad = rl.tensor([0.5, -1.5], dtype=rl.float64)
    for target in (param, real):
        optimizer = optim.Adam([target], lr=0.1)
        optimizer.step()
        optimizer.step()
    np.testing.assert_allclose(rl.view_as_real(param.detach()).numpy()[0], real.detach().numpy())


def test_state_dict_is_pytorchs():
    param = with_gradient(2)
    optimizer = optim.Adam([{"params": [param]}, {"params": [rl.ones(1)], "lr": 0.5}])
    optimizer.step()
    state = optimizer.state_dict()
    assert list(state) == ["state", "param_groups"]
    assert list(state["state"]) == [0]
    assert list(state["state"][0]) == ["step", "exp_avg", "exp_avg_sq"]
    step = state["state"][0]["step"]
    assert step.dtype == rl.float32 and step.shape == () and step.item() == 1
    expected = ["lr", "betas", "eps", "weight_decay", "amsgrad", "maximize", "foreach", "capturable"]
    expected += ["differentiable", "fused", "decoupled_weight_decay", "params"]
    assert list(state["param_groups"][0]) == expected
    assert [group["params"] for group in state["param_groups"]] == [[0], [1]]


def test_loading_casts_to_the_parameter_and_shares_the_rest():
    source = optim.Adam([with_gradient(2, dtype=rl.float64)])
    source.step()
    target = optim.Adam([with_gradient(2)])
    target.load_state_dict(source.state_dict())
    state = target.state[target.param_groups[0]["params"][0]]
    assert state["exp_avg"].dtype == rl.float32
    assert state["step"] is source.state_dict()["state"][0]["step"]
    # The shared counter is read again when someone else has moved it on.
    source.step()
    target.step()
    assert state["step"].item() == 3


def test_old_checkpoints():
    optimizer = optim.Adam([with_gradient(2)])
    optimizer.step()
    state = copy.deepcopy(optimizer.state_dict())
    for key in ("maximize", "foreach", "capturable", "differentiable", "fused", "decoupled_weight_decay"):
        del state["param_groups"][0][key]
    state["state"][0]["step"] = 1
    optimizer.load_state_dict(state)
    assert optimizer.param_groups[0]["maximize"] is False
    assert optimizer.state_dict()["state"][0]["step"].item() == 1


def test_load_errors():
    one, two = optim.SGD([rl.ones(1)]), optim.SGD([rl.ones(1), rl.ones(1)])
    with pytest.raises(ValueError, match="a parameter group that doesn't match the size"):
        one.load_state_dict(two.state_dict())
    one.add_param_group({"params": rl.ones(1)})
    with pytest.raises(ValueError, match="different number of parameter groups"):
        one.load_state_dict(two.state_dict())


def test_groups_and_repr():
    optimizer = optim.SGD([{"params": [with_gradient(1)], "lr": 1.0}], momentum=0.5)
    optimizer.add_param_group({"params": with_gradient(1)})
    optimizer.step()
    assert [group["params"][0].item() for group in optimizer.param_groups] == [0.5, pytest.approx(0.9995)]
    first = "SGD (\nParameter Group 0\n    dampening: 0\n    differentiable: False\n    foreach: None\n    fused: None"
    assert repr(optimizer).startswith(first)
    assert "\n\nParameter Group 1\n" in repr(optimizer)
    assert repr(optimizer).endswith("    weight_decay: 0\n)")


def test_named_parameters():
    optimizer = optim.SGD([("weight", rl.ones(1)), ("bias", rl.ones(1))])
    assert optimizer.state_dict()["param_groups"][0]["param_names"] == ["weight", "bias"]
    with pytest.raises(ValueError, match="cannot add param group without names"):
        optimizer.add_param_group({"params": [rl.ones(1)]})
    with pytest.raises(ValueError, match="Some param names are missing"):
        optim.SGD([("weight", rl.ones(1)), rl.ones(1)])


def test_constructor_errors():
    leaf = rl.ones(1, requires_grad=True)
    with pytest.raises(TypeError, match="params argument given to the optimizer"):
        optim.SGD(leaf)
    with pytest.raises(ValueError, match="empty parameter list"):
        optim.SGD([])
    with pytest.raises(TypeError, match="can only optimize Tensors, but one of the params is int"):
        optim.SGD([1])
    with pytest.raises(TypeError, match="ordered collections"):
        optim.SGD([{"params": {leaf}}])
    with pytest.raises(ValueError, match="can't optimize a non-leaf Tensor"):
        optim.SGD([leaf * 2])
    with pytest.raises(ValueError, match="some parameters appear in more than one parameter group"):
        optim.SGD([{"params": [leaf]}, {"params": [leaf]}])
    with warnings.catch_warnings(), pytest.raises(UserWarning, match="duplicate parameters"):
        warnings.simplefilter("error")
        optim.SGD([leaf, leaf])


@pytest.mark.parametrize(
    "name, kwargs, text",
    [
        ("SGD", {"lr": -1}, "Invalid learning rate: -1"),
        ("SGD", {"nesterov": True}, "Nesterov momentum requires a momentum and zero dampening"),
        ("Adam", {"betas": (0.9, 1.0)}, "Invalid beta parameter at index 1: 1.0"),
        ("Adam", {"betas": (0.9, 0)}, "betas must be either both floats or both Tensors"),
        ("AdamW", {"weight_decay": -1}, "Invalid weight_decay value: -1"),
        ("RMSprop", {"alpha": -1}, "Invalid alpha value: -1"),
        ("Adagrad", {"eps": -1}, "Invalid epsilon value: -1"),
        ("Adadelta", {"rho": 1.5}, "Invalid rho value: 1.5"),
        ("Rprop", {"etas": (1.0, 0.5)}, "Invalid eta values: 1.0, 0.5"),
        ("Adafactor", {"d": 0.5}, "Clipping threshold d should be >= 1 but is: 0.5"),
    ],
)
def test_hyperparameter_errors(name, kwargs, text):
    with pytest.raises(ValueError) as error:
        getattr(optim, name)([rl.ones(2)], **kwargs)
    assert str(error.value) == text


def test_flag_errors():
    with pytest.raises(RuntimeError, match="`fused` and `foreach` cannot be `True` together"):
        optim.SGD([rl.ones(1)], fused=True, foreach=True)
    with pytest.raises(AssertionError, match="If capturable=True"):
        optim.Adam([with_gradient(1)], capturable=True).step()
    with pytest.raises(AssertionError, match="_foreach ops don't support autograd"):
        optim.Adam([with_gradient(1)], differentiable=True, foreach=True).step()
    with pytest.raises(ValueError, match="Tensor lr must be 1-element"):
        optim.SGD([rl.ones(1)], lr=rl.ones(2))


@pytest.mark.parametrize("name", sorted(set(NAMES) - {"LBFGS", "Adafactor"}))
def test_gradients_through_several_steps(name):
    weight = double([0.3, -0.7])
    # Not SGD with momentum: as in PyTorch its first buffer is a copy that passes no gradient.
    kwargs = {"momentum": 0.9} if name == "RMSprop" else {}

    def final(weight):
        param = double([1.0, 2.0]).clone()
        optimizer = getattr(optim, name)([param], differentiable=True, lr=0.1, **kwargs)
        for step in range(3):
            param.grad = (weight + step) ** 2
            optimizer.step()
        return (param * param).sum()

    final(weight).backward()
    shift = 1e-6
    for index in range(2):
        moved = [weight.detach().clone() for _ in range(2)]
        moved[0][index] += shift
        moved[1][index] -= shift
        slope = (final(moved[0]).item() - final(moved[1]).item()) / (2 * shift)
        assert weight.grad[index].item() == pytest.approx(slope, rel=1e-4, abs=1e-6)


def test_step_hooks():
    param, log = with_gradient(1), []
    optimizer = optim.SGD([param], lr=1.0)
    handles = [
        optimizer.register_step_pre_hook(lambda optimizer, args, kwargs: log.append("before")),
        optimizer.register_step_post_hook(lambda optimizer, args, kwargs: log.append("after")),
        register_optimizer_step_pre_hook(lambda optimizer, args, kwargs: log.append("before all")),
        register_optimizer_step_post_hook(lambda optimizer, args, kwargs: log.append("after all")),
    ]
    optimizer.step()
    assert log == ["before all", "before", "after", "after all"]
    for handle in handles:
        handle.remove()
    optimizer.step()
    assert len(log) == 4 and param.item() == 0
    optimizer.register_step_pre_hook(lambda optimizer, args, kwargs: 3)
    with pytest.raises(RuntimeError, match="must return None or a tuple"):
        optimizer.step()


def test_checkpoint_hooks():
    optimizer, log = optim.SGD([rl.ones(1)]), []
    optimizer.register_state_dict_pre_hook(lambda optimizer: log.append("second"))
    optimizer.register_state_dict_pre_hook(lambda optimizer: log.append("first"), prepend=True)
    optimizer.register_state_dict_post_hook(lambda optimizer, state: {**state, "version": 1})
    optimizer.register_load_state_dict_pre_hook(lambda optimizer, state: log.append(state["version"]))
    optimizer.register_load_state_dict_post_hook(lambda optimizer: log.append("loaded"))
    optimizer.load_state_dict(optimizer.state_dict())
    assert log == ["first", "second", 1, "loaded"]


def test_users_subclass():
    class Plain(optim.Optimizer):
        def __init__(self, params, lr=0.5):
            super().__init__(params, {"lr": lr})

        @rl.no_grad()
        def step(self, closure=None):
            for group in self.param_groups:
                for param in group["params"]:
                    param.add_(param.grad, alpha=-group["lr"])

    param, log = with_gradient(1), []
    optimizer = Plain([param])
    optimizer.register_step_post_hook(lambda *_: log.append(1))
    optimizer.step()
    assert param.item() == 0.75 and log == [1]
    with pytest.raises(NotImplementedError):
        optim.Optimizer([param], {}).step()


def test_zero_grad():
    param = with_gradient(2)
    optimizer = optim.SGD([param])
    optimizer.zero_grad(set_to_none=False)
    assert param.grad.tolist() == [0, 0]
    optimizer.zero_grad()
    assert param.grad is None


def test_steps_read_nothing_back(monkeypatch):
    params = [with_gradient(3), with_gradient(2)]
    optimizers = [getattr(optim, name)(params, lr=0.1) for name in NAMES if name != "LBFGS"]
    for optimizer in optimizers:
        optimizer.step()

    def refuse(*_):
        raise AssertionError("a step looked into a tensor")

    for method in ("item", "__bool__", "__float__", "numpy", "tolist"):
        monkeypatch.setattr(rl.Tensor, method, refuse)
    for optimizer in optimizers:
        optimizer.step()


def test_lbfgs_state_and_errors():
    optimizer, a, _ = fit("LBFGS", steps=1, max_iter=3, history_size=2)
    state = optimizer.state[a]
    expected = ["func_evals", "n_iter", "al", "d", "t", "old_dirs", "old_stps", "ro", "H_diag", "prev_flat_grad"]
    assert list(state) == [*expected, "prev_loss"]
    assert state["d"].shape == (6,)
    with pytest.raises(ValueError, match="doesn't support per-parameter options"):
        optim.LBFGS([{"params": [rl.ones(1)]}, {"params": [rl.ones(1)]}])
    with pytest.raises(RuntimeError, match="only 'strong_wolfe' is supported"):
        fit("LBFGS", line_search_fn="golden")


def test_strong_wolfe_on_rosenbrock():
    point = double([-1.2, 1.0])
    optimizer = optim.LBFGS([point], line_search_fn="strong_wolfe", max_iter=60)

    def closure():
        optimizer.zero_grad()
        loss = (1 - point[0]) ** 2 + 100 * (point[1] - point[0] ** 2) ** 2
        loss.backward()
        return loss

    optimizer.step(closure)
    np.testing.assert_allclose(point.detach().numpy(), [1, 1], atol=1e-3)


def test_swap_in():
    optimizer, a, b = fit("Adam", steps=1)
    before = values(a, b)
    others = {"a": double([[0.0, 0.0], [0.0, 0.0]]), "b": double([0.0, 0.0])}
    state = copy.deepcopy(optimizer.state_dict())
    with optim.swap_in_optimizer_params_and_state(optimizer, others, state):
        for param in others.values():
            param.grad = rl.ones_like(param)
        optimizer.step()
    assert others["b"].tolist() != [0, 0] and state["state"][0]["step"].item() == 2
    np.testing.assert_array_equal(values(a, b), before)
    assert optimizer.state[a]["step"].item() == 1 and optimizer.param_groups[0]["params"][0] is a
    with pytest.raises(RuntimeError, match="requires initialized optimizer state"):
        with optim.swap_in_optimizer_params_and_state(optim.SGD([a]), others, state):
            pass
