"""Checks of gradient formulas against finite differences: `gradcheck` and `gradgradcheck`.

In: a function of tensors. Out: True, or GradcheckError with both Jacobians. Every element of every input is moved by
`eps` and the change of the outputs compared with what backward says, so inputs should be small and of double precision.
Complex numbers are compared as pairs of real ones: both parts of an input are moved, both parts of an output looked at.
"""

import math
import warnings

from ..base import switches
from ..core import dtype as dt
from ..core.declare import REGISTRY
from ..core.tensor import Tensor
from . import forward_ad
from .engine import grad
from .modes import enable_grad, no_grad

__all__ = ["GradcheckError", "get_analytical_jacobian", "get_numerical_jacobian",
           "get_numerical_jacobian_wrt_specific_input", "gradcheck",
           "gradgradcheck"]

NOT_REENTRANT = ("Backward is not reentrant, i.e., running backward with same input and grad_output multiple times "
                 "gives different values, "
                 "although analytical gradient matches numerical gradient.The tolerance for nondeterminism was {}.")


class GradcheckError(RuntimeError):
    """What `gradcheck` and `gradgradcheck` raise for a wrong gradient."""


def gradcheck(func, inputs, *, eps=1e-6, atol=1e-5, rtol=1e-3, raise_exception=True, nondet_tol=0.0,
              check_undefined_grad=True,
              check_grad_dtypes=False, check_batched_grad=False, check_batched_forward_grad=False,
              check_forward_ad=False,
              check_backward_ad=True, fast_mode=False, masked=None):
    """Whether the gradients of `func` at `inputs` agree with central differences within |a - n| <= atol + rtol * |n|.

    Raises GradcheckError where they do not (returns False with raise_exception=False), if two backward passes differ by
    more than `nondet_tol`, if a gradient has another dtype (check_grad_dtypes), or if unused outputs break backward
    (check_undefined_grad).
    `fast_mode` is accepted: all elements are compared, which is what PyTorch's slow mode does. check_forward_ad: the
    tangents of forward mode are compared as well.
    """
    if not (check_forward_ad or check_backward_ad):
        raise AssertionError("Expected at least one of check_forward_ad or check_backward_ad to be True")
    if check_batched_forward_grad and not check_forward_ad:
        raise AssertionError("Setting check_batched_forward_grad=True requires check_forward_ad to be True")
    # Passes that are compared bit by bit run in one tier (see engine/direct.py): what is checked runs but a few times.
    tier = "0" if switches.TIER == "auto" else switches.TIER
    try:
        with switches.env(TIER=tier):
            if check_forward_ad:
                check_forward(func, inputs, eps, atol, rtol)
            if check_backward_ad:
                check(func, inputs, eps, atol, rtol, nondet_tol, check_undefined_grad, check_grad_dtypes,
                      check_batched_grad)
    except GradcheckError:
        if raise_exception:
            raise
        return False
    return True


def check(func, inputs, eps, atol, rtol, nondet_tol, check_undefined, check_dtypes, check_batched):
    """`gradcheck` without options about how to fail."""
    inputs = (inputs,) if isinstance(inputs, Tensor) else tuple(inputs)
    check_inputs(inputs)
    func = real_outputs(func)
    moved = [x for x in inputs if isinstance(x, Tensor) and x.requires_grad]
    outputs = differentiable(func(*inputs))
    numerical = [get_numerical_jacobian_wrt_specific_input(func, x, inputs, eps) for x in moved]
    if not outputs:
        for jacobians in numerical:
            if any(float(j.abs().max()) > eps for j in jacobians if j.numel()):
                raise GradcheckError("Numerical gradient for function expected to be zero")
        return
    for number, out in enumerate(outputs):
        first = analytical(out, moved, check_dtypes)
        second = analytical(out, moved, check_dtypes)
        for i, (a, b) in enumerate(zip(first, second)):
            n = numerical[i][number]
            if not close(a, n, rtol, atol):
                raise GradcheckError(f"Jacobian mismatch for output {number} with respect to input "
                                     f"{i},\nnumerical:{n}\nanalytical:{a}\n")
            if a.numel() and float((a - b).abs().max()) > nondet_tol:
                raise GradcheckError(NOT_REENTRANT.format(nondet_tol))
    check_unused(func, inputs, moved, outputs, check_undefined)
    if check_batched:
        check_batches(outputs, moved)


