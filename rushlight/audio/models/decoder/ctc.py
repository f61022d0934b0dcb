"""`ctc_decoder`: beam search over CTC emissions with a lexicon and a language model, by the package flashlight-text."""
import itertools
from typing import NamedTuple

from .... import api as rl
from ....base.optional import optional

__all__ = ["CTCDecoder", "CTCHypothesis", "ctc_decoder"]


def _library(part):
    return optional(f"flashlight.lib.text.{part}", "ctc", "ctc_decoder")


def __getattr__(name):
    """The base classes of language models, which are the library's."""
    names = {"CTCDecoderLM": "LM", "CTCDecoderLMState": "LMState"}
    if name not in names:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(_library("decoder"), names[name])


class CTCHypothesis(NamedTuple):
    """A result of the search. tokens: without repetitions and blanks; words: empty without a lexicon; timesteps: of the
    tokens.
    """

    tokens: rl.Tensor
    words: list
    score: float
    timesteps: rl.Tensor


def _language_model(lm, words):
    decoder = _library("decoder")
    if lm is None:
        return decoder.ZeroLM()
    if isinstance(lm, str):
        return optional("flashlight.lib.text.decoder.kenlm", "ctc", "ctc_decoder with a KenLM file").KenLM(lm, words)
    return lm


class CTCDecoder:
    """A beam search. Made by `ctc_decoder`; call it with emissions (B, frames, tokens) and, if need be, lengths (B,).

    Returns for each row a list of up to `nbest` CTCHypothesis, the best first.
    """

    def __init__(self, tokens, lexicon, lm, words, options, nbest, blank_token, sil_token, unk_word):
        decoder = _library("decoder")
        self.nbest, self.tokens_dict, self.word_dict = nbest, tokens, words
        self.blank = tokens.get_index(blank_token)
        silence = tokens.get_index(sil_token)
        lm = _language_model(lm, words if lexicon else tokens)
        if lexicon:
            trie = self._trie(lexicon, lm, silence)
            unknown = words.get_index(unk_word)
            self._decoder = decoder.LexiconDecoder(options, trie, lm, silence, self.blank, unknown, [], False)
        else:
            self._decoder = decoder.LexiconFreeDecoder(options, lm, silence, self.blank, [])

    def _trie(self, lexicon, lm, silence):
        decoder = _library("decoder")
        trie, start = decoder.Trie(self.tokens_dict.index_size(), silence), lm.start(False)
        for word, spellings in lexicon.items():
            number = self.word_dict.get_index(word)
            _, score = lm.score(start, number)
            for spelling in spellings:
                trie.insert([self.tokens_dict.get_index(token) for token in spelling], number, score)
        trie.smear(decoder.SmearingMode.MAX)
        return trie

    def _hypothesis(self, result):
        tokens = [token for token, _ in itertools.groupby(result.tokens) if token != self.blank]
        steps = [at for at, token in enumerate(result.tokens)
                 if token != self.blank and (at == 0 or token != result.tokens[at - 1])]
        words = [self.word_dict.get_entry(number) for number in result.words if number >= 0] if self.word_dict else []
        return CTCHypothesis(rl.tensor(tokens, dtype=rl.int64), words, result.score, rl.tensor(steps, dtype=rl.int32))

    def decode_begin(self):
        """Begin a search in parts."""
        self._decoder.decode_begin()

    def decode_step(self, emissions):
        """Search on in the emissions (frames, tokens) that follow."""
        emissions = _checked(emissions, 2)
        self._decoder.decode_step(emissions.data_ptr(), *emissions.shape)

    def decode_end(self):
        """End a search in parts."""
        self._decoder.decode_end()

    def get_final_hypothesis(self):
        """The results of a search in parts."""
        return [self._hypothesis(result) for result in self._decoder.get_all_final_hypothesis()[:self.nbest]]

    def __call__(self, emissions, lengths=None):
        emissions, found = _checked(emissions, 3), []
        rows, frames, count = emissions.shape
        lengths = [frames] * rows if lengths is None else lengths.tolist()
        for row, length in enumerate(lengths):
            address = emissions.data_ptr() + row * frames * count * 4
            results = self._decoder.decode(address, length, count)
            found.append([self._hypothesis(result) for result in results[:self.nbest]])
        return found

    def idxs_to_tokens(self, idxs):
        """The tokens of numbers."""
        return [self.tokens_dict.get_entry(number) for number in idxs.tolist()]


def _checked(emissions, dims):
    if emissions.dtype is not rl.float32:
        raise ValueError("The emissions must be float32.")
    if not emissions.is_contiguous():
        raise RuntimeError("The emissions must be contiguous.")
    if emissions.dim() != dims:
        raise RuntimeError(f"The emissions must be {dims}D. Found {emissions.shape}")
    return emissions


def _words(lexicon, lm_dict, unk_word):
    """(spellings, dictionary of words) of a lexicon file."""
    dictionary = _library("dictionary")
    spellings = dictionary.load_words(lexicon)
    if lm_dict is None:
        return spellings, dictionary.create_word_dict(spellings)
    words = dictionary.Dictionary(lm_dict) if isinstance(lm_dict, str) else dictionary.Dictionary(list(lm_dict))
    words.set_default_index(words.get_index(unk_word))
    return spellings, words


def ctc_decoder(lexicon, tokens, lm=None, lm_dict=None, nbest=1, beam_size=50, beam_size_token=None, beam_threshold=50,
                lm_weight=2, word_score=0, unk_score=float("-inf"), sil_score=0, log_add=False, blank_token="-",
                sil_token="|", unk_word="<unk>"):
    """A beam search with a lexicon and a language model, for log probabilities of CTC.

    Args:
        lexicon (str or None): a file with a word and its tokens in each line; None: any sequence of tokens.
        tokens (str or list): the tokens in their order, or a file with one in each line.
        lm: None, the file of a KenLM model, or a CTCDecoderLM. lm_dict: the words of the model, if they are not those
            of the lexicon.
        nbest (int), beam_size (int), beam_size_token (int), beam_threshold (float): how many results, and how much is
            searched.
        lm_weight, word_score, unk_score, sil_score (float): weights. log_add (bool): add the scores of paths that meet.
        blank_token, sil_token, unk_word (str): the special tokens and the unknown word.

    Returns a CTCDecoder. ImportError if flashlight-text is not installed.
    """
    decoder, dictionary = _library("decoder"), _library("dictionary")
    tokens = dictionary.Dictionary(tokens)
    options = dict(beam_size=beam_size, beam_size_token=beam_size_token or tokens.index_size(),
                   beam_threshold=beam_threshold, lm_weight=lm_weight, sil_score=sil_score, log_add=log_add,
                   criterion_type=decoder.CriterionType.CTC)
    spellings = words = None
    if lexicon:
        spellings, words = _words(lexicon, lm_dict, unk_word)
        options = decoder.LexiconDecoderOptions(word_score=word_score, unk_score=unk_score, **options)
    else:
        options = decoder.LexiconFreeDecoderOptions(**options)
        if lm_dict is not None:
            words = dictionary.Dictionary(lm_dict)
    return CTCDecoder(tokens, spellings, lm, words, options, nbest, blank_token, sil_token, unk_word)
