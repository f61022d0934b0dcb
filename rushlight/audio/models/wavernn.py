"""WaveRNN (Kalchbrenner et al. 2018, arXiv:1802.08435): a vocoder, from spectrograms to sounds."""

import math

from ... import api as rl
from ... import nn
from ...nn import functional as nnf


class ResBlock(nn.Module):
    """Two convolutions of width 1 around which the input is added."""

    def __init__(self, n_freq=128):
        super().__init__()
        self.resblock_model = nn.Sequential(
            nn.Conv1d(n_freq, n_freq, 1, bias=False), nn.BatchNorm1d(n_freq), nn.ReLU(inplace=True),
            nn.Conv1d(n_freq, n_freq, 1, bias=False), nn.BatchNorm1d(n_freq))

    def forward(self, specgram):
        return self.resblock_model(specgram) + specgram


class MelResNet(nn.Module):
    """Spectrograms (N, n_freq, time) → features (N, n_output, time - kernel_size + 1)."""

    def __init__(self, n_res_block=10, n_freq=128, n_hidden=128, n_output=128, kernel_size=5):
        super().__init__()
        blocks = [ResBlock(n_hidden) for _ in range(n_res_block)]
        self.melresnet_model = nn.Sequential(
            nn.Conv1d(n_freq, n_hidden, kernel_size, bias=False), nn.BatchNorm1d(n_hidden), nn.ReLU(inplace=True),
            *blocks, nn.Conv1d(n_hidden, n_output, 1))

    def forward(self, specgram):
        return self.melresnet_model(specgram)


class Stretch2d(nn.Module):
    """Repeat columns `time_scale` times and rows `freq_scale` times."""

    def __init__(self, time_scale, freq_scale):
        super().__init__()
        self.freq_scale, self.time_scale = freq_scale, time_scale

    def forward(self, specgram):
        return specgram.repeat_interleave(self.freq_scale, -2).repeat_interleave(self.time_scale, -1)


class UpsampleNetwork(nn.Module):
    """Spectrograms at the rate of the sound, smoothed, and features of them at the same rate."""

    def __init__(self, upsample_scales, n_res_block=10, n_freq=128, n_hidden=128, n_output=128, kernel_size=5):
        super().__init__()
        self.total_scale = math.prod(upsample_scales)
        self.indent = (kernel_size - 1) // 2 * self.total_scale
        self.resnet = MelResNet(n_res_block, n_freq, n_hidden, n_output, kernel_size)
        self.resnet_stretch = Stretch2d(self.total_scale, 1)
        layers = []
        for scale in upsample_scales:
            smooth = nn.Conv2d(1, 1, (1, scale * 2 + 1), padding=(0, scale), bias=False)
            nn.init.constant_(smooth.weight, 1.0 / (scale * 2 + 1))
            layers += [Stretch2d(scale, 1), smooth]
        self.upsample_layers = nn.Sequential(*layers)

    def forward(self, specgram):
        features = self.resnet_stretch(self.resnet(specgram).unsqueeze(1)).squeeze(1)
        smooth = self.upsample_layers(specgram.unsqueeze(1)).squeeze(1)
        return smooth[:, :, self.indent:-self.indent], features


class WaveRNN(nn.Module):
    """Two recurrences that predict samples, of `n_classes` values, from spectrograms and the samples before.

    Args:
        upsample_scales (list of int): factors whose product is `hop_length`.
        n_classes (int): values of a sample; hop_length (int): samples from frame to frame.
        n_res_block, n_rnn, n_fc, kernel_size, n_freq, n_hidden, n_output (int): sizes.
    """

    def __init__(self, upsample_scales, n_classes, hop_length, n_res_block=10, n_rnn=512, n_fc=512, kernel_size=5,
                 n_freq=128, n_hidden=128, n_output=128):
        super().__init__()
        total = math.prod(upsample_scales)
        if total != hop_length:
            raise ValueError(f"Expected: total_scale == hop_length, but found {total} != {hop_length}")
        self.kernel_size, self._pad = kernel_size, (kernel_size - kernel_size % 2) // 2
        self.n_rnn, self.n_aux, self.hop_length = n_rnn, n_output // 4, hop_length
        self.n_classes, self.n_bits = n_classes, int(math.log2(n_classes))
        self.upsample = UpsampleNetwork(upsample_scales, n_res_block, n_freq, n_hidden, n_output, kernel_size)
        self.fc = nn.Linear(n_freq + self.n_aux + 1, n_rnn)
        self.rnn1 = nn.GRU(n_rnn, n_rnn, batch_first=True)
        self.rnn2 = nn.GRU(n_rnn + self.n_aux, n_rnn, batch_first=True)
        self.relu1 = nn.ReLU(inplace=True)
        self.relu2 = nn.ReLU(inplace=True)
        self.fc1 = nn.Linear(n_rnn + self.n_aux, n_fc)
        self.fc2 = nn.Linear(n_fc + self.n_aux, n_fc)
        self.fc3 = nn.Linear(n_fc, n_classes)

    def _scores(self, samples, specgram, features, states):
        """Scores of samples (N, time, n_classes) after those before them (N, time, 1), and the recurrences' states."""
        parts = features[..., :4 * self.n_aux].split(self.n_aux, -1)
        x = self.fc(rl.cat((samples, specgram, parts[0]), -1))
        found, first = self.rnn1(x, states[0])
        x = x + found
        found, second = self.rnn2(rl.cat((x, parts[1]), -1), states[1])
        x = x + found
        x = self.relu1(self.fc1(rl.cat((x, parts[2]), -1)))
        x = self.relu2(self.fc2(rl.cat((x, parts[3]), -1)))
        return self.fc3(x), (first, second)

    def _states(self, like):
        return [like.new_zeros(1, like.shape[0], self.n_rnn) for _ in range(2)]

    def forward(self, waveform, specgram):
        """Sounds (N, 1, (frames - kernel_size + 1) * hop_length), spectrograms (N, 1, n_freq, frames) → scores
        (N, 1, time, n_classes)."""
        for name, value in (("waveform", waveform), ("specgram", specgram)):
            if value.shape[1] != 1:
                raise ValueError(f"Require the input channel of {name} is 1")
        waveform = waveform.squeeze(1)
        specgram, features = self.upsample(specgram.squeeze(1))
        scores, _ = self._scores(waveform.unsqueeze(-1), specgram.transpose(1, 2), features.transpose(1, 2),
                                 self._states(waveform))
        return scores.unsqueeze(1)

    def infer(self, specgram, lengths=None):
        """Draw sounds (N, 1, frames * hop_length) for spectrograms (N, n_freq, frames), and their lengths (or None)."""
        specgram, features = self.upsample(nnf.pad(specgram, (self._pad, self._pad)))
        lengths = None if lengths is None else lengths * self.upsample.total_scale
        specgram, features = specgram.transpose(1, 2), features.transpose(1, 2)
        states, x, found = self._states(specgram), specgram.new_zeros(specgram.shape[0], 1), []
        for t in range(specgram.shape[1]):
            scores, states = self._scores(x[:, None], specgram[:, t:t + 1], features[:, t:t + 1], states)
            x = rl.multinomial(scores[:, 0].softmax(1), 1).float()
            x = 2 * x / (2 ** self.n_bits - 1.0) - 1.0
            found.append(x)
        return rl.stack(found).permute(1, 2, 0), lengths
