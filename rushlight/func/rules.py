"""Batching rules by kind: element-wise functions, reductions and others along dimensions, metadata, random numbers.

A rule gets (level, entry, args, kwargs), computes with whole batches through `level.run`, and returns what `level.wrap`
makes of the result. `rules_views` and `rules_products` have the kinds that need more. Names are paths without
"Tensor."; a rule for the last part of a path serves all of its namespaces.
"""

import functools

from .. import api
from ..core.signatures import inside
from ..core.tensor import Tensor
from ..utils._pytree import tree_flatten, tree_map, tree_unflatten
from .batched import LEAKED, RULES, Batched, batch, is_batched, levels, loop, whole


def rule(names, always=False):
    """Enter a rule for several names. always: it is asked for calls without batched arguments, too."""
    def enter(function):
        function.always = always
        for name in names.split():
            RULES[name] = function
        return function
    return enter


@functools.cache
def parameters(entry):
    """The parameters of a public function: a dictionary from names to defaults, in order; None if some have no name."""
    found = [p for p in inside(entry.copy).parameters.values() if p.name != "spelled"]
    if any([p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD) for p in found]):
        return None
    return {p.name: p.default for p in found}


ALIASES = {"axis": "dim", "keepdims": "keepdim", "self": "input"}


def bound(entry, args, kwargs):
    """The arguments of a call by name, without defaults; None if they cannot be named."""
    named = parameters(entry)
    if named is None or len(args) > len(named):
        return None
    given = dict(zip(named, args))
    for name, value in kwargs.items():
        name = name if name in named else ALIASES.get(name, name)
        if name not in named and name == "input":
            name = next(iter(named))
        given[name] = value
    return given


# -- metadata --------------------------------------------------------------------------------------------------------


@rule("""shape.__get__ dtype.__get__ device.__get__ ndim.__get__ dim size numel stride __len__ ndimension nelement
    is_floating_point is_complex element_size itemsize.__get__ nbytes.__get__ layout.__get__ is_signed get_device
    is_cuda.__get__ is_cpu.__get__ is_meta.__get__ is_sparse.__get__ is_nested.__get__ is_quantized.__get__
    is_xpu.__get__ is_mps.__get__ is_mkldnn.__get__ is_vulkan.__get__ is_xla.__get__ is_sparse_csr.__get__
    names.__get__ has_names result_type is_same_size storage_offset is_pinned __dir__ __repr__ __str__ promote_types
    can_cast broadcast_shapes _is_view""")
def of_a_sample(level, entry, args, kwargs):
    """What the layout of a sample answers."""
    if entry.path in ("Tensor.__repr__", "Tensor.__str__"):
        return Batched.__repr__(args[0])
    return entry.plain(*args, **kwargs)


@rule("""requires_grad.__get__ grad_fn.__get__ is_leaf.__get__ _version.__get__ is_conj is_neg is_inference
    retains_grad.__get__ output_nr.__get__ is_contiguous is_shared register_hook retain_grad""")
def of_the_batch(level, entry, args, kwargs):
    """What the whole batch answers."""
    return level.run(entry, (args[0].value, *args[1:]), kwargs)


@rule("requires_grad_ requires_grad.__set__")
def require(level, entry, args, kwargs):
    """Set the flag of the whole batch."""
    level.run(entry, (args[0].value, *args[1:]), kwargs)
    return args[0]


@rule("""item __bool__ __float__ __int__ __index__ __complex__ tolist numpy __array__ is_nonzero equal allclose data_ptr
    __contains__ nonzero argwhere masked_select unique unique_consecutive __reduce_ex__ __dlpack__""")
def of_values(level, entry, args, kwargs):
    """What depends on values, and so may differ from sample to sample."""
    name = entry.path.removeprefix("Tensor.")
    if name in ("nonzero", "argwhere", "masked_select", "unique", "unique_consecutive"):
        raise RuntimeError(f"vmap: it is not possible to vmap over {name}, whose result's shape depends on data")
    raise RuntimeError(f"vmap: {entry.path} needs a value. {LEAKED}")


@rule("backward")
def no_backward(level, entry, args, kwargs):
    """RuntimeError."""
    raise RuntimeError("vmap: backward() cannot be called inside vmap; use torch.func.grad, or call it outside")


# -- element-wise ----------------------------------------------------------------------------------------------------

