"""`SummaryWriter`: what each method writes, read back with TensorBoard's own reader."""
import glob
import io
import os
import subprocess
import sys
import wave

import numpy as np
import pytest

import rushlight as torch

pytest.importorskip("tensorboard", reason="the tensorboard extra is not installed")
from tensorboard.backend.event_processing import event_accumulator, event_file_loader  # noqa: E402
from tensorboard.util import tensor_util  # noqa: E402

from rushlight.utils.tensorboard import FileWriter, SummaryWriter, summary  # noqa: E402


@pytest.fixture
def writer(tmp_path):
    with SummaryWriter(tmp_path / "log") as found:
        yield found


def events(folder):
    """All events in a folder's files, without those below it."""
    return [event for path in sorted(glob.glob(os.path.join(folder, "events.*")))
            for event in event_file_loader.LegacyEventFileLoader(path).Load()]


def values(writer):
    """The logged values by tag; flushes first."""
    writer.flush()
    return {value.tag: value for event in events(writer.log_dir) for value in event.summary.value}


def picture(value):
    return np.asarray(pytest.importorskip("PIL.Image").open(io.BytesIO(value.image.encoded_image_string)))


def test_scalars_and_steps(writer):
    for step in range(3):
        writer.add_scalar("loss", torch.tensor(0.5) * step, step, walltime=100.0 + step)
    writer.flush()
    found = event_accumulator.EventAccumulator(str(writer.log_dir))
    found.Reload()
    assert [(e.wall_time, e.step, e.value) for e in found.Scalars("loss")] == [
        (100.0, 0, 0.0), (101.0, 1, 0.5), (102.0, 2, 1.0)]


def test_scalars_as_tensors(writer):
    writer.add_scalar("single", 0.1, new_style=True)
    writer.add_scalar("double", 0.1, new_style=True, double_precision=True)
    found = values(writer)
    assert found["single"].tensor.float_val[0] == np.float32(0.1)
    assert found["double"].tensor.double_val[0] == 0.1
    assert found["single"].metadata.plugin_data.plugin_name == "scalars"


def test_a_scalar_is_one_number(writer):
    with pytest.raises(AssertionError, match="one element"):
        writer.add_scalar("loss", torch.zeros(2))
    with pytest.raises(NotImplementedError, match="numpy array or torch tensor"):
        writer.add_scalar("loss", object())


def test_scalars_of_one_chart_are_runs_of_their_own(writer):
    writer.add_scalars("acc/all", {"train": 0.5, "test": 0.25}, 1)
    writer.flush()
    for tag, value in (("train", 0.5), ("test", 0.25)):
        found, = (e for e in events(os.path.join(writer.log_dir, f"acc_all_{tag}")) if e.summary.value)
        assert (found.step, found.summary.value[0].tag, found.summary.value[0].simple_value) == (1, "acc/all", value)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int8", "int64", "uint8", "bool"])
def test_tensors(writer, dtype):
    tensor = torch.tensor([[0, 1], [2, 3]]).to(getattr(torch, dtype))
    writer.add_tensor("t", tensor)
    found = tensor_util.make_ndarray(values(writer)["t"].tensor)
    assert found.astype(np.float64).tolist() == tensor.double().tolist()


def test_bfloat16_tensors_are_written_as_their_bits(writer):
    writer.add_tensor("t", torch.tensor([1.0, -2.0]).to(torch.bfloat16))
    assert list(values(writer)["t"].tensor.half_val) == [0x3F80, 0xC000]


def test_histogram_counts_every_value_once(writer):
    data = np.array([-1.0, 0.0, 0.5, 0.5, 3.0])
    writer.add_histogram("h", torch.from_numpy(data))
    writer.add_histogram("even", data, bins=4)
    writer.add_histogram("joined", data, bins=8, max_bins=4)
    found = values(writer)
    histo = found["h"].histo
    assert (histo.min, histo.max, histo.num, histo.sum, histo.sum_squares) == (-1, 3, 5, 3, 10.5)
    assert sum(histo.bucket) == 5 and histo.bucket[0] == 0 and histo.bucket[1] == 1
    assert all(a < b for a, b in zip(histo.bucket_limit, histo.bucket_limit[1:]))
    for name in ("even", "joined"):
        assert list(found[name].histo.bucket_limit) == [-1, 0, 1, 2, 3]
        assert list(found[name].histo.bucket) == [0, 1, 3, 0, 1]


