"""The form of docstrings and comments: paragraphs are filled, and nothing is left over of string literals."""
import pytest
import prose
import source

FOLDERS = ("rushlight", "tests", "examples", "benchmarks")


def offences(folder, check):
    """file:line of every paragraph below a folder that a check objects to."""
    wrong = []
    for path in sorted((source.ROOT / folder).rglob("*.py")):
        name = path.relative_to(source.ROOT).as_posix()
        wrong += [f"{name}:{number}" for number, lines in prose.paragraphs(path) if check(lines)]
    return wrong


@pytest.mark.parametrize("folder", FOLDERS)
def test_paragraphs_are_filled(folder):
    wrong = offences(folder, prose.ragged)
    assert not wrong, "\n" + "\n".join(wrong)


@pytest.mark.parametrize("folder", FOLDERS)
def test_no_quotation_marks_are_left_over(folder):
    wrong = offences(folder, prose.debris)
    assert not wrong, "\n" + "\n".join(wrong)


@pytest.mark.parametrize("folder", FOLDERS)
def test_banners_are_one_line(folder):
    wrong = offences(folder, prose.broken_banner)
    assert not wrong, "\n" + "\n".join(wrong)


RAGGED = '''
"""Read the table and
write the words of every row, one after the other, to the file that the caller gave."""
# A comment whose first
# line ends early, although the next word would fit.
'''
FILLED = '''
"""A short sentence.
Another one, after a line that ends with a full stop.

    code = of(an, example)
    that = is_left(alone)

Args:
    name (str): what it is called
    size (int): how large it is

Example:
    >>> rows
    [[1, 2],
     [3, 4]]
"""
'''
BANNERS = '''
# -- a title
# ------------------

# -- another one ---
'''
DEBRIS = '''
"""ValueError for numbers that "
"do not fit."""
'''


def checked(tmp_path, text):
    """The paragraphs of a file with this text."""
    path = tmp_path / f"{len(text)}.py"
    path.write_text(text)
    return [lines for _, lines in prose.paragraphs(path)]


def test_the_checks_find_what_they_look_for(tmp_path):
    assert [prose.ragged(lines) for lines in checked(tmp_path, RAGGED)] == [[0], [0]]
    assert not any(prose.ragged(lines) for lines in checked(tmp_path, FILLED))
    assert not any(prose.debris(lines) for lines in checked(tmp_path, FILLED))
    assert all(prose.debris(lines) for lines in checked(tmp_path, DEBRIS))
    assert [len(prose.broken_banner(lines)) for lines in checked(tmp_path, BANNERS)] == [2, 0]