ELEMENTWISE = """
    abs absolute acos acosh add addcdiv addcmul angle arccos arccosh arcsin arcsinh arctan arctan2 arctanh asin asinh
    atan atan2 atanh bitwise_and bitwise_left_shift bitwise_not bitwise_or bitwise_right_shift bitwise_xor ceil clamp
    clamp_max clamp_min clip conj conj_physical copysign cos cosh deg2rad digamma div divide eq erf erfc erfinv exp
    exp2 expm1 fix float_power floor floor_divide fmax fmin fmod frac gcd ge greater greater_equal gt heaviside hypot
    i0 igamma igammac imag isclose isfinite isinf isnan isneginf isposinf isreal lcm ldexp le lerp less less_equal
    lgamma log log10 log1p log2 logaddexp logaddexp2 logical_and logical_not logical_or logical_xor logit lt maximum
    minimum mul multiply nan_to_num ne neg negative nextafter not_equal polygamma positive pow rad2deg real reciprocal
    relu remainder resolve_conj resolve_neg round rsqrt rsub sgn sigmoid sign signbit sin sinc sinh sqrt square sub
    subtract tan tanh true_divide trunc where xlogy polar complex frexp mvlgamma threshold
    clone contiguous detach alias to float double half bfloat16 int long short bool byte char cfloat cdouble type_as
    zeros_like ones_like full_like empty_like cpu relu6 elu selu celu gelu silu mish softplus softsign hardtanh
    hardsigmoid hardswish hardshrink softshrink leaky_relu logsigmoid tanhshrink expit entr ndtr ndtri log_ndtr erfcx
    xlog1py zeta bessel_j0 bessel_j1 bessel_y0 bessel_y1 i0e i1 i1e gammaln psi gammainc gammaincc
    special.exp2 special.expm1 special.log1p fill
    __abs__ __add__ __and__ __eq__ __floordiv__ __ge__ __gt__ __invert__ __le__ __lshift__ __lt__ __mod__ __mul__
    __ne__ __neg__ __or__ __pos__ __pow__ __radd__ __rand__ __rdiv__ __rfloordiv__ __rlshift__ __rmod__ __rmul__
    __ror__ __rpow__ __rrshift__ __rshift__ __rsub__ __rtruediv__ __rxor__ __sub__ __truediv__ __xor__
    real.__get__ imag.__get__ data.__get__ airy_ai spherical_bessel_j0
"""
ELEMENTWISE += " ".join([f"special.{name}_polynomial_{letter}" for name, letters in (
    ("chebyshev", "tuvw"), ("shifted_chebyshev", "tuvw"), ("hermite", ("h", "he")), ("laguerre", "l"),
    ("legendre", "p")) for letter in letters])
ELEMENTWISE += " modified_bessel_i0 modified_bessel_i1 modified_bessel_k0 modified_bessel_k1"
ELEMENTWISE += " scaled_modified_bessel_k0 scaled_modified_bessel_k1"
WRITING = """__iadd__ __iand__ __ifloordiv__ __ilshift__ __imod__ __imul__ __ior__ __ipow__ __irshift__ __isub__
    __itruediv__ __ixor__ copy_ fill_ zero_ """
_NO_CAST = frozenset("where masked_fill clone to copy_".split())


@rule("masked_fill masked_fill_")
def fill_masked(level, entry, args, kwargs):
    """A value of each sample is chosen by the mask; one for all is filled in."""
    given = bound(entry, args, kwargs)
    target, mask, value = given.values()
    if not is_batched(value, level):
        return (write if entry.path.endswith("_") else elementwise)(level, entry, (target, mask, value), {})
    made = api.where(mask, value.to(target.dtype), target)
    return target.copy_(made) if entry.path.endswith("_") else made


def aligned(level, tensors):
    """Whole batches (and tensors that are not batched) whose dimensions meet as those of the samples do."""
    rank = max([t.ndim for t in tensors])
    made = []
    with level.outside():
        for t in tensors:
            if not is_batched(t, level):
                made.append(t)
                continue
            ndim, whole_batch = t._layout.ndim, level.front(t)
            if ndim < rank:
                shape = whole_batch.shape
                whole_batch = whole_batch.reshape(shape[0], *[1] * (rank - ndim), *shape[1:])
            made.append(whole_batch)
    return made


