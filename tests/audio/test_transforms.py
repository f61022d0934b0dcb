"""Transforms as layers: shapes, state, agreement with functions, training on features."""
import numpy as np
import pytest

import rushlight as rl
from rushlight import nn
from rushlight.audio import functional as F
from rushlight.audio import transforms as T


def test_features_have_the_shapes_that_are_said():
    sound = rl.randn(2, 8000) * 0.1
    for layer, shape in ((T.Spectrogram(n_fft=256), (2, 129, 63)),
                         (T.MelSpectrogram(8000, 256, n_mels=20), (2, 20, 63)),
                         (T.MFCC(8000, 13, melkwargs={"n_mels": 20, "n_fft": 256}), (2, 13, 63)),
                         (T.LFCC(8000, 20, n_lfcc=12, speckwargs={"n_fft": 256}), (2, 12, 63)),
                         (T.SpectralCentroid(8000, 256), (2, 63)), (T.Resample(8000, 6000), (2, 6000)),
                         (T.PitchShift(8000, 4, n_fft=256), (2, 8000))):
        assert tuple(layer(sound).shape) == shape, layer


def test_a_spectrogram_can_be_inverted():
    sound = rl.randn(1, 2000)
    found = T.InverseSpectrogram(128)(T.Spectrogram(128, power=None)(sound), 2000)
    np.testing.assert_allclose(found.numpy(), sound.numpy(), atol=1e-5)
    with pytest.raises(ValueError, match="momentum"):
        T.GriffinLim(momentum=1.0)


def test_inverse_mel_scale_finds_spectra_of_the_same_bands():
    spectra = rl.rand(1, 129, 5)
    mel = T.MelScale(20, 8000, n_stft=129)
    found = T.InverseMelScale(129, 20, 8000)(mel(spectra))
    assert bool((found >= 0).all())
    assert float((mel(found) - mel(spectra)).norm() / mel(spectra).norm()) < 0.2
    with pytest.raises(ValueError, match="mel bins"):
        T.InverseMelScale(129, 20, 8000)(rl.ones(1, 19, 5))


def test_kernels_and_windows_are_buffers():
    assert list(T.MFCC(8000, 5, melkwargs={"n_mels": 10}).state_dict()) == [
        "dct_mat", "MelSpectrogram.spectrogram.window", "MelSpectrogram.mel_scale.fb"]
    assert list(T.Resample(8000, 6000).state_dict()) == ["kernel"]
    assert not T.Resample(8000, 8000).state_dict()
    shift = T.PitchShift(8000, 4, n_fft=256)
    shift(rl.randn(1, 1000))
    assert set(shift.state_dict()) == {"window", "kernel"}


def test_fades_begin_and_end_in_silence():
    ones = rl.ones(1, 100)
    for shape in ("linear", "exponential", "logarithmic", "quarter_sine", "half_sine"):
        found = T.Fade(20, 30, shape)(ones)[0].numpy()
        assert found[0] < 1e-6 and found[-1] < 1e-6 and (found[20:70] == 1).all()
        assert (np.diff(found[:20]) >= 0).all() and (np.diff(found[70:]) <= 0).all()


def test_volume():
    sound = rl.tensor([0.5, -0.9])
    np.testing.assert_allclose(T.Vol(0.5)(sound).numpy(), [0.25, -0.45])
    np.testing.assert_allclose(T.Vol(4.0, "power")(sound).numpy(), [1.0, -1.0], rtol=1e-5)
    np.testing.assert_allclose(T.Vol(-6.0206, "db")(sound).numpy(), [0.25, -0.45], rtol=1e-4)
    with pytest.raises(ValueError, match="positive"):
        T.Vol(-1.0)


def test_masking_hides_stretches():
    rl.manual_seed(0)
    spectra = rl.rand(2, 1, 40, 50) + 1
    layers = T.FrequencyMasking(10), T.TimeMasking(10, iid_masks=True), T.SpecAugment(2, 10, 2, 10, zero_masking=True)
    for layer in layers:
        found = layer(spectra)
        assert found.shape == spectra.shape
        kept = found != 0
        np.testing.assert_array_equal(found[kept].numpy(), spectra[kept].numpy())
    with pytest.raises(ValueError, match="value of p"):
        T.TimeMasking(10, p=2.0)


def test_speeds_are_drawn():
    rl.manual_seed(0)
    layer = T.SpeedPerturbation(8000, [0.8, 1.25])
    assert {layer(rl.randn(1, 1000))[0].shape[1] for _ in range(20)} == {1250, 800}


def test_beamforming_over_time():
    rl.manual_seed(0)
    array, mask = rl.randn(2, 9, 20, dtype=rl.complex64), rl.rand(9, 20)
    online = T.MVDR(online=True)
    first, whole = online(array, mask, 1 - mask), T.MVDR()(array, mask, 1 - mask)
    np.testing.assert_allclose(first.numpy(), whole.numpy(), atol=1e-4)
    online(array, mask, 1 - mask)
    np.testing.assert_allclose(online.mask_sum_s.numpy(), 2 * mask.sum(-1).numpy(), rtol=1e-5)
    with pytest.warns(UserWarning, match="mask_n"):
        T.MVDR()(array, mask)
    with pytest.raises(ValueError, match="solution"):
        T.MVDR(solution="best")


def test_a_keyword_spotter_trains_on_cepstra():
    """Rising and falling tones are told apart by a small network on MFCCs."""
    rl.manual_seed(0)
    time = rl.arange(2000) / 8000
    sounds = rl.stack([rl.sin(6.2832 * (600 + sign * 1600 * time) * time + phase)
                       for sign in (1, -1) for phase in rl.rand(16).tolist()])
    sounds = sounds + 0.05 * rl.randn(sounds.shape)
    labels = rl.arange(32) // 16
    features = T.MFCC(8000, 12, melkwargs={"n_mels": 24, "n_fft": 256})
    model = nn.Sequential(features, nn.Flatten(), nn.LazyLinear(16), nn.ReLU(), nn.Linear(16, 2))
    model(sounds)
    optimizer = rl.optim.Adam(model.parameters(), 1e-3)
    for _ in range(60):
        loss = nn.functional.cross_entropy(model(sounds), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert float(loss) < 0.1
    assert (model(sounds).argmax(1) == labels).all()


def test_layers_agree_with_functions():
    sound = rl.randn(2, 500) * 0.1
    pairs = ((T.Deemphasis(0.9), lambda x: F.deemphasis(x, 0.9)), (T.Preemphasis(0.9), lambda x: F.preemphasis(x, 0.9)),
             (T.MuLawEncoding(64), lambda x: F.mu_law_encoding(x, 64)))
    for layer, function in pairs:
        np.testing.assert_array_equal(layer(sound).numpy(), function(sound).numpy())
    np.testing.assert_array_equal(T.Convolve("same")(sound, sound).numpy(), F.convolve(sound, sound, "same").numpy())
    with pytest.raises(ValueError, match="mode"):
        T.FFTConvolve("half")
