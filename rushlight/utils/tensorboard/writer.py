"""`SummaryWriter` and `FileWriter`: write event files that TensorBoard reads.

Event files are written by a thread of tensorboard's `EventFileWriter`. A record is complete on disk after `flush()`,
also if the process is killed later. The summaries are made in summary.py.
"""
import datetime
import os
import socket
import time

from . import summary as make
from ._convert_np import make_np
from ._embedding import get_embedding_info, make_mat, make_sprite, make_tsv, write_pbtxt
from ._pytorch_graph import graph
from ._utils import figure_to_image
from .protos import Event, EventFileWriter, ProjectorConfig, SessionLog, TaggedRunMetadata

__all__ = ["FileWriter", "SummaryWriter"]


def _default_bins():
    """Bin edges that grow by a tenth, from 1e-12 to 1e20 on both sides of zero."""
    edges, edge = [], 1e-12
    while edge < 1e20:
        edges.append(edge)
        edge *= 1.1
    return [*(-edge for edge in reversed(edges)), 0, *edges]


class FileWriter:
    """Writes protocol buffers to an event file in `log_dir`, through a queue of `max_queue` events.

    Args:
        log_dir: the folder, made where it is missing.
        max_queue: how many events may wait.
        flush_secs: seconds after which waiting events are written out.
        filename_suffix: added to the file's name.
    """

    def __init__(self, log_dir, max_queue=10, flush_secs=120, filename_suffix=""):
        self.arguments = (str(log_dir), max_queue, flush_secs, filename_suffix)
        self.event_writer, self.closed = EventFileWriter(*self.arguments), False

    def get_logdir(self):
        """The folder of the event file."""
        return self.event_writer.get_logdir()

    def add_event(self, event, step=None, walltime=None):
        """Queue an `Event`, with a step and the time (now by default)."""
        event.wall_time = time.time() if walltime is None else walltime
        if step is not None:
            event.step = int(step)
        self.event_writer.add_event(event)

    def add_summary(self, summary, global_step=None, walltime=None):
        """Queue a `Summary`."""
        self.add_event(Event(summary=summary), global_step, walltime)

    def add_graph(self, graph_profile, walltime=None):
        """Queue a pair of `GraphDef` and `RunMetadata`."""
        graph_def, metadata = graph_profile
        self.add_event(Event(graph_def=graph_def.SerializeToString()), None, walltime)
        tagged = TaggedRunMetadata(tag="step1", run_metadata=metadata.SerializeToString())
        self.add_event(Event(tagged_run_metadata=tagged), None, walltime)

    def add_onnx_graph(self, graph, walltime=None):
        """Queue a `GraphDef`."""
        self.add_event(Event(graph_def=graph.SerializeToString()), None, walltime)

    def flush(self):
        """Write all queued events; after this they survive the end of the process."""
        self.event_writer.flush()

    def close(self):
        """Write all queued events and close the file."""
        self.event_writer.close()
        self.closed = True

    def reopen(self):
        """Start a new event file in the same folder after `close`; does nothing before it."""
        if self.closed:
            self.event_writer, self.closed = EventFileWriter(*self.arguments), False


