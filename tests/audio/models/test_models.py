"""Models: names of parameters, initial values and results as torchaudio's, streams, beam search, errors."""
import importlib.util
import json
import pathlib

import numpy as np
import pytest

import rushlight as rl
from rushlight.audio import models

HERE = pathlib.Path(__file__).parent
RECORDED = json.loads((HERE / "recorded.json").read_text())
_spec = importlib.util.spec_from_file_location("audio_model_cases", HERE / "cases.py")
cases = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(cases)


def made(name):
    rl.manual_seed(0)
    return cases.CASES[name][0](models).eval()


@pytest.mark.filterwarnings("ignore:Reached max decoder steps")
@pytest.mark.parametrize("name", cases.CASES)
def test_models_are_those_of_torchaudio(name):
    model, expected = made(name), RECORDED[name]
    assert list(model.state_dict()) == expected["keys"]
    assert sum(p.numel() for p in model.parameters()) == expected["parameters"]
    initial = sum(float(p.detach().double().abs().sum()) for p in model.parameters())
    np.testing.assert_allclose(initial, expected["initial"], rtol=1e-5)
    rl.manual_seed(0)
    with rl.no_grad():
        found = cases.flat(cases.CASES[name][1](model, cases.inputs(rl), rl))
    assert [list(t.shape) for t in found] == [shape for shape, _ in expected["results"]]
    sizes = [float(t.double().abs().mean()) for t in found]
    np.testing.assert_allclose(sizes, [size for _, size in expected["results"]], rtol=2e-3, atol=1e-5)


@pytest.mark.parametrize("name", ["ConvTasNet", "Conformer", "wav2vec2", "HDemucs", "squim"])
def test_models_train(name):
    model = made(name).train()
    found = [t for t in cases.flat(cases.CASES[name][1](model, cases.inputs(rl), rl)) if t.requires_grad]
    sum(t.square().mean() for t in found).backward()
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    assert gradients and all(bool(g.isfinite().all()) for g in gradients)


def test_a_stream_is_encoded_like_the_whole():
    rl.manual_seed(0)
    model = models.Emformer(16, 2, 32, 2, 4, left_context_length=4, right_context_length=2).eval()
    sound, lengths = rl.randn(1, 14, 16), rl.tensor([12])
    with rl.no_grad():
        whole, _ = model(sound, lengths)
        states, parts = None, []
        for start in range(0, 12, 4):
            part, _, states = model.infer(sound[:, start:start + 6], rl.tensor([6]), states)
            parts.append(part)
    np.testing.assert_allclose(rl.cat(parts, 1).numpy(), whole.numpy(), atol=1e-5)
    with pytest.raises(ValueError, match="expected size of 6"):
        model.infer(sound, lengths)


def test_beam_search_is_greedy_for_a_beam_of_one():
    model = made("RNNT")
    search = models.RNNTBeamSearch(model, 6, step_max_tokens=2)
    features, lengths = cases.inputs(rl)(1, 20, 8), rl.tensor([16], dtype=rl.int32)
    with rl.no_grad():
        best = search(features, lengths, 3)
        again = search(features[0], lengths[0], 3)
    assert len(best) == 3 and [h[0] for h in best] == [h[0] for h in again]
    scores = [h[3] / (len(h[0]) + 1) for h in best]
    assert scores == sorted(scores, reverse=True)
    assert all(h[0][0] == 6 and 6 not in h[0][1:] for h in best)
    with pytest.raises(ValueError, match="shape"):
        search(features.expand(2, -1, -1), lengths, 3)


def test_vocoder_draws_samples():
    model = made("WaveRNN")
    with rl.no_grad():
        found, lengths = model.infer(cases.inputs(rl)(2, 10, 6), rl.tensor([6, 5]))
    assert found.shape == (2, 1, 72) and lengths.tolist() == [72, 60]
    levels = (found + 1) * 7 / 2
    np.testing.assert_allclose(levels.numpy(), levels.round().numpy(), atol=1e-5)


def test_errors():
    with pytest.raises(ValueError, match="divisible"):
        models.wav2vec2_model("group_norm", cases.LAYERS, False, 30, 0.1, 16, 2, 1, 4, 0.1, 64, 0.1, 0.1, False, 0.0, 7)
    with pytest.raises(ValueError, match="norm mode"):
        models.wav2vec2_model("batch", cases.LAYERS, False, *cases.ENCODER, False, 0.0, 7)
    with pytest.raises(TypeError, match="wav2vec2_base"):
        models.wav2vec2_base(layers=3)
    with pytest.raises(ValueError, match="total_scale"):
        models.WaveRNN([2, 3], 8, 12)
    with pytest.raises(ValueError, match="activation"):
        models.ConvTasNet(msk_activate="tanh")
    with pytest.raises(ValueError, match="2D"):
        made("wav2vec2")(rl.ones(1, 1, 1200))
