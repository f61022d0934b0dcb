"""Calls that together record every operator: what `test_devices.py` runs on each device.

`operands(op)` gives the arguments of an element-wise operator or a reduction, which are recorded directly. `CALLS`
holds functions of a device for all other operators; gradients are taken where there are any, so that backward kernels
run.
"""

import math

import rushlight as rl
import rushlight.audio.functional
import rushlight.vision.ops
from rushlight.core.kinds import split_params

F = rl.nn.functional


def steps(*shape, low=-1.5, high=1.5, dtype=rl.float32):
    """Numbers that are spread evenly and in no order, on the CPU."""
    count = math.prod(shape)
    places = (rl.arange(count) * 7919 % max(count, 1)).to(rl.float64)
    values = low + (high - low) * (places + 0.5) / max(count, 1)
    return values.reshape(shape).to(dtype)


# -- element-wise operators and reductions ----------------------------------------------------------------------------


DTYPES = {"integral": rl.int64, "integers": rl.int64}
RANGES = {  # of operands, where the usual ones lie outside of what the operator is defined for
    "acosh": (1.1, 3.0), "atanh": (-0.9, 0.9), "acos": (-0.9, 0.9), "asin": (-0.9, 0.9), "erfinv": (-0.9, 0.9),
    "logit": (0.1, 0.9), "binary_entropy": (0.1, 0.9), "special_ndtri": (0.1, 0.9), "random_bernoulli_each": (0.1, 0.9),
    "random_geometric": (0.1, 0.9), "bitwise_left_shift": (0, 9), "bitwise_right_shift": (0, 9), "raise_to": (0.1, 2.0),
}
POSITIVE = """
    digamma igamma igammac lgamma log log10 log1p log2 multigamma polygamma pow rsqrt sqrt special_entr special_xlog1py
    special_zeta xlogy zeta special_scaled_modified_bessel_k0 special_scaled_modified_bessel_k1 special_bessel_y0
    special_bessel_y1 special_modified_bessel_k0 special_modified_bessel_k1 power power_fixed absolute_power
    root_inverse special_shifted_chebyshev_polynomial_t float_power
""".split()  # fmt: skip
RAW = {"random_uniform", "random_integer", "random_bits", "random_low_bits", "random_modulo", "random_bernoulli",
       "random_bernoulli_each", "random_exponential", "random_geometric", "random_cauchy", "dropout_noise"}
ATTRIBUTES = {
    "cast": (("dtype", rl.int32),), "random_exp": (("dtype", rl.float32),), "polygamma": (("n", 2),),
    "power_fixed": (("exponent", 3),), "random_bits": (("dtype", rl.int64),),
    **{name: (("dtype", rl.float32),) for name in RAW - {"random_bits"}},
}
COMPLEX = {"times_i"}
NUMBERS = {"random_integer": (3, 10), "random_modulo": (10,), "random_low_bits": (255,), "raise_to": (0.01,),
           "dropout_noise": (1 << 52, 0.5), "random_bernoulli": (1 << 52,), "random_geometric": (0.3,),
           "round_decimals": (10.0,)}


def operands(op):
    """(pattern, attributes, tensors, numbers) that record an element-wise operator."""
    if op.name in ("fill", "full"):
        return "n", () if op.name == "fill" else (("out", (((3, 4), (4, 1), rl.float32),)),), [], (2.5,)
    names, kinds, _ = split_params(op.body)
    low, high = RANGES.get(op.name, (0.2, 2.5) if op.name in POSITIVE else (-1.5, 1.5))
    dtype = DTYPES.get(op.dtypes, rl.float32)
    if dtype is rl.int64 and op.name not in RANGES:
        low, high = 1, 40
    if op.name in COMPLEX:
        return "t", (), [steps(3, 4, dtype=rl.complex64)], ()
    tensors = []
    for number in range(kinds.count("t")):
        shape = (3, 4) if number != 1 else (4,)
        tensors.append(steps(*shape, low=low + 0.01 * number, high=high, dtype=dtype))
    if op.name in RAW:
        wide = op.name in ("random_bits", "random_bernoulli", "dropout_noise", "random_low_bits", "random_modulo")
        raw = steps(3, 4, low=0, high=2**31, dtype=rl.int64)
        tensors[0] = raw * 2**29 + raw if wide else raw.to(rl.int32)
    if op.name == "masked_fill":
        tensors[1:] = tensors[1] > 0, tensors[2].sum()
    given = dict(ATTRIBUTES.get(op.name, ()))
    attrs = tuple([(name, given.get(name, False)) for name, kind in zip(names, kinds) if kind == "a"])
    numbers = NUMBERS.get(op.name, tuple([0.3 + 0.5 * i for i in range(kinds.count("n"))]))
    return "".join([kind for kind in kinds if kind != "a"]), attrs, tensors, numbers


