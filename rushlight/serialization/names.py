"""The names of classes and functions in files: PyTorch's names for our objects, and back.

Files are PyTorch's, so they say `torch.nn.modules.linear Linear` where we say `rushlight.nn...`. `find` answers for
any name and is for trusted files only; what files that are not trusted may name is in allowed.py.
"""

import functools
import importlib
import sys
import types

from .. import api as rl
from . import rebuild
from .storages import TYPES, UNTYPED, StorageType, TypedStorage, UntypedStorageType

ROOT = __name__.split(".")[0]

# Modules of ours whose place in PyTorch's tree is another one.
FOREIGN_ROOTS = {"torchvision": f"{ROOT}.vision", "torchaudio": f"{ROOT}.audio", "torch": ROOT}

REBUILD_NAMES = """
    _rebuild_tensor _rebuild_tensor_v2 _rebuild_tensor_v3 _rebuild_parameter _rebuild_parameter_with_state
    _rebuild_meta_tensor_no_storage _rebuild_device_tensor_from_cpu_tensor _rebuild_device_tensor_from_numpy
    _rebuild_sparse_tensor
""".split()
REBUILD_FUNCTIONS = {name: getattr(rebuild, name) for name in REBUILD_NAMES}

# The modules that PyTorch's layers are defined in; ours may be cut differently.
LAYER_FILES = {
    "activation": "CELU ELU GELU GLU Hardshrink Hardsigmoid Hardswish Hardtanh LeakyReLU LogSigmoid LogSoftmax "
                  "Mish MultiheadAttention PReLU RReLU ReLU ReLU6 SELU SiLU Sigmoid Softmax Softmax2d Softmin "
                  "Softplus Softshrink Softsign Tanh Tanhshrink Threshold",
    "adaptive": "AdaptiveLogSoftmaxWithLoss",
    "batchnorm": "BatchNorm1d BatchNorm2d BatchNorm3d LazyBatchNorm1d LazyBatchNorm2d LazyBatchNorm3d SyncBatchNorm",
    "channelshuffle": "ChannelShuffle",
    "container": "Container ModuleDict ModuleList ParameterDict ParameterList Sequential",
    "conv": "Conv1d Conv2d Conv3d ConvTranspose1d ConvTranspose2d ConvTranspose3d LazyConv1d LazyConv2d LazyConv3d "
            "LazyConvTranspose1d LazyConvTranspose2d LazyConvTranspose3d",
    "distance": "CosineSimilarity PairwiseDistance",
    "dropout": "AlphaDropout Dropout Dropout1d Dropout2d Dropout3d FeatureAlphaDropout",
    "flatten": "Flatten Unflatten",
    "fold": "Fold Unfold",
    "instancenorm": "InstanceNorm1d InstanceNorm2d InstanceNorm3d LazyInstanceNorm1d LazyInstanceNorm2d "
                    "LazyInstanceNorm3d",
    "linear": "Bilinear Identity LazyLinear Linear",
    "loss": "BCELoss BCEWithLogitsLoss CTCLoss CosineEmbeddingLoss CrossEntropyLoss GaussianNLLLoss "
            "HingeEmbeddingLoss HuberLoss KLDivLoss L1Loss LinearCrossEntropyLoss MSELoss MarginRankingLoss "
            "MultiLabelMarginLoss MultiLabelSoftMarginLoss MultiMarginLoss NLLLoss NLLLoss2d PoissonNLLLoss "
            "SmoothL1Loss SoftMarginLoss TripletMarginLoss TripletMarginWithDistanceLoss",
    "module": "Module",
    "normalization": "CrossMapLRN2d GroupNorm LayerNorm LocalResponseNorm RMSNorm",
    "padding": "CircularPad1d CircularPad2d CircularPad3d ConstantPad1d ConstantPad2d ConstantPad3d "
               "ReflectionPad1d ReflectionPad2d ReflectionPad3d ReplicationPad1d ReplicationPad2d ReplicationPad3d "
               "ZeroPad1d ZeroPad2d ZeroPad3d",
    "pixelshuffle": "PixelShuffle PixelUnshuffle",
    "pooling": "AdaptiveAvgPool1d AdaptiveAvgPool2d AdaptiveAvgPool3d AdaptiveMaxPool1d AdaptiveMaxPool2d "
               "AdaptiveMaxPool3d AvgPool1d AvgPool2d AvgPool3d FractionalMaxPool2d FractionalMaxPool3d LPPool1d "
               "LPPool2d LPPool3d MaxPool1d MaxPool2d MaxPool3d MaxUnpool1d MaxUnpool2d MaxUnpool3d",
    "rnn": "GRU GRUCell LSTM LSTMCell RNN RNNBase RNNCell RNNCellBase",
    "sparse": "Embedding EmbeddingBag",
    "transformer": "Transformer TransformerDecoder TransformerDecoderLayer TransformerEncoder TransformerEncoderLayer",
    "upsampling": "Upsample UpsamplingBilinear2d UpsamplingNearest2d",
}  # fmt: skip
LAYER_MODULES = {name: f"torch.nn.modules.{file}" for file, names in LAYER_FILES.items() for name in names.split()}
PARAMETERS = ("Parameter", "Buffer", "UninitializedParameter", "UninitializedBuffer")
LAYER_MODULES |= dict.fromkeys(PARAMETERS, "torch.nn.parameter")