def test_histogram_errors(writer):
    with pytest.raises(ValueError, match="no element"):
        writer.add_histogram("h", torch.zeros(0))
    with pytest.raises(ValueError, match="empty"):
        writer.add_histogram("h", np.array([5.0]), bins=[0.0, 1.0])
    with pytest.raises(ValueError, match="bucket_limits"):
        writer.add_histogram_raw("h", 0, 1, 2, 1, 1, [1.0], [1, 1])


def test_raw_histogram(writer):
    writer.add_histogram_raw("h", 0.0, 2.0, 3, 3.0, 5.0, [1.0, 2.0], [1, 2])
    histo = values(writer)["h"].histo
    assert (histo.num, list(histo.bucket_limit), list(histo.bucket)) == (3, [1, 2], [1, 2])


@pytest.mark.parametrize("formats", ["CHW", "HWC", "WHC", "HW"])
def test_image_axes(writer, formats):
    pixels = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)  # (H, W, C)
    grey = formats == "HW"
    given = pixels[:, :, 0] if grey else pixels.transpose(["HWC".index(axis) for axis in formats])
    writer.add_image("i", given, dataformats=formats)
    expected = np.repeat(pixels[:, :, :1], 3, 2) if grey else pixels
    assert np.array_equal(picture(values(writer)["i"]), expected)


def test_floating_images_are_cut_to_bytes(writer):
    writer.add_image("i", torch.tensor([[[-1.0, 0.5, 2.0]]]))
    assert picture(values(writer)["i"])[0, :, 0].tolist() == [0, 127, 255]


def test_images_are_a_grid(writer):
    batch = torch.arange(10, dtype=torch.uint8).reshape(10, 1, 1, 1)
    writer.add_images("i", batch)
    assert picture(values(writer)["i"])[:, :, 0].tolist() == [[0, 1, 2, 3, 4, 5, 6, 7], [8, 9, 0, 0, 0, 0, 0, 0]]


def test_image_errors(writer):
    with pytest.raises(AssertionError, match="twice"):
        writer.add_image("i", torch.zeros(3, 4, 4), dataformats="CHH")
    with pytest.raises(AssertionError, match="different"):
        writer.add_image("i", torch.zeros(3, 4, 4), dataformats="HW")


def test_boxes_are_drawn_and_labelled(writer):
    writer.add_image_with_boxes("i", torch.zeros(3, 60, 60), torch.tensor([[10, 20, 50, 50]]), labels=["cat"])
    found = picture(values(writer)["i"])
    assert found[20, 30].tolist() == found[49, 45].tolist() == [255, 0, 0] and found[5, 5].tolist() == [0, 0, 0]
    assert (found[25:48, 15:45] != 0).any(), "the label"


def test_figures(writer):
    pyplot = pytest.importorskip("matplotlib.pyplot")
    figures = [pyplot.figure(figsize=(1, 1), dpi=50, facecolor=colour) for colour in ("red", "lime")]
    writer.add_figure("one", figures[0], close=False)
    assert pyplot.fignum_exists(figures[0].number)
    writer.add_figure("both", figures)
    assert not pyplot.fignum_exists(figures[0].number)
    found = values(writer)
    assert picture(found["one"])[1, 1].tolist() == [255, 0, 0]
    assert picture(found["both"]).shape == (50, 100, 3) and picture(found["both"])[1, 51].tolist() == [0, 255, 0]


