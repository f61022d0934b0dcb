"""Emformer (Shi et al. 2021, arXiv:2010.10759): a transformer for streams, with segments, contexts and memory.

Frames are (time, N, features) inside. A segment sees itself, `left_context_length` frames before, the
`right_context_length` frames after, and summaries of `max_memory_size` segments before.
"""

import math

from ... import api as rl
from ... import nn
from ...nn import functional as nnf
from .conformer import padding_mask

ACTIVATIONS = {"relu": nn.ReLU, "gelu": nn.GELU, "silu": nn.SiLU}
GAINS = {
    None: lambda layer: None,
    "depthwise": lambda layer: 1.0 / math.sqrt(layer + 1),
    "constant": lambda layer: 1.0 / math.sqrt(2),
}
LARGEST_SUMMARY = 10


class _EmformerAttention(nn.Module):
    def __init__(self, input_dim, num_heads, dropout=0.0, weight_init_gain=None, tanh_on_mem=False, negative_inf=-1e8):
        super().__init__()
        if input_dim % num_heads:
            raise ValueError(f"input_dim ({input_dim}) is not a multiple of num_heads ({num_heads}).")
        self.input_dim, self.num_heads, self.dropout = input_dim, num_heads, dropout
        self.tanh_on_mem, self.negative_inf = tanh_on_mem, negative_inf
        self.scaling = (input_dim // num_heads) ** -0.5
        self.emb_to_key_value = nn.Linear(input_dim, 2 * input_dim)
        self.emb_to_query = nn.Linear(input_dim, input_dim)
        self.out_proj = nn.Linear(input_dim, input_dim)
        if weight_init_gain:
            nn.init.xavier_uniform_(self.emb_to_key_value.weight, gain=weight_init_gain)
            nn.init.xavier_uniform_(self.emb_to_query.weight, gain=weight_init_gain)

    def _heads(self, x):
        """(time, N, features) → (N * heads, time, features of a head)."""
        return x.reshape(x.shape[0], -1, self.input_dim // self.num_heads).transpose(0, 1)

    def _probabilities(self, scores, attention_mask, padding):
        scores = scores.float().masked_fill(attention_mask.unsqueeze(0), self.negative_inf)
        if padding is not None:
            each = scores.unflatten(0, (-1, self.num_heads))
            scores = each.masked_fill(padding[:, None, None, :], self.negative_inf).flatten(0, 1)
        return nnf.dropout(scores.softmax(-1), float(self.dropout), self.training)

    def attend(self, utterance, lengths, right_context, summary, mems, attention_mask, past=None):
        """(frames, summaries, keys, values). `past`: keys and values of the left context of a stream."""
        count, rows = utterance.shape[1], len(right_context) + len(utterance) + len(summary)
        query = self.emb_to_query(rl.cat((right_context, utterance, summary)))
        key, value = self.emb_to_key_value(rl.cat((mems, right_context, utterance))).chunk(2, 2)
        before = rows - int(lengths.max()) - len(summary)  # frames of right contexts
        if past is not None:
            at = len(mems) + before
            key, value = [rl.cat((x[:at], old, x[at:])) for x, old in zip((key, value), past)]
        padding = None
        if count > 1:
            padding = padding_mask(lengths + len(mems) + before + (len(past[0]) if past is not None else 0))
        q, k, v = map(self._heads, (query, key, value))
        scores = self._probabilities(rl.bmm(q * self.scaling, k.transpose(1, 2)), attention_mask, padding)
        found = scores.to(v.dtype) @ v
        found = self.out_proj(found.transpose(0, 1).reshape(rows, count, self.input_dim))
        frames, memory = found[:rows - len(summary)], found[rows - len(summary):]
        memory = memory.tanh() if self.tanh_on_mem else memory.clamp(-LARGEST_SUMMARY, LARGEST_SUMMARY)
        return frames, memory, key, value

    def forward(self, utterance, lengths, right_context, summary, mems, attention_mask):
        frames, memory, _, _ = self.attend(utterance, lengths, right_context, summary, mems, attention_mask)
        return frames, memory[:-1]

    def infer(self, utterance, lengths, right_context, summary, mems, past):
        """As `forward` for a segment of a stream: (frames, summaries, keys, values)."""
        queries = len(right_context) + len(utterance) + len(summary)
        keys = len(right_context) + len(utterance) + len(mems) + len(past[0])
        mask = rl.zeros(queries, keys, dtype=rl.bool, device=utterance.device)
        mask[-1, :len(mems)] = True
        frames, memory, key, value = self.attend(utterance, lengths, right_context, summary, mems, mask, past)
        start = len(mems) + len(right_context)
        return frames, memory, key[start:], value[start:]


class _EmformerLayer(nn.Module):
    def __init__(self, input_dim, num_heads, ffn_dim, segment_length, dropout=0.0, activation="relu",
                 left_context_length=0, max_memory_size=0, weight_init_gain=None, tanh_on_mem=False,
                 negative_inf=-1e8):
        super().__init__()
        if activation not in ACTIVATIONS:
            raise ValueError(f"Unsupported activation {activation}")
        self.attention = _EmformerAttention(input_dim, num_heads, dropout, weight_init_gain, tanh_on_mem, negative_inf)
        self.dropout = nn.Dropout(dropout)
        self.memory_op = nn.AvgPool1d(segment_length, segment_length, ceil_mode=True)
        self.pos_ff = nn.Sequential(
            nn.LayerNorm(input_dim), nn.Linear(input_dim, ffn_dim), ACTIVATIONS[activation](), nn.Dropout(dropout),
            nn.Linear(ffn_dim, input_dim), nn.Dropout(dropout))
        self.layer_norm_input = nn.LayerNorm(input_dim)
        self.layer_norm_output = nn.LayerNorm(input_dim)
        self.input_dim, self.segment_length = input_dim, segment_length
        self.left_context_length, self.max_memory_size = left_context_length, max_memory_size
        self.use_mem = max_memory_size > 0

    def _normalised(self, utterance, right_context):
        both = self.layer_norm_input(rl.cat((right_context, utterance)))
        return both[len(right_context):], both[:len(right_context)]

    def _finished(self, found, utterance, right_context):
        x = self.dropout(found) + rl.cat((right_context, utterance))
        x = self.layer_norm_output(self.pos_ff(x) + x)
        return x[len(right_context):], x[:len(right_context)]

    def _summary(self, utterance):
        if self.use_mem:
            return self.memory_op(utterance.permute(1, 2, 0)).permute(2, 0, 1)
        return utterance[:0]

    def forward(self, utterance, lengths, right_context, mems, attention_mask):
        segment, context = self._normalised(utterance, right_context)
        found, mems = self.attention(segment, lengths, context, self._summary(segment), mems, attention_mask)
        return *self._finished(found, utterance, right_context), mems

    def _new_state(self, count, device):
        sizes = (self.max_memory_size, self.left_context_length, self.left_context_length)
        return [*[rl.zeros(size, count, self.input_dim, device=device) for size in sizes],
                rl.zeros(1, count, dtype=rl.int32, device=device)]

    def infer(self, utterance, lengths, right_context, state, mems):
        """As `forward` for a segment of a stream. The state: summaries, keys, values, number of frames so far."""
        segment, context = self._normalised(utterance, right_context)
        state = self._new_state(utterance.shape[1], utterance.device) if state is None else state
        past = int(state[3][0][0])
        left = self.left_context_length - min(self.left_context_length, past)
        kept = min(self.max_memory_size, math.ceil(past / self.segment_length))
        found, summaries, key, value = self.attention.infer(
            segment, lengths, context, self._summary(segment)[:1], state[0][self.max_memory_size - kept:],
            (state[1][left:], state[2][left:]))
        whole = rl.cat((state[0], mems))
        size = self.left_context_length
        keys, values = rl.cat((state[1], key)), rl.cat((state[2], value))
        state = [whole[-self.max_memory_size:], keys[len(keys) - size:], values[len(values) - size:],
                 state[3] + len(utterance)]
        return *self._finished(found, utterance, right_context), state, summaries


class Emformer(nn.Module):
    """Encode frames in segments.

    Args:
        input_dim, num_heads, ffn_dim, num_layers (int): sizes.
        segment_length, left_context_length, right_context_length, max_memory_size (int): what a segment sees.
        dropout (float), activation (str): "relu", "gelu" or "silu".
        weight_init_scale_strategy (str or None): "depthwise", "constant" or None, of initial weights.
        tanh_on_mem (bool): limit summaries by tanh instead of clipping.
        negative_inf (float): score of masked positions.
    """

    def __init__(self, input_dim, num_heads, ffn_dim, num_layers, segment_length, dropout=0.0, activation="relu",
                 left_context_length=0, right_context_length=0, max_memory_size=0,
                 weight_init_scale_strategy="depthwise", tanh_on_mem=False, negative_inf=-1e8):
        super().__init__()
        if weight_init_scale_strategy not in GAINS:
            raise ValueError(f"Unsupported weight_init_scale_strategy value {weight_init_scale_strategy}")
        gain = GAINS[weight_init_scale_strategy]
        self.use_mem = max_memory_size > 0
        self.memory_op = nn.AvgPool1d(segment_length, segment_length, ceil_mode=True)
        self.emformer_layers = nn.ModuleList(
            _EmformerLayer(input_dim, num_heads, ffn_dim, segment_length, dropout, activation, left_context_length,
                           max_memory_size, gain(layer), tanh_on_mem, negative_inf) for layer in range(num_layers))
        self.segment_length, self.max_memory_size = segment_length, max_memory_size
        self.left_context_length, self.right_context_length = left_context_length, right_context_length

    def _right_contexts(self, frames):
        """The frames after each segment, one block after the other."""
        size, time = self.right_context_length, len(frames)
        segments = math.ceil((time - size) / self.segment_length)
        starts = [number * self.segment_length for number in range(1, segments)] + [time - size]
        return rl.cat([frames[start:start + size] for start in starts])

    def _spans(self, number, time):
        """Which columns a segment sees: spans of (memory, right contexts, frames), and how many columns each has."""
        segments = math.ceil(time / self.segment_length)
        right, start = self.right_context_length, number * self.segment_length
        memory = max(number - self.max_memory_size, 0), number
        return ((memory, max(segments - 1, 0)), ((number * right, (number + 1) * right), segments * right),
                ((max(start - self.left_context_length, 0), min(start + self.segment_length, time)), time))

    def _attention_mask(self, time, device):
        """True where a row (right context, frame or summary) does not see a column (memory, right context, frame)."""
        context, frames, summaries = [], [], []
        for number in range(math.ceil(time / self.segment_length)):
            (memory, *others) = self._spans(number, time)
            seen = [rl.zeros(size, dtype=rl.bool) for _, size in (memory, *others)]
            for row, (span, _) in zip(seen, (memory, *others)):
                row[span[0]:span[1]] = True
            whole = rl.cat(seen if self.use_mem else seen[1:])
            length = min(self.segment_length, time - number * self.segment_length)
            context.append(whole.expand(self.right_context_length, -1))
            frames.append(whole.expand(length, -1))
            if self.use_mem:
                summaries.append(rl.cat((rl.zeros_like(seen[0]), *seen[1:]))[None])
        return ~rl.cat((*context, *frames, *summaries)).to(device)

    def _memory(self, frames):
        return self.memory_op(frames.permute(1, 2, 0)).permute(2, 0, 1) if self.use_mem else frames[:0]

    def forward(self, input, lengths):
        """Encode frames (N, time + right_context_length, input_dim) of `lengths` without the last context."""
        frames = input.permute(1, 0, 2)
        context = self._right_contexts(frames)
        output = frames[:len(frames) - self.right_context_length]
        mask = self._attention_mask(len(output), input.device)
        mems = self._memory(output)[:-1]
        for layer in self.emformer_layers:
            output, context, mems = layer(output, lengths, context, mems, mask)
        return output.permute(1, 0, 2), lengths

    def infer(self, input, lengths, states=None):
        """Encode the next segment of a stream: (N, segment_length + right_context_length, input_dim), lengths and the
        states of the layers → frames, lengths and states. ValueError for another number of frames."""
        size = self.segment_length + self.right_context_length
        if input.shape[1] != size:
            raise ValueError(f"Per configured segment_length and right_context_length, expected size of {size} for "
                             f"dimension 1 of input, but got {input.shape[1]}.")
        frames = input.permute(1, 0, 2)
        output, context = frames[:self.segment_length], frames[self.segment_length:]
        lengths = (lengths - self.right_context_length).clamp(min=0)
        mems, found = self._memory(output), []
        for number, layer in enumerate(self.emformer_layers):
            state = None if states is None else states[number]
            output, context, state, mems = layer.infer(output, lengths, context, state, mems)
            found.append(state)
        return output.permute(1, 0, 2), lengths, found