def check_forward(func, inputs, eps, atol, rtol):
    """Compare the tangents of forward mode, one element of the inputs at a time, with central differences."""
    inputs = (inputs,) if isinstance(inputs, Tensor) else tuple(inputs)
    check_inputs(inputs)
    func = real_outputs(func)
    for number, x in enumerate(inputs):
        if not isinstance(x, Tensor) or not x.requires_grad:
            continue
        numerical = get_numerical_jacobian_wrt_specific_input(func, x, inputs, eps)
        for position, index in enumerate(every_index(as_real(x.detach()).shape)):
            tangent = REGISTRY["zeros_like"](x.detach())
            as_real(tangent)[index] = 1
            with forward_ad.dual_level():
                dual = forward_ad.make_dual(x.detach(), tangent)
                outputs = differentiable(func(*[dual if other is x else other for other in inputs]))
                found = [forward_ad.unpack_dual(out).tangent for out in outputs]
            for out, column, n in zip(outputs, found, numerical):
                column = REGISTRY["zeros_like"](out.detach()) if column is None else column
                if not close(column.reshape(-1), n[position], rtol, atol):
                    raise GradcheckError(f"Jacobian computed with forward mode mismatch with respect to input {number},"
                                         f"\nnumerical:{n[position]}\nanalytical:{column}\n")


def check_inputs(inputs):
    """Errors and warnings about inputs that cannot be checked."""
    found = False
    for i, x in enumerate(inputs):
        if not isinstance(x, Tensor) or not x.requires_grad:
            continue
        found = True
        if x.dtype not in (dt.float64, dt.complex128):
            warnings.warn(f"Input #{i} requires gradient and is not a double precision floating point or complex. This "
                          f"check will likely "
                          "fail if all the inputs are not of double precision floating point or complex. ",
                          stacklevel=4)
        if any(s == 0 and n > 1 for s, n in zip(x.stride(), x.shape)):
            raise RuntimeError(f"The {i}th input has a dimension with stride 0. gradcheck only supports inputs that "
                               "are non-overlapping to be able to compute the numerical gradients correctly. You "
                               "should call .contiguous on the input before passing it to gradcheck.")
    if not found:
        raise ValueError("gradcheck expects at least one input tensor to require gradient, but none of them have "
                         "requires_grad=True.")


def as_real(value):
    """A complex tensor as a real one, with a last dimension for the parts; anything else as it is."""
    if not isinstance(value, Tensor) or not value._layout.dtype.is_complex:
        return value
    return REGISTRY["view_as_real"](REGISTRY["resolve_conj"](value))


def real_outputs(func):
    """The function with its outputs `as_real`."""
    def call(*inputs):
        found = func(*inputs)
        return as_real(found) if isinstance(found, Tensor) else tuple([as_real(out) for out in found])
    return call


def differentiable(outputs):
    """The outputs that have gradients."""
    found = (outputs,) if isinstance(outputs, Tensor) else tuple(outputs)
    return [out for out in found if isinstance(out, Tensor) and out.requires_grad]


