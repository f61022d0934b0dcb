"""Derivatives as functions of functions: `grad`, `vjp`, `jvp`, `linearize`, Jacobians and Hessians.

In: a function of tensors. Out: a function that computes its derivative. Read `batched` first: under vmap a graph is one
of whole batches, and `fresh` gives each sample its own copy of what is differentiated by. Forward mode is a product
differentiated once more (Note [Forward mode] in autograd/forward_ad.py).
"""

import functools

from .. import api
from ..autograd.engine import grad as reverse
from ..autograd.forward_ad import foreign_leaves, pullback, pushforward
from ..autograd.modes import enable_grad
from ..core.graph import MODE
from ..core.tensor import Tensor
from ..utils._pytree import tree_flatten, tree_map, tree_unflatten
from .batched import Batched, bare, batch, is_batched, levels, rewrap, whole
from .vmap import vmap

FEW = 8  # rows of a Jacobian for which as many backward passes cost less than a batch of functions


class Point:
    """Where a function is differentiated: its inputs as tensors of our own, and what becomes of its outputs."""

    def __init__(self, tensors):
        self.active = levels()
        self.outer = MODE.grad
        self.leaves = [self.fresh(t) for t in tensors]
        self.seen = [rewrap(t, self.active) for t in self.leaves]

    def fresh(self, tensor):
        """The ordinary tensor to differentiate by: under vmap with a copy for each sample."""
        if not tensor.dtype.is_floating_point and not tensor.dtype.is_complex:
            raise RuntimeError("only Tensors of floating point dtype can require gradients")
        active = self.active
        found = whole(tensor, active)
        with bare(), enable_grad():
            leaf = found.view_as(found) if self.outer and found.requires_grad else found.detach().requires_grad_()
            if len(active) == 1 and tensor.__class__ is not Batched:
                leaf.shared_value = tensor.detach()  # Note [Spread weights] in rules_products.py
        return leaf

    def is_open(self, outputs):
        """Whether an outer function may differentiate what depends on the outputs."""
        return self.outer and foreign_leaves(outputs, self.leaves)

    def outputs(self, tensors):
        """The ordinary tensors of what the function returned."""
        return [whole(t, self.active) for t in tensors]

    def settled(self, value, is_open):
        """A result for the caller: without our graph unless an outer function may need it."""
        if not isinstance(value, Tensor) or is_open or not value.requires_grad:
            return value
        return value.detach()


def chosen(args, argnums, name):
    """(the argument numbers as a tuple, whether it is several). RuntimeError for numbers out of range."""
    numbers = (argnums,) if isinstance(argnums, int) else tuple(argnums)
    if not numbers:
        raise RuntimeError(f"{name}: argnums must be non-empty")
    for n in numbers:
        if not isinstance(n, int) or not -len(args) <= n < len(args):
            raise RuntimeError(f"Got argnum={n}, but only {len(args)} positional inputs")
    return [n % len(args) for n in numbers]


def replaced(args, numbers, values):
    """The arguments with others at some places."""
    args = list(args)
    for n, v in zip(numbers, values):
        args[n] = v
    return args


def of_tensors(leaves, what, name):
    """TypeError unless all are tensors."""
    for value in leaves:
        if not isinstance(value, Tensor):
            raise ValueError(f"{name}: Expected {what} to be Tensors or pytrees of Tensors, got {type(value)}")


def split_aux(result, has_aux, name):
    """(output, aux) of what a function returned."""
    if not has_aux:
        return result, None
    if not isinstance(result, tuple) or len(result) != 2:
        raise RuntimeError(f"{name}: output of function f should be a tuple: (output, aux) if has_aux is True")
    return result


def grad_and_value(func, argnums=0, has_aux=False):
    """A function that gives (gradient, value) of a function with one output of one element; see `grad`."""
    @functools.wraps(func)
    def wrapper(*args, **kwargs):
        numbers = chosen(args, argnums, "grad_and_value")
        chosen_args = args[numbers[0]] if isinstance(argnums, int) else tuple([args[n] for n in numbers])
        leaves, spec = tree_flatten(chosen_args)
        of_tensors(leaves, "the arguments to differentiate by", "grad_and_value")
        point = Point(leaves)
        inner = tree_unflatten(point.seen, spec)
        with enable_grad():
            result = func(*replaced(args, numbers, [inner] if isinstance(argnums, int) else inner), **kwargs)
        value, aux = split_aux(result, has_aux, "grad_and_value")
        if not isinstance(value, Tensor):
            raise RuntimeError("Expected the function given to grad_and_value to return a tensor, but got "
                               f"{type(value)}")
        if value.ndim:
            raise RuntimeError("grad and grad_and_value: Expected the function to return a scalar tensor, got tensor "
                               f"with {value.ndim} dims. Maybe you wanted to use the vjp or jacrev APIs instead?")
        output = point.outputs([value])
        is_open = point.is_open(output)
        found = reversed_pass(point, output, None, is_open)
        settle = functools.partial(point.settled, is_open=is_open)
        found = tree_unflatten([rewrap(g, point.active) for g in found], spec)
        return found, ((settle(value), tree_map(settle, aux)) if has_aux else settle(value))
    return wrapper


