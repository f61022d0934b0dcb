"""The benchmarks' scripts run and write what they promise. How fast anything is, is no part of these tests."""
import json
import re

import pytest
import source
from programs import run

BENCHMARKS = source.ROOT / "benchmarks"
PAGE = "# Title\n\n<!-- benchmark table -->\nold\n<!-- end of benchmark table -->\n\nafter\n"
RESULTS = {
    "conv/3x3": {"torch": 0.002, "rushlight": 0.001},
    "conv/1x1 forward+backward": {"torch": 0.0005, "rushlight": 0.001},
    "memory/net": {"torch": 300.0, "rushlight": 200.0},
    "conv/broken": {"torch": 0.002, "rushlight": "RuntimeError: no"},
}


@pytest.fixture
def folder(tmp_path):
    """A folder with a README and the results above."""
    (tmp_path / "README.md").write_text(PAGE, encoding="utf-8")
    (tmp_path / "results.json").write_text(json.dumps(RESULTS), encoding="utf-8")
    return tmp_path


def make_table(folder, *arguments, status=0):
    """What readme_table.py prints for this folder's README, called there."""
    options = ("--torch-version", "2.0", "--date", "2026-01-02", "--threads", 3)
    return run(BENCHMARKS / "readme_table.py", *arguments, *options, "--readme", folder / "README.md", cwd=folder,
               status=status)


def page(folder):
    """The README's text, and its tables as {first cell: other cells}."""
    text = (folder / "README.md").read_text(encoding="utf-8")
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:1] == "|"]
    return text, {row[0]: row[1:] for row in rows}


def test_table(folder):
    out, _ = make_table(folder, "results.json")
    assert "replaced the table, 4 rows of 2 groups" in out
    text, rows = page(folder)
    assert text.startswith("# Title\n\n<!-- benchmark table -->\n| group") and "old" not in text
    assert text.endswith("</details>\n<!-- end of benchmark table -->\n\nafter\n")
    assert rows["conv"] == ["3 (1 without a ratio)", "1x1 forward+backward", "0.50", "1.00"]
    assert rows["memory"] == ["1", "net", "1.50", "1.50"]
    assert rows["all"] == ["4 (1 without a ratio)", "conv/1x1 forward+backward", "0.50", "1.14"]
    assert rows[r"all without \*"] == ["2", "conv/1x1 forward+backward", "0.50", "0.87"]
    assert rows["conv/3x3"] == ["2.00 ms", "1.00 ms", r"2.00 \*"]
    assert rows["conv/1x1 forward+backward"] == ["500 µs", "1.00 ms", "0.50"]
    assert rows["memory/net"] == ["300 MiB", "200 MiB", "1.50"]
    assert rows["conv/broken"] == ["2.00 ms", "error", r"- \*"]
    assert re.search(r"^Measured 2026-01-02 on .+, 3 threads: torch 2\.0, rushlight \S+, llvmlite \S+\.$", text, re.M)
    assert sorted(path.name for path in folder.iterdir()) == ["README.md", "results.json"]
    assert "nothing to change" in make_table(folder, "results.json")[0]


def test_table_of_several_files(folder):
    more = {"conv/3x3": {"torch": 3.0, "rushlight": 1.0}, "train/net": {"torch": 4.0, "rushlight": 1.0}}
    (folder / "more.json").write_text(json.dumps(more), encoding="utf-8")
    make_table(folder, "results.json", "more.json")
    _, rows = page(folder)
    assert rows["conv/3x3"][2] == r"3.00 \*" and rows["train/net"][2] == "4.00"


def test_table_of_a_runner(folder):
    (folder / "runner.py").write_text(f"""
import json, sys
assert sys.argv[1:6] == ["--rounds", "7", "--threads", "3", "--json"]
json.dump({RESULTS!r}, open(sys.argv[6], "w"))
""", encoding="utf-8")
    make_table(folder, "--run", "runner.py")
    assert page(folder)[1]["memory/net"] == ["300 MiB", "200 MiB", "1.50"]


@pytest.mark.parametrize("text", ["no markers", "<!-- benchmark table -->", PAGE + PAGE,
                                  "<!-- end of benchmark table -->\n<!-- benchmark table -->"])
def test_markers_are_needed(folder, text):
    (folder / "README.md").write_text(text, encoding="utf-8")
    _, error = make_table(folder, "results.json", status=1)
    assert "README.md: expected one '<!-- benchmark table -->'" in error
    assert page(folder)[0] == text


@pytest.mark.parametrize("content, message", [("{", "line 1"), ("{}", "no row"), ("[]", "results.json: expected"),
                                              ('{"a": {"torch": 1}}', "results.json: expected")])
def test_other_results_are_refused(folder, content, message):
    (folder / "results.json").write_text(content, encoding="utf-8")
    _, error = make_table(folder, "results.json", status=1)
    assert message in error and page(folder)[0] == PAGE


def test_a_failing_runner(folder):
    (folder / "runner.py").write_text("raise SystemExit(3)", encoding="utf-8")
    _, error = make_table(folder, "--run", "runner.py", status=1)
    assert "exit status 3" in error and page(folder)[0] == PAGE


def test_the_readme_has_its_markers():
    text = (source.ROOT / "README.md").read_text(encoding="utf-8")
    assert text.count("<!-- benchmark table -->") == text.count("<!-- end of benchmark table -->") == 1


def roofline(*arguments, status=0):
    """What roofline.py prints for the shortest run."""
    return run(BENCHMARKS / "roofline.py", "--seconds", 0.01, "--size", 4, "--threads", 1, *arguments, status=status)


def test_roofline():
    out, _ = roofline("--only", "^(element-wise/add|skinny GEMM/64|gather)")
    title, *lines = out.splitlines()
    assert re.match(r"1 threads, \d+-byte vectors, 4 MiB", title)
    cases = {name: re.search(rf"{name} +[\d.]+ ms +[\d.]+ +[\d.]+ (\S+) +[\d.]+%( +80%)?", out)
             for name in ("element-wise/add", "skinny GEMM/64x784x512", "gather/rows of 64")}
    assert [found and found.groups() for found in cases.values()] == [("GB/s", " " * 6 + "80%"), ("GFLOP/s", None),
                                                                      ("GB/s", None)]
    assert sum(" ms " in line for line in lines) == 3
    assert "furthest from the ceiling:" in lines


def test_roofline_refuses_what_it_cannot_do():
    assert "no case is called 'nothing'" in roofline("--only", "nothing", status=2)[1]


def test_growth_writes_a_table_and_a_picture(tmp_path):
    run(BENCHMARKS / "growth.py", "--axes", "batch,rows", "--libraries", "rushlight", "--most", 10, "--steps", 3,
        "--picture", tmp_path / "growth.svg", "--table", tmp_path / "growth.md")
    lines = (tmp_path / "growth.md").read_text(encoding="utf-8").splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]
    assert [(c[0], c[1]) for c in cells] == [("batch", "1"), ("batch", "4"), ("rows", "10")]
    assert all(float(c[3]) > 0 and float(c[5]) > 10 and int(c[6]) >= int(c[7]) >= 1 for c in cells)
    drawn = (tmp_path / "growth.svg").read_text(encoding="utf-8")
    assert drawn.count("<polyline") == 4 and drawn.startswith("<svg")
