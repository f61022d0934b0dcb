"""Functions for augmentation alone: erasing, artefacts of JPEG, frames left out."""
import io

from ... import tv_tensors
from .... import api as rl
from ... import io as vision_io
from ...pictures import pillow
from .. import conversion
from .dispatch import PICTURE, dispatched, for_videos, kernel

IMAGES = (rl.Tensor, tv_tensors.Image)


@dispatched
def erase(inpt, i, j, h, w, v, inplace=False):
    """Set the part of `h` x `w` pixels whose upper left corner is in row `i`, column `j`, to the value(s) `v`."""


@kernel(erase, *IMAGES)
def erase_image(image, i, j, h, w, v, inplace=False):
    if not inplace:
        image = image.clone()
    image[..., i:i + h, j:j + w] = v
    return image


@kernel(erase, PICTURE)
def _erase_image_pil(image, i, j, h, w, v, inplace=False):
    erased = erase_image(conversion.pil_to_tensor(image).clone(), i, j, h, w, v, inplace=True)
    return conversion.to_pil_image(erased, mode=image.mode)


erase_video = for_videos(erase, erase_image)


@dispatched
def jpeg(image, quality):
    """What is left of an image of uint8 after it has been a JPEG file of a quality, 1 to 100."""


@kernel(jpeg, *IMAGES)
def jpeg_image(image, quality):
    planes = image.reshape(-1, *image.shape[-3:])
    if planes.shape[0] == 0:
        return image.clone()
    packed = [vision_io.decode_jpeg(vision_io.encode_jpeg(plane, quality)) for plane in planes]
    return rl.stack(packed).reshape(image.shape)


@kernel(jpeg, PICTURE)
def _jpeg_image_pil(image, quality):
    file = io.BytesIO()
    image.save(file, format="JPEG", quality=quality)
    return pillow("jpeg").open(file).copy()


jpeg_video = for_videos(jpeg, jpeg_image)


@dispatched
def uniform_temporal_subsample(inpt, num_samples):
    """`num_samples` frames of a video, equally spaced."""


@kernel(uniform_temporal_subsample, rl.Tensor, tv_tensors.Video)
def uniform_temporal_subsample_video(video, num_samples):
    places = rl.linspace(0, video.shape[-4] - 1, num_samples, device=video.device).to(rl.int64)
    return video.index_select(-4, places)