# -- all other operators -----------------------------------------------------------------------------------------------


CALLS = []


def call(function):
    """Enter a function of (a maker of leaves): `leaf(*shape, **steps)` gives a tensor on the device that wants a
    gradient if it is floating."""
    CALLS.append(function)
    return function


def integers(leaf, *shape, below):
    return leaf(*shape, low=0, high=below, dtype=rl.int64)


@call
def creation(leaf):
    device = leaf(1).device
    with device:
        return [rl.arange(7), rl.arange(0.0, 1.0, 0.25), rl.linspace(0, 1, 5), rl.eye(3, 4), rl.tril_indices(3, 3),
                rl.full((2, 2), 2.5), rl.zeros(3).fill_(2), rl.ones(2, dtype=rl.complex64)]


@call
def products(leaf):
    a, b, c = leaf(3, 4), leaf(4, 5), leaf(3, 5)
    return [a @ b, rl.addmm(c, a, b, beta=0.5, alpha=2), rl.bmm(leaf(2, 3, 4), leaf(2, 4, 2)),
            rl.baddbmm(leaf(2, 3, 2), leaf(2, 3, 4), leaf(2, 4, 2)), F.linear(a, leaf(2, 4), leaf(2)), a.mv(leaf(4)),
            leaf(9).dot(leaf(9)), rl.dot(leaf(9).detach(), leaf(9).detach())]


@call
def convolutions(leaf):
    return [F.conv2d(leaf(2, 4, 6, 5), leaf(6, 2, 3, 3), leaf(6), stride=2, padding=1, groups=2),
            F.conv1d(leaf(2, 3, 9), leaf(4, 3, 3), dilation=2), F.conv3d(leaf(1, 2, 4, 4, 4), leaf(3, 2, 2, 2, 2)),
            F.conv_transpose2d(leaf(1, 4, 3, 3), leaf(4, 3, 3, 3), leaf(3), stride=2)]


@call
def indexing(leaf):
    x, rows = leaf(5, 4), integers(leaf, 3, below=5)
    index = integers(leaf, 5, 2, below=4)
    return [x[rows], x.gather(1, index), x.index_select(0, rows), x.take(integers(leaf, 6, below=20)),
            F.embedding(rows, x), x[x.detach() > 0], x.flip(0), x.tril(), x.triu(1), x[:, 1:3],
            F.one_hot(rows, 6), x.masked_select(x.detach() > 0), x.nonzero()]


@call
def scattering(leaf):
    x, rows, index = leaf(5, 4), integers(leaf, 3, below=5), integers(leaf, 5, 3, below=4)
    rows_of = leaf(3, 4)
    return [x.scatter(1, index, leaf(5, 3)), x.scatter_add(1, index, leaf(5, 3)),
            x.scatter_reduce(1, index, leaf(5, 3), "amax"), x.index_add(0, rows, rows_of),
            x.index_copy(0, rows.unique(), rows_of[:rows.unique().numel()]), x.index_fill(0, rows, 2.0),
            x.index_reduce(0, rows, rows_of, "prod"), x.masked_scatter(x.detach() > 0, leaf(20)),
            x.index_put((rows,), rows_of, accumulate=True), x.put(integers(leaf, 3, below=20), leaf(3))]


@call
def reductions(leaf):
    x = leaf(4, 6)
    return [x.sum(), x.mean(1), x.prod(0), x.amax(1), x.max(1), x.min(0), x.argmax(), x.var(1), x.std(), x.norm(dim=1),
            x.logsumexp(1), (x > 0).any(1), (x > -9).all(), x.max(),
            rl.hash_tensor(x, 1), rl.linalg.vector_norm(x, 3.0)]


@call
def scans(leaf):
    x = leaf(3, 5)
    z = rl.complex(leaf(2, 3), leaf(2, 3))
    return [x.cumsum(1), x.cumprod(0), x.cummax(1), x.cummin(0), x.logcumsumexp(1), z.cumprod(1), z.logcumsumexp(1)]


@call
def ordering(leaf):
    x, long = leaf(4, 7), leaf(9000).detach()  # rows of that length are not sorted
    edges = leaf(6).detach().sort().values
    return [x.sort(1), x.sort(0, descending=True), x.topk(3, 1), rl.searchsorted(edges, x.detach()), x.kthvalue(2, 1),
            x.median(1), x.nanmedian(0), x.mode(1), long.kthvalue(9), long.median(0), long.nanmedian(0),
            rl.isin(edges, edges[:2]), edges.unique(), x.detach().unique(dim=0),
            rl.histc(edges, 4), rl.bincount(integers(leaf, 9, below=4)), rl.histogram(edges, 3),
            integers(leaf, 3, below=3).repeat_interleave(2), rl.arange(3, device=x.device).repeat_interleave(
                rl.tensor([1, 0, 2], device=x.device))]


