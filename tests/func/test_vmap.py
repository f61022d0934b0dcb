"""vmap: each function against the loop over samples, and what cannot be mapped."""
import warnings

import pytest

import rushlight as rl
from rushlight.func import functional_call, grad, stack_module_state, vmap
from rushlight.nn import functional as F


@pytest.fixture(autouse=True)
def no_loops():
    """A loop over the samples warns, and fails the test that did not expect it."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def check(f, *args, dims=0, **options):
    """The mapped function gives what the loop gives."""
    dims = dims if isinstance(dims, tuple) else (dims,) * len(args)
    count = next(x.shape[d] for x, d in zip(args, dims) if d is not None)
    expected = rl.stack([f(*[x if d is None else x.select(d, i) for x, d in zip(args, dims)]) for i in range(count)])
    found = vmap(f, dims, **options)(*args)
    assert found.shape == expected.shape and found.dtype is expected.dtype
    assert rl.allclose(found, expected, atol=1e-5)


rl.manual_seed(3)
M, V, W = rl.randn(4, 3, 5), rl.randn(4, 5), rl.randn(4, 5, 2)
IMAGES = rl.randn(4, 2, 6, 7, 7)
ONE = (lambda x: x.sin() + 2 * x, lambda x: x.sum(), lambda x: x.mean(0), lambda x: x.max(1)[0], lambda x: x.argmax(),
       lambda x: x.softmax(-1), lambda x: x.cumsum(0), lambda x: x.var(1, keepdim=True), lambda x: x.norm(),
       lambda x: x.t(), lambda x: x.reshape(-1), lambda x: x.view(5, 3), lambda x: x.unsqueeze(1).expand(3, 4, 5),
       lambda x: x.permute(1, 0), lambda x: x.transpose(0, -1), lambda x: x.flatten(), lambda x: x[1],
       lambda x: x[..., 1:3], lambda x: x[:, None, 2], lambda x: rl.cat([x, x], 1),
       lambda x: rl.stack([x[0], x[1]]), lambda x: x.flip(1),
       lambda x: x.roll(1, 0), lambda x: x.sort(1)[0], lambda x: x.topk(2)[0], lambda x: x.logsumexp(1),
       lambda x: rl.where(x > 0, x, 0.0), lambda x: x.clamp(-1, 1), lambda x: x.tril(), lambda x: x.repeat(2, 1),
       lambda x: x.chunk(2, 1)[0], lambda x: x.unbind(0)[1], lambda x: rl.einsum("ij->ji", x), lambda x: x.T @ x,
       lambda x: x.squeeze(), lambda x: x.double(), lambda x: rl.zeros_like(x), lambda x: x.new_ones(2) + x[0, 0],
       lambda x: F.layer_norm(x, (5,)), lambda x: F.gelu(x), lambda x: x.amax(), lambda x: x.prod(),
       lambda x: rl.fft.rfft(x).abs(), lambda x: x.movedim(0, 1), lambda x: x.diagonal(), lambda x: F.pad(x, (1, 1)))


@pytest.mark.parametrize("number", range(len(ONE)))
def test_functions_of_one_tensor(number):
    check(ONE[number], M)
    check(ONE[number], M.movedim(0, 2), dims=2)
    for outer in vmap(vmap(ONE[number]))(rl.stack([M, 2 * M])), :
        assert rl.allclose(outer[1], vmap(ONE[number])(2 * M), atol=1e-5)


@pytest.mark.parametrize("dims", [(0, 0), (0, None), (None, 0)])
def test_products(dims):
    def pick(*args):
        return [a if d == 0 else a[0] for a, d in zip(args, dims)]
    check(lambda m, w: m @ w, *pick(M, W), dims=dims)
    check(lambda m, v: m @ v, *pick(M, V), dims=dims)
    check(lambda a, b: a @ b, *pick(V, V), dims=dims)
    check(lambda v, w: v @ w, *pick(V, W), dims=dims)
    check(lambda m, w: F.linear(m, w.T), *pick(M, W), dims=dims)
    check(lambda v, w: F.linear(v, w.T), *pick(V, W), dims=dims)
    check(lambda m, w: rl.einsum("ij,jk->ik", m, w), *pick(M, W), dims=dims)
    check(rl.outer, *pick(V, V), dims=dims)
    check(lambda x, w: F.conv2d(x, w, padding=1), *pick(IMAGES, rl.randn(4, 3, 6, 3, 3)), dims=dims)
    check(lambda x, w: F.conv2d(x, w, padding=1, groups=2), *pick(IMAGES, rl.randn(4, 4, 3, 3, 3)), dims=dims)
    check(lambda x, w: F.conv_transpose2d(x, w, stride=2), *pick(IMAGES, rl.randn(4, 6, 3, 2, 2)), dims=dims)
    check(lambda x, w: F.conv2d(x[0], w), *pick(IMAGES, rl.randn(4, 3, 6, 3, 3)), dims=dims)


def test_images_and_normalisation():
    check(lambda x: F.max_pool2d(x, 2), IMAGES)
    check(lambda x: F.avg_pool2d(x[0], 3), IMAGES)
    check(lambda x: F.adaptive_avg_pool2d(x, 1), IMAGES)
    weight = rl.rand(4, 6)
    check(lambda x, w: F.group_norm(x, 3, w, w), IMAGES, weight)
    check(lambda x, w: F.batch_norm(x, None, None, w, w, True), IMAGES, weight)
    check(lambda x, w: F.batch_norm(x, w, w, w, w, False), IMAGES, weight)


def test_indices():
    tables, rows = rl.randn(4, 7, 3), rl.randint(0, 7, (4, 2, 2))
    check(lambda t, i: F.embedding(i, t), tables, rows)
    check(lambda t, i: F.embedding(i, t), tables[0], rows, dims=(None, 0))
    check(lambda t, i: t[i], tables, rows)
    check(lambda t, i: t[i], tables[0], rows, dims=(None, 0))
    check(lambda t, i: t[i], tables, rows[0], dims=(0, None))
    check(lambda t, i: t.gather(0, i[:, :1]), tables, rows)
    check(lambda t: t.index_select(1, rl.tensor([2, 0])), tables)
    logits, classes = rl.randn(4, 5, 3), rl.randint(0, 3, (4, 5))
    check(F.cross_entropy, logits, classes)
    check(F.mse_loss, logits, logits * 2)


def test_writes():
    def f(x):
        x = x.clone()
        x[0] = x[1] * 2
        x[:, 1] = 1.0
        x += 1
        x.mul_(x[0].clone())
        return x
    check(f, M)
    base = M.clone()
    vmap(lambda x: x.add_(1))(base)
    assert rl.equal(base, M + 1)
    with pytest.raises(RuntimeError, match="inplace"):
        vmap(lambda x, y: x.add_(y), (None, 0))(rl.ones(5), V)


def test_promotion_of_samples_without_dimensions():
    check(lambda a, b: a * b, rl.ones(4, dtype=rl.float64), V)  # a number of float64 does not widen a vector
    check(lambda a, b: a + b, rl.ones(4, dtype=rl.int64), V)


def test_dims_in_and_out():
    f = vmap(lambda d, k: {"a": d["x"] * k, "b": d["x"].sum()}, ({"x": 1}, None), {"a": -1, "b": 0})
    found = f({"x": V}, 2.0)
    assert rl.equal(found["a"], V * 2) and rl.allclose(found["b"], V.sum(0))
    assert vmap(lambda x: (x, rl.ones(2)), out_dims=(1, None))(V)[1].shape == (2,)
    assert vmap(lambda x: rl.ones(2))(V).shape == (4, 2)
    whole = vmap(lambda x: x * 2 + x.sum())(V)
    assert rl.allclose(vmap(lambda x: x * 2 + x.sum(), chunk_size=3)(V), whole)


@pytest.mark.parametrize("call, match", [
    (lambda: vmap(lambda x: x)(), "no inputs"),
    (lambda: vmap(lambda x: x)(1), "non-Tensor"),
    (lambda: vmap(lambda x: x, None)(V), "in_dims"),
    (lambda: vmap(lambda x: x, (0, 0))(V), "not compatible"),
    (lambda: vmap(lambda x: x, 2)(V), "dimensionality"),
    (lambda: vmap(lambda x, y: x)(V, M[0]), "same size"),
    (lambda: vmap(lambda x: 1)(V), "must only return Tensors"),
    (lambda: vmap(lambda x: x, out_dims=(0, 0))(V), "out_dims"),
    (lambda: vmap(lambda x: x, out_dims=None)(V), "out_dims"),
    (lambda: vmap(lambda x: x, chunk_size=0), "chunk_size"),
])
def test_value_errors(call, match):
    with pytest.raises(ValueError, match=match):
        call()


@pytest.mark.parametrize("f", [lambda x: x.sum().item(), lambda x: x if x.sum() else x, lambda x: x.nonzero(),
                               lambda x: x[x > 0], lambda x: x.tolist(), lambda x: rl.rand(2) * x[:2],
                               lambda x: x.sum().backward()])
def test_what_depends_on_values(f):
    with pytest.raises(RuntimeError, match="vmap"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        vmap(f)(V)


def test_random_numbers():
    draws = {kind: vmap(lambda x: rl.rand(3) + 0 * x[0], randomness=kind)(V) for kind in ("same", "different")}
    assert rl.equal(draws["same"][0], draws["same"][3]) and not rl.equal(draws["different"][0], draws["different"][3])
    for f in (lambda x: F.dropout(rl.ones(50) + 0 * x[0]), lambda x: rl.randn_like(x),
              lambda x: rl.randperm(20) + 0 * x[0], lambda x: x.clone().uniform_()):
        same, different = (vmap(f, randomness=kind)(V) for kind in ("same", "different"))
        assert rl.equal(same[0], same[3]) and not rl.equal(different[0], different[3])
    chunks = vmap(lambda x: rl.rand(3) + 0 * x[0], randomness="same", chunk_size=1)(V)
    assert rl.equal(chunks[0], chunks[3])
    with pytest.raises(RuntimeError, match="Only allowed"):
        vmap(lambda x: x, randomness="other")


def test_functions_without_a_rule_run_for_each_sample_and_say_so_once():
    square = rl.randn(4, 3, 3)
    with pytest.warns(UserWarning, match="batching rule for rot90"):
        found = vmap(rl.rot90)(square)
    assert rl.equal(found[2], rl.rot90(square[2]))
    vmap(rl.rot90)(square)  # a second warning would be an error


def test_gradients_through_and_inside():
    x = V.clone().requires_grad_()
    vmap(lambda v: (v * v).sum())(x).sum().backward()
    assert rl.allclose(x.grad, 2 * V)
    found = vmap(grad(lambda v: (v ** 3).sum()))(V)
    assert rl.allclose(found, 3 * V ** 2)

    def inside(v):
        v = v.detach().requires_grad_()
        return rl.autograd.grad((v ** 3).sum(), v)[0]
    assert rl.allclose(vmap(inside)(V), 3 * V ** 2)


def test_gradients_of_samples():
    model = rl.nn.Sequential(rl.nn.Conv2d(1, 3, 3, stride=2, padding=1), rl.nn.ReLU(), rl.nn.Conv2d(3, 4, 3),
                             rl.nn.Tanh(), rl.nn.Flatten(), rl.nn.Linear(16, 3))
    images, labels = rl.randn(5, 1, 8, 8), rl.randint(0, 3, (5,))

    def loss(parameters, image, label):
        return F.cross_entropy(functional_call(model, parameters, image.unsqueeze(0)), label.unsqueeze(0))
    parameters = {name: p.detach() for name, p in model.named_parameters()}
    found = vmap(grad(loss), in_dims=(None, 0, 0))(parameters, images, labels)
    for i in range(5):
        one = F.cross_entropy(model(images[i:i + 1]), labels[i:i + 1])
        for g, (name, _) in zip(rl.autograd.grad(one, list(model.parameters())), model.named_parameters()):
            assert rl.allclose(found[name][i], g, atol=1e-5), name
    twice = vmap(grad(lambda k, x: grad(lambda q: F.conv2d(x, q).tanh().sum())(k).pow(2).sum()), (None, 0))(
        parameters["0.weight"], images.unsqueeze(1))
    k = parameters["0.weight"].clone().requires_grad_()
    g, = rl.autograd.grad(F.conv2d(images[2:3], k).tanh().sum(), k, create_graph=True)
    assert rl.allclose(twice[2], rl.autograd.grad(g.pow(2).sum(), k)[0], atol=1e-3)


def test_ensembles():
    models = [rl.nn.Sequential(rl.nn.Linear(5, 4), rl.nn.BatchNorm1d(4), rl.nn.Linear(4, 2)).eval() for _ in range(3)]
    parameters, buffers = stack_module_state(models)
    found = vmap(lambda p, b, x: functional_call(models[0], (p, b), (x,)), (0, 0, None))(parameters, buffers, V)
    assert rl.allclose(found, rl.stack([m(V) for m in models]), atol=1e-5)
    with pytest.raises(RuntimeError, match="same class"):
        stack_module_state([models[0], rl.nn.Linear(1, 1).eval()])
    with pytest.raises(RuntimeError, match="at least one"):
        stack_module_state([])


class Scale(rl.autograd.Function):
    """x times a number, with a rule of its own for batches."""

    @staticmethod
    def forward(x, factor):
        return x * factor

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.factor = inputs[1]

    @staticmethod
    def backward(ctx, g):
        return g * ctx.factor, None

    @staticmethod
    def vmap(info, in_dims, x, factor):
        assert info.batch_size == 4 and in_dims == (0, None)
        return Scale.apply(x, factor), 0


class Generated(Scale):
    """The same without a rule."""

    generate_vmap_rule = True
    vmap = rl.autograd.Function.vmap


class Neither(Scale):
    """Neither."""

    vmap = rl.autograd.Function.vmap


def test_custom_functions():
    for function in (Scale, Generated):
        assert rl.equal(vmap(lambda x: function.apply(x, 3.0))(V), 3 * V)
        x = V.clone().requires_grad_()
        vmap(lambda v: function.apply(v, 3.0))(x).sum().backward()
        assert rl.equal(x.grad, rl.full_like(V, 3.0))
    with pytest.raises(RuntimeError, match="does not have vmap support"):
        vmap(lambda x: Neither.apply(x, 3.0))(V)


def test_batch_norms_that_vmap_can_map():
    net = rl.func.replace_all_batch_norm_modules_(rl.nn.Sequential(rl.nn.BatchNorm1d(5)))
    assert net[0].running_mean is None and not net[0].track_running_stats
    check(lambda x: net(x), M)
    tracking = rl.nn.BatchNorm1d(5)
    with pytest.raises(RuntimeError, match="running statistics"):
        vmap(lambda x: tracking(x))(M)


def test_debug_unwrap():
    seen = []
    vmap(lambda x: seen.append(rl.func.debug_unwrap(x)) or x)(V)
    assert rl.equal(seen[0], V)
