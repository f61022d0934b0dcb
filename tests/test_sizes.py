"""House rules that can be counted: lines, functions and files of bounded size, a docstring for every module."""
import ast
import re

import source

MAX_LINE = 120
MAX_FILE = 800
MAX_FUNCTION = 60
MAX_FUNCTION_CODEGEN = 80
FOLDERS = ("rushlight", "tests", "examples", "benchmarks")
SOURCES = [path for folder in FOLDERS for path in sorted((source.ROOT / folder).rglob("*.py"))]
MARK = re.compile(r"#.*\b(TO" r"DO|FIX" r"ME|XX" r"X|HA" r"CK)\b")


def relative(path):
    """The path from the root of the repository."""
    return path.relative_to(source.ROOT).as_posix()


def lines_of(path):
    """The file's lines with their numbers."""
    return enumerate(path.read_text(encoding="utf-8").splitlines(), 1)


def show(rows):
    """One offence a line."""
    return "\n" + "\n".join(rows)


def test_lines():
    wrong = []
    for path in SOURCES:
        wrong += [f"{relative(path)}:{number}" for number, line in lines_of(path) if len(line) > MAX_LINE]
    assert not wrong, show(wrong)


def test_files():
    lengths = {relative(path): sum(1 for _ in lines_of(path)) for path in SOURCES}
    wrong = [f"{path}: {length} lines" for path, length in lengths.items() if length > MAX_FILE]
    assert not wrong, show(wrong)


def test_functions():
    wrong = []
    for path in SOURCES:
        limit = MAX_FUNCTION_CODEGEN if "codegen" in path.parts else MAX_FUNCTION
        for node in ast.walk(source.tree(path)):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.end_lineno - node.lineno + 1 > limit:
                wrong.append(f"{relative(path)}:{node.lineno} {node.name}: {node.end_lineno - node.lineno + 1} lines")
    assert not wrong, show(wrong)


def test_one_statement_a_line():
    wrong = []
    for path in SOURCES:
        for node in ast.walk(source.tree(path)):
            named = isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
            if named and isinstance(node.value, ast.Lambda):
                wrong.append(f"{relative(path)}:{node.lineno} assigns a lambda")
            for block in ("body", "orelse", "finalbody"):
                statements = getattr(node, block, None)
                lines = [item.lineno for item in statements] if isinstance(statements, list) else []
                if isinstance(node, ast.stmt) and block == "body" and not isinstance(node, ast.Module):
                    lines.insert(0, node.lineno)
                wrong += [f"{relative(path)}:{line}" for line, after in zip(lines, lines[1:]) if line == after]
    assert not wrong, show(wrong)


def test_no_marks_are_left():
    wrong = []
    for path in SOURCES:
        wrong += [f"{relative(path)}:{number}" for number, line in lines_of(path) if MARK.search(line)]
    assert not wrong, show(wrong)


def test_modules_say_what_they_are():
    wrong = [name for name, path in source.modules().items() if not ast.get_docstring(source.tree(path))]
    assert not wrong, show(wrong)


def test_no_error_is_swallowed():
    wrong = []
    for path in SOURCES:
        for node in ast.walk(source.tree(path)):
            if isinstance(node, ast.ExceptHandler):
                broad = node.type is None or getattr(node.type, "id", "") in ("Exception", "BaseException")
                if broad and all(isinstance(statement, (ast.Pass, ast.Continue)) for statement in node.body):
                    wrong.append(f"{relative(path)}:{node.lineno}")
    assert not wrong, show(wrong)
