"""`torch.nested`: tensors of several lengths in one object.

A NestedTensor holds its components as tensors. Functions that work on each of them (element-wise ones, layers over the
last dimension, products) are called for each; what mixes components raises NotImplementedError with its name.
"""

import warnings

from . import api as rl
from .core.dispatch import DisableSubclasses

__all__ = ["NestedTensor", "as_nested_tensor", "narrow", "nested_tensor", "nested_tensor_from_jagged",
           "to_padded_tensor"]

IRREGULAR = "Internal error: NestedTensorImpl doesn't support sizes. Please file an issue."
MIXING = frozenset("""sum mean prod max min amax amin argmax argmin std var any all cat stack sort topk median norm
    logsumexp cumsum flatten reshape view index_select gather where einsum""".split())


class NestedTensor(rl.Tensor):
    """A batch of tensors that agree in rank and dtype."""

    def __new__(cls, parts):
        parts = list(parts)
        kinds = {(t.dim(), t.dtype) for t in parts}
        if len(kinds) > 1:
            raise RuntimeError("All Tensors given to nested_tensor must have the same dimension and dtype, got "
                               f"{sorted({t.dim() for t in parts})} dimensions")
        dtype = parts[0].dtype if parts else rl.get_default_dtype()
        made = rl.Tensor._make_subclass(cls, rl.empty(0, dtype=dtype))
        made._parts = parts
        return made

    is_nested = True

    def unbind(self, dim=0):
        """The components. NotImplementedError for a dimension other than 0."""
        if dim != 0:
            raise RuntimeError(f"unbind: NestedTensor can only be unbound along dimension 0, got dimension {dim} "
                               "instead.")
        return tuple(self._parts)

    def dim(self):
        """One more than the components have."""
        return 1 + (self._parts[0].dim() if self._parts else 0)

    ndim = property(dim)

    def size(self, dim=None):
        """The size of a dimension. RuntimeError for one whose sizes differ."""
        if dim is None:
            raise RuntimeError(IRREGULAR)
        dim = dim + self.dim() if dim < 0 else dim
        if dim == 0:
            return len(self._parts)
        sizes = {t.shape[dim - 1] for t in self._parts}
        if len(sizes) != 1:
            raise RuntimeError(f"Given dimension {dim} is irregular and does not have a size.")
        return sizes.pop()

    @property
    def shape(self):
        raise RuntimeError(IRREGULAR)

    def numel(self):
        """The number of elements of all components."""
        return sum([t.numel() for t in self._parts])

    def __len__(self):
        raise RuntimeError(IRREGULAR)

    def __iter__(self):
        return iter(self._parts)

    def __getitem__(self, index):
        if isinstance(index, int):
            return self._parts[index]
        if isinstance(index, tuple) and index and isinstance(index[0], int):
            return self._parts[index[0]][index[1:]]
        raise NotImplementedError("NestedTensor.__getitem__ is implemented for numbers in rushlight")

    def contiguous(self, memory_format=None):
        """Each component contiguous."""
        return NestedTensor([t.contiguous() for t in self._parts])

    def is_contiguous(self, memory_format=None):
        """Whether each component is."""
        return all([t.is_contiguous() for t in self._parts])

    @property
    def requires_grad(self):
        return any([t.requires_grad for t in self._parts])

    def requires_grad_(self, requires_grad=True):
        """Set `requires_grad` of all components."""
        for t in self._parts:
            t.requires_grad_(requires_grad)
        return self

    def backward(self, gradient=None, **kwargs):
        """A backward pass from all components."""
        grads = [None] * len(self._parts) if gradient is None else gradient._parts
        rl.autograd.backward(self._parts, grads, **kwargs)

    def to_padded_tensor(self, padding, output_size=None):
        """The components as one tensor, as large as the largest (or `output_size`), filled with `padding`."""
        if not self._parts:
            raise RuntimeError("to_padded_tensor: at least one constituent tensor should have non-zero numel")
        largest = [max(sizes) for sizes in zip(*[t.shape for t in self._parts])]
        if output_size is not None:
            if len(output_size) != self.dim() or any([n < m for n, m in zip(output_size[1:], largest)]):
                raise RuntimeError("Value in output_size is less than NestedTensor padded size. Truncation is not "
                                   "supported.")
            largest = list(output_size[1:])
        rows = []
        for t in self._parts:
            pad = [n for have, want in zip(reversed(t.shape), reversed(largest)) for n in (0, want - have)]
            rows.append(rl.constant_pad_nd(t, pad, padding))
        return rl.stack(rows)

    def __repr__(self):
        def indented(t):
            return "\n".join(["  " + line for line in repr(t.detach()).split("\n")])
        return "nested_tensor([\n" + ",\n".join([indented(t) for t in self._parts]) + "\n])"

    __str__ = __repr__

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        kwargs, name = kwargs or {}, getattr(func, "__name__", "")
        nested = [a for a in (*args, *kwargs.values()) if isinstance(a, NestedTensor)]
        if any([isinstance(a, (list, tuple)) and any([isinstance(v, NestedTensor) for v in a]) for a in args]):
            raise NotImplementedError(f"NestedTensor: {name} of several nested tensors is not implemented in rushlight")
        if name in ("__get__", "__set__") or not nested:
            with DisableSubclasses():
                return func(*args, **kwargs)
        count = len(nested[0]._parts)
        if any([len(n._parts) != count for n in nested]):
            raise RuntimeError(f"{name}: nested tensors of different numbers of components: "
                               f"{[len(n._parts) for n in nested]}")
        dims = moved_dims(name, nested[0], args, kwargs)
        if name in MIXING and dims is None:
            raise NotImplementedError(f"NestedTensor: {name} is not implemented in rushlight")
        args, kwargs = dims or (args, kwargs)
        results = []
        for i in range(count):
            results.append(func(*[a._parts[i] if isinstance(a, NestedTensor) else a for a in args],
                                **{k: v._parts[i] if isinstance(v, NestedTensor) else v for k, v in kwargs.items()}))
        if all([isinstance(r, rl.Tensor) for r in results]):
            return NestedTensor(results)
        raise NotImplementedError(f"NestedTensor: {name} is not implemented in rushlight")


