"""Short-time Fourier transforms: `stft` and its inverse.

A signal is cut into frames `hop_length` apart (a view), multiplied by a window and transformed (ops/signal/fft.py). The
inverse adds the frames up where they overlap and divides by the sum of the squared windows.
"""

import warnings

from ...core.declare import REGISTRY, public
from ...core.dtype import FLOATING
from ...core.tensor import Tensor
from ..basic.complex import view_as_complex, view_as_real
from ..basic.creation import ones
from ..basic.shape import cat, stack
from . import fft

LEAST = 1e-11  # what overlapping windows must add up to everywhere


def _options(name, n_fft, hop_length, win_length):
    hop = n_fft // 4 if hop_length is None else hop_length
    length = n_fft if win_length is None else win_length
    if hop <= 0:
        raise RuntimeError(f"{name}: expected hop_length > 0, but got hop_length={hop}")
    if not 0 < length <= n_fft:
        raise RuntimeError(f"{name}: expected 0 < win_length <= n_fft, but got win_length={length}")
    return hop, length


def _window(name, window, n_fft, length, like):
    """The window, of ones unless given, with zeros on both sides up to `n_fft`; None for ones alone."""
    if window is not None:
        if window._layout.shape != (length,):
            raise RuntimeError(f"{name}: expected a 1D window tensor of size equal to win_length={length}, but got "
                               f"window with size {list(window.shape)}")
    elif length == n_fft:
        return None
    else:
        window = ones((length,), dtype=like.dtype.to_real(), device=like.device)
    left = (n_fft - length) // 2
    return REGISTRY["nn.functional.pad"](window, [left, n_fft - length - left]) if length < n_fft else window


def _check_signal(input, window, onesided, return_complex):
    """The checks of `stft` that need no sizes; whether the signal or the window is complex."""
    if not isinstance(input, Tensor):
        raise TypeError(f"stft(): argument 'input' (position 1) must be Tensor, not {type(input).__name__}")
    if input._layout.dtype.category < FLOATING:
        raise RuntimeError(f"stft: expected a tensor of floating point or complex values, but got {input.dtype}")
    if input.dim() not in (1, 2):
        raise RuntimeError(f"stft: expected a 1D or 2D tensor, but got {input.dim()}D tensor")
    if window is None:
        warnings.warn("stft: no window was given, so that frames are cut out with sharp edges, which blurs their "
                      "spectra. Pass window=torch.ones(n_fft) to say that this is meant.", stacklevel=3)
    has_complex = input._layout.dtype.is_complex or window is not None and window._layout.dtype.is_complex
    if return_complex is None and not has_complex:
        raise RuntimeError("stft requires the return_complex parameter be given for real inputs, and will further "
                           "require that return_complex=True in a future PyTorch release.")
    if return_complex is False:
        warnings.warn("stft with return_complex=False is deprecated: use return_complex=True, and view_as_real on the "
                      "result where pairs are wanted.", stacklevel=3)
    if onesided and has_complex:
        raise RuntimeError("Cannot have onesided output if window or input is complex")
    return has_complex


def _padded(batch, side, mode):
    """Signals (batch, time) with `side` more samples at both ends."""
    if mode == "reflect" and 0 < side < batch.shape[1]:  # three copies: faster than one that reads at positions
        return cat([batch[:, 1:side + 1].flip(1), batch, batch[:, -side - 1:-1].flip(1)], 1)
    return REGISTRY["nn.functional.pad"](batch.unsqueeze(1), [side, side], mode=mode).squeeze(1)


