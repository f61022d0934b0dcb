"""The names of torchvision's models for quantized inference: their weights can be looked up, building one raises.

Rushlight has no quantized tensors. The models without quantization are in the parent package.
"""

import typing

from ....base.errors import missing
from .._api import register_model, weights_enum

GoogLeNet_QuantizedWeights = weights_enum("GoogLeNet_QuantizedWeights", __name__)
Inception_V3_QuantizedWeights = weights_enum("Inception_V3_QuantizedWeights", __name__)
MobileNet_V2_QuantizedWeights = weights_enum("MobileNet_V2_QuantizedWeights", __name__)
MobileNet_V3_Large_QuantizedWeights = weights_enum("MobileNet_V3_Large_QuantizedWeights", __name__)
ResNet18_QuantizedWeights = weights_enum("ResNet18_QuantizedWeights", __name__)
ResNet50_QuantizedWeights = weights_enum("ResNet50_QuantizedWeights", __name__)
ResNeXt101_32X8D_QuantizedWeights = weights_enum("ResNeXt101_32X8D_QuantizedWeights", __name__)
ResNeXt101_64X4D_QuantizedWeights = weights_enum("ResNeXt101_64X4D_QuantizedWeights", __name__)
ShuffleNet_V2_X0_5_QuantizedWeights = weights_enum("ShuffleNet_V2_X0_5_QuantizedWeights", __name__)
ShuffleNet_V2_X1_0_QuantizedWeights = weights_enum("ShuffleNet_V2_X1_0_QuantizedWeights", __name__)
ShuffleNet_V2_X1_5_QuantizedWeights = weights_enum("ShuffleNet_V2_X1_5_QuantizedWeights", __name__)
ShuffleNet_V2_X2_0_QuantizedWeights = weights_enum("ShuffleNet_V2_X2_0_QuantizedWeights", __name__)


def _variant(name, weights):
    def build(*, weights: typing.Optional[weights] = None, progress: bool = True, quantize: bool = False,
              **kwargs: typing.Any):
        raise missing(f"models.quantization.{name}", "quantized inference", f"use models.{name}")

    build.__name__ = build.__qualname__ = name
    build.__doc__ = f"Raise NotImplementedError: use `torchvision.models.{name}`."
    return register_model(f"quantized_{name}")(build)


googlenet = _variant("googlenet", GoogLeNet_QuantizedWeights)
inception_v3 = _variant("inception_v3", Inception_V3_QuantizedWeights)
mobilenet_v2 = _variant("mobilenet_v2", MobileNet_V2_QuantizedWeights)
mobilenet_v3_large = _variant("mobilenet_v3_large", MobileNet_V3_Large_QuantizedWeights)
resnet18 = _variant("resnet18", ResNet18_QuantizedWeights)
resnet50 = _variant("resnet50", ResNet50_QuantizedWeights)
resnext101_32x8d = _variant("resnext101_32x8d", ResNeXt101_32X8D_QuantizedWeights)
resnext101_64x4d = _variant("resnext101_64x4d", ResNeXt101_64X4D_QuantizedWeights)
shufflenet_v2_x0_5 = _variant("shufflenet_v2_x0_5", ShuffleNet_V2_X0_5_QuantizedWeights)
shufflenet_v2_x1_0 = _variant("shufflenet_v2_x1_0", ShuffleNet_V2_X1_0_QuantizedWeights)
shufflenet_v2_x1_5 = _variant("shufflenet_v2_x1_5", ShuffleNet_V2_X1_5_QuantizedWeights)
shufflenet_v2_x2_0 = _variant("shufflenet_v2_x2_0", ShuffleNet_V2_X2_0_QuantizedWeights)
