"""Recurrent networks: the hidden states of every step of a sequence.

The computation is `rl.lstm`, `rl.gru`, `rl.rnn_tanh` and `rl.rnn_relu`. Next to read: rnn_cells.py, the same step by
step (they can be imported from here, as in PyTorch); nn/sequences.py for packed sequences.
"""
import math
import numbers
import warnings

from ... import api as rl
from .. import init
from ..parameter import Parameter
from ..sequences import PackedSequence
from .module import Module

__all__ = ["RNNBase", "RNN", "LSTM", "GRU", "RNNCellBase", "RNNCell", "LSTMCell", "GRUCell"]

# The function of every mode, and how many gates its weights hold.
_MODES = {"LSTM": ("lstm", 4), "GRU": ("gru", 3), "RNN_TANH": ("rnn_tanh", 1), "RNN_RELU": ("rnn_relu", 1)}


def _apply_permutation(tensor, permutation, dim=1):
    return tensor.index_select(dim, permutation)


def apply_permutation(tensor, permutation, dim=1):
    """Deprecated: tensor.index_select(dim, permutation)."""
    warnings.warn(
        "`apply_permutation` is deprecated, please use `tensor.index_select(dim, permutation)` instead",
        FutureWarning,
        stacklevel=2,
    )
    return _apply_permutation(tensor, permutation, dim)