@public("stft", out=False)
def stft(input, n_fft, hop_length=None, win_length=None, window=None, center=True, pad_mode="reflect",
         normalized=False, onesided=None, return_complex=None, align_to_window=None):
    """Return the Fourier transforms of overlapping frames of a signal.

    y[f][t] = sum(window[k] * x[t * hop_length + k] * exp(-2j * pi * f * k / n_fft))

    Args:
        input (Tensor): a real or complex signal (time) or batch of signals (batch, time).
        n_fft (int): the length of a frame.
        hop_length (int, optional): how far frames are apart; n_fft // 4 by default.
        win_length (int, optional): the length of the window; zeros are added on both sides up to `n_fft`.
        window (Tensor, optional): (win_length), what frames are multiplied by; ones by default.
        center (bool): whether the signal is padded so that frame t is centred at t * hop_length.
        pad_mode (str): how it is padded then, a mode of `nn.functional.pad`.
        normalized (bool): whether results are divided by sqrt(n_fft).
        onesided (bool, optional): whether only frequencies up to n_fft // 2 are returned; so for real signals.
        return_complex (bool, optional): False, which is deprecated, gives pairs in a last dimension.
        align_to_window (None): accepted as None alone.

    Returns:
        Tensor: (batch, frequency, frame), complex unless `return_complex` is False.

    Raises:
        RuntimeError: lengths that do not fit, or `return_complex` is missing and input and window are real.

    Example:
        >>> torch.stft(torch.ones(8), 4, window=torch.ones(4), center=False, return_complex=True).shape
        torch.Size([3, 5])
    """
    has_complex = _check_signal(input, window, onesided, return_complex)
    if align_to_window is not None:
        raise NotImplementedError("stft: align_to_window is not implemented in rushlight")
    hop, length = _options("stft", n_fft, hop_length, win_length)
    batch = input if input.dim() == 2 else input.unsqueeze(0)
    if center:
        batch = _padded(batch, n_fft // 2, pad_mode)
    if not 0 < n_fft <= batch.shape[1]:
        raise RuntimeError(f"stft: expected 0 < n_fft <= {batch.shape[1]}, but got n_fft={n_fft}")
    weights = _window("stft", window, n_fft, length, input)
    frames = batch.unfold(1, n_fft, hop)  # (batch, frame, n_fft)
    frames = frames if weights is None else frames * weights
    scale = fft.ROOT if normalized else fft.NOTHING
    half = not has_complex if onesided is None else onesided
    if half:
        result = fft.r2c(frames, (2,), True, scale)
    else:
        result = fft.c2c(fft.operand("stft", frames, complex_=True), (2,), True, scale)
    result = result.transpose(1, 2)
    result = result if input.dim() == 2 else result.squeeze(0)
    return view_as_real(result) if return_complex is False else result


def _spectrum(input, n_fft, onesided):
    """The checked operand of `istft` as (batch, frame, frequency), and whether it is one-sided."""
    if not input._layout.dtype.is_complex:
        raise RuntimeError("istft requires a complex-valued input tensor matching the output from stft with "
                           "return_complex=True.")
    if input.numel() == 0:
        raise RuntimeError("istft: input tensor cannot be empty.")
    if input.dim() not in (2, 3):
        raise RuntimeError(f"istft: expected a tensor with 2 or 3 dimensions, but got {input.dim()}")
    batch = input if input.dim() == 3 else input.unsqueeze(0)
    count = batch.shape[1]
    half = count != n_fft if onesided is None else onesided
    wanted = n_fft // 2 + 1 if half else n_fft
    if count != wanted:
        rule = "n_fft / 2 + 1" if half else "n_fft"
        raise RuntimeError(f"istft: expected the frequency dimension (3rd to the last) of the input tensor to match "
                           f"{rule} when onesided={half}, but got {count}")
    return batch.transpose(1, 2), half


def _overlapped(frames, n_fft, hop, size):
    """The sum of frames (batch, frame, n_fft) where they overlap: (batch, size)."""
    whole = REGISTRY["nn.functional.fold"](frames.transpose(1, 2), (1, size), (1, n_fft), stride=(1, hop))
    return whole.reshape(frames.shape[0], size)


@public("istft", out=False)
def istft(input, n_fft, hop_length=None, win_length=None, window=None, center=True, normalized=False, onesided=None,
          length=None, return_complex=False):
    """Return the signal whose short-time Fourier transform is closest to `input`.

    Args:
        input (Tensor): complex, (batch, frequency, frame) or (frequency, frame), as `stft` returns it.
        n_fft (int): the length of a frame.
        hop_length (int, optional): how far frames are apart; n_fft // 4 by default.
        win_length (int, optional): the length of the window; `n_fft` by default.
        window (Tensor, optional): (win_length), the window that `stft` was called with; ones by default.
        center (bool): whether the signal was padded so that frame t is centred at t * hop_length.
        normalized (bool): whether the transforms were divided by sqrt(n_fft).
        onesided (bool, optional): whether there are only frequencies up to n_fft // 2.
        length (int, optional): how many samples to return; as many as the frames determine by default.
        return_complex (bool): whether the signal is complex; then `input` must have all frequencies.

    Returns:
        Tensor: (batch, time) or (time).

    Raises:
        RuntimeError: the sizes do not fit, or the windows do not cover the signal.

    Example:
        >>> frames = torch.stft(torch.ones(8), 4, window=torch.ones(4), return_complex=True)
        >>> torch.istft(frames, 4, window=torch.ones(4), length=8)
        tensor([1., 1., 1., 1., 1., 1., 1., 1.])
    """
    hop, width = _options("istft", n_fft, hop_length, win_length)
    batch, half = _spectrum(input, n_fft, onesided)
    if return_complex and half:
        raise RuntimeError("istft: cannot have onesided output if window or input is complex")
    if not return_complex and window is not None and window._layout.dtype.is_complex:
        raise RuntimeError("Complex windows are incompatible with return_complex=False")
    weights = _window("istft", window, n_fft, width, input)
    if weights is None:
        warnings.warn("istft: no window was given: pass the one that stft was called with.", stacklevel=2)
        weights = ones((n_fft,), dtype=input.dtype.to_real(), device=input.device)
    scale = fft.ROOT if normalized else fft.WHOLE
    if return_complex:
        frames = fft.c2c(batch, (2,), False, scale)
    else:
        frames = fft.c2r(batch if half else batch.narrow(2, 0, n_fft // 2 + 1), (2,), False, scale, n_fft)
    count = frames.shape[1]
    size = n_fft + hop * (count - 1)
    signal = _sum_frames(frames * weights, n_fft, hop, size)
    squares = (weights * weights).expand(1, count, n_fft)
    envelope = _sum_frames(squares, n_fft, hop, size)
    start = n_fft // 2 if center else 0
    end = start + length if length is not None else size - n_fft // 2 if center else size
    signal, envelope = signal[:, start:end], envelope[:, start:end]
    if float(envelope.detach().abs().min()) <= LEAST:
        raise RuntimeError(f"window overlap add min: {bool(envelope.detach().abs().min() > LEAST)}")
    signal = signal / envelope
    if end > size:
        warnings.warn("The length of signal is shorter than the length parameter. Result is being padded with zeros in "
                      "the tail. Please check your center and hop_length settings.", stacklevel=2)
        signal = REGISTRY["nn.functional.pad"](signal, [0, end - size])
    return signal if input.dim() == 3 else signal.squeeze(0)


def _sum_frames(frames, n_fft, hop, size):
    """`_overlapped` of real or complex frames."""
    if not frames._layout.dtype.is_complex:
        return _overlapped(frames, n_fft, hop, size)
    parts = [_overlapped(REGISTRY[name](frames), n_fft, hop, size) for name in ("real", "imag")]
    return view_as_complex(stack(parts, -1))
