"""Batching rules of products, convolutions and of functions that take batches of samples themselves.

Products become batched products. A convolution with one weight folds the samples into the batch it has; with a weight
a sample, into groups. Note [Spread weights]: inside `vmap(grad(...))` every sample gets a copy of the weights to
differentiate by, which is the same memory. A product with such a weight is computed once with the single weight, and
only its gradient is taken sample by sample.
"""

from .. import api
from ..autograd.function import Function
from ..core.dispatch import ENTRIES
from ..core.tensor import Tensor
from ..nn import functional as F
from .batched import batch, is_batched, loop
from .rules import aligned, bound, by_name, drawn_apart, elementwise, rule, shifted


def shared(level, weight):
    """The single weight that all samples have (Note [Spread weights]), or None."""
    if not is_batched(weight, level):
        return None
    return getattr(weight.value, "shared_value", None) if weight.bdim == 0 else None


class SharedLinear(Function):
    """x W^T with one weight; the gradient of the weight is taken for each sample."""

    @staticmethod
    def forward(ctx, x, spread, weight):
        ctx.save_for_backward(x, spread)
        return F.linear(x, weight)

    @staticmethod
    def backward(ctx, g):
        x, spread = ctx.saved_tensors
        count = x.shape[0]
        gx = gw = None
        rows = g.reshape(count, -1, g.shape[-1])
        if ctx.needs_input_grad[0]:
            apart = spread.requires_grad and api.is_grad_enabled()  # then the result is differentiated by each copy
            gx = (rows @ spread if apart else g @ spread[0]).reshape(x.shape)
        if ctx.needs_input_grad[1]:
            gw = rows.transpose(1, 2) @ x.reshape(count, -1, x.shape[-1])
        return gx, gw, None


@rule("nn.functional.linear")
def linear(level, entry, args, kwargs):
    """x W^T + b with whatever of the three is batched."""
    given = bound(entry, args, kwargs)
    x, weight, bias = given["input"], given["weight"], given.get("bias")
    if not is_batched(weight, level):
        made = level.run(entry, (level.front(x) if is_batched(x, level) else x, weight,
                                 None if is_batched(bias, level) else bias))
        made = batch(made, 0, level) if is_batched(x, level) else made
        return made + bias if is_batched(bias, level) else made
    single = shared(level, weight)
    with level.outside():
        if single is not None and is_batched(x, level):
            made = SharedLinear.apply(level.front(x), level.front(weight), single)
        else:
            x_batch, w_batch = level.spread(x), level.front(weight)
            w_rows = w_batch if w_batch.ndim == 3 else w_batch.unsqueeze(1)
            made = x_batch.reshape(level.size, -1, x_batch.shape[-1]) @ w_rows.transpose(1, 2)
            made = made.reshape(*x_batch.shape[:-1], *([w_rows.shape[1]] if w_batch.ndim == 3 else []))
    made = batch(made, 0, level)
    return made if bias is None else made + bias


@rule("matmul __matmul__ __rmatmul__ mm bmm mv dot vdot inner linalg.matmul")
def matmul(level, entry, args, kwargs):
    """Vectors become matrices of one row or column, dimensions in front are aligned, and the product is batched."""
    a, b = args[0], args[1] if len(args) > 1 else next(iter(kwargs.values()))
    name = entry.path.rpartition(".")[2]
    if name == "__rmatmul__":
        a, b = b, a
    rank_a, rank_b = a.ndim, b.ndim
    wanted = {"mm": (2, 2), "bmm": (3, 3), "mv": (2, 1), "dot": (1, 1), "vdot": (1, 1)}.get(name)
    if wanted is not None and wanted != (rank_a, rank_b) or a.dtype is not b.dtype or not rank_a or not rank_b:
        return loop(level, entry, args, kwargs)
    if name == "vdot" and a.is_complex():
        a = a.conj()
    if rank_a == 1 and rank_b == 1:
        return (a * b).sum(-1)
    if name == "inner":
        if rank_b > 2 or rank_b == 1:
            return loop(level, entry, args, kwargs)
        b, rank_b = b.transpose(0, 1), 2
    with level.outside():
        pa = level.front(a) if is_batched(a, level) else a
        pb = level.front(b) if is_batched(b, level) else b
        if not is_batched(b, level) and rank_b <= 2 and rank_a >= 1:
            return batch(pa @ pb, 0, level)
    left, right = a.unsqueeze(0) if rank_a == 1 else a, b.unsqueeze(-1) if rank_b == 1 else b
    pa, pb = aligned(level, [left, right])
    with level.outside():
        made = pa @ pb
        made = made.squeeze(-2) if rank_a == 1 else made.squeeze(-1) if rank_b == 1 else made
    return batch(made, 0, level)


