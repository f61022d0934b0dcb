"""`torch.backends`: switches of libraries that Rushlight does not use, so that scripts that set them run."""

import sys
import types


class Switches(types.ModuleType):
    """A namespace of flags; `is_available()` is False for libraries that are not here."""

    def __init__(self, name, available=False, **flags):
        super().__init__(f"{__name__}.{name}")
        self.__dict__.update(flags)
        self._available = available

    def is_available(self):
        """Whether the library is used."""
        return self._available

    is_built = is_available


cudnn = Switches("cudnn", enabled=False, benchmark=False, deterministic=False, allow_tf32=False, benchmark_limit=10)
cuda = Switches("cuda", matmul=types.SimpleNamespace(allow_tf32=False, allow_fp16_reduced_precision_reduction=False))
mkl = Switches("mkl")
mkldnn = Switches("mkldnn", enabled=False)
mps = Switches("mps")
openmp = Switches("openmp")
opt_einsum = Switches("opt_einsum", enabled=False, strategy=None)
for _module in (cudnn, cuda, mkl, mkldnn, mps, openmp, opt_einsum):
    sys.modules[_module.__name__] = _module
