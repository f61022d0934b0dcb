"""Short-time Fourier transforms against their definition, and the inverse as an inverse."""
import numpy as np
import pytest

import rushlight as torch

SIGNAL = np.random.default_rng(0).standard_normal((2, 300))


def reference(x, n_fft, hop, window, center=True, mode="reflect", normalized=False, onesided=True):
    """The definition: (batch, frequency, frame)."""
    if center:
        x = np.pad(x, [(0, 0), (n_fft // 2, n_fft // 2)], mode)
    left = (n_fft - len(window)) // 2
    window = np.pad(window, (left, n_fft - len(window) - left))
    frames = [x[:, start:start + n_fft] * window for start in range(0, x.shape[1] - n_fft + 1, hop)]
    transform = np.fft.rfft if onesided else np.fft.fft
    return np.stack([transform(f, norm="ortho" if normalized else None) for f in frames], -1)


@pytest.mark.parametrize("options", [
    {}, dict(hop=7), dict(center=False), dict(normalized=True), dict(onesided=False), dict(mode="constant"),
])
@pytest.mark.parametrize("width", [64, 50])
def test_definition(options, width):
    window = torch.hann_window(width, dtype=torch.float64)
    options = {"hop": 16, **options}
    found = torch.stft(
        torch.tensor(SIGNAL), 64, options["hop"], width, window, options.get("center", True),
        options.get("mode", "reflect"), options.get("normalized", False), options.get("onesided"), True)
    np.testing.assert_allclose(found.numpy(), reference(SIGNAL, 64, window=window.numpy(), **options), atol=1e-12)


@pytest.mark.parametrize("options", [{}, dict(normalized=True), dict(onesided=False), dict(win_length=48)])
def test_inverse(options):
    window = torch.hann_window(options.get("win_length", 64), dtype=torch.float64)
    x = torch.tensor(SIGNAL)
    spectrum = torch.stft(x, 64, window=window, return_complex=True, **options)
    back = torch.istft(spectrum, 64, window=window, length=300, **options)
    np.testing.assert_allclose(back[:, :288].numpy(), SIGNAL[:, :288], atol=1e-12)
    assert torch.istft(spectrum[0], 64, window=window, **options).shape == (288,)


def test_complex_signals():
    x = torch.complex(torch.tensor(SIGNAL[0]), torch.tensor(SIGNAL[1]))
    window = torch.hann_window(64, dtype=torch.float64)
    spectrum = torch.stft(x, 64, window=window)
    assert spectrum.shape[0] == 64
    back = torch.istft(spectrum, 64, window=window, return_complex=True)
    np.testing.assert_allclose(back.numpy(), x.numpy()[:288], atol=1e-12)


def test_gradients():
    window = torch.hann_window(8, dtype=torch.float64) + 0.1
    x = torch.tensor(SIGNAL[:, :20], requires_grad=True)

    def there(signal):
        return torch.stft(signal, 8, window=window, return_complex=True)

    assert torch.autograd.gradcheck(there, x)
    spectrum = there(x).detach().requires_grad_()
    assert torch.autograd.gradcheck(lambda s: torch.istft(s, 8, window=window), spectrum)


def test_refused():
    x = torch.tensor(SIGNAL)
    with pytest.raises(RuntimeError, match="return_complex parameter"):
        torch.stft(x, 64, window=torch.ones(64))
    with pytest.raises(RuntimeError, match="hop_length > 0"):
        torch.stft(x, 64, 0, window=torch.ones(64), return_complex=True)
    with pytest.raises(RuntimeError, match="win_length <= n_fft"):
        torch.stft(x, 64, win_length=65, window=torch.ones(65), return_complex=True)
    with pytest.raises(RuntimeError, match="window tensor of size"):
        torch.stft(x, 64, window=torch.ones(63), return_complex=True)
    with pytest.raises(RuntimeError, match="n_fft <= 300"):
        torch.stft(x, 301, window=torch.ones(301), center=False, return_complex=True)
    with pytest.raises(RuntimeError, match="complex-valued input"):
        torch.istft(x, 64)
    window = torch.zeros(64, dtype=torch.float64)
    spectrum = torch.stft(x, 64, window=window, return_complex=True)
    with pytest.raises(RuntimeError, match="window overlap add min"):
        torch.istft(spectrum, 64, window=window)
