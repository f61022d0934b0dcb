"""Sounds in files: written and read again, parts of them, errors."""
import io

import numpy as np
import pytest

import rushlight as rl
from rushlight import audio

soundfile = pytest.importorskip("soundfile")


@pytest.fixture
def sound():
    return rl.sin(rl.arange(1600).reshape(2, 800) * 0.05) * 0.5


@pytest.mark.parametrize("name, options, tolerance", [
    ("a.wav", {}, 0.0), ("a.wav", {"encoding": "PCM_S", "bits_per_sample": 16}, 2e-4),
    ("a.wav", {"encoding": "PCM_U", "bits_per_sample": 8}, 0.02), ("a.wav", {"encoding": "ULAW"}, 0.05),
    ("a.flac", {}, 2e-4), ("a.flac", {"bits_per_sample": 24}, 1e-6), ("a.ogg", {"compression": 0.1}, 0.2)])
def test_round_trip(tmp_path, sound, name, options, tolerance):
    audio.save(tmp_path / name, sound, 16000, **options)
    found, rate = audio.load(tmp_path / name)
    assert rate == 16000 and found.dtype is rl.float32 and found.shape == (2, 800)
    np.testing.assert_allclose(found.numpy(), sound.numpy(), atol=tolerance)


def test_parts_and_layouts(tmp_path, sound):
    path = tmp_path / "a.wav"
    audio.save(path, sound, 8000)
    part, _ = audio.load(path, frame_offset=100, num_frames=50)
    np.testing.assert_array_equal(part.numpy(), sound[:, 100:150].numpy())
    assert audio.load(path, frame_offset=10000)[0].shape == (2, 0)
    assert audio.load(path, num_frames=0)[0].shape == (2, 0)
    assert audio.load(path, channels_first=False)[0].shape == (800, 2)
    audio.save(path, sound.t(), 8000, channels_first=False)
    np.testing.assert_array_equal(audio.load(path)[0].numpy(), sound.numpy())
    audio.save(path, sound[0], 8000)
    assert audio.load(path)[0].shape == (1, 800)


def test_integers_without_normalisation(tmp_path):
    path = tmp_path / "a.wav"
    audio.save(path, rl.tensor([[0, 1000, -32768]], dtype=rl.int16), 8000)
    found, _ = audio.load(path, normalize=False)
    assert found.dtype is rl.int16 and found.tolist() == [[0, 1000, -32768]]
    np.testing.assert_allclose(audio.load(path)[0].numpy(), [[0, 1000 / 32768, -1]], rtol=1e-6)


def test_file_objects(sound):
    buffer = io.BytesIO()
    audio.save(buffer, sound, 8000, format="wav")
    buffer.seek(0)
    np.testing.assert_array_equal(audio.load(buffer)[0].numpy(), sound.numpy())
    with pytest.raises(ValueError, match="format"):
        audio.save(io.BytesIO(), sound, 8000)


def test_info(tmp_path, sound):
    audio.save(tmp_path / "a.flac", sound, 44100)
    assert audio.info(tmp_path / "a.flac") == audio.AudioMetaData(44100, 800, 2, 16, "FLAC")
    audio.save(tmp_path / "a.wav", sound, 44100)
    assert audio.info(tmp_path / "a.wav") == audio.AudioMetaData(44100, 800, 2, 32, "PCM_F")


def test_errors(tmp_path, sound):
    with pytest.raises(RuntimeError, match="cannot read"):
        audio.load(tmp_path / "missing.wav")
    (tmp_path / "text.wav").write_text("no sound")
    with pytest.raises(RuntimeError, match="cannot read"):
        audio.info(tmp_path / "text.wav")
    with pytest.raises(ValueError, match="unknown format"):
        audio.save(tmp_path / "a.xyz", sound, 8000)
    with pytest.raises(ValueError, match="encoding"):
        audio.save(tmp_path / "a.wav", sound, 8000, encoding="PCM_X")
    with pytest.raises(ValueError, match="1D or 2D"):
        audio.save(tmp_path / "a.wav", sound[None], 8000)
    with pytest.warns(UserWarning, match="backend"):
        audio.save(tmp_path / "a.wav", sound, 8000, backend="sox")
