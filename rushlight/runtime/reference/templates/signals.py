"""Fourier transforms of many signals, and linear feedback."""

from ....base.lazy import numpy as np
from .values import save, values, wide


def fft(instruction, ins, outs, numbers):
    """ins: signals, roots of unity (which NumPy does not need); attrs kind, dim, size, forward, factor."""
    options = dict(instruction.attrs)
    signal, dim, size = wide(values(instruction, ins[:1])[0]), options["dim"], options["size"]
    if options["kind"] == "c2c":
        found = np.fft.fft(signal, axis=dim) if options["forward"] else np.fft.ifft(signal, axis=dim) * size
    elif options["kind"] == "r2c":
        found = np.fft.rfft(signal, axis=dim)
        found = found if options["forward"] else np.conj(found)
    else:
        signal = signal if not options["forward"] else np.conj(signal)
        found = np.fft.irfft(signal, size, dim) * size
    save(instruction, outs, 0, found * options["factor"])


def feedback(instruction, ins, outs, numbers):
    """ins: input (R, T), weights (C, times, J), delays (C, times); y[t] = x[t] + sum over j of w[t, j] y[t - d[t] - j],
    or with attrs back its transpose."""
    source, weights, delays = map(wide, values(instruction, ins))
    back, (channels, varying, taps) = dict(instruction.attrs)["back"], weights.shape
    result = source.copy()
    for row, line in enumerate(result):
        channel, times = row % channels, range(len(line))
        for t in reversed(times) if back else times:
            at = t if varying > 1 else 0
            newest = t - delays[channel, at]
            for j in range(min(max(newest + 1, 0), taps)):
                weight, place = weights[channel, at, j], newest - j
                if back:
                    line[place] += weight * line[t]
                else:
                    line[t] += weight * line[place]
    save(instruction, outs, 0, result)


SPECIFICATIONS = {"rows.fft:lower_fft": fft, "rows.feedback:lower_feedback": feedback}
