"""The names that this package takes from tensorboard, in one place. ImportError says what to install."""
from ...base.optional import optional


def _of(module):
    return optional(f"tensorboard.{module}", "tensorboard", "torch.utils.tensorboard")


_of("version")  # the cheap one first: its failure names the extra
_summary, _event, _graph = (_of(f"compat.proto.{name}_pb2") for name in ("summary", "event", "graph"))
_tensor, _shape, _values = (_of(f"compat.proto.{name}_pb2") for name in ("tensor", "tensor_shape", "attr_value"))
_steps = _of("compat.proto.step_stats_pb2")

HistogramProto, Summary, SummaryMetadata = _summary.HistogramProto, _summary.Summary, _summary.SummaryMetadata
Event, SessionLog, TaggedRunMetadata = _event.Event, _event.SessionLog, _event.TaggedRunMetadata
GraphDef, NodeDef = _graph.GraphDef, _of("compat.proto.node_def_pb2").NodeDef
TensorProto, TensorShapeProto, AttrValue = _tensor.TensorProto, _shape.TensorShapeProto, _values.AttrValue
RunMetadata = _of("compat.proto.config_pb2").RunMetadata
StepStats, DeviceStepStats = _steps.StepStats, _steps.DeviceStepStats
VersionDef = _of("compat.proto.versions_pb2").VersionDef

EventFileWriter = _of("summary.writer.event_file_writer").EventFileWriter
RecordWriter = _of("summary.writer.record_writer").RecordWriter

hparams_api, hparams_metadata = _of("plugins.hparams.api_pb2"), _of("plugins.hparams.metadata")
hparams_data = _of("plugins.hparams.plugin_data_pb2")
mesh_metadata, MeshPluginData = _of("plugins.mesh.metadata"), _of("plugins.mesh.plugin_data_pb2").MeshPluginData
custom_scalar_layout = _of("plugins.custom_scalar.layout_pb2")
PrCurvePluginData = _of("plugins.pr_curve.plugin_data_pb2").PrCurvePluginData
TextPluginData = _of("plugins.text.plugin_data_pb2").TextPluginData
_projector = _of("plugins.projector.projector_config_pb2")
EmbeddingInfo, ProjectorConfig = _projector.EmbeddingInfo, _projector.ProjectorConfig

struct_pb2 = optional("google.protobuf.struct_pb2", "tensorboard", "torch.utils.tensorboard")
text_format = optional("google.protobuf.text_format", "tensorboard", "torch.utils.tensorboard")