class RNNBase(Module):
    """What RNN, LSTM and GRU have in common: arguments, parameters, checks and packed sequences.

    Args: `mode`, the kind; `input_size`, `hidden_size`, features of inputs and hidden states; `num_layers`, one on
    top of the other; `bias`; `batch_first`, whether batches come first in inputs and outputs; `dropout` between the
    layers; `bidirectional`, whether a second network reads the sequence from its end; `proj_size`, features to which
    the hidden state of an LSTM is projected, 0 for none. The parameters of a layer are weight_ih_l{k},
    weight_hh_l{k}, bias_ih_l{k}, bias_hh_l{k} and weight_hr_l{k} (of a projection), and the same with _reverse; they
    start uniform within 1 / sqrt(hidden_size).
    """

    def __init__(
        self, mode: str, input_size: int, hidden_size: int, num_layers: int = 1, bias: bool = True,
        batch_first: bool = False, dropout: float = 0.0, bidirectional: bool = False, proj_size: int = 0, device=None,
        dtype=None,
    ):  # fmt: skip
        super().__init__()
        self.mode = mode
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.bias = bias
        self.batch_first = batch_first
        self.dropout = float(dropout)
        self.bidirectional = bidirectional
        self.proj_size = proj_size
        self._check_arguments(dropout)
        self._all_weights = []
        for layer in range(num_layers):
            for direction in range(2 if bidirectional else 1):
                self._add_layer(layer, "_reverse" if direction else "", {"device": device, "dtype": dtype})
        self._flat_weights_names = [name for names in self._all_weights for name in names]
        self.reset_parameters()

    def _check_arguments(self, dropout):
        if not isinstance(dropout, numbers.Number) or isinstance(dropout, bool) or not 0 <= dropout <= 1:
            raise ValueError(
                "dropout should be a number in range [0, 1] representing the probability of an element being zeroed"
            )
        if dropout > 0 and self.num_layers == 1:
            warnings.warn(
                "dropout option adds dropout after all but last recurrent layer, so non-zero dropout expects "
                f"num_layers greater than 1, but got dropout={dropout} and num_layers={self.num_layers}",
                stacklevel=4,
            )
        for name, kind in (("input_size", int), ("hidden_size", int), ("bias", bool), ("batch_first", bool)):
            value = getattr(self, name)
            if not isinstance(value, kind):
                raise TypeError(f"{name} should be of type {kind.__name__}, got: {type(value).__name__}")
        for name in ("input_size", "hidden_size", "num_layers"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be greater than zero")
        if self.proj_size < 0:
            raise ValueError("proj_size should be a positive integer or zero to disable projections")
        if self.proj_size >= self.hidden_size:
            raise ValueError("proj_size has to be smaller than hidden_size")
        if self.mode not in _MODES:
            raise ValueError("Unrecognized RNN mode: " + self.mode)

    def _add_layer(self, layer, suffix, options):
        """Make the parameters of one layer in one direction."""
        state = self.proj_size or self.hidden_size
        features = self.input_size if layer == 0 else state * (2 if self.bidirectional else 1)
        gates = _MODES[self.mode][1] * self.hidden_size
        shapes = {"weight_ih": (gates, features), "weight_hh": (gates, state)}
        if self.bias:
            shapes["bias_ih"] = shapes["bias_hh"] = (gates,)
        if self.proj_size > 0:
            shapes["weight_hr"] = (self.proj_size, self.hidden_size)
        names = []
        for kind, shape in shapes.items():
            names.append(f"{kind}_l{layer}{suffix}")
            setattr(self, names[-1], Parameter(rl.empty(shape, **options)))
        self._all_weights.append(names)

    @property
    def _flat_weights(self):
        """All weights in the order in which the operators take them."""
        return [getattr(self, name) for name in self._flat_weights_names]

    @property
    def all_weights(self):
        """The parameters of every layer and direction, as a list of lists."""
        return [[getattr(self, name) for name in names] for names in self._all_weights]

    def flatten_parameters(self):
        """PyTorch moves the weights into one block for cuDNN here; there is nothing to do."""

    def reset_parameters(self):
        """Draw new values, uniform within 1 / sqrt(hidden_size)."""
        bound = 1.0 / math.sqrt(self.hidden_size) if self.hidden_size > 0 else 0
        for parameter in self.parameters():
            init.uniform_(parameter, -bound, bound)

    # -- checks --------------------------------------------------------------

    def check_input(self, input, batch_sizes):
        """Raise ValueError for another dtype than that of the weights, RuntimeError for a shape that does not fit."""
        wanted = getattr(self, self._flat_weights_names[0]).dtype
        if input.dtype != wanted and not rl.is_autocast_enabled(input.device.type):
            raise ValueError(
                f"RNN input dtype ({input.dtype}) does not match weight dtype ({wanted}). Convert input: "
                f"input.to({wanted}), or convert model: model.to({input.dtype})"
            )
        dims = 3 if batch_sizes is None else 2
        if input.dim() != dims:
            raise RuntimeError(f"input must have {dims} dimensions, got {input.dim()}")
        if self.input_size != input.size(-1):
            raise RuntimeError(
                f"input.size(-1) must be equal to input_size. Expected {self.input_size}, got {input.size(-1)}"
            )

    def _state_shape(self, input, batch_sizes, features):
        if batch_sizes is not None:
            batch = int(batch_sizes[0])
        else:
            batch = input.size(0) if self.batch_first else input.size(1)
        return self.num_layers * (2 if self.bidirectional else 1), batch, features

    def get_expected_hidden_size(self, input, batch_sizes):
        """The shape of a hidden state for this input."""
        return self._state_shape(input, batch_sizes, self.proj_size or self.hidden_size)

    def check_hidden_size(self, hx, expected_hidden_size, msg="Expected hidden size {}, got {}"):
        """Raise RuntimeError unless the hidden state has this shape."""
        if tuple(hx.size()) != expected_hidden_size:
            raise RuntimeError(msg.format(expected_hidden_size, list(hx.size())))

    def check_forward_args(self, input, hidden, batch_sizes):
        """Raise for an input or hidden state that does not fit the parameters."""
        self.check_input(input, batch_sizes)
        self.check_hidden_size(hidden, self.get_expected_hidden_size(input, batch_sizes))

    def permute_hidden(self, hx, permutation):
        """The hidden state with its batch in another order; None leaves it as it is."""
        return hx if permutation is None else _apply_permutation(hx, permutation)

    # -- forward -------------------------------------------------------------

    def _initial_hidden(self, input, batch_sizes):
        """Zeros."""
        shape = self.get_expected_hidden_size(input, batch_sizes)
        return rl.zeros(shape, dtype=input.dtype, device=input.device)

    def _unsqueeze_hidden(self, hx, batched):
        """The hidden state with a batch dimension; raises RuntimeError if it does not fit the input."""
        if batched:
            if hx.dim() != 3:
                raise RuntimeError(f"For batched 3-D input, hx should also be 3-D but got {hx.dim()}-D tensor")
            return hx
        if hx.dim() != 2:
            raise RuntimeError(f"For unbatched 2-D input, hx should also be 2-D but got {hx.dim()}-D tensor")
        return hx.unsqueeze(1)

    def _squeeze_hidden(self, hidden):
        return hidden.squeeze(1)

    def _wrong_dims(self, input):
        return ValueError(f"{self._get_name()}: Expected input to be 2D or 3D, got {input.dim()}D instead")

    def _options(self):
        train = self.training
        return bool(self.bias), self.num_layers, self.dropout, train, self.bidirectional

    def _run(self, input, hx):
        """(output, hidden) for a tensor or a packed sequence."""
        operator = getattr(rl, _MODES[self.mode][0])
        if isinstance(input, PackedSequence):
            return self._run_packed(operator, input, hx)
        if input.dim() not in (2, 3):
            raise self._wrong_dims(input)
        batched = input.dim() == 3
        batch_dim = 0 if self.batch_first else 1
        if not batched:
            input = input.unsqueeze(batch_dim)
        hx = self._initial_hidden(input, None) if hx is None else self._unsqueeze_hidden(hx, batched)
        self.check_forward_args(input, hx, None)
        output, hidden = self._split(operator(input, hx, self._flat_weights, *self._options(), self.batch_first))
        if batched:
            return output, hidden
        return output.squeeze(batch_dim), self._squeeze_hidden(hidden)

    def _run_packed(self, operator, sequence, hx):
        data, batch_sizes, sorted_indices, unsorted_indices = sequence
        if hx is None:
            hx = self._initial_hidden(data, batch_sizes)
        else:
            hx = self.permute_hidden(hx, sorted_indices)
        self.check_forward_args(data, hx, batch_sizes)
        output, hidden = self._split(operator(data, batch_sizes, hx, self._flat_weights, *self._options()))
        output = PackedSequence(output, batch_sizes, sorted_indices, unsorted_indices)
        return output, self.permute_hidden(hidden, unsorted_indices)

    def _split(self, results):
        """(output, hidden) from what the operator returns."""
        return results

    # -- text and copies -----------------------------------------------------

    def extra_repr(self):
        text = f"{self.input_size}, {self.hidden_size}"
        for name, default in (
            ("proj_size", 0),
            ("num_layers", 1),
            ("bias", True),
            ("batch_first", False),
            ("dropout", 0),
            ("bidirectional", False),
        ):
            value = getattr(self, name)
            if value != default:
                text += f", {name}={value}"
        return text

    def __setstate__(self, state):
        state.setdefault("proj_size", 0)  # pickles of old versions
        # PyTorch's pickles hold a list of all weights, which is a property here.
        super().__setstate__({name: value for name, value in state.items() if name != "_flat_weights"})
        if "_flat_weights_names" not in self.__dict__:
            self._flat_weights_names = [name for names in self._all_weights for name in names]


class RNN(RNNBase):
    """h' = tanh(W_ih x + b_ih + W_hh h + b_hh) for every step, or relu instead of tanh (`nonlinearity`).

    Args: as RNNBase without `mode` and `proj_size`; `nonlinearity` comes after `num_layers`. Shape: input (L, N,
    input_size), with batch_first (N, L, input_size), or (L, input_size); hx (D * num_layers, N, hidden_size) with D
    the number of directions. Returns the outputs (L, N, D * hidden_size) and the last hidden state.
    """

    def __init__(self, *args, **kwargs):
        if "proj_size" in kwargs:
            raise ValueError("proj_size argument is only supported for LSTM, not RNN or GRU")
        if len(args) > 3:
            self.nonlinearity = args[3]
            args = args[:3] + args[4:]
        else:
            self.nonlinearity = kwargs.pop("nonlinearity", "tanh")
        if self.nonlinearity not in ("tanh", "relu"):
            raise ValueError(f"Unknown nonlinearity '{self.nonlinearity}'. Select from 'tanh' or 'relu'.")
        super().__init__(f"RNN_{self.nonlinearity.upper()}", *args, **kwargs)

    def forward(self, input, hx=None):
        return self._run(input, hx)

    def _wrong_dims(self, input):
        return ValueError(f"RNN: Expected input to be 2D or 3D, got {input.dim()}D tensor instead")


class LSTM(RNNBase):
    """Long short-term memory: i, f, o = sigmoid(...), g = tanh(...), c' = f c + i g, h' = o tanh(c') for every step.

    Each of the four gates is W_ih x + b_ih + W_hh h + b_hh with weights of its own, stacked as i, f, g, o.
    Args: as RNNBase without `mode`. Shape: as RNN, hx being a tuple (h, c) with c (D * num_layers, N, hidden_size).
    Returns the outputs and a tuple (h, c).
    Source: Hochreiter and Schmidhuber, "Long short-term memory", 1997; projections: Sak and others, arXiv 1402.1128.

    Example:
        >>> output, (h, c) = nn.LSTM(10, 20, num_layers=2)(rl.zeros(5, 3, 10))
        >>> output.shape, c.shape
        (torch.Size([5, 3, 20]), torch.Size([2, 3, 20]))
    """

    def __init__(self, *args, **kwargs):
        super().__init__("LSTM", *args, **kwargs)

    def forward(self, input, hx=None):
        return self._run(input, hx)

    def get_expected_cell_size(self, input, batch_sizes):
        """The shape of a cell state for this input."""
        return self._state_shape(input, batch_sizes, self.hidden_size)

    def check_forward_args(self, input, hidden, batch_sizes):
        """Raise for an input, hidden or cell state that does not fit the parameters."""
        self.check_input(input, batch_sizes)
        expected = self.get_expected_hidden_size(input, batch_sizes)
        self.check_hidden_size(hidden[0], expected, "Expected hidden[0] size {}, got {}")
        expected = self.get_expected_cell_size(input, batch_sizes)
        self.check_hidden_size(hidden[1], expected, "Expected hidden[1] size {}, got {}")

    def permute_hidden(self, hx, permutation):
        """Both states with their batch in another order; None leaves them as they are."""
        if permutation is None:
            return hx
        return _apply_permutation(hx[0], permutation), _apply_permutation(hx[1], permutation)

    def _initial_hidden(self, input, batch_sizes):
        options = {"dtype": input.dtype, "device": input.device}
        hidden = rl.zeros(self.get_expected_hidden_size(input, batch_sizes), **options)
        return hidden, rl.zeros(self.get_expected_cell_size(input, batch_sizes), **options)

    def _unsqueeze_hidden(self, hx, batched):
        dims = 3 if batched else 2
        if hx[0].dim() != dims or hx[1].dim() != dims:
            kind = "batched 3-D" if batched else "unbatched 2-D"
            raise RuntimeError(
                f"For {kind} input, hx and cx should also be {dims}-D but got ({hx[0].dim()}-D, {hx[1].dim()}-D) "
                f"tensors"
            )
        return hx if batched else (hx[0].unsqueeze(1), hx[1].unsqueeze(1))

    def _squeeze_hidden(self, hidden):
        return hidden[0].squeeze(1), hidden[1].squeeze(1)

    def _split(self, results):
        return results[0], tuple(results[1:])


class GRU(RNNBase):
    """Gated recurrent unit: r, z = sigmoid(...), n = tanh(W_in x + b_in + r (W_hn h + b_hn)), h' = (1 - z) n + z h.

    The gates' weights are stacked as r, z, n. Args: as RNNBase without `mode` and `proj_size`. Shape: as RNN.
    Source: Cho and others, arXiv 1406.1078, with r applied after the product with h.
    """

    def __init__(self, *args, **kwargs):
        if "proj_size" in kwargs:
            raise ValueError("proj_size argument is only supported for LSTM, not RNN or GRU")
        super().__init__("GRU", *args, **kwargs)

    def forward(self, input, hx=None):
        return self._run(input, hx)


class RNNCellBase(Module):
    """What the cells have in common: the parameters weight_ih, weight_hh, bias_ih and bias_hh of `num_chunks` gates."""

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool, num_chunks: int, device=None, dtype=None
    ):
        super().__init__()
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.bias = bias
        gates = num_chunks * hidden_size
        self.weight_ih = Parameter(rl.empty((gates, input_size), device=device, dtype=dtype))
        self.weight_hh = Parameter(rl.empty((gates, hidden_size), device=device, dtype=dtype))
        for name in ("bias_ih", "bias_hh"):
            value = Parameter(rl.empty(gates, device=device, dtype=dtype)) if bias else None
            self.register_parameter(name, value)
        self.reset_parameters()

    def reset_parameters(self):
        """Draw new values, uniform within 1 / sqrt(hidden_size)."""
        bound = 1.0 / math.sqrt(self.hidden_size) if self.hidden_size > 0 else 0
        for parameter in self.parameters():
            init.uniform_(parameter, -bound, bound)

    def extra_repr(self):
        text = f"{self.input_size}, {self.hidden_size}"
        if self.bias is not True:
            text += f", bias={self.bias}"
        nonlinearity = self.__dict__.get("nonlinearity", "tanh")
        if nonlinearity != "tanh":
            text += f", nonlinearity={nonlinearity}"
        return text

    def _check_dims(self, tensor, name):
        if tensor.dim() not in (1, 2):
            raise ValueError(f"{self._get_name()}: Expected {name} to be 1D or 2D, got {tensor.dim()}D instead")

    def _zeros(self, input):
        return rl.zeros(input.size(0), self.hidden_size, dtype=input.dtype, device=input.device)

    def _step(self, cell, input, hx):
        """The next hidden state of a cell with one state."""
        self._check_dims(input, "input")
        if hx is not None:
            self._check_dims(hx, "hidden")
        batched = input.dim() == 2
        if not batched:
            input = input.unsqueeze(0)
        if hx is None:
            hx = self._zeros(input)
        elif not batched:
            hx = hx.unsqueeze(0)
        result = cell(input, hx, self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh)
        return result if batched else result.squeeze(0)


