"""Summaries of numbers, histograms, text, curves, meshes and hyperparameters; from media.py, of pictures and sound.

Values come in; `Summary` protocol buffers for an event file go out. writer.py is who calls this.
"""
import json

import numpy as np

from ... import api as rl
from ._convert_np import make_np
from .media import audio, draw_boxes, image, image_boxes, make_image, make_video, video
from .protos import (HistogramProto, MeshPluginData, PrCurvePluginData, Summary, SummaryMetadata, TensorProto,
                     TensorShapeProto, TextPluginData, custom_scalar_layout, hparams_api, hparams_data,
                     hparams_metadata, mesh_metadata, struct_pb2)

__all__ = ["audio", "compute_curve", "custom_scalars", "draw_boxes", "histogram", "histogram_raw", "hparams", "image",
           "image_boxes", "make_histogram", "make_image", "make_video", "mesh", "pr_curve", "pr_curve_raw", "scalar",
           "tensor_proto", "text", "video"]

MOST_THRESHOLDS = 127  # of a precision-recall curve; TensorBoard's plugin reads no more


def _plugin(name, content=b""):
    """The metadata that say which page of TensorBoard shows a value."""
    return SummaryMetadata(plugin_data=SummaryMetadata.PluginData(plugin_name=name, content=content))


def _shape(sizes):
    return TensorShapeProto(dim=[TensorShapeProto.Dim(size=size) for size in sizes])


def _tensor_value(tag, plugin, tensor, content=b""):
    return Summary(value=[Summary.Value(tag=tag, tensor=tensor, metadata=_plugin(plugin, content))])


def scalar(name, tensor, collections=None, new_style=False, double_precision=False):
    """A summary of one number; `new_style` stores it as a tensor, `double_precision` then keeps 64 bits of it."""
    values = make_np(tensor).squeeze()
    if values.ndim:
        raise AssertionError(f"Tensor should contain one element (0 dimensions). Was given size: {values.size} and "
                             f"{values.ndim} dimensions.")
    number = float(values)
    if not new_style:
        return Summary(value=[Summary.Value(tag=name, simple_value=number)])
    if double_precision:
        return _tensor_value(name, "scalars", TensorProto(double_val=[number], dtype="DT_DOUBLE"))
    return _tensor_value(name, "scalars", TensorProto(float_val=[number], dtype="DT_FLOAT"))


def _bits(tensor):
    """The 16-bit patterns of a tensor of half precision."""
    return tensor.contiguous().view(rl.int16).to(rl.int32).bitwise_and(0xFFFF).flatten().tolist()


def _numbers(tensor):
    return tensor.flatten().tolist()


def _pairs(tensor):
    return rl.view_as_real(tensor).flatten().tolist()


_FIELDS = {
    rl.float16: ("DT_HALF", "half_val", _bits), rl.bfloat16: ("DT_BFLOAT16", "half_val", _bits),
    rl.float32: ("DT_FLOAT", "float_val", _numbers), rl.float64: ("DT_DOUBLE", "double_val", _numbers),
    rl.int8: ("DT_INT8", "int_val", _numbers), rl.uint8: ("DT_UINT8", "int_val", _numbers),
    rl.int16: ("DT_INT16", "int_val", _numbers), rl.int32: ("DT_INT32", "int_val", _numbers),
    rl.int64: ("DT_INT64", "int64_val", _numbers), rl.bool: ("DT_BOOL", "bool_val", _numbers),
    rl.complex64: ("DT_COMPLEX64", "scomplex_val", _pairs), rl.complex128: ("DT_COMPLEX128", "dcomplex_val", _pairs),
}


def tensor_proto(tag, tensor):
    """A summary of a whole tensor. ValueError for dtypes without a form on disk and for 2 GiB and more."""
    if tensor.numel() * tensor.element_size() >= 1 << 31:
        raise ValueError("tensor is bigger than protocol buffer's hard limit of 2GB in size")
    if tensor.dtype not in _FIELDS:
        raise ValueError(f"{tag} has unsupported tensor dtype {tensor.dtype}")
    kind, field, convert = _FIELDS[tensor.dtype]
    values = convert(tensor.detach().cpu())
    return _tensor_value(tag, "tensor", TensorProto(dtype=kind, tensor_shape=_shape(tensor.shape), **{field: values}))


def text(tag, text):
    """A summary of a text in Markdown."""
    value = TensorProto(dtype="DT_STRING", string_val=[text.encode()], tensor_shape=_shape([1]))
    return _tensor_value(f"{tag}/text_summary", "text", value, TextPluginData(version=0).SerializeToString())


# -- histograms ----------------------------------------------------------------------------------------------


