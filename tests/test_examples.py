"""The examples run, learn, and write what they promise."""
import re

import pytest
import source
from programs import run


def test_digits(tmp_path):
    pytest.importorskip("tqdm")
    pytest.importorskip("matplotlib")
    out, _ = run("-m", "rushlight", source.ROOT / "examples" / "digits.py", "--epochs", 4, "--out", tmp_path / "out")
    trained, reloaded = (float(value) for value in re.findall(r"test accuracy ([\d.]+)%", out))
    assert trained == reloaded > 90
    for name in ("checkpoint.pt", "curves.png", "predictions.png"):
        assert (tmp_path / "out" / name).stat().st_size > 1000


def test_steady_loop():
    switches = {"RUSHLIGHT_CACHE": "0", "RUSHLIGHT_EAGER": "0"}
    out, _ = run("-m", "rushlight", source.ROOT / "examples" / "steady_loop.py", **switches)
    title, *rows = [line.split() for line in out.splitlines()]
    table = [dict(zip(title, row)) for row in rows]
    assert len(table) == 10
    # The first two steps and the first ones of new sizes run directly; what comes back is planned once.
    assert [row["programs_planned"] for row in table] == ["0", "0", "2", "0", "0", "0", "1", "0", "0", "0"]
    assert [row["kernels_compiled"] for row in table[3:]] == ["0"] * 7
    assert table[3]["launches"] == table[4]["launches"] < table[1]["launches"]  # fused


def test_keywords():
    out, _ = run("-m", "rushlight", source.ROOT / "examples" / "keywords.py", "--epochs", 6, "--examples", 40)
    accuracies = [float(value) for value in re.findall(r"test accuracy ([\d.]+)%", out)]
    assert len(accuracies) == 6 and accuracies[-1] > 65 > 40 > accuracies[0]  # eight words: chance is 12.5
