"""The packages that images and videos are read with: Pillow and `av`. These functions check what a program asks for."""
from ..base.errors import missing


def set_image_backend(backend):
    """Choose the package that loads images: "PIL". ValueError for any other name."""
    if backend == "accimage":
        raise missing("set_image_backend", "the backend 'accimage'", "use 'PIL'")
    if backend != "PIL":
        raise ValueError(f"Invalid backend '{backend}'. Options are 'PIL' and 'accimage'")


def get_image_backend():
    """The name of the package that loads images."""
    return "PIL"


def set_video_backend(backend):
    """Choose the package that reads videos. Only "pyav" exists, so this changes nothing."""


def get_video_backend():
    """The name of the package that reads videos."""
    return "pyav"


def disable_beta_transforms_warning():
    """Do nothing: the second generation of transforms no longer warns."""
