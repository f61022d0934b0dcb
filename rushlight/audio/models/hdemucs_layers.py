"""Parts of Hybrid Demucs: residual branches of convolutions, recurrences and local attention; embedded frequencies."""

import math

from ... import api as rl
from ... import nn
from ...nn import functional as nnf

LONGEST = 200  # steps of the recurrence; longer inputs are cut into frames that overlap by half
HIDDEN = -100  # score of a step with itself


class ScaledEmbedding(nn.Module):
    """An embedding that learns faster by `scale`; `smooth`: neighbours begin alike."""

    def __init__(self, num_embeddings, embedding_dim, scale=10.0, smooth=False):
        super().__init__()
        self.embedding = nn.Embedding(num_embeddings, embedding_dim)
        weight = self.embedding.weight.data
        if smooth:
            weight = weight.cumsum(0) / rl.arange(1, num_embeddings + 1).sqrt()[:, None]
        self.embedding.weight.data.copy_(weight / scale)
        self.scale = scale

    @property
    def weight(self):
        """The table that `forward` looks up."""
        return self.embedding.weight * self.scale

    def forward(self, x):
        return self.embedding(x) * self.scale


class DConv(nn.Module):
    """Residual branches (N, channels, time) of `depth` dilated convolutions (not dilated if negative)."""

    def __init__(self, channels, compress=4, depth=2, init=1e-4, norm_type="group_norm", attn=False, heads=4, ndecay=4,
                 lstm=False, kernel_size=3):
        super().__init__()
        if kernel_size % 2 == 0:
            raise ValueError("Kernel size should not be divisible by 2")
        hidden = int(channels / compress)

        def norm(size):
            return nn.GroupNorm(1, size) if norm_type == "group_norm" else nn.Identity()

        self.layers = nn.ModuleList()
        for number in range(abs(depth)):
            dilation = 2 ** number if depth > 0 else 1
            parts = [nn.Conv1d(channels, hidden, kernel_size, dilation=dilation,
                               padding=dilation * (kernel_size // 2)), norm(hidden), nn.GELU(),
                     nn.Conv1d(hidden, 2 * channels, 1), norm(2 * channels), nn.GLU(1), _LayerScale(channels, init)]
            if attn:
                parts.insert(3, _LocalState(hidden, heads=heads, ndecay=ndecay))
            if lstm:
                parts.insert(3, _BLSTM(hidden, layers=2, skip=True))
            self.layers.append(nn.Sequential(*parts))

    def forward(self, x):
        for layer in self.layers:
            x = x + layer(x)
        return x


class _LayerScale(nn.Module):
    def __init__(self, channels, init=0):
        super().__init__()
        self.scale = nn.Parameter(rl.full((channels,), float(init)))

    def forward(self, x):
        return self.scale[:, None] * x


class _BLSTM(nn.Module):
    """A recurrence in both directions over (N, dim, time)."""

    def __init__(self, dim, layers=1, skip=False):
        super().__init__()
        self.lstm = nn.LSTM(dim, dim, layers, bidirectional=True)
        self.linear = nn.Linear(2 * dim, dim)
        self.skip = skip

    def _run(self, x):
        return self.linear(self.lstm(x.permute(2, 0, 1))[0]).permute(1, 2, 0)

    def _in_frames(self, x):
        """Cut into frames, and join the middles of the results."""
        count, _, time = x.shape
        stride = LONGEST // 2
        frames = math.ceil(time / stride)
        padded = nnf.pad(x, (0, (frames - 1) * stride + LONGEST - time))
        found = self._run(padded.unfold(-1, LONGEST, stride).permute(0, 2, 1, 3).flatten(0, 1))
        found, edge = found.unflatten(0, (count, frames)), stride // 2
        parts = [found[:, k, :, (edge if k else 0):(LONGEST if k == frames - 1 else -edge)] for k in range(frames)]
        return rl.cat(parts, -1)[..., :time]

    def forward(self, x):
        found = self._in_frames(x) if x.shape[-1] > LONGEST else self._run(x)
        return found + x if self.skip else found


class _LocalState(nn.Module):
    """Attention that decays with distance; each step chooses how fast."""

    def __init__(self, channels, heads=4, ndecay=4):
        super().__init__()
        if channels % heads:
            raise ValueError("Channels must be divisible by heads.")
        self.heads, self.ndecay = heads, ndecay
        self.content = nn.Conv1d(channels, channels, 1)
        self.query = nn.Conv1d(channels, channels, 1)
        self.key = nn.Conv1d(channels, channels, 1)
        self.query_decay = nn.Conv1d(channels, heads * ndecay, 1)
        if ndecay:
            self.query_decay.weight.data.mul_(0.01)
            self.query_decay.bias.data.fill_(-2)
        self.proj = nn.Conv1d(channels, channels, 1)

    def forward(self, x):
        time = x.shape[-1]
        places = rl.arange(time, device=x.device, dtype=x.dtype)
        distance = (places[:, None] - places[None, :]).abs()
        queries, keys, content = [layer(x).unflatten(1, (self.heads, -1))
                                  for layer in (self.query, self.key, self.content)]
        scores = keys.transpose(2, 3) @ queries / math.sqrt(keys.shape[2])  # (N, heads, key, query)
        if self.ndecay:
            rates = rl.arange(1, self.ndecay + 1, device=x.device, dtype=x.dtype)[:, None] / math.sqrt(self.ndecay)
            chosen = self.query_decay(x).unflatten(1, (self.heads, -1)).sigmoid() / 2
            scores = scores - distance * (rates * chosen).sum(2, keepdim=True)
        weights = scores.masked_fill(rl.eye(time, device=x.device, dtype=rl.bool), HIDDEN).softmax(2)
        return x + self.proj((content @ weights).flatten(1, 2))
