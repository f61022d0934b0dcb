"""Autocast: which dtype operators run in, nesting, the cache, decorators, custom functions, deprecated names."""
import warnings

import pytest

import rushlight as torch
from rushlight.core import autocast as state

HALVES = [torch.bfloat16, torch.float16]
X = torch.rand(2, 2) + 0.5
F = torch.nn.functional


@pytest.fixture(params=HALVES, ids=str)
def half(request):
    return request.param


LOWER = {
    "mm": lambda x: torch.mm(x, x), "matmul": lambda x: x @ x, "bmm": lambda x: torch.bmm(x[None], x[None]),
    "addmm": lambda x: torch.addmm(x, x, x), "linear": lambda x: F.linear(x, x),
    "einsum": lambda x: torch.einsum("ij,jk", x, x), "tensordot": lambda x: torch.tensordot(x, x, 1),
    "conv1d": lambda x: F.conv1d(x[None], x[None]), "conv2d": lambda x: F.conv2d(x[None, None], x[None, None]),
    "conv_transpose1d": lambda x: F.conv_transpose1d(x[None], x[:, None]), "prelu": lambda x: F.prelu(x, x[0, :1]),
    "attention": lambda x: F.scaled_dot_product_attention(x[None, None], x[None, None], x[None, None]),
    "multi_dot": lambda x: torch.linalg.multi_dot([x, x, x]), "pinv": lambda x: torch.linalg.pinv(x),
    "module": torch.nn.Linear(2, 2), "lstm": lambda x: torch.nn.LSTM(2, 3)(x[None])[0],
}  # fmt: skip
WIDER = {
    "mse_loss": lambda x: F.mse_loss(x, x), "cross_entropy": lambda x: F.cross_entropy(x, torch.tensor([0, 1])),
    "binary_cross_entropy": lambda x: F.binary_cross_entropy(x / 2, x / 2),
    "kl_div": lambda x: F.kl_div(x, x, reduction="sum"), "prod": lambda x: x.prod(), "trace": lambda x: x.trace(),
    "cdist": lambda x: torch.cdist(x, x), "inv": lambda x: torch.linalg.inv(x),
    "pad": lambda x: F.pad(x[None], (1, 1), mode="reflect"), "avg_pool3d": lambda x: F.avg_pool3d(x[None, None], 1),
    "quantile": lambda x: torch.quantile(x, 0.5),
}  # fmt: skip
SAME = {
    "add": lambda x: x + x, "softmax": lambda x: x.softmax(0), "sum": lambda x: x.sum(), "relu": lambda x: F.relu(x),
    "layer_norm": lambda x: F.layer_norm(x, (2,)), "max_pool2d": lambda x: F.max_pool2d(x[None], 1),
    "pad": lambda x: F.pad(x, (1, 1)), "mv": lambda x: torch.mv(x, x[0]), "exp": torch.exp,
}  # fmt: skip


@pytest.mark.parametrize("name", LOWER)
def test_products_run_in_the_dtype_of_the_context(name, half):
    with torch.autocast("cpu", dtype=half):
        result = LOWER[name](X)
    assert result.dtype is half
    assert torch.allclose(result.float(), LOWER[name](X), rtol=0.05, atol=0.05) or name in ("lstm",)
    assert LOWER[name](X).dtype is torch.float32


@pytest.mark.parametrize("name", WIDER)
def test_losses_and_factorizations_run_in_float32(name, half):
    x = X.to(half)
    with torch.autocast("cpu", dtype=half):
        assert WIDER[name](x).dtype is torch.float32
        assert torch.equal(WIDER[name](x), WIDER[name](x.float()))


@pytest.mark.parametrize("name", SAME)
def test_other_operators_run_as_they_are(name, half):
    with torch.autocast("cpu", dtype=half):
        for dtype in (torch.float32, half):
            assert SAME[name](X.to(dtype)).dtype is dtype


def test_joining_takes_the_widest():
    low = X.bfloat16()
    with torch.autocast("cpu"):
        assert torch.cat([X, low]).dtype is torch.stack([low, X]).dtype is torch.float32
        assert torch.cat([low, low]).dtype is torch.bfloat16
        assert torch.index_copy(X, 0, torch.tensor([0]), low[:1]).dtype is torch.float32


def test_what_is_left_alone():
    with torch.autocast("cpu"):
        assert torch.mm(X.double(), X.double()).dtype is torch.float64
        integers = torch.ones(2, 2, dtype=torch.int64)
        assert torch.mm(integers, integers).dtype is torch.int64
        assert torch.mm(X, X, out=torch.empty(2, 2)).dtype is torch.float32
        assert X.clone().addmm_(X, X).dtype is torch.float32


def test_nesting_and_state():
    assert not torch.is_autocast_enabled("cpu")
    with torch.autocast("cpu"):
        assert torch.is_autocast_enabled("cpu") and not torch.is_autocast_enabled()
        with torch.autocast("cpu", enabled=False):
            assert not torch.is_autocast_enabled("cpu")
            assert (X @ X).dtype is torch.float32
            with torch.autocast("cpu", dtype=torch.float16):
                assert (X @ X).dtype is torch.float16
                assert torch.get_autocast_dtype("cpu") is torch.float16
        assert (X @ X).dtype is torch.bfloat16
    assert (X @ X).dtype is torch.float32
    assert torch.get_autocast_dtype("cpu") is torch.bfloat16


