"""Functions of sounds against NumPy, closed forms and plain loops."""
import math

import numpy as np
import pytest
from numeric import check_gradients, tensor

import rushlight as rl
from rushlight.audio import functional as F
from rushlight.audio.compliance import kaldi

RANDOM = np.random.RandomState(0)


def tone(frequency, rate=8000, seconds=1.0, size=0.5):
    return rl.sin(2 * math.pi * frequency * rl.arange(int(rate * seconds)) / rate)[None] * size


def level(sound):
    """The root of the mean square without the ends."""
    return float(sound[..., 500:-500].square().mean().sqrt())


def test_spectrogram_is_the_fourier_transform_of_frames():
    x = RANDOM.randn(1, 400).astype(np.float32)
    window = np.hanning(65)[:-1].astype(np.float32)
    frames = np.lib.stride_tricks.sliding_window_view(x[0], 64)[::16] * window
    expected = np.abs(np.fft.rfft(frames)).T[None] ** 2
    found = F.spectrogram(tensor(x), 0, tensor(window), 64, 16, 64, 2.0, False, center=False)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-3, atol=1e-4)
    scaled = F.spectrogram(tensor(x), 0, tensor(window), 64, 16, 64, 1.0, True, center=False)
    np.testing.assert_allclose(scaled.numpy(), np.sqrt(expected / (window ** 2).sum()), rtol=1e-3, atol=1e-4)


def test_inverse_spectrogram_gives_the_sound_back():
    x, window = rl.randn(2, 500), rl.hann_window(64)
    for normalized in (False, True, "frame_length"):
        spectra = F.spectrogram(x, 0, window, 64, 16, 64, None, normalized)
        found = F.inverse_spectrogram(spectra, 500, 0, window, 64, 16, 64, normalized)
        np.testing.assert_allclose(found.numpy(), x.numpy(), atol=1e-5)
    with pytest.raises(ValueError, match="Invalid normalized"):
        F.spectrogram(x, 0, window, 64, 16, 64, None, "both")
    with pytest.raises(ValueError, match="complex"):
        F.inverse_spectrogram(rl.ones(33, 3), None, 0, window, 64, 16, 64, False)


def test_griffin_lim_finds_a_sound_of_the_same_spectrogram():
    rl.manual_seed(0)
    window = rl.hann_window(128)
    wanted = F.spectrogram(tone(440), 0, window, 128, 32, 128, 1.0, False)
    found = F.griffinlim(wanted, window, 128, 32, 128, 1.0, 30, 0.9, 8000, True)
    again = F.spectrogram(found, 0, window, 128, 32, 128, 1.0, False)
    assert float((again - wanted).norm() / wanted.norm()) < 0.1


def test_phase_vocoder_keeps_the_pitch():
    window = rl.hann_window(256)
    spectra = F.spectrogram(tone(1000), 0, window, 256, 64, 256, None, False)
    slow = F.phase_vocoder(spectra, 0.5, rl.linspace(0, math.pi * 64, 129)[:, None])
    assert slow.shape[-1] == 2 * spectra.shape[-1]
    assert int(slow.abs().sum(-1).argmax()) == int(spectra.abs().sum(-1).argmax()) == 32


def test_pitch_shift_by_an_octave_doubles_the_frequency():
    shifted = F.pitch_shift(tone(500), 8000, 12)
    assert shifted.shape == (1, 8000)
    assert abs(int(rl.fft.rfft(shifted).abs().argmax()) - 1000) <= 4


def test_resampling_keeps_tones():
    for new in (6000, 12000, 11025):
        found = F.resample(tone(440), 8000, new)
        expected = tone(440, new)
        assert found.shape == expected.shape
        np.testing.assert_allclose(found[:, 200:-200].numpy(), expected[:, 200:-200].numpy(), atol=0.01)
    sound = tone(3500)
    assert level(F.resample(sound, 8000, 4000)) < 0.01  # above the new Nyquist frequency
    assert F.resample(sound, 8000, 8000) is sound
    with pytest.raises(ValueError, match="positive"):
        F.resample(sound, 0, 8000)
    with pytest.raises(ValueError, match="Invalid resampling method"):
        F.resample(sound, 8000, 4000, resampling_method="cubic")
    with pytest.raises(TypeError, match="floating"):
        F.resample(rl.ones(1, 10, dtype=rl.int64), 8000, 4000)


def test_speed():
    found, lengths = F.speed(tone(440), 8000, 1.25, rl.tensor([8000]))
    assert found.shape == (1, 6400)
    assert lengths.tolist() == [6400]


