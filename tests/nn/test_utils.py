"""nn.utils: clipping, vectors, fusion, normalized weights, parametrizations, pruning, functional calls."""
import copy
import pickle
import warnings

import pytest

import rushlight as rl
from rushlight import nn
from rushlight.nn import utils
from rushlight.nn.utils import parametrizations, parametrize, prune, stateless


def with_grads(*grads):
    parameters = [nn.Parameter(rl.zeros(len(grad))) for grad in grads]
    for parameter, grad in zip(parameters, grads):
        parameter.grad = rl.tensor(grad)
    return parameters


def test_clip_grad_norm():
    parameters = with_grads([3.0, 0.0], [4.0])
    assert utils.clip_grad_norm_(parameters, 1.0).item() == 5
    assert parameters[0].grad[0].item() == pytest.approx(0.6, abs=1e-5)
    assert utils.clip_grad_norm_(parameters, 10.0).item() == pytest.approx(1.0, abs=1e-5)
    assert utils.clip_grad_norm_(with_grads([3.0], [-4.0]), 1.0, float("inf")).item() == 4
    assert utils.clip_grad_norm_(with_grads([3.0], [-4.0]), 1.0, 1).item() == 7
    assert utils.clip_grad_norm_([], 1.0).item() == 0
    with pytest.raises(RuntimeError, match="is non-finite, so it cannot be clipped"):
        utils.clip_grad_norm_(with_grads([float("nan")]), 1.0, error_if_nonfinite=True)


def test_clip_grad_value():
    parameters = with_grads([3.0, -0.1], [-4.0])
    utils.clip_grad_value_(parameters, 0.5)
    assert parameters[0].grad[0].item() == 0.5 and parameters[1].grad.item() == -0.5
    assert utils.get_total_norm([rl.ones(4), rl.ones(5)]).item() == 3


def test_vectors():
    parameters = [nn.Parameter(rl.zeros(2, 2)), nn.Parameter(rl.ones(3))]
    assert utils.parameters_to_vector(parameters).tolist() == [0, 0, 0, 0, 1, 1, 1]
    utils.vector_to_parameters(rl.arange(7.0), parameters)
    assert parameters[0].tolist() == [[0.0, 1.0], [2.0, 3.0]] and parameters[1].tolist() == [4.0, 5.0, 6.0]


def test_fusion():
    linear, norm = nn.Linear(3, 4), nn.BatchNorm1d(4)
    norm(rl.randn(8, 4))
    linear.eval()
    norm.eval()
    x = rl.randn(2, 3)
    assert rl.allclose(utils.fuse_linear_bn_eval(linear, norm)(x), norm(linear(x)), atol=1e-5)
    conv, norm = nn.Conv2d(2, 3, 2, bias=False).eval(), nn.BatchNorm2d(3)
    norm(rl.randn(8, 3, 2, 2))
    norm.eval()
    x = rl.randn(1, 2, 4, 4)
    assert rl.allclose(utils.fuse_conv_bn_eval(conv, norm)(x), norm(conv(x)), atol=1e-5)
    with pytest.raises(AssertionError, match="Fusion only for eval!"):
        utils.fuse_conv_bn_eval(conv.train(), norm)


def test_weight_norm_hook():
    layer = nn.Linear(2, 3)
    weight = layer.weight.detach().clone()
    with pytest.warns(FutureWarning):
        utils.weight_norm(layer)
    assert list(layer.state_dict()) == ["bias", "weight_g", "weight_v"] and layer.weight_g.shape == (3, 1)
    assert rl.allclose(layer.weight, weight, atol=1e-6)
    layer.weight_g.data.mul_(2)
    layer(rl.ones(1, 2)).sum().backward()
    assert rl.allclose(layer.weight, 2 * weight, atol=1e-6) and layer.weight_v.grad is not None
    utils.remove_weight_norm(layer)
    assert isinstance(layer.weight, nn.Parameter) and not layer._forward_pre_hooks
    with pytest.raises(ValueError, match="weight_norm of 'weight' not found"):
        utils.remove_weight_norm(layer)


def test_spectral_norm_hook():
    layer = utils.spectral_norm(nn.Linear(4, 3))
    for _ in range(50):
        layer(rl.ones(1, 4))
    assert rl.linalg.matrix_norm(layer.weight, 2).item() == pytest.approx(1.0, abs=1e-4)
    assert list(layer.state_dict()) == ["bias", "weight_orig", "weight_u", "weight_v"]
    utils.remove_spectral_norm(layer)
    assert list(layer.state_dict()) == ["bias", "weight"] and not layer._state_dict_hooks