def reversed_pass(point, outputs, vectors, is_open, retain_graph=None):
    """Gradients by the point's leaves, zeros where there are none."""
    with bare(), enable_grad():
        if vectors is None:
            vectors = [api.ones_like(o.detach()) for o in outputs]
        pairs = [(o, v) for o, v in zip(outputs, vectors) if o.requires_grad]
        if not pairs:
            return [api.zeros_like(t.detach()) for t in point.leaves]
        found = reverse([o for o, _ in pairs], point.leaves, [v for _, v in pairs], create_graph=is_open,
                        retain_graph=retain_graph, allow_unused=True)
        return [api.zeros_like(t.detach()) if g is None else g for g, t in zip(found, point.leaves)]


def grad(func, argnums=0, has_aux=False):
    """A function that computes the gradient of a function with one output of one element.

    Args:
        func: a function of tensors (or nests of them) that returns a tensor without dimensions.
        argnums: the number of the argument to differentiate by, or a tuple of numbers.
        has_aux: `func` returns (output, aux), and the gradient comes as (gradient, aux).

    Returns:
        The function; its result is shaped like the argument (a tuple for several).

    Raises:
        RuntimeError: the output has dimensions, or `argnums` is out of range.

    Example::

        from torch.func import grad
        assert grad(lambda x: x ** 3)(torch.tensor(2.0)).item() == 12.0
        assert grad(grad(lambda x: x ** 3))(torch.tensor(2.0)).item() == 12.0
    """
    both = grad_and_value(func, argnums, has_aux)

    @functools.wraps(func)
    def wrapper(*args, **kwargs):
        found, value = both(*args, **kwargs)
        return (found, value[1]) if has_aux else found
    return wrapper


def vjp(func, *primals, has_aux=False):
    """(func(*primals), a function from vectors shaped like the output to tuples shaped like the primals): products of a
    vector with the Jacobian from the left. With `has_aux` aux comes third.

    Example::

        from torch.func import vjp
        y, pull = vjp(torch.sin, torch.zeros(3))
        assert pull(torch.ones(3))[0].tolist() == [1.0, 1.0, 1.0]
    """
    leaves, spec = tree_flatten(primals)
    of_tensors(leaves, "primals", "vjp")
    point = Point(leaves)
    with enable_grad():
        result, aux = split_aux(func(*tree_unflatten(point.seen, spec)), has_aux, "vjp")
    found, out_spec = tree_flatten(result)
    of_tensors(found, "the outputs of f", "vjp")
    outputs = point.outputs(found)
    is_open = point.is_open(outputs)

    def pull(*cotangents, retain_graph=True, create_graph=None):
        given = cotangents[0] if len(cotangents) == 1 else cotangents
        vectors, given_spec = tree_flatten(given)
        if given_spec != out_spec:
            raise RuntimeError(f"Expected pytree structure of cotangents to be the same as pytree structure of outputs "
                               f"to the function. cotangents: {given_spec}, primal output: {out_spec}")
        wants = is_open or create_graph or MODE.grad and any([v.requires_grad for v in vectors])
        found = later(point.active, vectors, lambda vs: reversed_pass(point, outputs, vs, wants, True))
        return tree_unflatten(found, spec)
    settle = functools.partial(point.settled, is_open=is_open)
    results = tree_unflatten([settle(v) for v in found], out_spec), pull
    return (*results, tree_map(settle, aux)) if has_aux else results


def later(active, vectors, compute):
    """Products of a graph with vectors that may be batched at levels entered since: for those, one product a sample, in
    one program."""
    since = [level for level in levels() if level not in active]
    for level in reversed(since):
        if any([is_batched(v, level) for v in vectors]):
            with level.outside():
                wholes = [level.spread(v) for v in vectors]
                rows = [later(active, [w.select(0, n) for w in wholes], compute) for n in range(level.size)]
                return [batch(api.stack(list(column)), 0, level) for column in zip(*rows)]
    return [rewrap(g, active) for g in compute([whole(v, active) for v in vectors])]


