"""Docstrings of the functions of tensors teach: they have all parts, and their examples print what they say."""
import doctest
import inspect

import pytest

import rushlight as rl
from rushlight.core.declare import REGISTRY

PARTS = ("Args:", "Returns:", "Raises:", "Example:")
LACKING = 286  # functions that lack a part; the number may only go down


def functions():
    """The public functions `torch.x` of operators by name, each once; those in place have the text of the others."""
    found = {}
    for name, function in REGISTRY.items():
        if "." not in name and not name.startswith("_") and not name.endswith("_") and inspect.isroutine(function):
            found.setdefault(inspect.unwrap(function), (name, function))
    return dict(found.values())


FUNCTIONS = functions()
WRITTEN = {name: function for name, function in FUNCTIONS.items() if "Args:" in (function.__doc__ or "")}


def lacks(function):
    """The parts that a docstring lacks."""
    return [part for part in PARTS if part not in (function.__doc__ or "")]


def test_fewer_functions_lack_parts_than_before():
    lacking = [name for name, function in FUNCTIONS.items() if lacks(function)]
    assert len(lacking) == LACKING, f"{len(lacking)} functions lack parts of their docstrings; a lower number goes here"


@pytest.mark.parametrize("name", WRITTEN)
def test_docstrings_are_whole(name):
    text = inspect.getdoc(WRITTEN[name])
    lines = text.splitlines()
    assert not lacks(WRITTEN[name]) and lines[0].endswith(".") and lines[1] == ""
    described = [line.split()[0] for line in text.partition("Args:\n")[2].partition("\n\n")[0].splitlines()
                 if line.startswith("    ") and not line.startswith("     ")]
    taken = [p.name for p in inspect.signature(WRITTEN[name]).parameters.values() if p.kind is not p.VAR_KEYWORD]
    assert set(taken) <= set(described) <= {*taken, "out"}
    assert [part for part in lines if part in PARTS] == list(PARTS)


@pytest.mark.parametrize("name", WRITTEN)
def test_examples_print_what_they_say(name):
    example = doctest.DocTestParser().get_doctest(WRITTEN[name].__doc__, {"torch": rl}, name, None, None)
    said = []
    failed, count = doctest.DocTestRunner(verbose=False).run(example, out=said.append)
    assert count and not failed, "".join(said)
