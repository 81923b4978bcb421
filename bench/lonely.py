"""Counts short functions with one caller: a reader jumps to each of them for a few lines.

    python -m bench.lonely [--list]

Counted are functions of the product under 8 lines, without docstring and signature, that exactly
one place calls. Not counted: what a decorator, a template, a table or Django calls by its name.
"""

import ast
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PRODUCT = ("transfer", "dtadmin")
LINES = 8
WORD = re.compile(r"[A-Za-z_]\w*")
COMMENT = re.compile(r'""".*?"""|#[^\n]*', re.DOTALL)


def files() -> list[Path]:
    """Return the product's own modules, without migrations."""
    listed = subprocess.run(
        ["git", "ls-files", *(f"{folder}/*.py" for folder in PRODUCT)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return [ROOT / name for name in listed.stdout.split() if "/migrations/" not in name]


def functions(tree: ast.Module) -> Iterator[ast.FunctionDef]:
    """Yield the functions and methods that nothing but code calls."""
    for scope in ast.walk(tree):
        if isinstance(scope, ast.Module | ast.ClassDef):
            for one in scope.body:
                is_called = isinstance(one, ast.FunctionDef) and not one.decorator_list
                if is_called and not one.name.startswith("__"):
                    yield one


def lines_of(function: ast.FunctionDef) -> int:
    """Return the number of lines of its body, without its docstring."""
    body = function.body[1:] if ast.get_docstring(function) else function.body
    return body[-1].end_lineno - body[0].lineno + 1 if body else 0


def lonely() -> Iterator[tuple[Path, ast.FunctionDef]]:
    """Yield file and function of each short one with one caller."""
    texts = {path: path.read_text() for path in files()}
    words = {path: Counter(WORD.findall(COMMENT.sub("", text))) for path, text in texts.items()}
    everywhere: Counter[str] = sum(words.values(), Counter())
    by_name = set(
        WORD.findall("".join(path.read_text() for path in ROOT.glob("templates/**/*.html")))
    )
    for path, text in texts.items():
        for one in functions(ast.parse(text)):
            mentioned = words[path] if one.name.startswith("_") else everywhere
            is_called_by_name = one.name in by_name or one.name.startswith(("draw_", "clean"))
            if lines_of(one) < LINES and mentioned[one.name] == 2 and not is_called_by_name:
                yield path, one


def main() -> None:
    found = list(lonely())
    if "--list" in sys.argv:
        for path, one in found:
            print(f"{path.relative_to(ROOT)}:{one.lineno} {one.name}")
    print(len(found))


if __name__ == "__main__":
    main()