def test_video_plays_side_by_side(writer):
    video = torch.zeros(3, 4, 3, 5, 6, dtype=torch.uint8)
    video[1, 2, 0] = 255  # the second video is red in the third frame
    writer.add_video("v", video, fps=10)
    found = values(writer)["v"].image
    file = pytest.importorskip("PIL.Image").open(io.BytesIO(found.encoded_image_string))
    assert (found.height, found.width) == (5, 24) and file.format == "GIF" and file.size == (24, 5)
    colours = []
    for frame in range(file.n_frames):
        file.seek(frame)
        colours += [file.convert("RGB").getpixel((8, 2))] * (file.info["duration"] // 100)
    assert colours == [(0, 0, 0), (0, 0, 0), (255, 0, 0), (0, 0, 0)]


def test_audio(writer, capsys):
    writer.add_audio("a", torch.tensor([[0.0, 1.0, -2.0]]), sample_rate=8000)
    assert "clipped" in capsys.readouterr().out
    with wave.open(io.BytesIO(values(writer)["a"].audio.encoded_audio_string)) as sound:
        assert sound.getframerate() == 8000
        assert np.frombuffer(sound.readframes(9), "<i2").tolist() == [0, 32767, -32767]
    with pytest.raises(AssertionError, match="1 dimensional"):
        writer.add_audio("a", torch.zeros(2, 3))


def test_text(writer):
    writer.add_text("note", "größer")
    assert values(writer)["note/text_summary"].tensor.string_val[0].decode() == "größer"


def test_precision_recall_curve(writer):
    labels, predictions = torch.tensor([0, 1, 1, 0]), torch.tensor([0.1, 0.8, 0.6, 0.4])
    writer.add_pr_curve("pr", labels, predictions, num_thresholds=3)  # thresholds 0, 1/2 and 1
    rows = tensor_util.make_ndarray(values(writer)["pr"].tensor)
    assert rows.tolist() == [[2, 2, 0], [2, 0, 0], [0, 2, 2], [0, 0, 2], [0.5, 1, 0], [1, 1, 0]]
    writer.add_pr_curve_raw("raw", *map(list, rows))
    assert np.array_equal(tensor_util.make_ndarray(values(writer)["raw"].tensor), rows)
    weighted = summary.compute_curve(labels.numpy(), predictions.numpy(), 3, weights=2.0)
    assert np.array_equal(weighted[:4], 2 * rows[:4])


def test_mesh(writer):
    vertices = torch.tensor([[[1.0, 1, 1], [-1, -1, 1], [1, -1, -1], [-1, 1, -1]]])
    faces = torch.tensor([[[0, 2, 3], [0, 3, 1], [0, 1, 2], [1, 3, 2]]])
    writer.add_mesh("m", vertices, faces=faces, config_dict={"material": {"cls": "PointsMaterial"}})
    found = values(writer)
    assert {tag: tuple(tensor_util.make_ndarray(value.tensor).shape) for tag, value in found.items()} == {
        "m_VERTEX": (1, 4, 3), "m_FACE": (1, 4, 3)}


def test_hyperparameters(writer):
    writer.add_hparams({"lr": 0.1, "deep": True, "name": "x", "t": torch.tensor(2.0), "none": None}, {"acc": 0.9},
                       hparam_domain_discrete={"lr": [0.1, 0.2]}, run_name="trial", global_step=3)
    found = {v.tag: v for e in events(os.path.join(writer.log_dir, "trial")) for v in e.summary.value}
    assert found["acc"].simple_value == np.float32(0.9)
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData
    data = HParamsPluginData.FromString(found["_hparams_/session_start_info"].metadata.plugin_data.content)
    values = data.session_start_info.hparams
    assert (values["lr"].number_value, values["deep"].bool_value, values["name"].string_value,
            values["t"].number_value) == (0.1, True, "x", 2.0)
    assert "none" not in values


def test_hyperparameter_errors(writer):
    with pytest.raises(TypeError, match="should be dictionary"):
        writer.add_hparams([], {})
    with pytest.raises(TypeError, match="same type"):
        writer.add_hparams({"lr": 0.1}, {}, {"lr": ["a"]})
    with pytest.raises(ValueError, match="int, float, str, bool"):
        writer.add_hparams({"lr": []}, {})


def test_custom_scalars(writer):
    from tensorboard.plugins.custom_scalar.layout_pb2 import Layout
    writer.add_custom_scalars({"Taiwan": {"twse": ["Multiline", ["a", "b"]], "band": ["Margin", ["v", "lo", "hi"]]}})
    layout = Layout.FromString(values(writer)["custom_scalars__config__"].tensor.string_val[0])
    lines, band = layout.category[0].chart
    assert list(lines.multiline.tag) == ["a", "b"] and band.margin.series[0].upper == "hi"
    with pytest.raises(AssertionError, match="3 tags"):
        writer.add_custom_scalars_marginchart(["a"])


def test_embedding_files(writer):
    points = torch.arange(12.0).reshape(6, 2)
    writer.add_embedding(points, list("abcdef"), torch.rand(6, 3, 4, 4), tag="a/b", global_step=2)
    folder = os.path.join(writer.log_dir, "00002", "a%2fb")
    with open(os.path.join(folder, "tensors.tsv")) as file:
        assert file.readline() == "0.0\t1.0\n"
    with open(os.path.join(folder, "metadata.tsv")) as file:
        assert file.read().split() == list("abcdef")
    assert pytest.importorskip("PIL.Image").open(os.path.join(folder, "sprite.png")).size == (12, 12)
    writer.add_embedding(points, [[c, 1] for c in "abcdef"], metadata_header=["letter", "one"])
    with open(os.path.join(writer.log_dir, "projector_config.pbtxt")) as file:
        assert file.read().count("tensor_path") == 2
    for wrong in (dict(mat=torch.zeros(3)), dict(mat=points, metadata=["a"]), dict(mat=points, label_img=points[:2])):
        with pytest.raises(AssertionError):
            writer.add_embedding(**wrong, global_step=9)


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.features = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.ReLU())
        self.head = torch.nn.Linear(3, 2)

    def forward(self, x):
        found = self.features(x)
        return self.head(found) + found.sum()