def test_decibels():
    powers = rl.tensor([[[1.0, 10.0, 1000.0]]])
    np.testing.assert_allclose(F.amplitude_to_DB(powers, 10.0, 1e-10, 0.0).numpy(), [[[0, 10, 30]]], atol=1e-5)
    np.testing.assert_allclose(F.amplitude_to_DB(powers, 10.0, 1e-10, 0.0, 15.0).numpy(), [[[15, 15, 30]]], atol=1e-5)
    np.testing.assert_allclose(F.DB_to_amplitude(rl.tensor([0.0, 20.0]), 1.0, 0.5).numpy(), [1, 10], rtol=1e-5)


def test_mel_filters_are_triangles():
    bank = F.melscale_fbanks(257, 0.0, 8000.0, 20, 16000).numpy()
    assert bank.shape == (257, 20)
    peaks = bank.argmax(0)
    assert (np.diff(peaks) > 0).all() and bank.max() <= 1.0
    points = 700 * (10 ** (np.linspace(0, 2595 * math.log10(1 + 8000 / 700), 22) / 2595) - 1)
    np.testing.assert_allclose(peaks * 8000 / 256, points[1:-1], atol=20)
    areas = F.melscale_fbanks(2001, 0.0, 8000.0, 20, 16000, "slaney", "slaney").numpy().sum(0) * 4
    np.testing.assert_allclose(areas, 1.0, rtol=0.02)
    with pytest.warns(UserWarning, match="zero"):
        F.melscale_fbanks(20, 0.0, 8000.0, 60, 16000)


def test_cosine_transform_is_orthogonal():
    matrix = F.create_dct(16, 16, "ortho").numpy()
    np.testing.assert_allclose(matrix.T @ matrix, np.eye(16), atol=1e-5)


def test_mu_law_round_trip():
    x = rl.linspace(-1, 1, 101)
    codes = F.mu_law_encoding(x, 256)
    assert codes.min() == 0 and codes.max() == 255
    np.testing.assert_allclose(F.mu_law_decoding(codes, 256).numpy(), x.numpy(), atol=0.03)


# -- filters -----------------------------------------------------------------------------------------------------------


def difference_equation(x, a, b):
    y = np.zeros_like(x)
    for t in range(len(x)):
        y[t] = sum(b[k] * x[t - k] for k in range(len(b)) if t >= k)
        y[t] -= sum(a[k] * y[t - k] for k in range(1, len(a)) if t >= k)
        y[t] /= a[0]
    return y


def test_lfilter_solves_the_difference_equation():
    x, a, b = RANDOM.randn(2, 3, 40), np.array([[2.0, -0.5, 0.2]] * 3), RANDOM.randn(3, 3)
    a[1] = [1.0, 0.3, -0.1]
    expected = [[difference_equation(x[n, c], a[c], b[c]) for c in range(3)] for n in range(2)]
    found = F.lfilter(tensor(x), tensor(a), tensor(b), clamp=False)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-10)
    each = F.lfilter(tensor(x[0]), tensor(a), tensor(b), clamp=False, batching=False)
    assert each.shape == (3, 3, 40)
    np.testing.assert_allclose(each[2, 1].numpy(), difference_equation(x[0, 2], a[1], b[1]), rtol=1e-10)
    assert float(F.lfilter(tensor(x), tensor(a), tensor(b)).abs().max()) == 1.0
    with pytest.raises(ValueError, match="same size"):
        F.lfilter(tensor(x), tensor(a), tensor(b[:, :2]))


def test_gradients_of_filters():
    check_gradients(lambda x, a, b: F.lfilter(x, a, b, clamp=False), RANDOM.randn(2, 12),
                    np.array([1.2, -0.4, 0.2]), RANDOM.randn(3))
    check_gradients(lambda f: F.lowpass_biquad(tone(440, seconds=0.01).double(), 8000, f), np.array(900.0), step=1e-2)


PASSES = {  # filter: (a frequency that passes, one that does not)
    "lowpass_biquad": ((500.0,), 100, 3500), "highpass_biquad": ((2000.0,), 3500, 100),
    "bandpass_biquad": ((1000.0,), 1000, 3900), "bandreject_biquad": ((1000.0,), 3500, 1000),
}


@pytest.mark.parametrize("name", PASSES)
def test_biquads_pass_what_they_say(name):
    options, passed, stopped = PASSES[name]
    kept, lost = [level(getattr(F, name)(tone(f), 8000, *options)) for f in (passed, stopped)]
    assert abs(kept / level(tone(passed)) - 1) < 0.1
    assert lost < 0.1 * kept