def test_weight_norm_parametrization():
    layer = nn.Linear(2, 3)
    weight = layer.weight.detach().clone()
    parametrizations.weight_norm(layer)
    assert rl.allclose(layer.weight, weight, atol=1e-6) and isinstance(layer, nn.Linear)
    names = ["bias", "parametrizations.weight.original0", "parametrizations.weight.original1"]
    assert list(layer.state_dict()) == names
    layer.weight = rl.ones(3, 2)
    assert rl.allclose(layer.parametrizations.weight.original0, rl.full((3, 1), 2**0.5), atol=1e-6)
    clone = copy.deepcopy(layer)
    assert rl.equal(clone.weight, layer.weight) and clone.weight is not layer.weight
    with pytest.raises(RuntimeError, match="Serialization of parametrized modules is only supported"):
        pickle.dumps(layer)
    parametrize.remove_parametrizations(layer, "weight")
    assert type(layer) is nn.Linear and list(layer.state_dict()) == ["bias", "weight"]


def test_spectral_norm_parametrization():
    layer = parametrizations.spectral_norm(nn.Linear(4, 3)).eval()
    assert rl.linalg.matrix_norm(layer.weight, 2).item() == pytest.approx(1.0, abs=0.05)
    with pytest.raises(ValueError, match="has no parameter or buffer with name 'foo'"):
        parametrizations.spectral_norm(nn.Linear(2, 2), "foo")


@pytest.mark.skipif(
    not hasattr(rl, "geqrf"),
    reason="orthogonal needs geqrf, matrix_exp and householder_product, which are not there yet",
)
@pytest.mark.parametrize("kind", ["matrix_exp", "cayley", "householder"])
@pytest.mark.parametrize("shape", [(3, 3), (4, 2), (2, 4)])
def test_orthogonal_parametrization(kind, shape):
    layer = parametrizations.orthogonal(nn.Linear(*shape), orthogonal_map=kind)
    weight = layer.weight
    product = weight @ weight.T if weight.shape[0] <= weight.shape[1] else weight.T @ weight
    assert rl.allclose(product, rl.eye(min(shape)), atol=1e-5)
    weight.pow(3).sum().backward()
    assert layer.parametrizations.weight.original.grad is not None


class Symmetric(nn.Module):
    def forward(self, x):
        return x.triu() + x.triu(1).T


class Skew(nn.Module):
    def forward(self, x):
        return x - x.T

    def right_inverse(self, x):
        return x.triu(1)


def test_own_parametrizations():
    layer = nn.Linear(3, 3)
    parametrize.register_parametrization(layer, "weight", Symmetric())
    assert rl.equal(layer.weight, layer.weight.T) and type(layer).__name__ == "ParametrizedLinear"
    assert parametrize.is_parametrized(layer, "weight") and not parametrize.is_parametrized(layer, "bias")
    assert parametrize.type_before_parametrizations(layer) is nn.Linear
    with parametrize.cached():
        assert layer.weight is layer.weight
    assert layer.weight is not layer.weight
    with pytest.raises(RuntimeError, match="parametrization Symmetric does not implement right_inverse"):
        layer.weight = rl.eye(3)
    original = layer.parametrizations.weight.original
    parametrize.remove_parametrizations(layer, "weight", leave_parametrized=False)
    assert layer.weight is original
    parametrize.register_parametrization(layer, "weight", Skew())
    layer.weight = rl.tensor([[0.0, 1.0, 2.0], [-1.0, 0.0, 3.0], [-2.0, -3.0, 0.0]])
    assert layer.weight[0].tolist() == [0.0, 1.0, 2.0]
    other = nn.Linear(3, 3)
    parametrize.transfer_parametrizations_and_params(layer, other)
    assert rl.equal(other.weight, layer.weight)
    with pytest.raises(ValueError, match="does not have a parameter, a buffer, or a parametrized element"):
        parametrize.register_parametrization(layer, "foo", Skew())
    with pytest.raises(ValueError, match="may not change the shape of the tensor"):
        parametrize.register_parametrization(layer, "bias", nn.Linear(3, 2))


def test_pruning():
    layer = nn.Linear(4, 3)
    layer.weight.data = rl.arange(1.0, 13.0).view(3, 4)
    weight = layer.weight
    prune.l1_unstructured(layer, "weight", 0.25)
    assert layer.weight.flatten().tolist()[:4] == [0.0, 0.0, 0.0, 4.0] and layer.weight_orig is weight
    assert list(layer.state_dict()) == ["bias", "weight_orig", "weight_mask"]
    prune.ln_structured(layer, "weight", 1, n=2, dim=0)
    assert layer.weight_mask.sum(1).tolist() == [0.0, 4.0, 4.0]
    prune.random_unstructured(layer, "weight", 2)
    assert layer.weight_mask.sum().item() == 6
    layer(rl.ones(1, 4)).sum().backward()
    assert rl.equal(layer.weight_orig.grad, layer.weight_mask) and prune.is_pruned(layer)
    clone = copy.deepcopy(nn.Sequential(nn.Linear(1, 1)))
    assert not prune.is_pruned(clone)
    prune.remove(layer, "weight")
    assert layer.weight is weight and (weight == 0).sum().item() == 6 and not prune.is_pruned(layer)
    for amount, error in ((1.5, ValueError), (-1, ValueError), (100, ValueError), ("a", TypeError)):
        with pytest.raises(error):
            prune.l1_unstructured(layer, "bias", amount)
    assert sorted(layer.state_dict()) == ["bias", "weight"]