class RNNCell(RNNCellBase):
    """h' = tanh(W_ih x + b_ih + W_hh h + b_hh), or relu instead of tanh (`nonlinearity`).

    Shape: input (N, input_size) or (input_size), hx (N, hidden_size) or (hidden_size), zeros if missing; returns h'.
    """

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True, nonlinearity: str = "tanh", device=None, dtype=None
    ):
        super().__init__(input_size, hidden_size, bias, num_chunks=1, device=device, dtype=dtype)
        self.nonlinearity = nonlinearity

    def forward(self, input, hx=None):
        if self.nonlinearity not in ("tanh", "relu"):
            raise RuntimeError(f"Unknown nonlinearity: {self.nonlinearity}")
        return self._step(rl.rnn_tanh_cell if self.nonlinearity == "tanh" else rl.rnn_relu_cell, input, hx)


class LSTMCell(RNNCellBase):
    """One step of an LSTM; see there for the formula.

    Shape: input (N, input_size) or (input_size), hx a tuple (h, c), each (N, hidden_size) or (hidden_size), zeros if
    missing; returns (h', c').
    """

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True, device=None, dtype=None):
        super().__init__(input_size, hidden_size, bias, num_chunks=4, device=device, dtype=dtype)

    def forward(self, input, hx=None):
        self._check_dims(input, "input")
        for place, state in enumerate(hx or ()):
            self._check_dims(state, f"hx[{place}]")
        batched = input.dim() == 2
        if not batched:
            input = input.unsqueeze(0)
        if hx is None:
            zeros = self._zeros(input)
            hx = (zeros, zeros)
        elif not batched:
            hx = (hx[0].unsqueeze(0), hx[1].unsqueeze(0))
        result = rl.lstm_cell(input, hx, self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh)
        return result if batched else (result[0].squeeze(0), result[1].squeeze(0))


class GRUCell(RNNCellBase):
    """One step of a GRU; see there for the formula. Shape: as RNNCell."""

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True, device=None, dtype=None):
        super().__init__(input_size, hidden_size, bias, num_chunks=3, device=device, dtype=dtype)

    def forward(self, input, hx=None):
        return self._step(rl.gru_cell, input, hx)