def test_shelves_and_equaliser_change_levels_by_decibels():
    quiet = tone(1000, size=0.05)
    for found, wanted in ((F.equalizer_biquad(quiet, 8000, 1000.0, 6.0), 6.0),
                          (F.bass_biquad(tone(10, size=0.05), 8000, 6.0, 500.0), 6.0),
                          (F.treble_biquad(tone(3900, size=0.05), 8000, -6.0, 1000.0), -6.0),
                          (F.allpass_biquad(quiet, 8000, 1000.0), 0.0), (F.riaa_biquad(quiet, 44100), None)):
        if wanted is not None:
            assert abs(20 * math.log10(level(found) / (0.05 / math.sqrt(2))) - wanted) < 0.3
    with pytest.raises(ValueError, match="Sample rate"):
        F.riaa_biquad(quiet, 8000)
    with pytest.raises(ValueError, match="Sample rate"):
        F.deemph_biquad(quiet, 8000)


def test_filtfilt_does_not_shift():
    a, b = rl.tensor([1.0, -0.5]), rl.tensor([0.5, 0.0])
    pulse = rl.zeros(1, 101)
    pulse[0, 50] = 1.0
    found = F.filtfilt(pulse, a, b)[0]
    np.testing.assert_allclose(found.numpy(), found.flip(0).numpy(), atol=1e-6)


def test_emphasis_and_its_inverse():
    x = rl.randn(2, 50) * 0.1
    np.testing.assert_allclose(F.deemphasis(F.preemphasis(x)).numpy(), x.numpy(), atol=1e-5)


# -- effects -----------------------------------------------------------------------------------------------------------


