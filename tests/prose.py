"""The text of source files: paragraphs of docstrings and comments, for tests of their form."""
import ast
import functools
import re

import source

WIDTH = 120
MARK = re.compile(r"[-*+|>#:=] |\d+[.)] |>>>|\.\.\.|Note \[")
TYPED = re.compile(r"[\w*, ]{1,60} \([^)]*\): ")  # an entry of Args
ENTRY = re.compile(r"[\w`\"*, .\[\]/]{1,40}: ")


def docstrings(path):
    """(first line, last line) of every docstring of a file, counted from 1."""
    for node in ast.walk(source.tree(path)):
        documented = isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef))
        if documented and ast.get_docstring(node, clean=False) is not None:
            yield node.body[0].lineno, node.body[0].end_lineno


def strings(path):
    """The numbers of all lines that a string of several lines covers."""
    nodes = [node for node in ast.walk(source.tree(path)) if isinstance(node, (ast.Constant, ast.JoinedStr))]
    return {n for node in nodes if node.end_lineno > node.lineno for n in range(node.lineno, node.end_lineno + 1)}


@functools.lru_cache(maxsize=None)
def paragraphs(path):
    """[(number of the first line, lines)] of every paragraph in docstrings and comments, lines as in the file."""
    return [*_documented(path), *_commented(path)]


def _documented(path):
    lines = path.read_text(encoding="utf-8").splitlines()
    for first, last in docstrings(path):
        base = indent(lines[first - 1])
        numbered = [(n, lines[n - 1]) for n in range(first, last + 1)]
        for number, block in _blocks(numbered, lambda text: text.strip(' "')):
            code = next((at for at, line in enumerate(block) if words(line).startswith(">>>")), len(block))
            if number == first or any(indent(line) <= base for line in block):  # else it is a block of code
                yield number, block[:code]


def _commented(path):
    lines = path.read_text(encoding="utf-8").splitlines()
    quoted = strings(path)
    comments = [(n, "" if n in quoted else text) for n, text in enumerate(lines, 1)]
    yield from _blocks(comments, lambda text: re.match(r"\s*# *\S", text))


def _blocks(numbered, holds_text):
    block = []
    for number, text in [*numbered, (0, "")]:
        if text and holds_text(text):
            block.append((number, text))
        elif block:
            yield block[0][0], [line for _, line in block]
            block = []


def words(line):
    """What a line of a docstring or comment says, without indentation, comment sign and quotation marks around it."""
    return re.sub(r'^\s*(?:# ?|[rRfF]?""")?|"""\s*$', "", line).strip()


def indent(line):
    """The columns before the text of a line."""
    return len(re.match(r"\s*(?:# ?)?\s*", line).group())


def flows(line, following, first=False):
    """Whether the text of a line goes on in the following one: both belong to one running paragraph. `first`: the line
    is the first one of its paragraph, which may begin with quotation marks."""
    text, after = words(line), words(following)
    if not text or not after or MARK.match(after) or TYPED.match(after):
        return False
    if text.startswith((">>>", "...", "Note [")) or text.endswith(":"):
        return False
    if indent(line) != indent(following) and not (first and '"""' in line):
        return False
    return not re.search(r"\S {2,}\S", f"{text} {after}") and not (text[-1] in ".:;,)" and ENTRY.match(after))


def ragged(lines, slack=6):
    """Positions of the lines of a paragraph that end early although the first word of the next one would fit. Ends of
    sentences are no offence."""
    return [at for at, (line, following) in enumerate(zip(lines, lines[1:]))
            if flows(line, following, at == 0) and not words(line).endswith((".", ";"))
            and len(line) + 1 + len(words(following).split()[0]) + slack <= WIDTH]


def debris(lines):
    """What is left of string literals in a paragraph: quotation marks at the end of a line and the start of the next,
    or two of them with nothing between."""
    text = "\n".join(words(line) for line in lines)
    return re.findall(r'\s"\n"|"\s+f?"(?=\w)', text)


def broken_banner(lines):
    """Whether a comment is a title between dashes, `# -- title ----`, whose dashes fell onto a line of their own or are
    missing."""
    return [line for line in lines if re.fullmatch(r"\s*# ?-{5,}|\s*# -- .*[^-]", line.rstrip())]
