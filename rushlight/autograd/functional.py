"""`torch.autograd.functional`: products with Jacobians and Hessians, and whole ones, of Python functions.

In: a function of tensors and the point. Out: tensors, or tuples of them shaped like the inputs. Everything is reverse
mode: `jvp` differentiates the vector-Jacobian product once more, with respect to its vector. Flags that only choose how
PyTorch computes (`vectorize`, strategies) are accepted and change nothing. Read `engine` for the passes.
"""

from ..core.declare import REGISTRY
from ..core.tensor import Tensor
from .engine import grad
from .modes import enable_grad

__all__ = ["hessian", "hvp", "jacobian", "jvp", "vhp", "vjp"]

INDEPENDENT = {
    "back": "The output of the user-provided function is independent of input {}. This is not allowed in strict mode.",
    "trick": "The gradient with respect to the input is independent of entry {} in the grad_outputs when using the "
             "double backward trick to compute forward mode gradients. This is not allowed in strict mode.",
    "hessian": "The hessian of the user-provided function with respect to input {} is independent of the input. This "
               "is not allowed in strict mode. You should ensure that your function is thrice differentiable and that "
               "the hessian depends on the inputs.",
}
FLAT_GRADIENT = ("While computing the hessian, found that the jacobian of the user-provided function with respect to "
                 "input {} is independent of the input. This is not allowed in strict mode. You should ensure that "
                 "your function is twice differentiable and that the jacobian depends on the inputs (this would be "
                 "violated by a linear function for example).")
FLAT_JACOBIAN = ("The jacobian of the user-provided function is independent of input {}. This is not allowed in strict "
                 "mode when create_graph=True.")


def as_tuple(values, what, name):
    """(whether it was a tuple, the tuple). TypeError for anything but tensors."""
    several = isinstance(values, tuple)
    found = values if several else (values,)
    for i, value in enumerate(found):
        if not isinstance(value, Tensor):
            where = f"the value at index {i} has type" if several else f"the given {what} has type"
            raise TypeError(f"The {what} given to {name} must be either a Tensor or a tuple of Tensors but {where} "
                            f"{type(value)}.")
    return several, found


def prepared(inputs, create_graph):
    """The point as tensors of our own that require grad, connected with the caller's graph if `create_graph`."""
    return tuple([x.view_as(x) if create_graph and x.requires_grad else x.detach().requires_grad_() for x in inputs])


def settled(values, create_graph):
    """Results without a graph, unless they shall have one."""
    return values if create_graph else tuple([v.detach() if isinstance(v, Tensor) else v for v in values])


def unpacked(values, several):
    """A tuple or its only element, as the caller gave it."""
    return values if several else values[0]


def evaluate(func, inputs, name, create_graph, strict):
    """(inputs are several, inputs, outputs are several, outputs) of a run of the function with gradients."""
    several_in, inputs = as_tuple(inputs, "inputs", name)
    inputs = prepared(inputs, create_graph)
    several_out, outputs = as_tuple(func(*inputs), "outputs of the user-provided function", name)
    for i, out in enumerate(outputs if strict else ()):
        if not out.requires_grad:
            raise RuntimeError(f"Output {i} of the user-provided function does not require gradients. The outputs must "
                               "be computed in a differentiable manner from the input when running in strict mode.")
    return several_in, inputs, several_out, outputs


def vector_like(v, like, name, missing):
    """The vector of a product, checked against the tensors it belongs to; ones for a single element."""
    if v is None:
        if len(like) != 1 or like[0].numel() != 1:
            raise RuntimeError(missing)
        return (REGISTRY["ones_like"](like[0].detach()),)
    _, v = as_tuple(v, "v", name)
    if len(v) != len(like):
        if len(like) == 1:
            raise RuntimeError("The given v should contain a single Tensor.")
        raise RuntimeError(f"v is a tuple of invalid length: should be {len(like)} but got {len(v)}.")
    for i, (x, y) in enumerate(zip(v, like)):
        if x.size() != y.size():
            entry = f"Entry {i} in v" if len(v) > 1 else "v"
            raise RuntimeError(f"{entry} has invalid size: should be {y.size()} but got {x.size()}.")
    return v