def jvp(func, primals, tangents, *, strict=False, has_aux=False):
    """(func(*primals), Jacobian times tangents), with `has_aux` and aux third.

    Args:
        primals, tangents: tuples of tensors (or nests of them) of equal shapes.
        strict: RuntimeError for outputs that do not depend on the primals.

    Example::

        from torch.func import jvp
        y, t = jvp(torch.sin, (torch.zeros(3),), (torch.ones(3),))
        assert t.tolist() == [1.0, 1.0, 1.0]
    """
    for what, values in (("primals", primals), ("tangents", tangents)):
        if not isinstance(values, tuple):
            raise RuntimeError(f"jvp(f, primals, tangents): Expected {what} to be a tuple. E.g. it should be valid to "
                               f"call f(*primals).")
    leaves, spec = tree_flatten(primals)
    given, given_spec = tree_flatten(tangents)
    if spec != given_spec:
        raise RuntimeError("jvp(f, primals, tangents): Expected primals and tangents to have the same python "
                           f"structure. For example, if primals is a tuple of 3 tensors, tangents also must be. Got "
                           f"primals with structure {spec} and tangents with structure {given_spec}")
    of_tensors(leaves + given, "primals and tangents", "jvp")
    for x, t in zip(leaves, given):
        if x.shape != t.shape:
            raise RuntimeError(f"jvp: Expected the tangent to have the shape of its primal, got {list(t.shape)} for "
                               f"{list(x.shape)}")
    point = Point(leaves)
    with enable_grad():
        result, aux = split_aux(func(*tree_unflatten(point.seen, spec)), has_aux, "jvp")
    found, out_spec = tree_flatten(result)
    of_tensors(found, "the outputs of f", "jvp")
    outputs = point.outputs(found)
    vectors = [whole(t, point.active) for t in given]
    is_open = point.is_open(outputs) or point.outer and any([v.requires_grad for v in vectors])
    pushed = forward(point, outputs, vectors, is_open, strict)
    settle = functools.partial(point.settled, is_open=is_open)
    results = (tree_unflatten([settle(v) for v in found], out_spec),
               tree_unflatten([rewrap(t, point.active) for t in pushed], out_spec))
    return (*results, tree_map(settle, aux)) if has_aux else results


def forward(point, outputs, tangents, is_open, strict=False):
    """The tangents of outputs; zeros where they depend on nothing."""
    with bare(), enable_grad():
        wanted = [o for o in outputs if o.requires_grad]
        if strict and len(wanted) < len(outputs):
            raise RuntimeError("jvp(f, primals, tangents, strict=True): The output of f is independent of the input. "
                               "This is not allowed with strict=True.")
        vectors, products = pullback(wanted, point.leaves)
        found = iter(pushforward(vectors, products, tangents, create_graph=is_open))
        pushed = [next(found) if o.requires_grad else None for o in outputs]
        return [api.zeros_like(o.detach()) if t is None else t for o, t in zip(outputs, pushed)]


def linearize(func, *primals):
    """(func(*primals), a function from tangents shaped like the primals to Jacobian times tangents). The function is
    evaluated once, for any number of tangents."""
    leaves, spec = tree_flatten(primals)
    of_tensors(leaves, "primals", "linearize")
    point = Point(leaves)
    with enable_grad():
        result = func(*tree_unflatten(point.seen, spec))
    found, out_spec = tree_flatten(result)
    of_tensors(found, "the outputs of f", "linearize")
    outputs = point.outputs(found)
    is_open = point.is_open(outputs)
    with bare():
        vectors, products = pullback([o for o in outputs if o.requires_grad], point.leaves)

    def compute(tangents):
        with bare(), enable_grad():
            pushed = iter(pushforward(vectors, products, tangents, is_open, True))
            pushed = [next(pushed) if o.requires_grad else None for o in outputs]
            return [api.zeros_like(o.detach()) if t is None else t for o, t in zip(outputs, pushed)]

    def push(*tangents):
        given, given_spec = tree_flatten(tangents)
        if given_spec != spec:
            raise RuntimeError(f"linearize: Expected the tangents to have the structure of the primals, {spec}, got "
                               f"{given_spec}")
        for x, t in zip(leaves, given):
            if x.shape != t.shape or x.dtype is not t.dtype:
                raise RuntimeError(f"linearize: Expected a tangent of shape {list(x.shape)} and {x.dtype}, got "
                                   f"{list(t.shape)} and {t.dtype}")
        return tree_unflatten(later(point.active, given, compute), out_spec)
    settle = functools.partial(point.settled, is_open=is_open)
    return tree_unflatten([settle(v) for v in found], out_spec), push


# -- Jacobians -------------------------------------------------------------------------------------------------------


def identity(tensors):
    """For each of some tensors the batch of its unit vectors beside zeros of the others."""
    total, start, made = sum([t.numel() for t in tensors]), 0, []
    for t in tensors:
        n = t.numel()
        rows = api.zeros((total, n), dtype=t.dtype)
        rows[start:start + n] = api.eye(n, dtype=t.dtype)
        made.append(rows.reshape(total, *t.shape))
        start += n
    return made