@rule("addmm addmv addbmm_ baddbmm addr addmm_ addmv_")
def add_product(level, entry, args, kwargs):
    """beta input + alpha times the product."""
    given = bound(entry, args, kwargs)
    name = entry.path.rpartition(".")[2]
    if given is None or name.endswith("_") or given.get("out") is not None or len(given) < 3:
        return loop(level, entry, args, kwargs)
    values = list(given.values())
    alpha, beta = given.get("alpha", 1), given.get("beta", 1)
    made = api.outer(*values[1:3]) if name == "addr" else values[1] @ values[2]
    made = made if alpha == 1 else made * alpha
    return made + values[0] if beta == 1 else made if beta == 0 else made + values[0] * beta


@rule("outer ger")
def outer(level, entry, args, kwargs):
    """A column times a row."""
    a, b = args[0], args[1] if len(args) > 1 else next(iter(kwargs.values()))
    return a.unsqueeze(1) * b.unsqueeze(0)


@rule("einsum")
def einsum(level, entry, args, kwargs):
    """A letter more for the samples."""
    equation, operands = args[0], args[1:]
    if not isinstance(equation, str):
        return loop(level, entry, args, kwargs)
    operands = list(operands[0]) if len(operands) == 1 and isinstance(operands[0], (list, tuple)) else list(operands)
    letter = next(c for c in "ZYXWVUTSRQPONMLKJIHGFEDCBAzyxwvutsrqponmlkjihgfedcba" if c not in equation)
    terms, arrow, result = equation.replace(" ", "").partition("->")
    terms = terms.split(",")
    if not arrow:
        letters = "".join(terms).replace(".", "")
        result = ("..." if "..." in equation else "") + "".join(sorted(
            [c for c in set(letters) if letters.count(c) == 1]))
    values = [level.front(t) if is_batched(t, level) else t for t in operands]
    terms = [letter + term if is_batched(t, level) else term for t, term in zip(operands, terms)]
    return batch(level.run(entry, (f"{','.join(terms)}->{letter}{result}", *values)), 0, level)


# -- convolutions ----------------------------------------------------------------------------------------------------


class SharedConv2d(Function):
    """A convolution of (samples, batch, channels, height, width) with one weight, its gradient sample by sample: a
    product of each sample's windows with its gradient."""

    @staticmethod
    def forward(ctx, x, spread, weight, stride, padding, dilation):
        ctx.save_for_backward(x, spread)
        ctx.how = stride, padding, dilation
        made = F.conv2d(x.flatten(0, 1), weight, None, stride, padding, dilation)
        return made.unflatten(0, x.shape[:2])

    @staticmethod
    def backward(ctx, g):
        x, spread = ctx.saved_tensors
        stride, padding, dilation = ctx.how
        gx = gw = None
        if spread.requires_grad and api.is_grad_enabled():
            return (*grouped_gradients(x, spread, g, stride, padding, dilation), None, None, None, None)
        flat_x, flat_g = x.flatten(0, 1), g.flatten(0, 1)
        if ctx.needs_input_grad[0]:
            pads = [flat_x.shape[i + 2] - ((flat_g.shape[i + 2] - 1) * stride[i] - 2 * padding[i]
                                           + dilation[i] * (spread.shape[i + 3] - 1) + 1) for i in range(2)]
            gx = F.conv_transpose2d(flat_g, spread[0], None, stride, padding, tuple(pads), 1, dilation)
            gx = gx.unflatten(0, x.shape[:2])
        if ctx.needs_input_grad[1]:
            windows = F.unfold(flat_x, spread.shape[-2:], dilation, padding, stride)
            gw = flat_g.flatten(2) @ windows.transpose(1, 2)
            gw = gw.unflatten(0, x.shape[:2]).sum(1) if x.shape[1] > 1 else gw
            gw = gw.reshape(spread.shape)
        return gx, gw, None, None, None, None


