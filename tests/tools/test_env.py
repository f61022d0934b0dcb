"""`python -m rushlight env`: the report names what a bug report needs."""
from rushlight.base import switches
from rushlight.tools import env


def test_report(capsys, monkeypatch, tmp_path):
    (tmp_path / "kernel.o").write_bytes(b"x" * 2048)
    monkeypatch.setenv("RUSHLIGHT_TYPO", "1")
    with switches.env(CACHE=tmp_path):
        assert env.main() == 0
    text = capsys.readouterr().out
    for word in ("rushlight", "numpy", "LLVM", "features", "cores", "RUSHLIGHT_EAGER", "cpu"):
        assert word in text
    assert str(tmp_path) in text and "2.0 KiB in 1 files" in text
    assert "RUSHLIGHT_TYPO" in text and "no such switch" in text


def test_cache_off(capsys):
    with switches.env(CACHE=None):
        assert env.main() == 0
    assert "off" in capsys.readouterr().out


def test_arguments_are_refused(capsys):
    assert env.main(["x"]) == 2
    assert "takes no arguments" in capsys.readouterr().err
