"""Decoders for CTC with lexicons and language models, which PyTorch takes from packages outside of it.

Their libraries (flashlight-text and a CUDA extension) give no decoder that runs without PyTorch, so every function
says so. `functional.forced_align` and `argmax` with `merge_tokens` decode without a language model.
"""

__all__ = ["cuda_ctc_decoder", "ctc_decoder", "download_pretrained_files"]


def _missing(name):
    def function(*args, **kwargs):
        raise NotImplementedError(f"torchaudio.models.decoder.{name}: decoding with lexicons and language models is "
                                  "not available")
    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"Raises NotImplementedError: `{name}` is not available."
    return function


ctc_decoder = _missing("ctc_decoder")
cuda_ctc_decoder = _missing("cuda_ctc_decoder")
download_pretrained_files = _missing("download_pretrained_files")