def grouped_gradients(x, spread, g, stride, padding, dilation):
    """The gradients of a convolution with a weight a sample, differentiable by all three."""
    x = x if x.requires_grad else x.detach().requires_grad_()
    made = grouped(F.conv2d, x, spread, stride, padding, dilation, 1)
    return ENTRIES["autograd.grad"].plain([made], [x, spread], [g], create_graph=True)


def grouped(conv, x, weight, stride, padding, dilation, groups, **options):
    """A convolution of (samples, batch, channels, ...) with a weight a sample: samples are groups."""
    count, n = x.shape[0], x.shape[1]
    folded = x.transpose(0, 1).flatten(1, 2)
    if conv in TRANSPOSED:
        made = conv(folded, weight.flatten(0, 1), None, stride, padding, options["output_padding"], count * groups,
                    dilation)
    else:
        made = conv(folded, weight.flatten(0, 1), None, stride, padding, dilation, count * groups)
    return made.reshape(n, count, -1, *made.shape[2:]).transpose(0, 1)


TRANSPOSED = (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)
CONVOLUTIONS = {f.__name__: f for f in (F.conv1d, F.conv2d, F.conv3d, *TRANSPOSED)}


@rule("conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d")
def convolve(level, entry, args, kwargs):
    """Convolutions (see the head of this file)."""
    given = bound(entry, args, kwargs)
    x, weight, bias = given["input"], given["weight"], given.get("bias")
    name = entry.path.rpartition(".")[2]
    conv, space = CONVOLUTIONS[name], int(name[-2])
    single = x.ndim == space + 1
    how = {k: v for k, v in given.items() if k not in ("input", "weight", "bias")}
    if not is_batched(weight, level):
        value = level.front(x) if is_batched(x, level) else x
        with level.outside():
            folded = value if single or not is_batched(x, level) else value.flatten(0, 1)
            made = conv(folded, weight, None, **how)
            if is_batched(x, level):
                made = batch(made if single else made.unflatten(0, value.shape[:2]), 0, level)
    else:
        x_batch = level.spread(x)
        common = shared(level, weight)
        with level.outside():
            x_batch = x_batch.unsqueeze(1) if single else x_batch
            made = convolve_apart(conv, x_batch, level.front(weight), common, how, space)
            made = batch(made.squeeze(1) if single else made, 0, level)
    return made if bias is None else made + bias.reshape(-1, *[1] * space)


def convolve_apart(conv, x, weight, common, how, space):
    """A convolution with a weight for each sample."""
    stride, padding, dilation = [each(how.get(k, d), space) for k, d in (("stride", 1), ("padding", 0),
                                                                         ("dilation", 1))]
    groups = how.get("groups", 1)
    if common is not None and conv is F.conv2d and groups == 1 and not isinstance(padding, str):
        return SharedConv2d.apply(x, weight, common, stride, padding, dilation)
    return grouped(conv, x, weight, stride, padding, dilation, groups, output_padding=how.get("output_padding", 0))


def each(value, space):
    """A number as one for each dimension."""
    if isinstance(value, str):
        return value
    value = (value,) if isinstance(value, int) else tuple(value)
    return value * space if len(value) == 1 else value


