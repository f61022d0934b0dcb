"""The MobileNets of all versions."""
from .mobilenetv2 import *  # noqa: F401,F403
from .mobilenetv2 import __all__ as _version_2
from .mobilenetv3 import *  # noqa: F401,F403
from .mobilenetv3 import __all__ as _version_3

__all__ = [*_version_2, *_version_3]
