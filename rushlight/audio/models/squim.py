"""TorchAudio-Squim (Kumar et al. 2023, arXiv:2304.01448): the quality of speech, estimated without or with another
clean sound for reference."""

import math

from ... import api as rl
from ... import nn
from ...nn import functional as nnf
from . import wav2vec2

EPS = 1e-8
LOUDNESS = 20
PESQ = (1.0, 0.999 + 4.0 / (1 + math.exp(-1.3669 * 4.5 + 3.8224)))  # range of the wide-band measure
RANGES = {"stoi": (0.0, 1.0), "pesq": PESQ, "sisdr": None}


class RangeSigmoid(nn.Module):
    """The sigmoid, scaled to a range."""

    def __init__(self, val_range=(0.0, 1.0)):
        super().__init__()
        self.val_range = val_range

    def forward(self, x):
        low, high = self.val_range
        return x.sigmoid() * (high - low) + low


class Encoder(nn.Module):
    """Sounds (N, time) → features (N, feat_dim, frames)."""

    def __init__(self, feat_dim=512, win_len=32):
        super().__init__()
        self.conv1d = nn.Conv1d(1, feat_dim, win_len, stride=win_len // 2, bias=False)

    def forward(self, x):
        return nnf.relu(self.conv1d(x.unsqueeze(1)))


class SingleRNN(nn.Module):
    """A recurrence in both directions, and a projection back to the size of its input."""

    def __init__(self, rnn_type, input_size, hidden_size, dropout=0.0):
        super().__init__()
        self.rnn = getattr(nn, rnn_type)(input_size, hidden_size, 1, dropout=dropout, batch_first=True,
                                         bidirectional=True)
        self.proj = nn.Linear(hidden_size * 2, input_size)

    def forward(self, x):
        return self.proj(self.rnn(x)[0])


class DPRNN(nn.Module):
    """Recurrences within and across chunks that overlap by half (Luo, Chen and Yoshioka 2020)."""

    def __init__(self, feat_dim=64, hidden_dim=128, num_blocks=6, rnn_type="LSTM", d_model=256, chunk_size=100,
                 chunk_stride=50):
        super().__init__()
        self.row_rnn, self.col_rnn = nn.ModuleList(), nn.ModuleList()
        self.row_norm, self.col_norm = nn.ModuleList(), nn.ModuleList()
        for _ in range(num_blocks):
            self.row_rnn.append(SingleRNN(rnn_type, feat_dim, hidden_dim))
            self.col_rnn.append(SingleRNN(rnn_type, feat_dim, hidden_dim))
            self.row_norm.append(nn.GroupNorm(1, feat_dim, eps=EPS))
            self.col_norm.append(nn.GroupNorm(1, feat_dim, eps=EPS))
        self.conv = nn.Sequential(nn.Conv2d(feat_dim, d_model, 1), nn.PReLU())
        self.chunk_size, self.chunk_stride = chunk_size, chunk_stride

    def _chunks(self, x):
        """(chunks (N, features, chunk_size, count), zeros that were added at the end)."""
        size, stride = self.chunk_size, self.chunk_stride
        rest = size - (stride + x.shape[-1] % size) % size
        padded = nnf.pad(x, (stride, rest + stride))
        both = [part.unflatten(-1, (-1, size)) for part in (padded[:, :, :-stride], padded[:, :, stride:])]
        return rl.stack(both, 3).flatten(2, 3).transpose(2, 3), rest

    def _merged(self, x, rest):
        """The sum of both chunks at each frame."""
        both = x.transpose(2, 3).unflatten(2, (-1, 2))
        first, second = [both[:, :, :, number].flatten(2) for number in range(2)]
        total = first[..., self.chunk_stride:] + second[..., :-self.chunk_stride]
        return total[..., :total.shape[-1] - rest]

    def forward(self, x):
        x, rest = self._chunks(x)
        count, _, rows, columns = x.shape
        for row_rnn, row_norm, col_rnn, col_norm in zip(self.row_rnn, self.row_norm, self.col_rnn, self.col_norm):
            found = row_rnn(x.permute(0, 3, 2, 1).flatten(0, 1)).unflatten(0, (count, columns))
            x = x + row_norm(found.permute(0, 3, 2, 1))
            found = col_rnn(x.permute(0, 2, 3, 1).flatten(0, 1)).unflatten(0, (count, rows))
            x = x + col_norm(found.permute(0, 3, 1, 2))
        return self._merged(self.conv(x), rest).transpose(1, 2)


class AutoPool(nn.Module):
    """A mean over a dimension, weighted by a softmax of a learned sharpness."""

    def __init__(self, pool_dim=1):
        super().__init__()
        self.pool_dim = pool_dim
        self.alpha = nn.Parameter(rl.ones(1))

    def forward(self, x):
        return (x * (x * self.alpha).softmax(self.pool_dim)).sum(self.pool_dim)


class SquimObjective(nn.Module):
    """Estimate STOI, PESQ and SI-SDR of sounds (N, time): a list of three tensors (N,)."""

    def __init__(self, encoder, dprnn, branches):
        super().__init__()
        self.encoder, self.dprnn, self.branches = encoder, dprnn, branches

    def forward(self, x):
        if x.ndim != 2:
            raise ValueError(f"The input must be a 2D Tensor. Found dimension {x.ndim}.")
        x = x / ((x ** 2).mean(1, keepdim=True) ** 0.5 * LOUDNESS)
        features = self.dprnn(self.encoder(x))
        return [branch(features).squeeze(1) for branch in self.branches]


def _branch(d_model, nhead, metric):
    layer = nn.TransformerEncoderLayer(d_model, nhead, d_model * 4, dropout=0.0, batch_first=True)
    score = [nn.Linear(d_model, d_model), nn.PReLU(), nn.Linear(d_model, 1)]
    if RANGES[metric] is not None:
        score.append(RangeSigmoid(RANGES[metric]))
    return nn.Sequential(layer, AutoPool(), nn.Sequential(*score))


def squim_objective_model(feat_dim, win_len, d_model, nhead, hidden_dim, num_blocks, rnn_type, chunk_size,
                          chunk_stride=None):
    """Build a `SquimObjective` of these sizes; `rnn_type` is "LSTM", "GRU" or "RNN"."""
    stride = chunk_size // 2 if chunk_stride is None else chunk_stride
    encoder = Encoder(feat_dim, win_len)
    dprnn = DPRNN(feat_dim, hidden_dim, num_blocks, rnn_type, d_model, chunk_size, stride)
    return SquimObjective(encoder, dprnn, nn.ModuleList(_branch(d_model, nhead, metric) for metric in RANGES))


def squim_objective_base():
    """Build the published `SquimObjective`."""
    return squim_objective_model(256, 64, 256, 4, 256, 2, "LSTM", 71)


class AttPool(nn.Module):
    """A mean over time, weighted by attention, and a projection."""

    def __init__(self, input_dim, att_dim):
        super().__init__()
        self.linear1 = nn.Linear(input_dim, 1)
        self.linear2 = nn.Linear(input_dim, att_dim)

    def forward(self, x):
        weights = self.linear1(x).transpose(2, 1).softmax(2)
        return self.linear2((weights @ x).squeeze(1))


class Predictor(nn.Module):
    """The mean of scores from 0 to 4, weighted by a softmax."""

    def __init__(self, input_dim, att_dim):
        super().__init__()
        self.att_pool_layer = AttPool(input_dim, att_dim)
        self.att_dim = att_dim

    def forward(self, x):
        return (self.att_pool_layer(x).softmax(1) * rl.linspace(0, 4, self.att_dim, device=x.device)).sum(1)


class SquimSubjective(nn.Module):
    """Estimate the opinion score of sounds (N, time), with other clean sounds (N, time') for reference: (N,)."""

    def __init__(self, ssl_model, projector, predictor):
        super().__init__()
        self.ssl_model, self.projector, self.predictor = ssl_model, projector, predictor

    def forward(self, waveform, reference):
        time = waveform.shape[-1]
        if reference.shape[-1] < time:
            reference = rl.cat([reference] * (time // reference.shape[-1] + 1), 1)
        features = [self.projector(self.ssl_model.extract_features(sound)[0][-1])
                    for sound in (waveform, reference[:, :time])]
        return 5 - self.predictor(rl.cat((features[1], features[0]), 2))


def squim_subjective_model(ssl_type, feat_dim, proj_dim, att_dim):
    """Build a `SquimSubjective` on the features of a model of `rushlight.audio.models`, such as "wav2vec2_base"."""
    return SquimSubjective(getattr(wav2vec2, ssl_type)(), nn.Linear(feat_dim, proj_dim),
                           Predictor(proj_dim * 2, att_dim))


def squim_subjective_base():
    """Build the published `SquimSubjective`."""
    return squim_subjective_model("wav2vec2_base", 768, 32, 5)
