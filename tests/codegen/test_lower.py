"""The table of lowerings: each is where it says, and every operator that names one has one."""

import importlib
import pathlib
import re

import rushlight  # noqa: F401  (declares the operators)
from rushlight.codegen import lower
from rushlight.core.kinds import OPERATORS, Kernel

FOLDER = pathlib.Path(lower.__file__).parent


def test_homes_hold_what_they_say():
    for home, names in lower.HOMES.items():
        source = pathlib.Path(importlib.import_module(f"rushlight.codegen.{home}").__file__).read_text()
        assert tuple(sorted(re.findall(r'^@lowering\("(\w+)"\)', source, re.M))) == tuple(sorted(names)), home


def test_no_lowering_is_missing_from_the_table():
    written = {name for path in FOLDER.rglob("*.py") for name in re.findall(r'^@lowering\("(\w+)"\)', path.read_text(),
                                                                           re.M)}
    assert written == set(lower.HOME_OF)


def test_operators_have_their_lowerings():
    asked = {op.lower for op in OPERATORS.values() if isinstance(op, Kernel) and isinstance(op.lower, str)}
    assert asked and asked <= set(lower.HOME_OF)
