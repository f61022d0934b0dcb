"""Fourier transforms against NumPy's, their gradients against finite differences, and the errors of bad input."""
import numpy as np
import pytest

import rushlight as torch
from rushlight.base import pocketfft

RANDOM = np.random.default_rng(0)
REAL = RANDOM.standard_normal((3, 6, 7))
COMPLEX = REAL + 1j * RANDOM.standard_normal((3, 6, 7))
SIGNALS = {"fft": COMPLEX, "ifft": COMPLEX, "rfft": REAL, "irfft": COMPLEX, "hfft": COMPLEX, "ihfft": REAL}


@pytest.fixture(params=["scipy", "numpy"])
def library(request, monkeypatch):
    if request.param == "numpy":
        monkeypatch.setattr(pocketfft, "library", lambda: None)
    elif pocketfft.library() is None:
        pytest.skip("SciPy is not installed")


@pytest.mark.parametrize("name", SIGNALS)
@pytest.mark.parametrize("norm", [None, "ortho", "forward"])
def test_one_dimension(library, name, norm):
    x = SIGNALS[name]
    for n in (None, 5, 10):
        for dim in (-1, 0):
            found = getattr(torch.fft, name)(torch.tensor(x), n, dim, norm)
            wanted = getattr(np.fft, name)(x, n, dim, norm)
            np.testing.assert_allclose(found.numpy(), wanted, atol=1e-12)


@pytest.mark.parametrize("name", ["fft", "ifft", "rfft", "irfft"])
def test_several_dimensions(library, name):
    x = SIGNALS[name]
    for suffix, options in (("2", {}), ("n", {}), ("n", dict(s=(5, 8), axes=(0, 2))), ("n", dict(s=(4, 4)))):
        wanted = getattr(np.fft, name + suffix)(x, **{"axes": range(-len(options.get("s", x.shape)), 0)
                                                     if suffix == "n" else (-2, -1), **options})
        options = {"dim" if key == "axes" else key: value for key, value in options.items()}
        found = getattr(torch.fft, name + suffix)(torch.tensor(x), **options)
        np.testing.assert_allclose(found.numpy(), wanted, atol=1e-12)


def test_hermitian_transforms_invert_each_other():
    signal = torch.tensor(REAL)
    for dims in ((-1,), (0, 2), (0, 1, 2)):
        half = torch.fft.ihfftn(signal, dim=dims)
        back = torch.fft.hfftn(half, [signal.shape[d] for d in dims], dims)
        np.testing.assert_allclose(back.numpy(), REAL, atol=1e-12)


def test_single_precision_stays_single():
    found = torch.fft.fft(torch.tensor(REAL, dtype=torch.float32))
    assert found.dtype is torch.complex64
    np.testing.assert_allclose(found.numpy(), np.fft.fft(REAL), atol=1e-5)
    assert torch.fft.rfft(torch.arange(4)).tolist() == [6, -2 + 2j, -2]


@pytest.mark.parametrize("name", SIGNALS)
def test_gradients(name):
    x = torch.tensor(SIGNALS[name][:2, :2, :4], requires_grad=True)
    for norm in ("backward", "ortho"):
        for n in (3, 4, 5):
            assert torch.autograd.gradcheck(lambda v, n=n, norm=norm: getattr(torch.fft, name)(v, n, norm=norm), x)
    assert torch.autograd.gradcheck(lambda v: getattr(torch.fft, name + "2")(v), x)


def test_views_that_are_not_contiguous():
    x = torch.tensor(COMPLEX)
    np.testing.assert_allclose(torch.fft.fft(x.permute(2, 0, 1)[::2]).numpy(),
                               np.fft.fft(COMPLEX.transpose(2, 0, 1)[::2]), atol=1e-12)
    np.testing.assert_allclose(torch.fft.fft(x.conj()).numpy(), np.fft.fft(COMPLEX.conj()), atol=1e-12)
    np.testing.assert_allclose(torch.fft.rfft(x.conj().imag).numpy(), np.fft.rfft(-COMPLEX.imag), atol=1e-12)


def test_out_and_frequencies():
    out = torch.empty(0, dtype=torch.complex128)
    assert torch.fft.fft(torch.tensor(COMPLEX), out=out) is out and out.shape == COMPLEX.shape
    for n in (1, 2, 7, 8):
        np.testing.assert_allclose(torch.fft.fftfreq(n, 0.3, dtype=torch.float64).numpy(), np.fft.fftfreq(n, 0.3))
        np.testing.assert_allclose(torch.fft.rfftfreq(n, 0.3, dtype=torch.float64).numpy(), np.fft.rfftfreq(n, 0.3))
    for dim in (None, 1, (0, 2)):
        for name in ("fftshift", "ifftshift"):
            found = getattr(torch.fft, name)(torch.tensor(REAL), dim)
            np.testing.assert_array_equal(found.numpy(), getattr(np.fft, name)(REAL, dim))


@pytest.mark.parametrize("call, text", [
    (lambda x: torch.fft.fft(x, 0), "Invalid number of data points"),
    (lambda x: torch.fft.fft(x, norm="what"), "Invalid normalization mode"),
    (lambda x: torch.fft.rfft(x * 1j), "expects a real input tensor"),
    (lambda x: torch.fft.fftn(x, dim=(0, 0)), "must be unique"),
    (lambda x: torch.fft.fftn(x, (2, 2), (0,)), "must have the same length"),
    (lambda x: torch.fft.fftn(x, (1, 1, 1, 1)), "input tensor only has 3 dimensions"),
    (lambda x: torch.fft.irfft(x[:, :, :1]), "Invalid number of data points"),
    (lambda x: torch.fft.fft(x.half()), "Unsupported dtype"),
])
def test_refused(call, text):
    with pytest.raises(RuntimeError, match=text):
        call(torch.tensor(REAL))


@pytest.mark.parametrize("n", [2, 3, 7, 8, 15, 16, 22, 26, 60, 105, 200])
def test_many_signals(n):
    """Enough signals for the kernel: each radix, even and odd lengths, signals in rows and in columns."""
    x = RANDOM.standard_normal((19, n)) + 1j * RANDOM.standard_normal((19, n))
    half = x[:, :n // 2 + 1]
    for kind, tolerance in ((np.complex128, 1e-13), (np.complex64, 1e-5)):
        x, half = x.astype(kind), half.astype(kind)
        calls = [("fft", x), ("ifft", x), ("rfft", x.real), ("ihfft", x.real), ("irfft", half), ("hfft", half)]
        for name, signal in calls:
            for norm in (None, "ortho"):
                wanted = getattr(np.fft, name)(signal, n, norm=norm)
                rows = getattr(torch.fft, name)(torch.tensor(signal), n, norm=norm)
                columns = getattr(torch.fft, name)(torch.tensor(signal).t().contiguous(), n, dim=0, norm=norm)
                scale = abs(wanted).max()
                np.testing.assert_allclose(rows.numpy(), wanted, atol=tolerance * scale)
                np.testing.assert_allclose(columns.numpy(), wanted.T, atol=tolerance * scale)


def test_many_signals_have_gradients():
    x = torch.tensor(RANDOM.standard_normal((16, 4)), requires_grad=True)
    assert torch.autograd.gradcheck(torch.fft.rfft, x)
    assert torch.autograd.gradcheck(lambda v: torch.fft.irfft(torch.complex(v, v * 2), 6), x)