def get_numerical_jacobian_wrt_specific_input(fn, input, inputs, eps):
    """For each differentiable output the matrix (elements of `input`, elements of the output) of central
    differences."""
    outputs = fn(*inputs)
    outputs = (outputs,) if isinstance(outputs, Tensor) else tuple(outputs)
    wanted = [i for i, out in enumerate(outputs) if isinstance(out, Tensor) and out.requires_grad] \
        or [i for i, out in enumerate(outputs) if isinstance(out, Tensor) and out.dtype.category == dt.FLOATING]
    rows = [[] for _ in wanted]
    for position in every_index(as_real(input.detach()).shape):
        ends = []
        for step in (-eps, eps):
            ends.append(moved_run(fn, inputs, input, position, step, wanted))
        for row, low, high in zip(rows, *ends):
            row.append((high - low).reshape(-1) / (2 * eps))
    return [REGISTRY["stack"](row) if row else REGISTRY["zeros"]((0, outputs[i].numel()), dtype=outputs[i].dtype)
            for row, i in zip(rows, wanted)]


def moved_run(fn, inputs, input, position, step, wanted):
    """The outputs with one element of one input moved; the element is restored."""
    with no_grad():
        data = as_real(input.data)  # writes to it are not counted: the analytical gradient's graph stays valid
        before = data[position].clone()
        data[position] = float(before) + step
        try:
            outputs = fn(*inputs)
            outputs = (outputs,) if isinstance(outputs, Tensor) else tuple(outputs)
            return [outputs[i].detach().clone() for i in wanted]
        finally:
            data[position] = before


def every_index(shape):
    """All index tuples of a shape."""
    for flat in range(math.prod(shape)):
        index = []
        for n in reversed(shape):
            flat, rest = divmod(flat, n)
            index.append(rest)
        yield tuple(reversed(index))


def get_numerical_jacobian(fn, inputs, target=None, eps=1e-3, grad_out=1.0):
    """For each input that requires grad the numerical Jacobian of the first output."""
    inputs = (inputs,) if isinstance(inputs, Tensor) else tuple(inputs)
    return [get_numerical_jacobian_wrt_specific_input(fn, x, inputs, eps)[0] for x in inputs if isinstance(x, Tensor)
            and x.requires_grad]


def analytical(output, inputs, check_dtypes=False):
    """For each input the matrix (its elements, elements of the output) that backward gives."""
    columns = [[] for _ in inputs]
    flat_shape = output.shape
    for j in range(output.numel()):
        seed = REGISTRY["zeros"](output.numel(), dtype=output.dtype)
        seed[j] = 1
        found = grad([output], inputs, [seed.reshape(flat_shape)], retain_graph=True, allow_unused=True)
        for column, g, x in zip(columns, found, inputs):
            if g is not None and check_dtypes and g.dtype is not x.dtype:
                raise GradcheckError("Gradient has dtype mismatch")
            if g is not None and g.shape != x.shape:
                raise GradcheckError("Analytical gradient has incorrect size")
            g = REGISTRY["zeros"](x.shape, dtype=x.dtype) if g is None else g.detach()
            column.append(as_real(g).reshape(-1))
    return [REGISTRY["stack"](column, 1) if column else as_real(x.detach()).reshape(-1, 1)[:, :0]
            for column, x in zip(columns, inputs)]


def get_analytical_jacobian(inputs, output, nondet_tol=0.0, grad_out=1.0):
    """(Jacobians of one output, whether two passes agree, whether sizes are right, whether dtypes are right)."""
    moved = [x for x in ((inputs,) if isinstance(inputs, Tensor) else inputs) if isinstance(x, Tensor)
             and x.requires_grad]
    first, second = analytical(output, moved), analytical(output, moved)
    same = all(float((a - b).abs().max()) <= nondet_tol for a, b in zip(first, second) if a.numel())
    return first, same, True, True


def close(a, n, rtol, atol):
    """Whether two Jacobians agree, NaN with NaN."""
    if not a.numel():
        return True
    x, y = a.double(), n.double()
    return bool((((x - y).abs() <= atol + rtol * y.abs()) | (x == y) | (x.isnan() & y.isnan())).all())