def test_phaser_against_a_ring_buffer():
    x = RANDOM.randn(1, 300).astype(np.float32) * 0.1
    size, period = 24, 16000
    swing = (np.sin((np.arange(period) + period // 4) % period / period * 2 * np.pi) + 1) / 2 * (size - 1) + 1
    swing, buffer, expected = (swing + 0.5).astype(int), np.zeros(size), []
    for t in range(300):
        value = x[0, t] * 0.4 + buffer[(t + swing[t]) % size]
        buffer[(t + 1) % size] = value * 0.4
        expected.append(value * 0.74)
    np.testing.assert_allclose(F.phaser(tensor(x), 8000)[0].numpy(), expected, atol=1e-6)


def test_flanger_mixes_a_delayed_sound():
    pulse = rl.zeros(1, 1, 400)
    pulse[..., 100] = 1.0
    found = F.flanger(pulse, 8000, delay=5.0, depth=0.0, width=100.0)[0, 0].numpy()
    assert np.flatnonzero(np.abs(found) > 1e-3)[0] == 100
    np.testing.assert_allclose(found[100], 0.5)
    np.testing.assert_allclose(found[138:144].sum(), 0.5, rtol=1e-5)
    again = F.flanger(pulse, 8000, delay=5.0, depth=0.0, width=100.0, regen=50.0)[0, 0].numpy()
    assert again[150:].max() > 0.05  # what is fed back
    for options in ({"modulation": "square"}, {"interpolation": "cubic"}):
        with pytest.raises(ValueError, match="allowed"):
            F.flanger(pulse, 8000, **options)


def test_simple_effects():
    x = rl.tensor([[-0.9, -0.1, 0.0, 0.5, 0.95]])
    np.testing.assert_allclose(F.gain(x, 6.0).numpy(), x.numpy() * 10 ** 0.3, rtol=1e-6)
    np.testing.assert_allclose(F.dcshift(x, 0.2).numpy(), np.clip(x.numpy() + 0.2, -1, 1), rtol=1e-6)
    limited = F.dcshift(x, 0.3, 0.05).numpy()
    assert np.isclose(limited[0, 4], 0.75) and np.isclose(limited[0, 1], 0.2)
    np.testing.assert_allclose(F.dcshift(-x, -0.3, 0.05).numpy(), -limited, atol=1e-6)
    np.testing.assert_allclose(F.contrast(x, 0.0).numpy(), np.sin(x.numpy() * np.pi / 2), rtol=1e-5)
    assert float(F.overdrive(tone(440)).abs().max()) <= 1.0
    for kind in ("TPDF", "RPDF"):
        steps = F.dither(x, kind).numpy() * 2 ** 15
        np.testing.assert_allclose(steps, np.round(steps), atol=1e-3)
    with pytest.raises(ValueError, match="enhancement_amount"):
        F.contrast(x, 101.0)


# -- features ----------------------------------------------------------------------------------------------------------


def test_deltas_of_a_line_are_its_slope():
    found = F.compute_deltas(rl.arange(20.0)[None, None] * 3)
    np.testing.assert_allclose(found[0, 0, 2:-2].numpy(), 3.0, rtol=1e-6)
    with pytest.raises(ValueError, match="greater than or equal to 3"):
        F.compute_deltas(rl.ones(1, 1, 5), 2)


def test_sliding_window_normalisation():
    x = RANDOM.randn(30, 4)
    found = F.sliding_window_cmn(tensor(x), 5, 3, center=True, norm_vars=True).numpy()
    part = x[8:13]
    np.testing.assert_allclose(found[10], (x[10] - part.mean(0)) / part.std(0), rtol=1e-8)
    before = F.sliding_window_cmn(tensor(x), 5, 3).numpy()
    np.testing.assert_allclose(before[20], x[20] - x[15:21].mean(0), rtol=1e-8)


def test_pitch_of_a_tone():
    found = F.detect_pitch_frequency(tone(200), 8000)
    np.testing.assert_allclose(found[:, 5:-5].numpy(), 200, rtol=0.02)


def test_loudness_of_a_tone():
    """ITU-R BS.1770: a sine of 997 Hz in one channel is -3.01 LKFS at full scale, 6.02 less at half of it."""
    found = float(F.loudness(tone(997, 48000, 2.0, 0.5), 48000))
    assert abs(found + 9.03) < 0.1
    with pytest.raises(ValueError, match="5 channels"):
        F.loudness(rl.ones(6, 48000), 48000)


def test_masks():
    rl.manual_seed(0)
    ones = rl.ones(2, 3, 20, 30)
    for axis, function in ((2, F.mask_along_axis_iid), (3, F.mask_along_axis_iid), (2, F.mask_along_axis)):
        found = function(ones, 8, 0.0, axis)
        flat = found.numpy().min(3 if axis == 2 else 2)
        assert set(np.unique(found.numpy())) <= {0.0, 1.0}
        assert (flat == 0).sum(-1).max() < 8
        assert (np.abs(np.diff(flat, axis=-1)).sum(-1) <= 2).all()  # one stretch
    with pytest.raises(ValueError, match="Only Frequency and Time"):
        F.mask_along_axis(ones, 8, 0.0, 0)
    with pytest.raises(ValueError, match="between 0.0 and 1.0"):
        F.mask_along_axis(ones, 8, 0.0, 2, 1.5)


def test_voice_activity_is_found():
    rl.manual_seed(0)
    noise = rl.randn(1, 16000) * 0.001
    sound = rl.cat((noise, sum(tone(f, 16000, 1.0, 0.2) for f in (150, 300, 450, 600, 750))), 1)
    kept = F.vad(sound, 16000)
    assert 0 < kept.shape[1] < 26000
    np.testing.assert_array_equal(kept.numpy(), sound[:, -kept.shape[1]:].numpy())
    assert F.vad(noise, 16000).shape[1] == 0


# -- convolution, alignment, microphones -------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["full", "valid", "same"])
def test_convolution(mode):
    x, y = RANDOM.randn(2, 30), RANDOM.randn(2, 7)
    expected = [np.convolve(a, b, mode) for a, b in zip(x, y)]
    np.testing.assert_allclose(F.convolve(tensor(x), tensor(y), mode).numpy(), expected, rtol=1e-10)
    np.testing.assert_allclose(F.fftconvolve(tensor(x), tensor(y), mode).numpy(), expected, atol=1e-10)


def test_convolution_errors():
    with pytest.raises(ValueError, match="mode"):
        F.convolve(rl.ones(3), rl.ones(2), "half")
    with pytest.raises(ValueError, match="same dimension"):
        F.fftconvolve(rl.ones(1, 3), rl.ones(2))
    with pytest.raises(ValueError, match="broadcastable"):
        F.convolve(rl.ones(2, 3), rl.ones(3, 2))


def test_noise_has_the_ratio_that_is_asked():
    sound, noise = rl.randn(2, 500), rl.randn(2, 500) * 3
    added = F.add_noise(sound, noise, rl.tensor([10.0, 0.0])) - sound
    ratio = 10 * (sound.square().sum(1) / added.square().sum(1)).log10()
    np.testing.assert_allclose(ratio.numpy(), [10, 0], atol=1e-3)


def test_frechet_distance_of_diagonal_covariances():
    found = F.frechet_distance(rl.tensor([1.0, 0.0]), rl.diag(rl.tensor([4.0, 1.0])), rl.zeros(2), rl.eye(2))
    assert abs(float(found) - (1 + (2 - 1) ** 2)) < 1e-4


def test_alignment():
    emission = rl.full((1, 6, 4), -5.0)
    for t, label in enumerate([1, 1, 0, 2, 3, 3]):
        emission[0, t, label] = 0.0
    path, scores = F.forced_align(emission, rl.tensor([[1, 2, 3]]))
    assert path.tolist() == [[1, 1, 0, 2, 3, 3]] and float(scores.sum()) == 0.0
    spans = F.merge_tokens(path[0], scores[0].exp())
    assert [(s.token, s.start, s.end, len(s)) for s in spans] == [(1, 0, 2, 2), (2, 3, 4, 1), (3, 4, 6, 2)]
    with pytest.raises(ValueError, match="blank"):
        F.forced_align(emission, rl.tensor([[0]]))
    with pytest.raises(RuntimeError, match="too long"):
        F.forced_align(emission, rl.tensor([[1, 1, 1, 1]]))
    assert F.edit_distance("kitten", "sitting") == 3
    assert F.edit_distance([], ["a", "b"]) == 2


def test_transducer_loss_checks_its_arguments():
    logits, targets = rl.randn(1, 3, 3, 4), rl.tensor([[1, 2]], dtype=rl.int32)
    three, two = rl.tensor([3], dtype=rl.int32), rl.tensor([2], dtype=rl.int32)
    assert F.rnnt_loss(logits, targets, three, two).shape == ()
    with pytest.raises(ValueError, match="reduction"):
        F.rnnt_loss(logits, targets, three, two, reduction="max")
    with pytest.raises(RuntimeError, match="input length mismatch"):
        F.rnnt_loss(logits, targets, two, two)


def test_beamformer_leaves_the_wanted_source():
    """The wanted source arrives alike at both microphones; noise only at the second."""
    rl.manual_seed(0)
    source, noise = [rl.randn(5, 200, dtype=rl.complex128) for _ in range(2)]
    heard = rl.stack((source, source + noise))
    density = rl.ones(5, 2, 2, dtype=rl.complex128)
    noisy = rl.diag(rl.tensor([1e-6, 1.0], dtype=rl.complex128)).expand(5, 2, 2)
    for weights in (F.mvdr_weights_souden(density, noisy, 0), F.mvdr_weights_rtf(F.rtf_evd(density), noisy, 0),
                    F.mvdr_weights_rtf(F.rtf_power(density, noisy, 0), noisy, 0)):
        found = F.apply_beamforming(weights, heard)
        assert float((found - source).abs().max()) < 0.01
    np.testing.assert_allclose(F.psd(heard).numpy(), np.einsum("aft,bft->fab", heard.numpy(), heard.numpy().conj()))
    with pytest.raises(TypeError, match="cfloat"):
        F.mvdr_weights_souden(density.real, noisy.real, 0)


# -- Kaldi -------------------------------------------------------------------------------------------------------------


def test_kaldi_filter_banks_of_a_tone():
    features = kaldi.fbank(tone(1000, 16000) * 1000, num_mel_bins=23)
    _, centres = kaldi.get_mel_banks(23, 512, 16000.0, 20.0, 0.0, 100.0, -500.0, 1.0)
    assert features.shape == (98, 23)
    nearest = int((centres[:, 0] - 1000).abs().argmin())
    assert abs(int(features.mean(0).argmax()) - nearest) <= 1
    assert kaldi.fbank(tone(1000, 16000), snip_edges=False).shape[0] == 100
    assert kaldi.fbank(tone(1000, 16000), use_energy=True).shape == (98, 24)
    assert kaldi.fbank(tone(1000, 16000), min_duration=2.0).numel() == 0


def test_kaldi_cepstra_and_scales():
    assert kaldi.mfcc(tone(300, 16000)).shape == (98, 13)
    centred = kaldi.mfcc(tone(300, 16000) + 0.01 * rl.randn(1, 16000), subtract_mean=True)
    np.testing.assert_allclose(centred.mean(0).numpy(), 0, atol=1e-4)
    hertz = rl.tensor([100.0, 1000.0, 7000.0])
    np.testing.assert_allclose(kaldi.inverse_mel_scale(kaldi.mel_scale(hertz)).numpy(), hertz.numpy(), rtol=1e-5)
    assert abs(kaldi.inverse_mel_scale_scalar(kaldi.mel_scale_scalar(440.0)) - 440) < 1e-9
    with pytest.raises(AssertionError, match="num_ceps"):
        kaldi.mfcc(tone(300, 16000), num_ceps=30)
    with pytest.raises(AssertionError, match="channel"):
        kaldi.fbank(tone(300, 16000), channel=3)