def moved_dims(name, tensor, args, kwargs):
    """The arguments of a call with dimensions counted in components; None for one without dimensions."""
    def own(dim):
        dim = dim + tensor.dim() if dim < 0 else dim
        if dim == 0:
            raise NotImplementedError(f"NestedTensor: {name} along the batch is not implemented in rushlight")
        return dim - 1
    if name in ("softmax", "log_softmax", "transpose", "unsqueeze", "squeeze", "sum", "mean", "amax", "amin", "cumsum",
                "select"):
        named = {k: own(v) if k in ("dim", "dim0", "dim1") and isinstance(v, int) else v for k, v in kwargs.items()}
        most = 3 if name == "transpose" else 2
        given = [own(a) if 0 < i < most and isinstance(a, int) and not isinstance(a, bool) else a
                 for i, a in enumerate(args)]
        if len(args) > 1 or named:
            return tuple(given), named
    return None


def _checked(tensors):
    if isinstance(tensors, rl.Tensor):
        return list(tensors.unbind(0))
    if not isinstance(tensors, (list, tuple)):
        raise TypeError(f"nested_tensor(): Expected a list of tensors, got {type(tensors).__name__}")
    return list(tensors)


def nested_tensor(tensor_list, *, dtype=None, layout=None, device=None, requires_grad=False, pin_memory=False):
    """A NestedTensor of copies of tensors (or numbers in lists), a leaf each."""
    parts = []
    for t in _checked(tensor_list):
        made = t.detach().clone() if isinstance(t, rl.Tensor) else rl.tensor(t)
        made = made if dtype is None and device is None else made.to(device=device, dtype=dtype)
        parts.append(made.requires_grad_() if requires_grad else made)
    return NestedTensor(parts)


def as_nested_tensor(ts, dtype=None, device=None, layout=None):
    """A NestedTensor of the tensors given, part of their graphs."""
    if isinstance(ts, NestedTensor):
        return ts
    parts = [t if isinstance(t, rl.Tensor) else rl.tensor(t) for t in _checked(ts)]
    return NestedTensor([t if dtype is None and device is None else t.to(device=device, dtype=dtype) for t in parts])


def to_padded_tensor(input, padding, output_size=None):
    """`NestedTensor.to_padded_tensor`."""
    return input.to_padded_tensor(padding, output_size)


def narrow(tensor, dim, start, length, layout=None):
    """Of each row of a tensor the part of dimension 1 that `start` and `length` (numbers or tensors) say."""
    if dim != 1:
        raise RuntimeError("jagged layout only supports dim=1")
    starts = start.tolist() if isinstance(start, rl.Tensor) else [start] * len(tensor)
    lengths = length.tolist() if isinstance(length, rl.Tensor) else [length] * len(tensor)
    return NestedTensor([row.narrow(0, s, n) for row, s, n in zip(tensor.unbind(0), starts, lengths)])


def nested_tensor_from_jagged(values, offsets=None, lengths=None, jagged_dim=None, min_seqlen=None, max_seqlen=None):
    """A NestedTensor of pieces of `values`, cut at `offsets` or into `lengths`. RuntimeError where neither is given."""
    if offsets is None and lengths is None:
        raise RuntimeError("nested_tensor_from_jagged(): At least one of offsets or lengths is required.")
    if jagged_dim not in (None, 1):
        warnings.warn("nested_tensor_from_jagged: pieces are cut along dimension 1", stacklevel=2)
    if offsets is None:
        return NestedTensor(values.split(lengths.tolist()))
    cuts = offsets.tolist()
    sizes = [b - a for a, b in zip(cuts, cuts[1:])] if lengths is None else lengths.tolist()
    return NestedTensor([values[a:a + n] for a, n in zip(cuts, sizes)])