def products(outputs, inputs, vectors, create_graph):
    """Sum of vector-Jacobian products over the outputs that require grad; None where an input has no part in it."""
    pairs = [(o, v) for o, v in zip(outputs, vectors) if o.requires_grad]
    if not pairs:
        return (None,) * len(inputs)
    return grad([o for o, _ in pairs], inputs, [v for _, v in pairs], create_graph=create_graph, retain_graph=True,
                allow_unused=True)


def filled(grads, like, stage, strict, create_graph):
    """Gradients with zeros in the place of None. RuntimeError for None in strict mode."""
    found = []
    for i, (g, x) in enumerate(zip(grads, like)):
        if g is None:
            if strict:
                raise RuntimeError(INDEPENDENT[stage].format(i))
            g = REGISTRY["zeros_like"](x)
        elif strict and create_graph and not g.requires_grad:
            raise RuntimeError((FLAT_JACOBIAN if stage == "back" else INDEPENDENT[stage]).format(i))
        found.append(g)
    return tuple(found)


def vjp(func, inputs, v=None, create_graph=False, strict=False):
    """(func(*inputs), v @ Jacobian): the product of a vector shaped like the outputs with the Jacobian at the inputs.

    v may be None for a single output of one element. strict: RuntimeError where an output does not depend on an
    input."""
    with enable_grad():
        several_in, inputs, several_out, outputs = evaluate(func, inputs, "vjp", create_graph, strict)
        v = vector_like(v, outputs, "vjp", "The vector v can only be None if the user-provided function returns a "
                                           "single Tensor with a single element.")
    with enable_grad():
        found = filled(products(outputs, inputs, v, create_graph), inputs, "back", strict, create_graph)
    return unpacked(settled(outputs, create_graph), several_out), unpacked(settled(found, create_graph), several_in)


def jvp(func, inputs, v=None, create_graph=False, strict=False):
    """(func(*inputs), Jacobian @ v) for a vector shaped like the inputs, by two backward passes.

    v may be None for a single input of one element."""
    several_given, given = as_tuple(inputs, "inputs", "jvp")
    v = vector_like(v, given, "jvp", "The vector v can only be None if the input to the user-provided function is a "
                                     "single Tensor with a single element.")
    with enable_grad():
        _, inputs, several_out, outputs = evaluate(func, unpacked(given, several_given), "jvp", create_graph, strict)
        dummies = tuple([REGISTRY["zeros_like"](out).requires_grad_() for out in outputs])
        back = filled(products(outputs, inputs, dummies, True), inputs, "back", strict, strict and create_graph)
        found = filled(products(back, dummies, v, create_graph), outputs, "trick", strict, False)
        if strict and create_graph:
            for i, g in enumerate(found):
                if not g.requires_grad:
                    raise RuntimeError(FLAT_JACOBIAN.format(i))
    return unpacked(settled(outputs, create_graph), several_out), unpacked(settled(found, create_graph), several_out)


def check_strategy(strategy, vectorize, strict):
    if strategy not in ("forward-mode", "reverse-mode"):
        raise AssertionError('Expected strategy to be either "forward-mode" or "reverse-mode". Hint: If your function '
                             'has more outputs than '
                             'inputs, "forward-mode" tends to be more performant. Otherwise, prefer to use '
                             '"reverse-mode".')
    if strategy == "forward-mode" and strict:
        raise RuntimeError('torch.autograd.functional.jacobian: `strict=True` and `strategy="forward-mode"` are not '
                           'supported together (yet). '
                           "Please either set `strict=False` or `strategy=\"reverse-mode\"`.")
    if strategy == "forward-mode" and not vectorize:
        raise NotImplementedError("Computing Jacobian using forward-AD or forward-over-reverse Hessian is only "
                                  "implemented for `vectorize=True`.")
    if strict and vectorize:
        raise RuntimeError("torch.autograd.functional.jacobian: `strict=True` and `vectorized=True` are not supported "
                           "together. Please either set `strict=False` or `vectorize=False`.")


def jacobian(func, inputs, create_graph=False, strict=False, vectorize=False, strategy="reverse-mode"):
    """The Jacobian of `func` at `inputs`: a tensor of shape output.shape + input.shape; tuples (outputs, then inputs)
    for several."""
    check_strategy(strategy, vectorize, strict)
    with enable_grad():
        several_in, inputs, several_out, outputs = evaluate(func, inputs, "jacobian", create_graph, strict)
        rows = []
        for number, out in enumerate(outputs):
            row = jacobian_rows(out, number, inputs, create_graph, strict)
            rows.append(unpacked(settled(row, create_graph), several_in))
    return unpacked(tuple(rows), several_out)


