"""Which transforms of the second generation a waiting picture passes (see ../pending.py)."""
from .... import api as rl
from ... import tv_tensors
from ...pictures import is_picture
from ..pending import MOVES, Pending, absorbs, finished, pending, table_of
from ._misc import Normalize, PILToTensor, ToDtype, ToImage

_CLASSES = {PILToTensor: rl.Tensor, ToImage: tv_tensors.Image}


def advance(transform, img):
    """What a transform shall be called with, and whether it is done already: it became one of the waiting steps."""
    if type(transform) in MOVES and not _is_scaled(img):
        img = pending(img)
        return (img, False) if type(img) is Pending and absorbs(transform, img) else (finished(img), False)
    if type(transform) in _CLASSES:
        img = pending(img) if is_picture(img) else img
    if type(img) is Pending and not transform._has_hooks:
        after = _after(transform, img)
        if after is not None:
            return after, True
    return finished(img), False


def _is_scaled(img):
    return type(img) is Pending and img.scaled


def _after(transform, img):
    """The picture after a conversion; None for a transform that needs the finished picture."""
    kind = type(transform)
    if kind in _CLASSES and img.kind is None:
        return img.to_tensor(_CLASSES[kind])
    if kind is ToDtype and transform.dtype is rl.float32 and transform.scale and img.kind and not img.scaled:
        return img.to_scaled()
    if kind is Normalize and img.scaled and not transform.inplace:
        table = table_of(len(img.getbands()), tuple(transform.mean), tuple(transform.std), False)
        return None if table is None else img.to_floats(table)
    return None