def test_graph_has_the_hierarchy_and_shapes(writer):
    from tensorboard.compat.proto.graph_pb2 import GraphDef
    writer.add_graph(Net(), torch.randn(5, 4))
    writer.flush()
    graph, = (GraphDef.FromString(e.graph_def) for e in events(writer.log_dir) if e.graph_def)
    nodes = {node.name: node for node in graph.node}
    shapes = {name: [d.size for d in node.attr["_output_shapes"].list.shape[0].dim] for name, node in nodes.items()}
    linear = "Net/Sequential[features]/Linear[0]/addmm"
    assert shapes["input/x"] == [5, 4] and shapes[linear] == [5, 3] and shapes["output/output.1"] == [5, 2]
    assert set(nodes[linear].input) == {"input/x", "Net/Sequential[features]/Linear[0]/weight",
                                        "Net/Sequential[features]/Linear[0]/bias"}
    assert nodes["Net/Sequential[features]/ReLU[1]/relu"].input == [linear]
    assert all(source in nodes for node in graph.node for source in node.input)


def test_onnx_says_why_not(writer):
    with pytest.raises(NotImplementedError, match="ONNX"):
        writer.add_onnx_graph("model.onnx")


def test_names_purge_and_reopening(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    writer = SummaryWriter(comment="_lr1", filename_suffix=".mine", purge_step=7)
    assert writer.get_logdir().startswith("runs" + os.sep) and writer.get_logdir().endswith("_lr1")
    writer.add_scalar("a", 1, 7)
    writer.close()
    assert glob.glob("runs/*/*.mine")
    first, version, start, value = events(writer.log_dir)
    assert version.step == start.step == 7 and start.session_log.status == start.session_log.START
    writer.add_scalar("a", 2, 8)
    writer.close()
    assert len(glob.glob("runs/*/*.mine")) == 2
    plain = FileWriter("plain")
    plain.close()
    plain.reopen()
    plain.close()


KILLED = """
import os, signal, sys
from rushlight.utils.tensorboard import SummaryWriter
writer = SummaryWriter(sys.argv[1])
for step in range(100):
    writer.add_scalar("loss", step, step)
writer.flush()
writer.add_scalar("late", 1, 1)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_was_flushed_survives_kill_9(tmp_path):
    process = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], timeout=120)
    assert process.returncode == -9
    steps = [e.step for e in events(tmp_path) for v in e.summary.value if v.tag == "loss"]
    assert steps == list(range(100))


def test_readable_while_it_is_written(writer):
    for step in range(3):
        writer.add_scalar("loss", step, step)
        writer.flush()
        assert sum(len(e.summary.value) for e in events(writer.log_dir)) == step + 1


def test_the_extra_is_named_where_it_is_missing():
    code = "import sys; sys.modules['tensorboard'] = None\nimport rushlight.utils.tensorboard"
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert "ImportError: torch.utils.tensorboard needs tensorboard" in process.stderr
    assert "rushlight[tensorboard]" in process.stderr
