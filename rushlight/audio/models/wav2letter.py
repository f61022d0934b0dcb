"""Wav2Letter (Collobert, Puhrsch and Synnaeve 2016, arXiv:1609.03193)."""

from ... import nn
from ...nn import functional as nnf

# (channels in, out, kernel, stride, padding) of the acoustic model, without its first and last number of channels
LAYERS = ((250, 48, 2, 23), *[(250, 7, 1, 3)] * 7, (2000, 32, 1, 16), (2000, 1, 1, 0))


def _convolutions(channels, layers):
    found = []
    for out, kernel, stride, padding in layers:
        found += [nn.Conv1d(channels, out, kernel, stride, padding), nn.ReLU(inplace=True)]
        channels = out
    return nn.Sequential(*found)


class Wav2Letter(nn.Module):
    """Convolutions from sounds or features (N, num_features, time) to log-probabilities (N, num_classes, frames).

    `input_type` is "waveform", "power_spectrum" or "mfcc".
    """

    def __init__(self, num_classes=40, input_type="waveform", num_features=1):
        super().__init__()
        whole = input_type == "waveform"
        acoustic = _convolutions(250 if whole else num_features, (*LAYERS, (num_classes, 1, 1, 0)))
        if whole:
            self.acoustic_model = nn.Sequential(_convolutions(num_features, ((250, 250, 160, 45),)), acoustic)
        elif input_type in ("power_spectrum", "mfcc"):
            self.acoustic_model = acoustic

    def forward(self, x):
        return nnf.log_softmax(self.acoustic_model(x), dim=1)