def histogram_raw(name, min, max, num, sum, sum_squares, bucket_limits, bucket_counts):
    """A summary of a histogram that is there already: `bucket_limits` are the buckets' upper ends."""
    found = HistogramProto(min=min, max=max, num=num, sum=sum, sum_squares=sum_squares, bucket_limit=bucket_limits,
                           bucket=bucket_counts)
    return Summary(value=[Summary.Value(tag=name, histo=found)])


def histogram(name, values, bins, max_bins=None):
    """A summary of the histogram of an array or tensor; `bins` as in `numpy.histogram`."""
    found = make_histogram(make_np(values).astype(float), bins, max_bins)
    return Summary(value=[Summary.Value(tag=name, histo=found)])


def make_histogram(values, bins, max_bins=None):
    """The `HistogramProto` of values. Neighbouring bins are joined where there are more than `max_bins`.

    Empty bins at both ends are left out, but for one at the left: TensorBoard stores only upper ends, so that this one
    holds the lower end of the first bin in use. ValueError if there are no values.
    """
    values = values.reshape(-1)
    if values.size == 0:
        raise ValueError("The input has no element.")
    counts, limits = np.histogram(values, bins=bins)
    if max_bins is not None and len(counts) > max_bins:
        counts, limits = _joined(counts, limits, len(counts) // max_bins)
    used = np.flatnonzero(counts)
    if not used.size:
        raise ValueError("The histogram is empty: no value lies in a bin")
    start, end = used[0], used[-1] + 1
    counts = np.concatenate((counts[start - 1:start] if start else [0], counts[start:end]))
    return HistogramProto(min=values.min(), max=values.max(), num=values.size, sum=values.sum(),
                          sum_squares=values.dot(values), bucket_limit=limits[start:end + 1].tolist(),
                          bucket=counts.tolist())


def _joined(counts, limits, width):
    """A histogram with `width` bins in one."""
    starts = np.arange(0, len(counts), width)
    return np.add.reduceat(counts, starts), np.concatenate((limits[starts], limits[-1:]))


# -- curves --------------------------------------------------------------------------------------------------


def pr_curve_raw(tag, tp, fp, tn, fn, precision, recall, num_thresholds=127, weights=None):
    """A summary of a precision-recall curve from its counts, one of each for every threshold."""
    return _curve(tag, np.stack((tp, fp, tn, fn, precision, recall)), min(num_thresholds, MOST_THRESHOLDS))


def pr_curve(tag, labels, predictions, num_thresholds=127, weights=None):
    """A summary of a precision-recall curve from labels (0 or 1) and predictions in [0, 1]."""
    num_thresholds = min(num_thresholds, MOST_THRESHOLDS)
    return _curve(tag, compute_curve(labels, predictions, num_thresholds, weights), num_thresholds)


def _curve(tag, rows, thresholds):
    value = TensorProto(dtype="DT_FLOAT", float_val=rows.reshape(-1).tolist(), tensor_shape=_shape(rows.shape))
    content = PrCurvePluginData(version=0, num_thresholds=thresholds).SerializeToString()
    return _tensor_value(tag, "pr_curves", value, content)


def compute_curve(labels, predictions, num_thresholds=None, weights=None):
    """Rows of true and false positives, true and false negatives, precision and recall, a column for every threshold.

    Threshold i is i / (num_thresholds - 1); a prediction counts as positive from its threshold on.
    """
    weights = np.broadcast_to(1.0 if weights is None else weights, np.shape(labels)).reshape(-1)
    labels = np.asarray(labels).astype(np.float64).reshape(-1)
    bucket = np.floor(np.asarray(predictions).reshape(-1) * (num_thresholds - 1)).astype(np.int32)
    inside = (bucket >= 0) & (bucket < num_thresholds)

    def from_threshold(amounts):
        return np.bincount(bucket[inside], amounts[inside], num_thresholds)[::-1].cumsum()[::-1]

    tp, fp = from_threshold(labels * weights), from_threshold((1 - labels) * weights)
    tn, fn = fp[0] - fp, tp[0] - tp
    least = 1e-7  # keeps the quotients finite where nothing was counted
    return np.stack((tp, fp, tn, fn, tp / np.maximum(least, tp + fp), tp / np.maximum(least, tp + fn)))


def custom_scalars(layout):
    """A summary of {category: {chart: (kind, tags)}}: "Multiline" charts, or "Margin" ones of (value, lower, upper)."""
    pb = custom_scalar_layout

    def chart(name, kind, tags):
        if kind != "Margin":
            return pb.Chart(title=name, multiline=pb.MultilineChartContent(tag=tags))
        if len(tags) != 3:
            raise AssertionError(f"custom_scalars: a margin chart needs 3 tags (value, lower, upper), got {len(tags)}")
        series = pb.MarginChartContent.Series(value=tags[0], lower=tags[1], upper=tags[2])
        return pb.Chart(title=name, margin=pb.MarginChartContent(series=[series]))

    categories = [pb.Category(title=title, chart=[chart(name, *rest) for name, rest in charts.items()])
                  for title, charts in layout.items()]
    content = pb.Layout(category=categories).SerializeToString()
    value = TensorProto(dtype="DT_STRING", string_val=[content], tensor_shape=TensorShapeProto())
    return _tensor_value("custom_scalars__config__", "custom_scalars", value)


def mesh(tag, vertices, colors, faces, config_dict, display_name=None, description=None):
    """A summary of meshes: vertices (B, N, 3), faces (B, F, 3) as numbers of vertices, colors (B, N, 3) in [0, 255].

    `faces` and `colors` may be None; without faces it is a cloud of points. `config_dict` names classes of the viewer
    and their settings.
    """
    kinds = ((vertices, MeshPluginData.VERTEX), (faces, MeshPluginData.FACE), (colors, MeshPluginData.COLOR))
    given = [(rl.as_tensor(tensor), kind) for tensor, kind in kinds if tensor is not None]
    parts = mesh_metadata.get_components_bitmask([kind for _, kind in given])
    config = json.dumps({} if config_dict is None else config_dict, sort_keys=True)
    values = []
    for tensor, kind in given:
        metadata = mesh_metadata.create_summary_metadata(tag, display_name, kind, parts, list(tensor.shape),
                                                         description, json_config=config)
        value = TensorProto(dtype="DT_FLOAT", float_val=_numbers(tensor), tensor_shape=_shape(tensor.shape[:3]))
        values.append(Summary.Value(tag=mesh_metadata.get_instance_name(tag, kind), tensor=value, metadata=metadata))
    return Summary(value=values)


# -- hyperparameters -----------------------------------------------------------------------------------------


def hparams(hparam_dict=None, metric_dict=None, hparam_domain_discrete=None):
    """Three summaries for the page of hyperparameters: the experiment, the start of a session and its end.

    Args:
        hparam_dict: {name: bool, number, str, one-element tensor, or None}; a None is left out.
        metric_dict: {name: value}; only the names go in here.
        hparam_domain_discrete: {name: list of all values the hyperparameter can take}.

    Raises:
        TypeError: an argument is not a dictionary, or a domain does not fit its hyperparameter.
        ValueError: a value of another type.
    """
    domains = hparam_domain_discrete or {}
    given = dict(hparam_dict=hparam_dict, metric_dict=metric_dict, hparam_domain_discrete=domains)
    for name, value in given.items():
        if not isinstance(value, dict):
            raise TypeError(f"parameter: {name} should be a dictionary, nothing logged.")
    for name, domain in domains.items():
        if name not in hparam_dict or not isinstance(domain, list) \
                or not all(isinstance(d, type(hparam_dict[name])) for d in domain):
            raise TypeError(f"parameter: hparam_domain_discrete[{name}] should be a list of same type as "
                            f"hparam_dict[{name}].")
    start, infos = hparams_data.SessionStartInfo(), []
    for name, value in hparam_dict.items():
        if value is not None:
            infos.append(_hparam(start.hparams[name], name, value, domains.get(name)))
    metrics = [hparams_api.MetricInfo(name=hparams_api.MetricName(tag=name)) for name in metric_dict]
    end = hparams_data.SessionEndInfo(status=hparams_api.Status.Value("STATUS_SUCCESS"))
    return (_hparams_summary(hparams_metadata.EXPERIMENT_TAG,
                             experiment=hparams_api.Experiment(hparam_infos=infos, metric_infos=metrics)),
            _hparams_summary(hparams_metadata.SESSION_START_INFO_TAG, session_start_info=start),
            _hparams_summary(hparams_metadata.SESSION_END_INFO_TAG, session_end_info=end))


def _hparam(slot, name, value, domain):
    """Put one value into its slot; its `HParamInfo`."""
    if isinstance(value, rl.Tensor):
        value = value.item()
    for types, field, kind in ((bool, "bool_value", "BOOL"), ((int, float), "number_value", "FLOAT64"),
                               (str, "string_value", "STRING")):
        if isinstance(value, types):
            setattr(slot, field, value)
            values = None if domain is None else struct_pb2.ListValue(
                values=[struct_pb2.Value(**{field: d}) for d in domain])
            return hparams_api.HParamInfo(name=name, type=hparams_api.DataType.Value(f"DATA_TYPE_{kind}"),
                                          domain_discrete=values)
    raise ValueError("value should be one of int, float, str, bool, or torch.Tensor")


def _hparams_summary(tag, **content):
    data = hparams_data.HParamsPluginData(version=hparams_metadata.PLUGIN_DATA_VERSION, **content)
    metadata = _plugin(hparams_metadata.PLUGIN_NAME, data.SerializeToString())
    return Summary(value=[Summary.Value(tag=tag, metadata=metadata)])