def promoted(level, tensors):
    """The tensors in their common dtype, if samples without dimensions yield to others in promotion; batches do not."""
    first = tensors[0].dtype
    if all([t.dtype is first for t in tensors]) or all([t._layout.ndim for t in tensors]):
        return tensors
    with_dims = [t for t in tensors if t._layout.ndim] or tensors
    common = functools.reduce(api.promote_types, [t.dtype for t in with_dims])
    for t in tensors:
        if t.dtype.category > common.category:
            common = api.promote_types(common, t.dtype)
    return [t if t.dtype is common or t.dtype is api.bool else t.to(common) for t in tensors]


@rule(ELEMENTWISE)
def elementwise(level, entry, args, kwargs):
    """Dimensions are aligned; then the whole batch is one call."""
    args, kwargs = list(args), dict(kwargs)
    if kwargs.get("out") is not None:
        raise RuntimeError(f"vmap: {entry.path} with out= is not possible; assign the result instead")
    places = [(args, i) for i, v in enumerate(args) if isinstance(v, Tensor)]
    places += [(kwargs, k) for k, v in kwargs.items() if isinstance(v, Tensor)]
    tensors = [holder[key] for holder, key in places]
    if len(tensors) > 1 and entry.path.rpartition(".")[2] not in _NO_CAST:
        tensors = promoted(level, tensors)
    for (holder, key), value in zip(places, aligned(level, tensors)):
        holder[key] = value
    return level.wrap(level.run(entry, tuple(args), kwargs))


INPLACE_REFUSED = ("vmap: inplace arithmetic(self, *extra_args) is not possible because there exists a Tensor `other` "
                   "in extra_args that has more elements than `self`. This happened due to `other` being vmapped over "
                   "but `self` not being vmapped over in a vmap. Please try to use out-of-place operators instead of "
                   "inplace arithmetic.")


@rule(WRITING + " ".join([f"{name}_" for name in ELEMENTWISE.split() if name[0] != "_" and "." not in name]))
def write(level, entry, args, kwargs):
    """An element-wise function in place: the target has to be batched."""
    target = args[0]
    if not is_batched(target, level):
        raise RuntimeError(INPLACE_REFUSED)
    args, kwargs = list(args), dict(kwargs)
    places = [(args, i) for i, v in enumerate(args) if isinstance(v, Tensor)]
    places += [(kwargs, k) for k, v in kwargs.items() if isinstance(v, Tensor)]
    found = aligned(level, [holder[key] for holder, key in places])
    if found[0].ndim != target._layout.ndim + 1:
        raise RuntimeError(f"vmap: {entry.path}: the operands have more dimensions than the tensor that is written")
    for (holder, key), value in zip(places, found):
        holder[key] = value
    if target.bdim == 0:
        args[0] = target.value
    level.run(entry, tuple(args), kwargs)
    return target


# -- along dimensions ------------------------------------------------------------------------------------------------

# How a function without `dim` treats all elements: "all" reduces the others, "flat" counts along a flattened sample.
REDUCTIONS = {
    **dict.fromkeys("sum mean nansum nanmean amax amin var std var_mean std_mean logsumexp all any count_nonzero "
                    "norm".split(), "all"),
    **dict.fromkeys("prod max min argmax argmin median nanmedian quantile nanquantile aminmax".split(), "flat"),
    **dict.fromkeys("cumsum cumprod cummax cummin logcumsumexp softmax log_softmax softmin sort argsort topk kthvalue "
                    "mode msort flip normalize glu unique_dim diff tril triu trace renorm".split(), None),
}
_DEFAULTS = {"sort": -1, "argsort": -1, "topk": -1, "kthvalue": -1, "mode": -1, "normalize": 1, "glu": -1, "diff": -1}


@rule(" ".join([n for n in REDUCTIONS if n not in ("msort", "unique_dim", "renorm", "trace", "tril", "triu",
                                                   "matrix_norm")]))
