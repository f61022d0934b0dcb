"""The documentation tells the truth: its programs run, and the files it names exist."""
import re

import pytest
import source
from programs import run

PAGES = [source.ROOT / "README.md", *sorted((source.ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
FILE = re.compile(r"`(?:rushlight/)?((?:[a-z_]+/)*(?:[a-z_]+\.(?:py|md|gz))|(?:[a-z_]+/)+)`")


def name(page):
    """A page's file name."""
    return page.name


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_programs_run(page, tmp_path):
    blocks = BLOCK.findall(page.read_text(encoding="utf-8"))
    if not blocks:
        pytest.skip("no program on this page")
    script = tmp_path / "page.py"
    script.write_text("\n".join(blocks), encoding="utf-8")
    run("-m", "rushlight", script, cwd=tmp_path)


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_files_exist(page):
    names = {path.name for path in source.modules().values()}
    missing = []
    for file in FILE.findall(page.read_text(encoding="utf-8")):
        there = any((place / file).exists() for place in (source.ROOT, source.PACKAGE))
        if not there and file not in names:
            missing.append(file)
    assert not missing, f"named in {page.name}, but not there: {missing}"


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_notes_exist(page):
    titles = set(re.findall(r"Note \[([^\]]+)\]", page.read_text(encoding="utf-8")))
    known = set()
    for path in source.modules().values():
        known.update(re.findall(r"^(?:# )?Note \[([^\]]+)\]$", path.read_text(encoding="utf-8"), re.MULTILINE))
    assert titles <= known, f"named in {page.name}, but not there: {sorted(titles - known)}"
