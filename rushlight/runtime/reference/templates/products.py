"""Matrix products and convolutions. A convolution is a sum over the taps of the filter: each tap is one product of
the image, seen through strides, with one slice of the filter."""

import itertools

from ....base.lazy import numpy as np
from .values import numbers_of, save, values, wide


def gemm(instruction, ins, outs, numbers):
    """ins: a, b[, bias]; numbers: [alpha, beta]; out = beta * bias + alpha * a @ b."""
    a, b, *bias = map(wide, values(instruction, ins))
    factors = numbers_of(instruction, numbers)
    found = np.matmul(a, b)
    if factors:
        found = found * factors[0]
    if bias:
        found = found + (bias[0] * factors[1] if factors else bias[0])
    save(instruction, outs, 0, found)


class Geometry:
    """Where the taps of a convolution meet the image."""

    def __init__(self, instruction, image, filters, result):
        options = dict(instruction.attrs)
        self.stride, self.dilation = options["stride"], options["dilation"]
        self.padding, self.groups = options["padding"], options["groups"]
        self.image, self.filters, self.result = image, filters, result

    def padded(self, array=None):
        """The image (zeros where none is given) with a border wide enough for all taps."""
        shape = list(self.image[:2])
        places = [slice(None), slice(None)]
        for n, taps, out, step, pad, gap in zip(self.image[2:], self.filters[2:], self.result[2:], self.stride,
                                                self.padding, self.dilation):
            shape.append(max(n + pad, (out - 1) * step + (taps - 1) * gap + 1))
            places.append(slice(pad, pad + n))
        room = np.zeros(shape)
        inside = room[tuple(places)]
        if array is not None:
            inside[...] = array
        return room, inside

    def taps(self):
        """(position in the filter, the part of the padded image that it meets)."""
        for tap in itertools.product(*map(range, self.filters[2:])):
            part = [slice(i * gap, i * gap + (out - 1) * step + 1, step)
                    for i, gap, step, out in zip(tap, self.dilation, self.stride, self.result[2:])]
            yield tap, (slice(None), slice(None), *part)

    def split(self, array, dim):
        """Channels as (groups, channels of a group)."""
        shape = list(array.shape)
        return array.reshape(*shape[:dim], self.groups, shape[dim] // self.groups, *shape[dim + 1:])


def flat(array):
    """(batch, groups, channels, ...) with the dimensions of the image as one."""
    return array.reshape(*array.shape[:3], -1)


def conv(instruction, ins, outs, numbers):
    """ins: input, weight[, bias]."""
    image, filters, *bias = map(wide, values(instruction, ins))
    found = Geometry(instruction, image.shape, filters.shape, outs[0].shape)
    room, _ = found.padded(image)
    total = np.zeros(found.split(outs[0], 1).shape)
    weight = found.split(filters, 0)
    for tap, part in found.taps():
        total += np.einsum("bgi...,goi->bgo...", found.split(room[part], 1), weight[(..., *tap)])
    total = total.reshape(outs[0].shape)
    if bias:
        total += bias[0].reshape(-1, *[1] * (total.ndim - 2))
    save(instruction, outs, 0, total)


def conv_input_grad(instruction, ins, outs, numbers):
    """ins: gradient of the result, weight[, bias over the input's channels]; out: gradient of the input."""
    g, filters, *bias = map(wide, values(instruction, ins))
    found = Geometry(instruction, outs[0].shape, filters.shape, g.shape)
    room, inside = found.padded()
    weight, slopes = found.split(filters, 0), found.split(g, 1)
    for tap, part in found.taps():
        room[part] += np.einsum("bgo...,goi->bgi...", slopes, weight[(..., *tap)]).reshape(room[part].shape)
    if bias:
        inside += bias[0].reshape(-1, *[1] * (inside.ndim - 2))
    save(instruction, outs, 0, inside)


def conv_weight_grad(instruction, ins, outs, numbers):
    """ins: gradient of the result, input; out: gradient of the weight."""
    g, image = map(wide, values(instruction, ins))
    found = Geometry(instruction, image.shape, outs[0].shape, g.shape)
    room, _ = found.padded(image)
    total = np.zeros(outs[0].shape)
    slopes = flat(found.split(g, 1))
    for tap, part in found.taps():
        slope = np.einsum("bgon,bgin->goi", slopes, flat(found.split(room[part], 1)))
        total[(..., *tap)] = slope.reshape(total.shape[:2])
    save(instruction, outs, 0, total)


SPECIFICATIONS = {"gemm.products:gemm": gemm, "conv.convolutions:conv": conv,
                  "conv.convolutions:conv_input_grad": conv_input_grad,
                  "conv.convolutions:conv_weight_grad": conv_weight_grad}