class SummaryWriter:
    """Logs scalars, pictures, histograms, graphs and more into `log_dir`, for TensorBoard. Use it in a `with` block.

    Args:
        log_dir: the folder; by default runs/DATE_TIME_HOST with `comment` behind it.
        comment: added to the default folder; without effect if `log_dir` is given.
        purge_step: a program that crashed and starts again says here from which step on TensorBoard hides what the
            crashed one wrote.
        max_queue: how many events may wait for the writing thread.
        flush_secs: seconds after which waiting events are written out.
        filename_suffix: added to the names of event files.

    Every `add_*` method takes `global_step` (the position on the page's axis or slider) and `walltime` (seconds since
    1970, now by default).

    Example::

        with SummaryWriter("runs/first") as writer:
            for step in range(100):
                writer.add_scalar("loss/train", 1 / (step + 1), step)
    """

    def __init__(self, log_dir=None, comment="", purge_step=None, max_queue=10, flush_secs=120, filename_suffix=""):
        if not log_dir:
            now = datetime.datetime.now().strftime("%b%d_%H-%M-%S")
            log_dir = os.path.join("runs", f"{now}_{socket.gethostname()}{comment}")
        self.log_dir, self.purge_step = log_dir, purge_step
        self.max_queue, self.flush_secs, self.filename_suffix = max_queue, flush_secs, filename_suffix
        self.file_writer = self.all_writers = None
        self._get_file_writer()
        self.default_bins = _default_bins()

    def _new_writer(self, folder):
        return FileWriter(folder, self.max_queue, self.flush_secs, self.filename_suffix)

    def _get_file_writer(self):
        """The writer of `log_dir`, reopened after `close`."""
        if self.all_writers is None or self.file_writer is None:
            self.file_writer = self._new_writer(self.log_dir)
            self.all_writers = {self.file_writer.get_logdir(): self.file_writer}
            if self.purge_step is not None:
                step, self.purge_step = self.purge_step, None
                self.file_writer.add_event(Event(step=step, file_version="brain.Event:2"))
                self.file_writer.add_event(Event(step=step, session_log=SessionLog(status=SessionLog.START)))
        return self.file_writer

    def _add(self, summary, global_step, walltime):
        self._get_file_writer().add_summary(summary, global_step, walltime)

    def get_logdir(self):
        """The folder of the event files."""
        return self.log_dir

    # -- numbers -------------------------------------------------------------

    def add_scalar(self, tag, scalar_value, global_step=None, walltime=None, new_style=False, double_precision=False):
        """Log a number (or a one-element tensor). `new_style` stores a tensor, `double_precision` all its 64 bits."""
        found = make.scalar(tag, scalar_value, new_style=new_style, double_precision=double_precision)
        self._add(found, global_step, walltime)

    def add_scalars(self, main_tag, tag_scalar_dict, global_step=None, walltime=None):
        """Log several numbers {tag: number} into one chart; each gets a run of its own beside this one."""
        walltime = time.time() if walltime is None else walltime
        folder = self._get_file_writer().get_logdir()
        for tag, value in tag_scalar_dict.items():
            name = os.path.join(folder, f"{main_tag.replace('/', '_')}_{tag}")
            if name not in self.all_writers:
                self.all_writers[name] = self._new_writer(name)
            self.all_writers[name].add_summary(make.scalar(main_tag, value), global_step, walltime)

    def add_tensor(self, tag, tensor, global_step=None, walltime=None):
        """Log all values of a tensor."""
        self._add(make.tensor_proto(tag, tensor), global_step, walltime)

    def add_histogram(self, tag, values, global_step=None, bins="tensorflow", walltime=None, max_bins=None):
        """Log a histogram of values; `bins`: "tensorflow" (edges growing by a tenth), or as in `numpy.histogram`."""
        if isinstance(bins, str) and bins == "tensorflow":
            bins = self.default_bins
        self._add(make.histogram(tag, values, bins, max_bins), global_step, walltime)

    def add_histogram_raw(self, tag, min, max, num, sum, sum_squares, bucket_limits, bucket_counts, global_step=None,
                          walltime=None):
        """Log a histogram that is there already. ValueError if limits and counts differ in number."""
        if len(bucket_limits) != len(bucket_counts):
            raise ValueError("len(bucket_limits) != len(bucket_counts), see the document.")
        found = make.histogram_raw(tag, min, max, num, sum, sum_squares, bucket_limits, bucket_counts)
        self._add(found, global_step, walltime)

    def add_pr_curve(self, tag, labels, predictions, global_step=None, num_thresholds=127, weights=None, walltime=None):
        """Log a precision-recall curve from labels (0 or 1) and predictions in [0, 1]."""
        found = make.pr_curve(tag, make_np(labels), make_np(predictions), num_thresholds, weights)
        self._add(found, global_step, walltime)

    def add_pr_curve_raw(self, tag, true_positive_counts, false_positive_counts, true_negative_counts,
                         false_negative_counts, precision, recall, global_step=None, num_thresholds=127, weights=None,
                         walltime=None):
        """Log a precision-recall curve from its counts."""
        rows = (true_positive_counts, false_positive_counts, true_negative_counts, false_negative_counts, precision,
                recall)
        found = make.pr_curve_raw(tag, *rows, num_thresholds, weights)
        self._add(found, global_step, walltime)

    def add_custom_scalars(self, layout):
        """Arrange charts: {category: {chart: ("Multiline", tags) or ("Margin", [value, lower, upper])}}."""
        self._add(make.custom_scalars(layout), None, None)

    def add_custom_scalars_multilinechart(self, tags, category="default", title="untitled"):
        """Arrange one chart with a line for each tag."""
        self.add_custom_scalars({category: {title: ["Multiline", tags]}})

    def add_custom_scalars_marginchart(self, tags, category="default", title="untitled"):
        """Arrange one chart of the tags [value, lower, upper]."""
        if len(tags) != 3:
            raise AssertionError(f"add_custom_scalars_marginchart: expected 3 tags, got {len(tags)}")
        self.add_custom_scalars({category: {title: ["Margin", tags]}})

    def add_hparams(self, hparam_dict, metric_dict, hparam_domain_discrete=None, run_name=None, global_step=None):
        """Log one trial: its hyperparameters and the metrics it reached, into a folder of its own (`run_name`)."""
        if type(hparam_dict) is not dict or type(metric_dict) is not dict:
            raise TypeError("hparam_dict and metric_dict should be dictionary.")
        summaries = make.hparams(hparam_dict, metric_dict, hparam_domain_discrete)
        folder = os.path.join(self._get_file_writer().get_logdir(), run_name or str(time.time()))
        with SummaryWriter(log_dir=folder) as trial:
            for found in summaries:
                trial.file_writer.add_summary(found, global_step)
            for name, value in metric_dict.items():
                trial.add_scalar(name, value, global_step)

    # -- pictures, sound and text --------------------------------------------

    def add_image(self, tag, img_tensor, global_step=None, walltime=None, dataformats="CHW"):
        """Log one picture: uint8, or floating values in [0, 1]; `dataformats` names its axes ("CHW", "HWC", "HW")."""
        self._add(make.image(tag, img_tensor, dataformats=dataformats), global_step, walltime)

    def add_images(self, tag, img_tensor, global_step=None, walltime=None, dataformats="NCHW"):
        """Log a batch of pictures as one grid."""
        self._add(make.image(tag, img_tensor, dataformats=dataformats), global_step, walltime)

    def add_image_with_boxes(self, tag, img_tensor, box_tensor, global_step=None, walltime=None, rescale=1,
                             dataformats="CHW", labels=None):
        """Log a picture with boxes (x0, y0, x1, y1), rows of `box_tensor`, and a label for each."""
        if labels is not None:
            labels = [labels] if isinstance(labels, str) else labels
            if len(labels) != box_tensor.shape[0]:
                labels = None
        found = make.image_boxes(tag, img_tensor, box_tensor, rescale, dataformats, labels)
        self._add(found, global_step, walltime)

    def add_figure(self, tag, figure, global_step=None, close=True, walltime=None):
        """Log a figure of matplotlib (or a list of them, as a grid), and close it."""
        formats = "NCHW" if isinstance(figure, list) else "CHW"
        self.add_image(tag, figure_to_image(figure, close), global_step, walltime, formats)

    def add_video(self, tag, vid_tensor, global_step=None, fps=4, walltime=None):
        """Log videos (B, T, C, H, W), side by side, as one animated picture."""
        self._add(make.video(tag, vid_tensor, fps), global_step, walltime)

    def add_audio(self, tag, snd_tensor, global_step=None, sample_rate=44100, walltime=None):
        """Log a sound (L,) with values in [-1, 1]."""
        self._add(make.audio(tag, snd_tensor, sample_rate), global_step, walltime)

    def add_text(self, tag, text_string, global_step=None, walltime=None):
        """Log a text in Markdown."""
        self._add(make.text(tag, text_string), global_step, walltime)

    def add_mesh(self, tag, vertices, colors=None, faces=None, config_dict=None, global_step=None, walltime=None):
        """Log meshes, or clouds of points, for the 3-D viewer: see `summary.mesh`."""
        self._add(make.mesh(tag, vertices, colors, faces, config_dict), global_step, walltime)

    # -- models --------------------------------------------------------------

    def add_graph(self, model, input_to_model=None, verbose=False, use_strict_trace=True):
        """Log a model as a graph, from one forward pass on `input_to_model` (a tensor, or a tuple of arguments)."""
        self._get_file_writer().add_graph(graph(model, input_to_model, verbose, use_strict_trace))

    def add_onnx_graph(self, prototxt):
        """Not there: NotImplementedError. Reading ONNX files needs a parser that Rushlight does not have."""
        raise NotImplementedError(f"add_onnx_graph: cannot show {os.fspath(prototxt)!r}, because Rushlight does not "
                                  "read ONNX files; show the module itself with add_graph")

    @staticmethod
    def _encode(rawstr):
        """A tag as the name of a folder: percent signs and slashes of both kinds become %xx."""
        return rawstr.translate({ord(sign): f"%{ord(sign):02x}" for sign in "%/\\"})

    def add_embedding(self, mat, metadata=None, label_img=None, global_step=None, tag="default", metadata_header=None):
        """Log points for the projector.

        Args:
            mat: the points, (N, D).
            metadata: N labels, or with `metadata_header` (names of columns) N rows of labels.
            label_img: pictures of the points, (N, C, H, W).
        """
        mat = make_np(mat)
        step = 0 if global_step is None else global_step
        if mat.ndim != 2:
            raise AssertionError("mat should be 2D, where mat.size(0) is the number of data points")
        for given, what in ((metadata, "labels"), (label_img, "images")):
            if given is not None and len(given) != len(mat):
                raise AssertionError(f"#{what} should equal with #data points")
        root, subdir = self._get_file_writer().get_logdir(), f"{str(step).zfill(5)}/{self._encode(tag)}"
        folder = os.path.join(root, subdir)
        if os.path.isdir(folder):
            print("warning: Embedding dir exists, did you set global_step for add_embedding()?")
        elif os.path.exists(folder):
            raise NotADirectoryError(f"Path: `{folder}` exists, but is a file. Cannot proceed.")
        os.makedirs(folder, exist_ok=True)
        if metadata is not None:
            make_tsv(metadata, folder, metadata_header)
        if label_img is not None:
            make_sprite(label_img, folder)
        make_mat(mat, folder)
        if not hasattr(self, "_projector_config"):
            self._projector_config = ProjectorConfig()
        self._projector_config.embeddings.append(get_embedding_info(metadata, label_img, subdir, step, tag))
        write_pbtxt(root, self._projector_config)

    # -- files ---------------------------------------------------------------

    def flush(self):
        """Write everything logged so far; after this it survives the end of the process."""
        for writer in (self.all_writers or {}).values():
            writer.flush()

    def close(self):
        """Write everything and close the files. A later `add_*` opens new ones."""
        for writer in (self.all_writers or {}).values():
            writer.flush()
            writer.close()
        self.file_writer = self.all_writers = None

    def __enter__(self):
        return self

    def __exit__(self, exc_type, exc_val, exc_tb):
        self.close()