def test_global_pruning():
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    model[0].weight.data.fill_(1)
    model[1].weight.data.fill_(2)
    pairs = [(layer, "weight") for layer in model]
    prune.global_unstructured(pairs, prune.L1Unstructured, amount=4)
    assert model[0].weight.sum().item() == 0 and model[1].weight.sum().item() == 8
    prune.custom_from_mask(model[1], "bias", rl.tensor([1, 0]))
    assert model[1].bias[1].item() == 0


def test_functional_call():
    model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    weight, x = rl.ones(2, 2, requires_grad=True), rl.randn(4, 2)
    own = model[0].weight
    out = stateless._functional_call(model, {"0.weight": weight}, (x,))
    out.pow(2).sum().backward()
    assert weight.grad is not None and own.grad is None and model[0].weight is own
    state = {"1.running_mean": rl.zeros(2)}
    stateless._functional_call(model, state, x)
    assert state["1.running_mean"].abs().sum().item() > 0
    with pytest.raises(RuntimeError, match="Missing key"):
        stateless._functional_call(model, {"0.weight": weight}, x, strict=True)
    with pytest.raises(TypeError, match="is not an instance of torch.Tensor"):
        stateless._functional_call(model, {"0.weight": 3}, x)
    with pytest.warns(FutureWarning, match="This API is deprecated"):
        stateless.functional_call(model, {}, x)


def test_functional_call_of_tied_weights():
    model = nn.Sequential(nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False))
    model[1].weight = model[0].weight
    three = rl.full((1, 1), 3.0)
    assert stateless._functional_call(model, {"0.weight": three}, rl.ones(1, 1)).item() == 9
    with pytest.raises(ValueError, match="got multiple values for keys"):
        stateless._functional_call(model, {"0.weight": three, "1.weight": three.clone()}, rl.ones(1, 1))


def test_data_parallel_without_gpu():
    if rl.cuda.is_available():
        pytest.skip("there is a GPU")
    model = nn.DataParallel(nn.Linear(2, 2))
    assert list(model.state_dict()) == ["module.weight", "module.bias"] and model(rl.ones(1, 2)).shape == (1, 2)


def test_factory_kwargs():
    assert nn.factory_kwargs({"device": "cpu", "factory_kwargs": {"dtype": 3}}) == {"dtype": 3, "device": "cpu"}
    for wrong in ({"foo": 1}, {"device": "cpu", "factory_kwargs": {"device": 3}}):
        with pytest.raises(TypeError):
            nn.factory_kwargs(wrong)


def test_import_paths():
    namespace = {}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        exec(
            "from rushlight.nn.modules.batchnorm import _BatchNorm\n"
            "from rushlight.nn.modules.utils import _pair, _ntuple\n"
            "from rushlight.nn.modules.module import Module, register_module_forward_hook\n"
            "from rushlight.nn.modules.conv import _ConvNd\n"
            "from rushlight.nn.modules.loss import _Loss, _WeightedLoss\n"
            "from rushlight.nn.modules import activation, container, linear, sparse\n"
            "from rushlight.nn.parameter import Parameter\n"
            "from rushlight.nn.utils.rnn import pad_sequence\n"
            "from rushlight.nn.attention import SDPBackend, sdpa_kernel\n"
            "from rushlight.nn.common_types import _size_2_t\n"
            "from rushlight.nn.parallel import DataParallel\n",
            namespace,
        )
    assert namespace["_pair"](3) == (3, 3) and issubclass(nn.BatchNorm2d, namespace["_BatchNorm"])


def test_data_parallel_steps():
    parallel = nn.parallel
    model, devices = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3, track_running_stats=False)), ["cpu", "cpu"]
    x = rl.randn(6, 2)
    parts = parallel.scatter((x, {"a": x}, 5), devices)
    assert len(parts) == 2 and parts[1][0].shape == (3, 2) and parts[1][1]["a"].shape == (3, 2) and parts[1][2] == 5
    replicas = parallel.replicate(model, devices)
    assert not list(replicas[0].parameters()) and rl.equal(replicas[0][0].weight, model[0].weight)
    outputs = parallel.parallel_apply(replicas, [part[:1] for part in parts])
    joined = parallel.gather(outputs, "cpu")
    assert rl.allclose(joined, rl.cat([model(x[:3]), model(x[3:])]), atol=1e-6)
    joined.pow(3).sum().backward()
    assert model[0].weight.grad is not None and len(list(model.parameters())) == 4
    assert parallel.gather([(rl.ones(2), None), (rl.ones(1), None)], "cpu")[0].shape == (3,)
