"""Checks at the user's line whether there is memory for a tensor: results get their memory later, when that line is no
longer known.

Takes layouts; raises PyTorch's errors. The runtime puts its answer into `ASK`.
"""

LARGE = 1 << 30  # bytes; smaller results are not asked for
LARGEST = (1 << 63) - 1
ASK = []  # functions of a number of bytes that raise RuntimeError if they cannot be had


def check_bytes(nbytes):
    """RuntimeError if this many bytes cannot be allocated."""
    if nbytes > LARGE:
        for ask in ASK:
            ask(nbytes)


def check_layouts(layouts):
    """RuntimeError if there is no memory for new tensors of these layouts."""
    for layout in layouts:
        if layout.nbytes > LARGE:
            check_bytes(layout.nbytes)


def check_extent(layout):
    """RuntimeError for a layout whose numbers do not fit into 64 bits."""
    shape, strides = list(layout.shape), list(layout.strides)
    if max(strides, default=0) > LARGEST:
        raise RuntimeError("Stride calculation overflowed")
    if layout.nbytes > LARGEST:
        stated = "" if layout.dense else f" and strides={strides}"
        raise RuntimeError(f"Storage size calculation overflowed with sizes={shape}{stated}")
    if layout.numel > LARGEST:
        raise RuntimeError("numel: integer multiplication overflow")
