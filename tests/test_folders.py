"""The map of the package (docs/folders.md) and the README of every folder agree with the tree."""
import re

import pytest
import source
import test_layers

MAP = (source.ROOT / "docs" / "folders.md").read_text(encoding="utf-8")
FOLDERS = sorted({path.parent for path in source.modules().values()})
NAMED = re.compile(r"`((?:\w+/)*(?:\w+\.(?:py|md)|\w+/))`")


def name(folder):
    """A folder's path from the root of the repository."""
    return folder.relative_to(source.ROOT).as_posix()


def parts():
    """The parts of the package as the map writes them: `folder/` or `file.py`."""
    hidden = ("__init__.py", "__pycache__", "README.md")
    entries = [path for path in source.PACKAGE.iterdir() if path.name not in hidden]
    return {path.name + "/" * path.is_dir() for path in entries}


def test_the_picture_shows_the_layers():
    picture = re.search(r"^```\n(.*?)^```", MAP, re.MULTILINE | re.DOTALL).group(1)
    rows = []
    for line in picture.splitlines()[2:]:
        names = line[14:].split("|")[0].split("^")[0]
        if names.startswith("  ") and names.strip():  # the row above goes on
            rows[-1].update(names.split())
        elif names.strip():
            rows.append(set(names.split()))
    assert rows[::-1] == [set(row) for row in test_layers.LAYERS if row != ("",)]


def test_the_table_names_every_part_once():
    named = []
    for row in re.findall(r"^\| (`.*?) \|", MAP, re.MULTILINE):
        named += re.findall(r"`([\w./]+)`", row)
    assert sorted(named) == sorted(parts())


@pytest.mark.parametrize("folder", FOLDERS, ids=name)
def test_every_folder_says_what_it_is_for(folder):
    text = (folder / "README.md").read_text(encoding="utf-8")
    lines = text.splitlines()
    assert lines[0] == f"# {name(folder)}" and len(lines) <= 16
    assert [line.split("**")[1] for line in lines if line.startswith("* **")] == ["In:", "Out:", "Read:"]


@pytest.mark.parametrize("folder", FOLDERS, ids=name)
def test_what_a_folder_names_is_there(folder):
    text = (folder / "README.md").read_text(encoding="utf-8")
    missing = [path for path in NAMED.findall(text)
               if not any((place / path).exists() for place in (folder, source.PACKAGE, source.ROOT))]
    assert not missing, f"{name(folder)}/README.md names {missing}"