# -- functions of batches of samples ---------------------------------------------------------------------------------

# How many dimensions a sample has at the least and, with a batch in front, at the most, for functions that serve both.
FOLDED = {
    **dict.fromkeys("max_pool1d avg_pool1d adaptive_avg_pool1d adaptive_max_pool1d lp_pool1d".split(), 3),
    **dict.fromkeys("max_pool2d avg_pool2d adaptive_avg_pool2d adaptive_max_pool2d lp_pool2d fold unfold "
                    "max_pool2d_with_indices pixel_shuffle pixel_unshuffle channel_shuffle".split(), 4),
    **dict.fromkeys("max_pool3d avg_pool3d adaptive_avg_pool3d adaptive_max_pool3d".split(), 5),
}
FOLDED["fold"] = 3


@rule(" ".join([f"nn.functional.{n} {n}" for n in FOLDED if n not in ("unfold", "fold")])
      + " nn.functional.fold nn.functional.unfold")
def fold_batch(level, entry, args, kwargs):
    """Functions of images with a batch in front: the samples become more of it."""
    x = args[0] if args else kwargs.get("input")
    full = FOLDED[entry.path.rpartition(".")[2]]
    if not is_batched(x, level) or x.ndim not in (full, full - 1):
        return loop(level, entry, args, kwargs)
    value = level.front(x)
    folded = value
    with level.outside():
        if x.ndim == full:
            folded = value.flatten(0, 1)
    args = (folded, *args[1:]) if args else args
    kwargs = kwargs if args else {**kwargs, "input": folded}
    found = level.run(entry, args, kwargs)
    if x.ndim != full:
        return level.wrap(found)
    several = [found] if isinstance(found, Tensor) else list(found)
    with level.outside():
        several = [batch(t.unflatten(0, value.shape[:2]), 0, level) for t in several]
    return several[0] if isinstance(found, Tensor) else tuple(several)


@rule("linalg.cholesky linalg.inv linalg.det linalg.slogdet linalg.solve linalg.eigh linalg.eigvalsh linalg.svd "
      "linalg.qr linalg.svdvals linalg.matrix_exp linalg.matrix_power linalg.pinv linalg.matrix_rank inverse det "
      "logdet slogdet cholesky pinverse matrix_exp matrix_power linalg.eig linalg.eigvals linalg.lu linalg.lu_factor "
      "cholesky_inverse linalg.inv_ex linalg.cholesky_ex linalg.matrix_norm constant_pad_nd linalg.cond diag_embed")
def matrices(level, entry, args, kwargs):
    """Functions that serve any number of dimensions in front."""
    if any([isinstance(v, Tensor) for v in (*args[1:], *kwargs.values())]):
        return loop(level, entry, args, kwargs)
    if entry.path.endswith("matrix_norm") and any([k in kwargs for k in ("dim",)]) or entry.path == "diag_embed" and (
            len(args) > 1 or kwargs):
        return loop(level, entry, args, kwargs)
    return level.wrap(level.run(entry, (level.front(args[0]), *args[1:]), kwargs))


@rule("nn.functional.pad")
def pad(level, entry, args, kwargs):
    """Constants are padded at any rank; other modes want images with a batch in front."""
    mode = kwargs.get("mode", args[2] if len(args) > 2 else "constant")
    x = args[0]
    if mode == "constant":
        return level.wrap(level.run(entry, (level.front(x), *args[1:]), kwargs))
    space = len(kwargs.get("pad", args[1] if len(args) > 1 else ())) // 2
    value = level.front(x)
    if x.ndim == space + 1:
        return level.wrap(level.run(entry, (value, *args[1:]), kwargs))
    with level.outside():
        folded = value.flatten(0, 1)
    found = level.run(entry, (folded, *args[1:]), kwargs)
    with level.outside():
        return batch(found.unflatten(0, value.shape[:2]), 0, level)