def jacrev(func, argnums=0, *, has_aux=False, chunk_size=None, _preallocate_and_copy=False):
    """A function that computes the Jacobian of `func` in reverse mode: output.shape + input.shape.

    Nests of outputs contain nests of inputs. Few rows are as many backward passes over one graph; many are one batch of
    functions with a vector each.

    Args:
        argnums: the number of the argument to differentiate by, or a tuple of numbers.
        has_aux: `func` returns (output, aux), the Jacobian comes as (jacobian, aux).
        chunk_size: how many rows at most are computed at once.

    Example::

        from torch.func import jacrev
        assert torch.equal(jacrev(torch.sin)(torch.zeros(2)), torch.eye(2))
    """
    if chunk_size is not None and chunk_size < 1:
        raise ValueError("jacrev: `chunk_size` should be greater than 0.")

    @functools.wraps(func)
    def wrapper(*args, **kwargs):
        numbers = chosen(args, argnums, "jacrev")
        picked = args[numbers[0]] if isinstance(argnums, int) else tuple([args[n] for n in numbers])
        leaves, spec = tree_flatten(picked)

        def flat(*values):
            inner = tree_unflatten(values, spec)
            return func(*replaced(args, numbers, [inner] if isinstance(argnums, int) else inner), **kwargs)
        result = vjp(flat, *leaves, has_aux=has_aux)
        outputs, out_spec = tree_flatten(result[0])
        units = identity(outputs)
        total = sum([o.numel() for o in outputs])
        if total <= FEW:
            rows = [result[1](tree_unflatten([u[n] for u in units], out_spec)) for n in range(total)]
            columns = [api.stack(list(c)) for c in zip(*rows)] if rows else [
                api.zeros((0, *x.shape), dtype=x.dtype) for x in leaves]
        else:
            def row(vectors):
                return vjp(flat, *leaves, has_aux=has_aux)[1](vectors)
            columns = vmap(row, randomness="same", chunk_size=chunk_size)(tree_unflatten(units, out_spec))
        found = shaped_rows(columns, outputs, leaves, spec, out_spec)
        return (found, result[2]) if has_aux else found
    return wrapper


def shaped_rows(columns, outputs, inputs, spec, out_spec):
    """Rows of all outputs, for each input, as a nest of Jacobians."""
    made, start = [], 0
    for out in outputs:
        n = out.numel()
        made.append(tree_unflatten([c.narrow(0, start, n).reshape(*out.shape, *x.shape)
                                    for c, x in zip(columns, inputs)], spec))
        start += n
    return tree_unflatten(made, out_spec)


def jacfwd(func, argnums=0, has_aux=False, *, randomness="error"):
    """A function that computes the Jacobian of `func` in forward mode: output.shape + input.shape; see `jacrev`.

    Example::

        from torch.func import jacfwd
        assert torch.equal(jacfwd(torch.sin)(torch.zeros(2)), torch.eye(2))
    """
    @functools.wraps(func)
    def wrapper(*args, **kwargs):
        numbers = chosen(args, argnums, "jacfwd")
        picked = args[numbers[0]] if isinstance(argnums, int) else tuple([args[n] for n in numbers])
        leaves, spec = tree_flatten(picked)
        of_tensors(leaves, "the arguments to differentiate by", "jacfwd")
        seen = []

        def flat(*values):
            inner = tree_unflatten(values, spec)
            return func(*replaced(args, numbers, [inner] if isinstance(argnums, int) else inner), **kwargs)

        def column(*tangents):
            result = jvp(flat, tuple(leaves), tangents, has_aux=has_aux)
            seen[:] = [tree_flatten(result[0])]
            return (tree_flatten(result[1])[0], result[2]) if has_aux else tree_flatten(result[1])[0]
        found = vmap(column, randomness=randomness)(*identity(leaves))
        columns, aux = (found[0], tree_map(lambda t: t[0], found[1])) if has_aux else (found, None)
        outputs, out_spec = seen[0]
        made = []
        for out, c in zip(outputs, columns):
            parts, start = [], 0
            for x in leaves:
                part = c.narrow(0, start, x.numel())
                start += x.numel()
                parts.append(part.movedim(0, -1).reshape(*out.shape, *x.shape))
            made.append(tree_unflatten(parts, spec))
        found = tree_unflatten(made, out_spec)
        return (found, aux) if has_aux else found
    return wrapper


def hessian(func, argnums=0):
    """A function that computes the Hessian: forward mode over reverse mode.

    Example::

        from torch.func import hessian
        assert torch.equal(hessian(lambda x: (x ** 2).sum())(torch.ones(2)), 2 * torch.eye(2))
    """
    return jacfwd(jacrev(func, argnums), argnums)