def along(level, entry, args, kwargs):
    """Functions along dimensions: these are counted behind that of the batch."""
    given = bound(entry, args, kwargs)
    name = entry.path.rpartition(".")[2]
    tensors = [] if given is None else [v for v in given.values() if isinstance(v, Tensor)]
    if given is None or not given or len(tensors) != 1 or tensors[0] is not next(iter(given.values())) or \
            not tensors[0]._layout.ndim or given.get("out") is not None:
        if given is not None and len(tensors) == 2 and name in ("max", "min"):
            return elementwise(level, entry, args, kwargs)
        return loop(level, entry, args, kwargs)
    first = next(iter(given))
    rank, value = tensors[0]._layout.ndim, level.front(tensors[0])
    key = "dims" if "dims" in parameters(entry) and "dim" not in parameters(entry) else "dim"
    dim = given.get(key, _DEFAULTS.get(name))
    if name == "var" or name == "std" or name == "var_mean" or name == "std_mean":
        if isinstance(dim, bool):  # (unbiased) as the second argument
            return loop(level, entry, args, kwargs)
    how = REDUCTIONS[name]
    if dim is None or dim == () or isinstance(dim, list) and not dim:
        if how == "all" and not (name == "norm" and given.get("p", "fro") not in ("fro", 2, 2.0)):
            dim = tuple(range(rank))
        elif how == "flat" and not given.get("keepdim", False) and name != "quantile":
            with level.outside():
                value = value.reshape(value.shape[0], -1)
            rank, dim = 1, 0
            given[first], given[key] = value, 1
            found = level.run(entry, (), given) if name != "prod" else level.run(entry, (value,), {"dim": 1})
            pair = name in ("max", "min", "median", "nanmedian")
            return level.wrap(found[0] if pair else found)
        else:
            return loop(level, entry, args, kwargs)
    given[first] = value
    given[key] = shifted(dim, rank)
    return level.wrap(level.run(entry, *by_name(entry, given)))


def by_name(entry, given):
    """(args, kwargs) of arguments that are bound by name: the first by position, the others by name."""
    first = next(iter(parameters(entry)))
    return (given.pop(first),), given


def shifted(dim, rank, extra=0):
    """Dimensions of a sample as those of the batch. IndexError as for the sample."""
    if isinstance(dim, (list, tuple)):
        return tuple([shifted(d, rank, extra) for d in dim])
    size = max(rank + extra, 1)
    if not -size <= dim < size:
        raise IndexError(f"Dimension out of range (expected to be in range of [{-size}, {size - 1}], but got {dim})")
    return (dim + size if dim < 0 else dim) + 1


# -- random numbers --------------------------------------------------------------------------------------------------

REFUSED = ("vmap: called random operation while in randomness error mode. Please either use the 'same' or 'different' "
           "randomness flags on vmap or perform the randomness operation out of vmap")


def check_random(level):
    if level.randomness == "error":
        raise RuntimeError(REFUSED)


@rule("rand randn randint", always=True)
def drawn(level, entry, args, kwargs):
    """Factories: a batch of sizes, if samples shall differ."""
    check_random(level)
    if level.randomness == "same":
        return level.run(entry, args, kwargs)
    args, kwargs, size = list(args), dict(kwargs), level.size
    if "size" in kwargs:
        kwargs["size"] = (size, *kwargs["size"])
    else:
        at = next((i for i, v in enumerate(args) if isinstance(v, (list, tuple))), 0)
        if args and isinstance(args[at], (list, tuple)):
            args[at] = (size, *args[at])
        else:
            args.insert(0, size)
    return level.wrap(level.run(entry, tuple(args), kwargs))


@rule("randperm multinomial normal poisson binomial _standard_gamma _sample_dirichlet gumbel_softmax rrelu "
      "fractional_max_pool2d fractional_max_pool3d alpha_dropout feature_alpha_dropout feature_dropout dropout1d "
      "dropout2d dropout3d native_dropout", always=True)
def drawn_apart(level, entry, args, kwargs):
    """Draws sample by sample, in the order of the samples; for equal ones, with the generator set back each time."""
    if kwargs.get("training") is False or kwargs.get("train") is False:
        return loop_quietly(level, entry, args, kwargs)
    check_random(level)
    if level.randomness == "same":
        state = api.get_rng_state()

        def again():
            api.set_rng_state(state)
        return loop_quietly(level, entry, args, kwargs, again)
    return loop_quietly(level, entry, args, kwargs)