@call
def normalization(leaf):
    x = leaf(4, 6, 5)
    mean, spread = leaf(6).detach(), leaf(6, low=0.5, high=2).detach()
    return [F.layer_norm(x, (5,), leaf(5), leaf(5)), F.rms_norm(x, (5,), leaf(5)), F.group_norm(x, 3, leaf(6), leaf(6)),
            F.batch_norm(x, mean, spread, leaf(6), leaf(6), True), F.batch_norm(x, mean, spread, leaf(6), leaf(6)),
            F.softmax(x, 1), F.log_softmax(x, -1)]


@call
def losses(leaf):
    x, y, classes = leaf(5, 4), leaf(5, 4), integers(leaf, 5, below=4)
    p = leaf(5, 4, low=0.1, high=0.9)
    lengths = rl.tensor([6, 5], device=x.device)
    spoken = F.log_softmax(leaf(6, 2, 5), -1)
    return [F.cross_entropy(x, classes), F.nll_loss(x, classes, leaf(4).detach()), F.mse_loss(x, y),
            F.smooth_l1_loss(x, y), F.huber_loss(x, y), F.binary_cross_entropy(p, leaf(5, 4, low=0.1, high=0.9)),
            F.binary_cross_entropy_with_logits(x, p), F.soft_margin_loss(x, y),
            F.ctc_loss(spoken, rl.tensor([[1, 2], [3, 3]], device=x.device), lengths,
                       rl.tensor([2, 1], device=x.device)),
            rushlight.audio.functional.rnnt_loss(
                leaf(1, 4, 3, 5), rl.tensor([[1, 2]], dtype=rl.int32, device=x.device),
                rl.tensor([4], dtype=rl.int32, device=x.device), rl.tensor([2], dtype=rl.int32, device=x.device))]


@call
def windows(leaf):
    x = leaf(2, 3, 6, 6)
    folded = F.unfold(x, 2, stride=2)
    pooled, places = F.max_pool2d(x, 2, return_indices=True)
    last = F.max_pool2d(leaf(2, 3, 6, 6).contiguous(memory_format=rl.channels_last), 3, 2)
    return [last, F.avg_pool2d(x, 3, 2, 1), pooled, F.max_pool2d(x, 3, 1), F.max_unpool2d(pooled, places, 2), folded,
            F.fold(folded, (6, 6), 2, stride=2), F.fold(leaf(1, 50, 4), (6, 6), 5),
            F.adaptive_avg_pool2d(x, (4, 3)), F.adaptive_max_pool2d(x, 4),
            F.fractional_max_pool2d(x, 2, output_size=3, _random_samples=rl.full((2, 3, 2), 0.4, device=x.device)),
            F.interpolate(x, scale_factor=2, mode="bilinear"), F.interpolate(x, (3, 9), mode="nearest"),
            F.max_pool1d(leaf(1, 2, 200), 100, 3), x.unfold(2, 3, 2)]


@call
def borders(leaf):
    x1, x2, x3 = leaf(1, 2, 5), leaf(1, 2, 4, 5), leaf(1, 2, 3, 4, 3)
    return [F.pad(x, (-1, 2) + (1, 1) * (x.dim() - 3), mode) for x in (x1, x2, x3)
            for mode in ("reflect", "replicate", "circular")]


@call
def samples_of_grids(leaf):
    x = leaf(2, 3, 5, 4)
    return [F.grid_sample(x, leaf(2, 3, 3, 2), align_corners=False),
            F.grid_sample(x, leaf(2, 3, 3, 2), mode="bicubic", padding_mode="border", align_corners=True)]


@call
def attention(leaf):
    q, k, v = leaf(2, 4, 9, 8), leaf(2, 4, 10, 8), leaf(2, 4, 10, 8)
    mask = (leaf(2, 4, 9, 10) > -1).detach()
    return [F.scaled_dot_product_attention(q, k, v), F.scaled_dot_product_attention(q, k, v, mask),
            F.scaled_dot_product_attention(q, q, q, is_causal=True),
            F.scaled_dot_product_attention(q, k, v, leaf(9, 10))]


