"""Numeric helpers of the tests: gradients against central differences, operators against NumPy."""
import numpy as np

import rushlight as rl


def tensor(array, requires_grad=False):
    """A tensor with a copy of the array's values."""
    return rl.from_numpy(np.array(array)).clone().requires_grad_(requires_grad)


def check_gradients(function, *arrays, step=1e-5, tolerance=1e-6):
    """Compare the gradients of sum(weights * function(*tensors)) with central differences, in float64."""
    arrays = [np.array(a, np.float64) for a in arrays]
    shape = tuple(function(*[tensor(a) for a in arrays]).shape)
    weights = np.cos(np.arange(int(np.prod(shape)) or 1, dtype=np.float64)).reshape(shape)

    def loss(values):
        return float((function(*[tensor(v) for v in values]).double() * tensor(weights)).sum())

    tensors = [tensor(a, True) for a in arrays]
    (function(*tensors) * tensor(weights)).sum().backward()
    for position, array in enumerate(arrays):
        expected = np.zeros_like(array)
        for index in np.ndindex(array.shape):
            pair = []
            for sign in (1, -1):
                moved = [a.copy() for a in arrays]
                moved[position][index] += sign * step
                pair.append(loss(moved))
            expected[index] = (pair[0] - pair[1]) / (2 * step)
        found = tensors[position].grad.numpy()
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=tolerance, err_msg=f"gradient {position}")


def check_inplace(name, array, *arguments, method=None):
    """The in-place form gives the same values, writes to its tensor, and has the same gradient as the plain form."""
    first, second = tensor(array, True), tensor(array, True)
    plain = getattr(first * 1, name)(*arguments)
    target = second * 1
    written = getattr(target, method or name + "_")(*arguments)
    assert written is target
    np.testing.assert_array_equal(plain.detach().numpy(), written.detach().numpy())
    if plain.requires_grad:
        plain.sum().backward()
        written.sum().backward()
        np.testing.assert_array_equal(first.grad.numpy(), second.grad.numpy())
