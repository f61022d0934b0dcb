"""Whatever a program logs as a NumPy array."""
import numpy as np

from ... import api as rl


def make_np(x):
    """A tensor, an array or a number as an array (bfloat16 as float16). NotImplementedError for other objects."""
    if isinstance(x, np.ndarray):
        return x
    if np.isscalar(x):
        return np.array([x])
    if isinstance(x, rl.Tensor):
        x = x.detach().cpu()
        return (x.to(rl.float16) if x.dtype is rl.bfloat16 else x).numpy()
    raise NotImplementedError(f"Got {type(x)}, but numpy array or torch tensor are expected.")