@rule("nn.functional.layer_norm layer_norm nn.functional.rms_norm rms_norm")
def layer_norm(level, entry, args, kwargs):
    """Normalised over the last dimensions; weights of samples are applied afterwards."""
    given = bound(entry, args, kwargs)
    x, weight, bias = given["input"], given.get("weight"), given.get("bias")
    if not is_batched(x, level):
        given["input"] = batch(level.spread(x), 0, level)
        return layer_norm(level, entry, (given.pop("input"),), given)
    given["input"] = level.front(x)
    apart = is_batched(weight, level) or is_batched(bias, level)
    if apart:
        given["weight"] = None
        given.pop("bias", None)
    made = batch(level.run(entry, *by_name(entry, given)), 0, level)
    if apart:
        made = made if weight is None else made * weight
        made = made if bias is None else made + bias
    return made


@rule("nn.functional.mse_loss nn.functional.l1_loss nn.functional.smooth_l1_loss nn.functional.huber_loss "
      "nn.functional.binary_cross_entropy_with_logits nn.functional.binary_cross_entropy nn.functional.kl_div "
      "nn.functional.soft_margin_loss nn.functional.poisson_nll_loss")
def pointwise_loss(level, entry, args, kwargs):
    """Losses of elements: computed without reduction, which is taken over each sample."""
    given = bound(entry, args, kwargs)
    reduction = given.get("reduction", "mean")
    if given.get("size_average") is not None or given.get("reduce") is not None or reduction == "batchmean":
        return loop(level, entry, args, kwargs)
    given["reduction"] = "none"
    made = elementwise(level, entry, *by_name(entry, given))
    return made.mean() if reduction == "mean" else made.sum() if reduction == "sum" else made


@rule("nn.functional.cross_entropy nn.functional.nll_loss")
def class_loss(level, entry, args, kwargs):
    """Losses of classes: samples are folded into the batch and reduced apart."""
    given = bound(entry, args, kwargs)
    x, target = given["input"], given["target"]
    reduction = given.get("reduction", "mean")
    plain = given.get("weight") is None and given.get("size_average") is None and given.get("reduce") is None
    if not plain or target.dtype.is_floating_point or x.ndim not in (1, 2) or given.get("ignore_index", -100) != -100:
        return loop(level, entry, args, kwargs)
    xs, targets = level.spread(x), level.spread(target)
    with level.outside():
        flat, flat_target = (xs, targets) if x.ndim == 1 else (xs.flatten(0, 1), targets.flatten(0, 1))
        given.update(input=flat, target=flat_target, reduction="none")
    found = level.run(entry, *by_name(entry, given))
    with level.outside():
        if x.ndim == 1:
            return batch(found, 0, level)
        found = found.reshape(level.size, -1)
        if reduction == "mean":
            counted = (targets != -100).sum(1)
            found = found.sum(1) / counted
        elif reduction == "sum":
            found = found.sum(1)
    return batch(found, 0, level)


@rule("nn.functional.scaled_dot_product_attention")
def attention(level, entry, args, kwargs):
    """Attention: the samples are one more dimension of batches."""
    given = bound(entry, args, kwargs)
    if given.get("dropout_p"):
        return drawn_apart(level, entry, args, kwargs)
    values = list(given.values())[:3]
    keys = list(given)[:3]
    if given.get("attn_mask") is not None and is_batched(given["attn_mask"], level):
        keys.append("attn_mask")
        values.append(given["attn_mask"])
    if len({v.ndim for v in values}) != 1:
        return loop(level, entry, args, kwargs)
    given.update({k: level.spread(v) for k, v in zip(keys, values)})
    return batch(level.run(entry, *by_name(entry, given)), 0, level)


