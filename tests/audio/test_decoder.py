"""The beam search of CTC: against best paths, with a lexicon, in parts."""
import sys

import pytest

import rushlight as rl
from rushlight.audio.models.decoder import ctc_decoder

TOKENS = ["-", "|", "a", "b", "c"]


@pytest.fixture
def library():
    pytest.importorskip("flashlight", reason="flashlight-text is not installed")


def emissions(text, peak=5.0):
    """Log probabilities of frames that say a text."""
    scores = rl.zeros(1, len(text), len(TOKENS))
    for at, token in enumerate(text):
        scores[0, at, TOKENS.index(token)] = peak
    return scores.log_softmax(-1)


def test_without_a_lexicon(library):
    decode = ctc_decoder(None, TOKENS, nbest=2)
    (best, second), = decode(emissions("aab-b|cc"))
    assert "".join(decode.idxs_to_tokens(best.tokens)).strip("|") == "abb|c"
    assert best.score > second.score and best.words == []
    short, = decode(emissions("aab-b|cc"), rl.tensor([3]))
    assert "".join(decode.idxs_to_tokens(short[0].tokens)).strip("|") == "ab"


def test_with_a_lexicon(library, tmp_path):
    lexicon = tmp_path / "lexicon.txt"
    lexicon.write_text("ab a b |\ncab c a b |\nba b a |\n")
    decode = ctc_decoder(str(lexicon), TOKENS, lm_weight=0)
    (best,), = decode(emissions("aab|bb-a|"))
    assert best.words == ["ab", "ba"]
    unclear = emissions("aab|bb-a|")
    unclear[0, 0] = rl.tensor([0.0, 0.0, 0.0, 0.0, 0.6]).log_softmax(-1)  # c is the likeliest, but "cb" is no word
    assert decode(unclear.contiguous())[0][0].words[-1] == "ba"
    decode.decode_begin()
    for part in emissions("aab|").split(2, 1):
        decode.decode_step(part[0].contiguous())
    decode.decode_end()
    assert decode.get_final_hypothesis()[0].words == ["ab"]


def test_what_is_refused(library):
    decode = ctc_decoder(None, TOKENS)
    with pytest.raises(ValueError, match="float32"):
        decode(emissions("a").double())
    with pytest.raises(RuntimeError, match="3D"):
        decode(emissions("a")[0])


def test_without_the_library(monkeypatch):
    monkeypatch.setitem(sys.modules, "flashlight.lib.text.decoder", None)
    with pytest.raises(ImportError, match=r"rushlight\[ctc\]"):
        ctc_decoder(None, TOKENS)