def loop_quietly(level, entry, args, kwargs, before=None):
    """Sample by sample: what draws has no other way."""
    results = []
    for n in range(level.size):

        def sample(v, n=n):
            if not is_batched(v, level):
                return v
            with level.outside():
                return v.value.select(v.bdim, n)
        if before is not None:
            before()
        results.append(level.run(entry, *tree_map(sample, (tuple(args), dict(kwargs)))))
    columns = zip(*[tree_flatten(r)[0] for r in results])
    with level.outside():
        made = [batch(api.stack(list(c)), 0, level) for c in columns]
    return tree_unflatten(made, tree_flatten(results[0])[1])


@rule("rand_like randn_like randint_like bernoulli dropout", always=True)
def drawn_like(level, entry, args, kwargs):
    """Draws for the elements of a tensor: for those of the whole batch, if samples shall differ."""
    training = kwargs.get("training", args[2] if len(args) > 2 else True)
    if entry.path.endswith("dropout") and not training:
        return elementwise(level, entry, args, kwargs) if is_batched(args[0], level) else level.run(entry, args, kwargs)
    check_random(level)
    first = args[0]
    if level.randomness == "different":
        if is_batched(first, level) and any([is_batched(v, level) for v in args[1:]]):
            return loop_quietly(level, entry, args, kwargs)
        return level.wrap(level.run(entry, (level.spread(first), *args[1:]), kwargs))
    if not is_batched(first, level):
        return level.run(entry, args, kwargs)
    if entry.path.endswith("dropout"):
        with level.outside():
            mask = api.ones_like(level.front(first).select(0, 0))
        return first * level.run(entry, (mask, *args[1:]), kwargs)
    if entry.path.endswith("_like"):
        return level.run(entry, (level.front(first).select(0, 0), *args[1:]), kwargs)
    return drawn_apart(level, entry, args, kwargs)


@rule("normal_ uniform_ bernoulli_ exponential_ cauchy_ geometric_ log_normal_ random_ dropout_", always=True)
def drawn_in_place(level, entry, args, kwargs):
    """Fill a tensor with draws."""
    check_random(level)
    target = args[0]
    if not is_batched(target, level):
        if level.randomness == "different":
            raise RuntimeError(f"vmap: Cannot ask for different inplace randomness on an unbatched tensor "
                               f"({entry.path}). Please use an out-of-place random function instead")
        return level.run(entry, args, kwargs)
    if any([is_batched(v, level) for v in args[1:]]):
        return loop(level, entry, args, kwargs)
    value = level.front(target)
    if level.randomness == "different":
        level.run(entry, (value, *args[1:]), kwargs)
        return target
    with level.outside():
        one = value.select(0, 0).clone()
    level.run(entry, (one, *args[1:]), kwargs)
    with level.outside():
        value.copy_(one.expand_as(value))
    return target


# -- gradients inside ------------------------------------------------------------------------------------------------


@rule("autograd.grad")
def gradients(level, entry, args, kwargs):
    """`torch.autograd.grad` of each sample: the gradients of the whole batch with respect to whole batches."""
    given = bound(entry, args, kwargs)
    active = levels()
    outputs, inputs = given.pop("outputs"), given.pop("inputs")
    vectors, several = given.pop("grad_outputs", None), not isinstance(inputs, Tensor)
    outputs = [outputs] if isinstance(outputs, Tensor) else list(outputs)
    inputs = list(inputs) if several else [inputs]
    vectors = [None] * len(outputs) if vectors is None else [vectors] if isinstance(vectors, Tensor) else list(vectors)
    for i, out in enumerate(outputs):
        if vectors[i] is None:
            if out.numel() != 1:
                raise RuntimeError("grad can be implicitly created only for scalar outputs")
            vectors[i] = api.ones_like(out)
    if not all([is_batched(x, level) for x in inputs]):
        raise NotImplementedError("vmap: autograd.grad with respect to a tensor that is not batched; use "
                                  "torch.func.grad, which gives each sample its own gradient")
    found = entry.plain([whole(o, active) for o in outputs], [innermost(x) for x in inputs],
                        [whole(v, active) for v in vectors], **given)
    return tuple([None if g is None else like(g, x) for g, x in zip(found, inputs)])


def innermost(tensor):
    """The ordinary tensor below all levels, its dimensions as they are."""
    while tensor.__class__ is Batched:
        tensor = tensor.value
    return tensor


def like(gradient, tensor):
    """A gradient of `innermost(tensor)`, batched as the tensor is."""
    if tensor.__class__ is not Batched:
        return gradient
    return batch(like(gradient, tensor.value), tensor.bdim, tensor.level)


