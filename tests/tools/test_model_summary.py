"""`tools.summary`: figures of a known model, and the table."""
import rushlight as torch
import rushlight.tools

nn = torch.nn


def model():
    return nn.Sequential(nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU()), nn.Flatten(), nn.Linear(8, 3))


def test_figures():
    found = rushlight.tools.summary(model(), torch.zeros(5, 1, 4, 4))
    assert (found.parameters, found.trainable, found.parameter_bytes) == (20 + 27, 47, 188)
    assert found.multiply_adds == 5 * 8 * 9 + 5 * 8 * 3
    assert found.activation_bytes == 4 * 5 * (8 + 8 + 3) and found.input_bytes == 4 * 5 * 16
    rows = {row.name: row for row in found.rows}
    assert rows["0"].parameters == 20 and rows["0"].multiply_adds == 360 and rows["0"].depth == 1
    assert rows["0.0"].output_shapes == [(5, 2, 2, 2)] and rows["0.0"].depth == 2


def test_table():
    text = str(rushlight.tools.summary(model(), torch.zeros(5, 1, 4, 4)))
    assert "    0: Conv2d" in text and "5x2x2x2" in text and "parameters     47 (47 trainable)" in text
    assert len({len(line) for line in text.splitlines()[:2]}) == 1
    shallow = str(rushlight.tools.summary(model(), torch.zeros(5, 1, 4, 4), depth=1))
    assert "Conv2d" not in shallow and "Linear" in shallow


def test_frozen_and_repeated_layers():
    layer = nn.Linear(4, 4).requires_grad_(False)
    found = rushlight.tools.summary(nn.Sequential(layer, layer), torch.zeros(1, 4))
    assert (found.parameters, found.trainable, found.multiply_adds) == (20, 0, 32)
    assert [row.repeated for row in found.rows] == [False, False, True] and "(again)" in str(found)
