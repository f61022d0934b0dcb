"""Models that find where the pixels of one image are in another."""
from .raft import *  # noqa: F401,F403
