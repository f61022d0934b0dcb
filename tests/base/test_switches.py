"""Switches: how their texts are read, what changes them, and that the documentation lists all of them."""
import os

import pytest
import source

from rushlight.base import switches


@pytest.fixture(autouse=True)
def restored():
    """Every test leaves the switches as the environment set them."""
    yield
    switches.read()


def test_defaults():
    switches.read({})
    assert switches.EAGER is False
    assert switches.LOG == frozenset()
    assert switches.THREADS is None
    assert switches.CACHE.endswith(os.path.join("", "rushlight"))


@pytest.mark.parametrize("text, value", [("0", False), ("", False), ("off", False), ("1", True), ("true", True)])
def test_flag(text, value):
    switches.read({"RUSHLIGHT_EAGER": text})
    assert switches.EAGER is value


def test_zero_means_off():
    switches.read({f"RUSHLIGHT_{row.name}": "0" for row in switches.TABLE})
    assert not switches.EAGER and not switches.LOG
    assert switches.CACHE is None
    assert switches.THREADS == 1


def test_values():
    switches.read({"RUSHLIGHT_LOG": "fuse, ir", "RUSHLIGHT_CACHE": "~/kernels", "RUSHLIGHT_THREADS": "3"})
    assert switches.LOG == {"fuse", "ir"}
    assert switches.CACHE == os.path.expanduser("~/kernels")
    assert switches.THREADS == 3


@pytest.mark.parametrize("name, text", [("LOG", "fuse,tea"), ("EAGER", "maybe"), ("THREADS", "many")])
def test_wrong_text_is_named(name, text):
    with pytest.raises(ValueError, match=f"RUSHLIGHT_{name}.*{text.split(',')[-1]}"):
        switches.read({f"RUSHLIGHT_{name}": text})


def test_env_changes_and_restores(tmp_path):
    switches.read({})
    cache = switches.CACHE
    with switches.env(EAGER=True, LOG=("time", "fuse"), CACHE=tmp_path, THREADS=2):
        assert switches.EAGER and switches.LOG == {"time", "fuse"}
        assert switches.CACHE == str(tmp_path) and switches.THREADS == 2
        with switches.env(EAGER=0, CACHE=0):
            assert not switches.EAGER and switches.CACHE is None
        assert switches.EAGER
    assert not switches.EAGER and switches.LOG == frozenset() and switches.CACHE == cache


def test_env_restores_after_an_error():
    switches.read({})
    with pytest.raises(KeyError), switches.env(EAGER=1):
        raise KeyError
    assert not switches.EAGER


def test_env_refuses_what_it_does_not_know():
    with pytest.raises(TypeError, match="SPEED"), switches.env(SPEED=1):
        pass
    with pytest.raises(ValueError, match="tea"), switches.env(EAGER=1, LOG="tea"):
        pass
    assert switches.EAGER == (os.environ.get("RUSHLIGHT_EAGER", "0") == "1")


def test_all_switches_are_documented():
    text = (source.ROOT / "docs" / "switches.md").read_text()
    assert [row.name for row in switches.TABLE if f"`RUSHLIGHT_{row.name}`" not in text] == []
    assert [name for name in switches.LOG_NAMES if f"`{name}`" not in text] == []
