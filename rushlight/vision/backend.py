"""The package that images are loaded with: always Pillow, so these functions only check what a program asks for."""
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
