"""Published pipelines: what their bundles say, and weights from a local server's files."""
import numpy as np
import pytest

import rushlight as rl
from rushlight import hub
from rushlight.audio import models, pipelines, utils
from rushlight.audio.pipelines import speech, wav2vec2


def test_bundles_describe_their_models():
    assert len(pipelines.__all__) == len(set(pipelines.__all__)) == 48
    for name in wav2vec2.__all__:
        bundle = getattr(pipelines, name)
        if isinstance(bundle, wav2vec2.Wav2Vec2Bundle):
            assert bundle.sample_rate == 16000 and bundle._path.endswith((".pth", ".pt"))
        if isinstance(bundle, wav2vec2.Wav2Vec2ASRBundle):
            labels = bundle.get_labels()
            assert labels[0] == "-" and len(labels) == len(set(labels))
    assert pipelines.WAV2VEC2_ASR_BASE_960H._params["aux_num_out"] == 29
    assert pipelines.MMS_FA.get_dict()["*"] == 28


def test_a_model_loads_published_weights(tmp_path, monkeypatch):
    rl.manual_seed(0)
    params = {**pipelines.WAV2VEC2_ASR_BASE_960H._params, "encoder_num_layers": 1, "encoder_embed_dim": 32,
              "encoder_num_heads": 2, "encoder_ff_interm_features": 16, "aux_num_out": 29,
              "extractor_conv_layer_config": [(8, 10, 5), (8, 3, 2)]}
    model = models.wav2vec2_model(**params)
    state = model.state_dict()
    for key in ("aux.weight", "aux.bias"):  # the file has three classes more
        state[key] = rl.cat((state[key][:1], rl.zeros_like(state[key][:3]), state[key][1:]))
    rl.save(state, tmp_path / "weights.pth")
    monkeypatch.setattr(hub, "_folder", str(tmp_path / "hub"))
    monkeypatch.setattr(wav2vec2, "SERVER", tmp_path.as_uri() + "/")
    (tmp_path / "models").mkdir()
    (tmp_path / "weights.pth").rename(tmp_path / "models" / "weights.pth")
    bundle = wav2vec2.Wav2Vec2FABundle("weights.pth", params, 16000, True, "Wav2Vec2", tuple("abc"), (1, 2, 3))
    loaded = bundle.get_model()
    sound = rl.randn(1, 400)
    with rl.no_grad():
        found, _ = loaded(sound)
        normal = (sound - sound.mean()) / (sound.var(correction=0) + 1e-5).sqrt()
        expected = model.eval()(normal)[0].log_softmax(-1)
    np.testing.assert_allclose(found[..., :-1].numpy(), expected.numpy(), atol=1e-4)
    assert float(found[..., -1].abs().max()) == 0.0 and not loaded.training


def test_words_are_aligned():
    emission = rl.full((7, 4), -9.0)
    for frame, label in enumerate([1, 1, 0, 2, 3, 0, 1]):
        emission[frame, label] = 0.0
    words = pipelines.Wav2Vec2FABundle.Tokenizer({"a": 1, "b": 2, "c": 3})(["ab", "ca"])
    spans = pipelines.Wav2Vec2FABundle.Aligner(0)(emission, words)
    assert [[(s.token, s.start, s.end) for s in word] for word in spans] == [[(1, 0, 2), (2, 3, 4)],
                                                                           [(3, 4, 5), (1, 6, 7)]]


def test_text_becomes_numbers():
    process = pipelines.TACOTRON2_GRIFFINLIM_CHAR_LJSPEECH.get_text_processor()
    numbers, lengths = process(["Hi!", "a"])
    assert lengths.tolist() == [3, 1] and numbers[1, 1] == 0
    assert "".join(process.tokens[i] for i in numbers[0].tolist()) == "hi!"
    assert len(speech.PHONES) == 84


def test_vocoder_makes_sound():
    vocoder = pipelines.TACOTRON2_GRIFFINLIM_CHAR_LJSPEECH.get_vocoder()
    assert vocoder.sample_rate == 22050
    found, _ = vocoder(rl.zeros(1, 80, 8))
    assert found.shape == (1, 7 * 256)


def test_assets_are_checked(tmp_path, monkeypatch):
    monkeypatch.setattr(utils.download, "SERVER", tmp_path.as_uri() + "/")
    monkeypatch.setattr(hub, "_folder", str(tmp_path / "hub"))
    (tmp_path / "asset.txt").write_text("x")
    path = utils._download_asset("asset.txt", progress=False)
    assert open(path).read() == "x"
    with pytest.raises(ValueError, match="hash value"):
        utils._download_asset("asset.txt", hash="0" * 64)