def test_errors_leave_the_state_as_it_was():
    with pytest.raises(KeyError), torch.autocast("cpu"):
        raise KeyError
    assert not torch.is_autocast_enabled("cpu") and (X @ X).dtype is torch.float32


def test_switches():
    torch.set_autocast_enabled("cpu", True)
    torch.set_autocast_dtype("cpu", torch.float16)
    try:
        assert (X @ X).dtype is torch.float16
    finally:
        torch.set_autocast_enabled("cpu", False)
        torch.set_autocast_dtype("cpu", torch.bfloat16)
    assert (X @ X).dtype is torch.float32
    assert torch.is_autocast_cache_enabled()
    assert torch.autocast_increment_nesting() == 1 and torch.autocast_decrement_nesting() == 0


def test_decorators():
    @torch.autocast("cpu")
    def product(x):
        return x @ x

    assert product(X).dtype is torch.bfloat16 and product.__name__ == "product"
    assert (X @ X).dtype is torch.float32


def test_weights_are_cast_once_a_context():
    weight = torch.nn.Parameter(X.clone())
    with torch.autocast("cpu"):
        F.linear(X, weight)
        found = state.STATE.cached[id(weight)][1]
        F.linear(X, weight)
        assert state.STATE.cached[id(weight)][1] is found and len(state.STATE.cached) == 1
        with torch.autocast("cpu"):
            pass
        assert state.STATE.cached
    assert not state.STATE.cached
    with torch.autocast("cpu", cache_enabled=False):
        F.linear(X, weight)
        assert not state.STATE.cached


def test_gradients_arrive_in_the_dtype_of_the_parameters():
    model = torch.nn.Sequential(torch.nn.Linear(2, 4), torch.nn.ReLU(), torch.nn.Linear(4, 2))
    with torch.autocast("cpu"):
        loss = F.mse_loss(model(X), X)
    assert loss.dtype is torch.float32
    loss.backward()
    low = [p.grad for p in model.parameters()]
    model.zero_grad()
    F.mse_loss(model(X), X).backward()
    for a, p in zip(low, model.parameters()):
        assert a.dtype is torch.float32
        assert torch.allclose(a, p.grad, rtol=0.1, atol=0.05)


def test_backward_inside_the_context():
    weight = torch.nn.Parameter(X.clone())
    with torch.autocast("cpu"):
        (X @ weight).float().sum().backward()
    assert weight.grad.dtype is torch.float32
    assert torch.allclose(weight.grad, X.sum(0)[:, None].expand(2, 2), rtol=0.02)


def test_custom_functions():
    seen = []

    class Product(torch.autograd.Function):
        @staticmethod
        @torch.amp.custom_fwd(device_type="cpu")
        def forward(ctx, a, b):
            ctx.save_for_backward(a, b)
            return a @ b

        @staticmethod
        @torch.amp.custom_bwd(device_type="cpu")
        def backward(ctx, g):
            seen.append(torch.is_autocast_enabled("cpu"))
            a, b = ctx.saved_tensors
            return (g @ b.t()).float(), (a.t() @ g).float()

    class Wide(Product):
        @staticmethod
        @torch.amp.custom_fwd(device_type="cpu", cast_inputs=torch.float32)
        def forward(ctx, a, b):
            seen.append((a.dtype, torch.is_autocast_enabled("cpu")))
            ctx.save_for_backward(a, b)
            return a @ b

    a = X.clone().requires_grad_()
    with torch.autocast("cpu"):
        y = Product.apply(a, X)
        assert y.dtype is torch.bfloat16
        z = Wide.apply(X.bfloat16(), X)
        assert z.dtype is torch.float32
    y.sum().backward()
    assert seen == [(torch.float32, False), True]
    with pytest.raises(ValueError, match="Expected `device_type` of type `str`"):
        torch.amp.custom_fwd(lambda ctx, x: x, device_type=3)


def test_arguments():
    assert torch.amp.autocast is torch.autocast and torch.amp.is_autocast_available("cpu")
    with pytest.raises(ValueError, match="Expected `device_type` of type `str`, got: `<class 'int'>`"):
        torch.autocast(1)
    with pytest.raises(RuntimeError, match="device type at start of device string: foo"):
        torch.autocast("foo")
    with pytest.warns(UserWarning, match="CPU Autocast only supports dtypes of torch.bfloat16, torch.float16"):
        context = torch.autocast("cpu", dtype=torch.float64)
    with context:
        assert (X @ X).dtype is torch.float32
    with pytest.warns(UserWarning, match="CUDA is not available"):
        torch.autocast("cuda")


def test_deprecated_names():
    with pytest.warns(FutureWarning, match=r"torch.cpu.amp.autocast\(args...\)` is deprecated"):
        context = torch.cpu.amp.autocast()
    with context:
        assert (X @ X).dtype is torch.bfloat16
    with pytest.warns(FutureWarning, match="Please use `torch.amp.autocast\\('cuda', args...\\)` instead"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            torch.cuda.amp.autocast(enabled=False)
    with pytest.warns(FutureWarning, match="torch.cuda.amp.custom_fwd"):
        torch.cuda.amp.custom_fwd(lambda ctx, x: x)
    with pytest.warns(DeprecationWarning, match="is_autocast_cpu_enabled"):
        assert not torch.is_autocast_cpu_enabled()
    with pytest.warns(DeprecationWarning, match="get_autocast_gpu_dtype"):
        assert torch.get_autocast_gpu_dtype() is torch.float16