@rule("nn.functional.group_norm nn.functional.instance_norm")
def group_norm(level, entry, args, kwargs):
    """Normalised in each image: samples are folded into the batch; weights of samples are applied afterwards."""
    given = bound(entry, args, kwargs)
    x, weight, bias = given["input"], given.get("weight"), given.get("bias")
    if not is_batched(x, level) or given.get("running_mean") is not None:
        return loop(level, entry, args, kwargs)
    value = level.front(x)
    with level.outside():
        given["input"] = value.flatten(0, 1)
    given["weight"] = given["bias"] = None
    found = level.run(entry, *by_name(entry, given))
    with level.outside():
        made = batch(found.unflatten(0, value.shape[:2]), 0, level)
    shape = (-1, *[1] * (x.ndim - 2))
    made = made if weight is None else made * weight.reshape(shape)
    return made if bias is None else made + bias.reshape(shape)


@rule("nn.functional.batch_norm")
def batch_norm(level, entry, args, kwargs):
    """Normalised over the batch of a sample: samples are folded into the channels."""
    given = bound(entry, args, kwargs)
    x, weight, bias = given["input"], given.pop("weight", None), given.pop("bias", None)
    stats = [given.get("running_mean"), given.get("running_var")]
    training = given.get("training", False)
    if x.ndim < 2:
        return loop(level, entry, args, kwargs)
    if training and stats[0] is not None and not is_batched(stats[0], level):
        raise RuntimeError("vmap: batch_norm in training writes its running statistics, which are not batched; use "
                           "track_running_stats=False, or torch.func.replace_all_batch_norm_modules_")
    value = level.spread(x)
    folded_stats = [None if s is None else level.spread(s) for s in stats]
    with level.outside():
        given["input"] = value.transpose(0, 1).flatten(1, 2)
        given["running_mean"], given["running_var"] = [None if s is None else s.reshape(-1) for s in folded_stats]
    found = level.run(entry, *by_name(entry, given))
    with level.outside():
        for kept, flat in zip(folded_stats if training else (), (given["running_mean"], given["running_var"])):
            if kept is not None:
                kept.copy_(flat.reshape(kept.shape))
        made = batch(found.unflatten(1, (level.size, -1)).transpose(0, 1), 0, level)
    shape = (-1, *[1] * (x.ndim - 2))
    made = made if weight is None else made * weight.reshape(shape)
    return made if bias is None else made + bias.reshape(shape)


@rule("linalg.solve linalg.solve_triangular linalg.vecdot linalg.cross cross")
def solve(level, entry, args, kwargs):
    """Functions of two matrices that serve any number of dimensions in front, if both samples have as many."""
    if len(args) < 2 or args[0].ndim != args[1].ndim or args[0].ndim < 2 or "dim" in kwargs or len(args) > 2:
        return loop(level, entry, args, kwargs)
    found = level.run(entry, tuple([level.spread(a) for a in args]), kwargs if "cross" not in entry.path else {
        **kwargs, "dim": -1})
    return level.wrap(found)


@rule("fft.fft fft.ifft fft.rfft fft.irfft fft.hfft fft.ihfft fft.fft2 fft.ifft2 fft.rfft2 fft.irfft2")
def transform(level, entry, args, kwargs):
    """Fourier transforms: along the last dimensions, or dimensions counted behind the batch."""
    given = bound(entry, args, kwargs)
    first, sample = next(iter(given.items()))
    rank, default = sample.ndim, (-2, -1) if entry.path.endswith("2") else -1
    if not is_batched(sample, level) or rank < (2 if entry.path.endswith("2") else 1):
        return loop(level, entry, args, kwargs)
    given[first], given["dim"] = level.front(sample), shifted(given.get("dim", default), rank)
    return level.wrap(level.run(entry, *by_name(entry, given)))


@rule("nn.functional.one_hot")
def one_hot(level, entry, args, kwargs):
    """A dimension at the end; the number of classes has to be given."""
    if not len(args) > 1 and kwargs.get("num_classes", -1) == -1:
        raise RuntimeError("vmap: one_hot needs num_classes, because the number of classes depends on data")
    return level.wrap(level.run(entry, (level.front(args[0]), *args[1:]), kwargs))
