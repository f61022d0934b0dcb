"""`python -m rushlight`: a program runs as Python itself would run it, a wrong command line is explained."""
import zipfile

import pytest
from programs import run

from rushlight import __main__ as command

SHOW = """import sys
same = sys.modules["__main__"].__dict__ is globals()
print(__name__, sys.argv, sys.path[0], globals().get("__file__"), same)
"""


def test_script(tmp_path):
    script = tmp_path / "a script.py"
    script.write_text(SHOW)
    out, _ = run("-m", "rushlight", script, "--lr", "0.1")
    assert out == f"__main__ {[str(script), '--lr', '0.1']} {tmp_path} {script} True\n"


def test_script_by_relative_path(tmp_path):
    (tmp_path / "helper.py").write_text("NAME = 'found'")
    (tmp_path / "script.py").write_text("import helper, torch\nprint(helper.NAME, torch.__name__)")
    assert run("-m", "rushlight", "script.py", cwd=tmp_path)[0] == "found rushlight\n"


def test_module(tmp_path):
    (tmp_path / "program.py").write_text("import sys, torch\nprint(__name__, sys.argv[1:], torch.__name__)")
    assert run("-m", "rushlight", "-m", "program", "x", cwd=tmp_path)[0] == "__main__ ['x'] rushlight\n"


def test_code():
    out, _ = run("-m", "rushlight", "-c", "import sys, torch; print(sys.argv, __name__, torch.__name__)", "x")
    assert out == "['-c', 'x'] __main__ rushlight\n"


def test_folder_and_zip_file(tmp_path):
    (tmp_path / "program").mkdir()
    (tmp_path / "program" / "__main__.py").write_text("import helper\nprint(helper.NAME)")
    (tmp_path / "program" / "helper.py").write_text("NAME = 'found'")
    with zipfile.ZipFile(tmp_path / "program.zip", "w") as file:
        for name in ("__main__.py", "helper.py"):
            file.write(tmp_path / "program" / name, name)
    for name in ("program", "program.zip"):
        assert run("-m", "rushlight", tmp_path / name)[0] == "found\n"


def test_traceback_starts_in_the_program(tmp_path):
    script = tmp_path / "script.py"
    script.write_text("def f():\n    raise KeyError('x')\nf()\n")
    _, err = run("-m", "rushlight", script, status=1)
    lines = err.splitlines()
    assert lines[1] == f'  File "{script}", line 3, in <module>' and lines[-1] == "KeyError: 'x'"


def test_syntax_error_and_exit_status(tmp_path):
    script = tmp_path / "script.py"
    script.write_text("def f(:\n")
    _, err = run("-m", "rushlight", script, status=1)
    assert f'File "{script}", line 1' in err and "runpy" not in err
    script.write_text("raise SystemExit(7)")
    run("-m", "rushlight", script, status=7)


def test_help(capsys):
    assert command.main([]) == 0
    assert capsys.readouterr().out == command.usage()
    assert command.main(["--help"]) == 0
    assert all(name in command.usage() for name in command.TOOLS)


@pytest.mark.parametrize("arguments, word", [(["no_such.py"], "no_such.py"), (["-m"], "-m"), (["--fast"], "--fast")])
def test_wrong_command_lines(arguments, word, capsys):
    assert command.main(arguments) == 2
    assert word in capsys.readouterr().err