def jacobian_rows(out, number, inputs, create_graph, strict):
    """The Jacobian of one output, for each input: gradients of its elements, stacked."""
    columns = [[] for _ in inputs]
    flat = out.reshape(-1)
    for j in range(flat.numel()):
        found = (None,) * len(inputs)
        if out.requires_grad:
            found = grad([flat[j]], inputs, retain_graph=True, create_graph=create_graph, allow_unused=True)
        for i, (column, g, x) in enumerate(zip(columns, found, inputs)):
            if g is None and strict:
                raise RuntimeError(f"Output {number} of the user-provided function is independent of input {i}. This "
                                   "is not allowed in strict mode.")
            if g is not None and strict and create_graph and not g.requires_grad:
                raise RuntimeError(FLAT_JACOBIAN.format(i))
            column.append(REGISTRY["zeros_like"](x) if g is None else g)
    return tuple([stacked(column, out, x) for column, x in zip(columns, inputs)])


def stacked(column, out, x):
    shape = (*out.shape, *x.shape)
    return REGISTRY["stack"](column).view(shape) if column else REGISTRY["zeros"](shape, dtype=x.dtype)


def hessian(func, inputs, create_graph=False, strict=False, vectorize=False, outer_jacobian_strategy="reverse-mode"):
    """The Hessian of a function with one output of one element: input.shape + input.shape; a tuple of tuples for
    several inputs."""
    several, inputs = as_tuple(inputs, "inputs", "hessian")
    if outer_jacobian_strategy not in ("forward-mode", "reverse-mode"):
        raise AssertionError('Expected strategy to be either "forward-mode" or "reverse-mode".')

    def slope(*point):
        found = jacobian(lambda *x: single_output(func(*x), "hessian"), point, create_graph=True)
        for i, g in enumerate(found if strict else ()):
            if not g.requires_grad:
                raise RuntimeError(FLAT_GRADIENT.format(i))
        return found

    if strict:
        with enable_grad():
            evaluate(lambda *x: single_output(func(*x), "hessian"), inputs, "hessian", create_graph, True)
    found = jacobian(slope, inputs, create_graph, strict, vectorize, outer_jacobian_strategy)
    return found if several else found[0][0]


def single_output(out, name):
    """The output of a function that must have one of one element."""
    several, outputs = as_tuple(out, "outputs of the user-provided function", name)
    if several:
        raise RuntimeError(f"The function given to {name} should return a single Tensor")
    if out.numel() != 1:
        raise RuntimeError(f"The Tensor returned by the function given to {name} should contain a single element")
    return out.squeeze()


def hessian_product(name, func, inputs, v, create_graph, strict):
    """(func(*inputs), Hessian times v): the Hessian is symmetric, so the product from either side is one more backward
    pass."""
    several, given = as_tuple(inputs, "inputs", name)
    v = vector_like(v, given, name, "The vector v can only be None if the input to the user-provided function is a "
                                    "single Tensor with a single element.")
    with enable_grad():
        _, inputs, several_out, outputs = evaluate(func, unpacked(given, several), name, create_graph, strict)
        if several_out:
            raise RuntimeError(f"The function given to {name} should return a single Tensor")
        single_output(outputs[0], name)
        slope = products(outputs, inputs, [REGISTRY["ones_like"](outputs[0])], True)
        for i, g in enumerate(slope if strict else ()):
            if g is None:
                raise RuntimeError(INDEPENDENT["back"].format(i))
            if not g.requires_grad:
                raise RuntimeError(FLAT_GRADIENT.format(i))
        slope = [REGISTRY["zeros_like"](x) if g is None else g for g, x in zip(slope, inputs)]
        found = filled(products(slope, inputs, v, create_graph), inputs, "hessian", strict, create_graph)
    return unpacked(settled(outputs, create_graph), False), unpacked(settled(found, create_graph), several)


def vhp(func, inputs, v=None, create_graph=False, strict=False):
    """(func(*inputs), v @ Hessian) for a function with one output of one element."""
    return hessian_product("vhp", func, inputs, v, create_graph, strict)


def hvp(func, inputs, v=None, create_graph=False, strict=False):
    """(func(*inputs), Hessian @ v) for a function with one output of one element."""
    return hessian_product("hvp", func, inputs, v, create_graph, strict)
