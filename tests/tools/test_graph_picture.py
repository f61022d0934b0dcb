"""`tools.picture`: the SVG is well formed, shows every box, and boxes do not overlap."""
import re
import xml.etree.ElementTree as xml

import pytest

import rushlight as torch
import rushlight.tools

nn = torch.nn
SVG = "{http://www.w3.org/2000/svg}"


class Branches(nn.Module):
    def __init__(self):
        super().__init__()
        self.left, self.right = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4)), nn.Linear(4, 4)

    def forward(self, x):
        return torch.tanh(self.left(x) + self.right(x)) + x


def boxes(text):
    """{first line: (left, top, right, bottom)} of the picture."""
    found = {}
    for group in xml.fromstring(text).iter(f"{SVG}g"):
        rect = group.find(f"{SVG}rect")
        x, y, w, h = (float(rect.get(name)) for name in ("x", "y", "width", "height"))
        found[group.find(f"{SVG}text")[0].text, len(found)] = (x, y, x + w, y + h)
    return found


def check(text):
    found = list(boxes(text).values())
    for index, (left, top, right, bottom) in enumerate(found):
        assert left >= 0 and top >= 0
        for other in found[:index]:
            apart = right <= other[0] or other[2] <= left or bottom <= other[1] or other[3] <= top
            assert apart, "two boxes overlap"


def test_model(tmp_path):
    path = tmp_path / "model.svg"
    text = rushlight.tools.picture(Branches(), torch.randn(2, 4), path=path)
    assert path.read_text() == text
    check(text)
    names = [name for name, _ in boxes(text)]
    assert set(names) == {
        "input 1", "left.0: Linear", "left.1: ReLU", "left.2: Linear", "right: Linear", "add", "tanh", "output 1"}
    tops = {name: box[1] for (name, _), box in boxes(text).items()}
    assert tops["input 1"] < tops["left.0: Linear"] < tops["left.1: ReLU"] < tops["tanh"] < tops["output 1"]
    assert len(re.findall("marker-end=", text)) == 10, "arrows"


def test_depth_joins_modules():
    names = [name for name, _ in boxes(rushlight.tools.picture(Branches(), torch.randn(2, 4), depth=1))]
    assert "left: Sequential" in names and "left.0: Linear" not in names


def test_gradients():
    model = Branches()
    text = rushlight.tools.picture(model(torch.randn(2, 4)).sum())
    check(text)
    names = [name for name, _ in boxes(text)]
    assert names.count("parameter") == 6 and "SumBackward0" in names and "result" in names


def test_errors():
    with pytest.raises(RuntimeError, match="grad_fn"):
        rushlight.tools.picture(torch.zeros(2))
    with pytest.raises(TypeError, match="module or a tensor"):
        rushlight.tools.picture("model")
