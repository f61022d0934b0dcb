"""`torch.utils.tensorboard`: logs that TensorBoard shows. Importing it needs the package tensorboard (an extra).

Read in this order: writer.py (`SummaryWriter`, one `add_*` method for each kind of data), summary.py (protocol buffers
of numbers and text), media.py (of images, video and audio), _pytorch_graph.py (a model as a graph), _embedding.py (the
projector's files), protos.py (what is taken from tensorboard).
"""
from .protos import RecordWriter
from .writer import FileWriter, SummaryWriter

__all__ = ["FileWriter", "RecordWriter", "SummaryWriter"]