def _fixed_names():
    table = {("torch._utils", name): function for name, function in REBUILD_FUNCTIONS.items()}
    table["torch._tensor", "_rebuild_from_type_v2"] = rebuild._rebuild_from_type_v2
    table["torch._tensor", "_rebuild_from_type"] = rebuild._rebuild_from_type
    table["torch.serialization", "_get_layout"] = rebuild._get_layout
    table["torch.storage", "UntypedStorage"] = UNTYPED
    for name, kind in TYPES.items():
        table["torch", name] = table["torch.cuda", name] = kind
    return table


FIXED = _fixed_names()
FIXED_NAMES = {id(value): name for name, value in reversed(FIXED.items())}
DTYPE = type(rl.float32)
CALLABLES = (type, types.FunctionType, types.BuiltinFunctionType)


def find(module, name):
    """The object that a trusted file means by `module name`. AttributeError or ModuleNotFoundError when there is
    none.
    """
    if (module, name) in FIXED:
        return FIXED[module, name]
    root, _, rest = module.partition(".")
    if root not in FOREIGN_ROOTS:
        return _attribute(importlib.import_module(module), name)
    if module == "torch" and hasattr(rl, name):
        return getattr(rl, name)
    place = FOREIGN_ROOTS[root] + (f".{rest}" if rest else "")
    # A class that PyTorch defines deep in its tree is public further up: torch.nn.modules.linear.Linear is
    # torch.nn.Linear.
    while True:
        found = _attribute(_module(place), name, None)
        if found is not None:
            return found
        if "." not in place:
            raise AttributeError(f"the file refers to {module}.{name}, which {ROOT} does not have")
        place = place.rpartition(".")[0]


def _module(place):
    try:
        return importlib.import_module(place)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{place}.".startswith(f"{error.name}."):
            raise
        return None


def _attribute(module, name, *default):
    found = module
    for part in name.split("."):
        found = getattr(found, part, *default)
    return found


@functools.cache
def _public_names():
    """id -> name of the classes and functions at the top of the API, whatever they are called where they are made."""
    return {id(value): name for name, value in vars(rl).items() if isinstance(value, CALLABLES) and name[0] != "_"}


def file_name(thing):
    """(module, name) that a file gives to one of our classes, functions or constants; None for what is not ours."""
    if id(thing) in FIXED_NAMES:
        return FIXED_NAMES[id(thing)]
    if isinstance(thing, DTYPE):
        return "torch", str(thing).removeprefix("torch.")
    module, name = getattr(thing, "__module__", None), getattr(thing, "__qualname__", None)
    if not isinstance(module, str) or not isinstance(name, str):
        return None
    if module != ROOT and not module.startswith(f"{ROOT}."):
        return None
    public = _public_names().get(id(thing))
    if public is not None:
        return "torch", public
    parts = module.split(".")
    if len(parts) > 1 and parts[1] == "nn" and isinstance(thing, type) and name in LAYER_MODULES:
        return LAYER_MODULES[name], name
    if not isinstance(thing, type):
        functional = sys.modules.get(f"{ROOT}.nn.functional")
        if getattr(functional, name, None) is thing:
            return "torch.nn.functional", name
    for foreign, ours in FOREIGN_ROOTS.items():
        if module == ours or module.startswith(f"{ours}."):
            return foreign + module[len(ours):], name
    return None


__all__ = ["FIXED", "ROOT", "StorageType", "TypedStorage", "UntypedStorageType", "file_name", "find"]
