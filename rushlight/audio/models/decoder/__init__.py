"""Decoders for CTC: `ctc_decoder`, by the package flashlight-text.

`cuda_ctc_decoder` is an extension for CUDA, and says that it is missing. `functional.forced_align`, and `argmax` with
`merge_tokens`, decode without any package.
"""
from . import ctc
from .ctc import CTCDecoder, CTCHypothesis, ctc_decoder

__all__ = ["CTCDecoder", "CTCHypothesis", "ctc_decoder", "cuda_ctc_decoder", "download_pretrained_files"]


def __getattr__(name):
    """CTCDecoderLM and CTCDecoderLMState, the base classes of language models."""
    return getattr(ctc, name)


def cuda_ctc_decoder(*args, **kwargs):
    """Raises NotImplementedError: this decoder runs on CUDA only."""
    raise NotImplementedError("torchaudio.models.decoder.cuda_ctc_decoder: it needs CUDA; use ctc_decoder")


def download_pretrained_files(model):
    """Raises NotImplementedError: the published language models are not offered."""
    raise NotImplementedError("torchaudio.models.decoder.download_pretrained_files: published language models; give "
                              "ctc_decoder the path of one")