@call
def recurrent_layers(leaf):
    found = []
    for mode in ("LSTM", "GRU", "RNN"):
        for batch in (3, 9):
            layer = getattr(rl.nn, mode)(4, 5, bidirectional=batch == 3)
            for parameter in layer.parameters():
                parameter.data = steps(*parameter.shape, low=-0.5, high=0.5).to(leaf(1).device)
            found += [layer(leaf(3, batch, 4))[0]]
    packed = rl.nn.utils.rnn.pack_padded_sequence(leaf(4, 3, 4), rl.tensor([4, 2, 1]))
    layer = rl.nn.LSTM(4, 5).to(leaf(1).device)
    for parameter in layer.parameters():
        parameter.data = steps(*parameter.shape, low=-0.5, high=0.5).to(leaf(1).device)
    return [*found, layer(packed)[0].data]


@call
def signals(leaf):
    x, many = leaf(3, 7), leaf(20, 12)
    z = rl.complex(leaf(3, 6), leaf(3, 6))
    return [rl.fft.fft(z), rl.fft.rfft(x), rl.fft.irfft(z, 9), rl.fft.rfft(many), rl.fft.fft2(rl.complex(many, many)),
            rl.fft.irfft(rl.fft.rfft(many), 12), rushlight.audio.functional.lfilter(
                leaf(2, 30), rl.tensor([1.0, 0.4, 0.2], device=x.device), rl.tensor([0.3, 0.1, 0.2], device=x.device))]


@call
def linear_algebra(leaf):
    A = leaf(4, 4) + 4 * rl.eye(4, device=leaf(1).device)
    symmetric, b = A @ A.mT, leaf(4, 2)
    packed, pivots = rl.linalg.ldl_factor(symmetric.detach())
    reflectors, tau = rl.geqrf(A.detach())
    lu, lu_pivots = rl.linalg.lu_factor(A)
    return [rl.linalg.inv(A), rl.linalg.solve(A, b), rl.linalg.slogdet(A), rl.linalg.det(A),
            rl.linalg.cholesky(symmetric), rl.linalg.qr(A), rl.linalg.eigvalsh(symmetric), rl.linalg.svdvals(A),
            rl.linalg.eigvals(A.detach()).abs().sort(), rl.linalg.matrix_exp(A * 0.1), rl.linalg.lstsq(A, b)[0],
            rl.linalg.solve_triangular(A.triu(), b, upper=True),
            rl.linalg.ldl_solve(packed, pivots, b.detach()), rl.ormqr(reflectors, tau, b.detach()), lu,
            rl.linalg.householder_product(reflectors, tau), rl.lu_unpack(lu, lu_pivots),
            rl.linalg.det(leaf(3, 3) * 0 + rl.ones(3, 3, device=A.device))]


@call
def random_numbers(leaf):
    device = leaf(1).device
    rl.manual_seed(5)
    with device:
        x = rl.rand(700)
        found = [x, rl.randn(5), rl.randn(40), rl.randn(20, dtype=rl.float64), rl.randint(0, 9, (8,)), rl.randperm(9),
                 rl.bernoulli(x), F.dropout(x, 0.4), rl.empty(6).exponential_(), rl.poisson(x[:9] * 20),
                 rl._standard_gamma(x[:9] * 3), rl.binomial(rl.full((9,), 30.0), x[:9]),
                 F.rrelu(x - 0.5, training=True),
                 rl.multinomial(x[:9], 3), rl.multinomial(x[:9], 3, replacement=True), rl.empty(6).normal_(2, 3),
                 rl.empty(6).log_normal_(), rl.empty(6).cauchy_(), rl.empty(6).geometric_(0.3)]
    return found


@call
def optimizers(leaf):
    found = []
    for make in (lambda p: rl.optim.Adam(p, amsgrad=True, weight_decay=0.1),
                 lambda p: rl.optim.SGD(p, 0.1, momentum=0.9, weight_decay=0.1)):
        weight = leaf(3, 4).detach().requires_grad_()
        optimizer = make([weight])
        for _ in range(2):
            optimizer.zero_grad()
            (weight * weight).sum().backward()
            optimizer.step()
        found.append(weight.detach())
    return found


@call
def boxes(leaf):
    x = leaf(2, 4, 8, 8)
    corners = rl.tensor([[0, 0.5, 1.0, 6.2, 5.0], [1, 2.0, 0.0, 7.5, 6.5]], device=x.device)
    plain = rl.tensor([[0, 0, 4, 4], [1, 1, 5, 5], [0, 0, 4.1, 4], [6, 6, 9, 9]], dtype=rl.float32, device=x.device)
    ops = rushlight.vision.ops
    return [ops.roi_align(x, corners, 2), ops.roi_pool(x, corners, 2), ops.ps_roi_align(x, corners, 2),
            ops.ps_roi_pool(x, corners, 2), ops.nms(plain, rl.tensor([0.9, 0.8, 0.95, 0.1], device=x.device), 0.5),
            ops.deform_conv2d(x, leaf(2, 18, 6, 6), leaf(4, 4, 3, 3))]
