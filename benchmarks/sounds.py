"""Ten seconds of sound beside torchaudio: `python benchmarks/sounds.py`. Needs PyTorch and torchaudio."""
import pathlib
import sys
import types

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import side_by_side  # noqa: E402

RATE, SECONDS = 16000, 10


def _without_extension():
    """An empty module in place of torchaudio's compiled operators, which want the libraries of the PyTorch that they
    were built with. Nothing measured here uses them.
    """
    stub = types.ModuleType("torchaudio._extension")
    stub._IS_TORCHAUDIO_EXT_AVAILABLE = stub._IS_ALIGN_AVAILABLE = False
    stub.fail_if_no_align = lambda function: function
    sys.modules["torchaudio._extension"] = stub


def _step(torch, make):
    if torch.__name__ == "torch":
        _without_extension()
    import torchaudio

    transform, sound = make(torchaudio.transforms), torch.randn(1, RATE * SECONDS) * 0.1

    def step():
        with torch.no_grad():
            return transform(sound)
    return step


def resample(torch):
    """16 kHz to 44.1 kHz."""
    return _step(torch, lambda transforms: transforms.Resample(RATE, 44100))


def halve(torch):
    """16 kHz to 8 kHz."""
    return _step(torch, lambda transforms: transforms.Resample(RATE, 8000))


def mel(torch):
    """80 mel bands of frames of 400 samples, every 160."""
    return _step(torch, lambda transforms: transforms.MelSpectrogram(RATE, 400, hop_length=160, n_mels=80))


def mfcc(torch):
    """40 MFCCs."""
    options = {"n_fft": 400, "hop_length": 160, "n_mels": 80}
    return _step(torch, lambda transforms: transforms.MFCC(RATE, 40, melkwargs=options))


WORKLOADS = {"resample 16 to 44.1 kHz": resample, "resample 16 to 8 kHz": halve, "mel spectrogram": mel, "MFCC": mfcc}

if __name__ == "__main__":
    side_by_side.compare(WORKLOADS, __file__)