def check_unused(func, inputs, moved, outputs, check_undefined):
    """Zero gradients in must give zero gradients out; so must gradients of outputs that nobody used."""
    zeros = [REGISTRY["zeros_like"](out) for out in outputs]
    for g, x in zip(grad(outputs, moved, zeros, retain_graph=True, allow_unused=True), moved):
        if g is None:
            continue
        if g.shape != x.shape:
            raise GradcheckError("grad is incorrect size")
        if bool((g != 0).any()):
            raise GradcheckError("backward not multiplied by grad_output")
    if not check_undefined or len(outputs) < 2:
        return
    for out in outputs:
        found = grad([out], moved, [REGISTRY["zeros_like"](out)], retain_graph=True, allow_unused=True)
        if any(g is not None and bool((g != 0).any()) for g in found):
            raise GradcheckError("Expected all inputs gradients to be undefined or zero when the gradient of an output "
                                 "is undefined or zero")


def check_batches(outputs, moved):
    """`is_grads_batched` must give what one pass a vector gives."""
    for out in outputs:
        seeds = REGISTRY["randn"]((2, *out.shape), dtype=out.dtype)
        rows = grad([out], moved, [seeds], retain_graph=True, allow_unused=True, is_grads_batched=True)
        for k in range(2):
            for row, single in zip(rows, grad([out], moved, [seeds[k]], retain_graph=True, allow_unused=True)):
                if row is not None and not close(row[k], single, 1e-5, 1e-8):
                    raise GradcheckError("Batched gradients differ from those computed one by one")


def gradgradcheck(func, inputs, grad_outputs=None, *, eps=1e-6, atol=1e-5, rtol=1e-3, gen_non_contig_grad_outputs=False,
                  raise_exception=True, nondet_tol=0.0, check_undefined_grad=True, check_grad_dtypes=False,
                  check_batched_grad=False,
                  check_fwd_over_rev=False, check_rev_over_rev=True, fast_mode=False, masked=False):
    """Whether second gradients agree with differences of the first: `gradcheck` of the backward pass of `func`.

    grad_outputs: the vectors that backward starts from (random ones if None); they are checked as inputs too."""
    if not (check_fwd_over_rev or check_rev_over_rev):
        raise AssertionError("Expected at least one of check_fwd_over_rev or check_rev_over_rev to be True")
    if check_fwd_over_rev:
        raise NotImplementedError("gradgradcheck: forward mode differentiation is not implemented in rushlight")
    inputs = (inputs,) if isinstance(inputs, Tensor) else tuple(inputs)
    if grad_outputs is None:
        outputs = differentiable(func(*inputs))
        grad_outputs = tuple([random_like(out, gen_non_contig_grad_outputs) for out in outputs])
    else:
        grad_outputs = (grad_outputs,) if isinstance(grad_outputs, Tensor) else tuple(grad_outputs)
    count = len(grad_outputs)

    def first_gradients(*args):
        given, seeds = (args[:-count], args[-count:]) if count else (args, ())
        with enable_grad():
            outputs = differentiable(func(*given))
            moved = [x for x in given if isinstance(x, Tensor) and x.requires_grad]
            return tuple([g for g in grad(outputs, moved, list(seeds), create_graph=True, allow_unused=True)
                          if g is not None])

    return gradcheck(first_gradients, (*inputs, *grad_outputs), eps=eps, atol=atol, rtol=rtol,
                     raise_exception=raise_exception,
                     nondet_tol=nondet_tol, check_undefined_grad=check_undefined_grad,
                     check_grad_dtypes=check_grad_dtypes,
                     check_batched_grad=check_batched_grad, fast_mode=fast_mode, masked=masked)


def random_like(out, strided):
    """A random vector like an output, with gaps between elements if `strided`."""
    found = REGISTRY["randn"](tuple(out.shape), dtype=out.dtype if out.dtype.category >= dt.FLOATING else dt.float64)
    if strided:
        found = REGISTRY["stack"]([found, found], -1)[..., 0]
    return found.detach().requires_grad_()
