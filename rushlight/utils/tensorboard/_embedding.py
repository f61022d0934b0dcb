"""The files of the projector beside an event file: points, their labels and pictures, and the list of embeddings."""
import math
import os

import numpy as np

from ...base.optional import optional
from ._convert_np import make_np
from ._utils import make_grid
from .protos import EmbeddingInfo, text_format


def _write(folder, name, content):
    with open(os.path.join(folder, name), "wb") as file:
        file.write(content if isinstance(content, bytes) else content.encode())


def make_mat(matlist, save_path):
    """Write points, an array (N, D), as tensors.tsv."""
    _write(save_path, "tensors.tsv", "".join("\t".join(map(str, row)) + "\n" for row in np.asarray(matlist).tolist()))


def make_tsv(metadata, save_path, metadata_header=None):
    """Write labels as metadata.tsv; with a header, every label is a row of as many columns."""
    if metadata_header:
        if len(metadata_header) != len(metadata[0]):
            raise AssertionError("len of header must be equal to the number of columns in metadata")
        metadata = ["\t".join(map(str, row)) for row in [metadata_header, *metadata]]
    _write(save_path, "metadata.tsv", "".join(f"{label}\n" for label in metadata))


def make_sprite(label_img, save_path):
    """Write pictures (N, C, H, W) with values in [0, 1] as one square picture sprite.png, as the projector wants it."""
    pillow = optional("PIL.Image", "vision", "add_embedding")
    grid = make_grid(make_np(label_img), ncols=math.ceil(len(label_img) ** 0.5)).transpose(1, 2, 0)
    height, width, _ = grid.shape
    square = np.zeros((max(height, width), width, 3))
    square[:height] = grid
    pillow.fromarray((square * 255).clip(0, 255).astype(np.uint8)).save(os.path.join(save_path, "sprite.png"), "PNG")


def get_embedding_info(metadata, label_img, subdir, global_step, tag):
    """The entry of an embedding in the projector's list."""
    info = EmbeddingInfo(tensor_name=f"{tag}:{str(global_step).zfill(5)}", tensor_path=f"{subdir}/tensors.tsv")
    if metadata is not None:
        info.metadata_path = f"{subdir}/metadata.tsv"
    if label_img is not None:
        info.sprite.image_path = f"{subdir}/sprite.png"
        info.sprite.single_image_dim.extend([label_img.shape[3], label_img.shape[2]])
    return info


def write_pbtxt(save_path, config):
    """Write the list of embeddings, a `ProjectorConfig`, as projector_config.pbtxt."""
    _write(save_path, "projector_config.pbtxt", text_format.MessageToString(config))
