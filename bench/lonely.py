"""Counts short functions with one caller: a reader jumps to each of them for a few lines.

    python -m bench.lonely [--list]

Counted are functions of the product under 8 lines, without docstring and signature, that exactly
one place calls. Not counted:

- what a decorator, a template, a table or Django calls by its name;
- a function that is given as a value, such as a validator or an entry of a table: it has to be one;
- a method that replaces one of a library: the library calls it;
- a public method that runs a statement of its module for another module: the statement stands with
  its table, and has this name there;
- `problems/of_*.py: of_…`, where one looks for what finds a kind of problem: see ARCHITECTURE;
- what a test calls, or replaces by its name: the test is another caller.
"""

import ast
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PRODUCT = ("transfer", "dtadmin")
LINES = 8
# Of ModelAdmin, of BaseConstraint, of the adapter of allauth.
OF_LIBRARIES = {"get_fields", "create_sql", "get_requests_session"}
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


def runs_statement(function: ast.FunctionDef) -> bool:
    """Return whether it is a public method that calls `self.database`."""
    return not function.name.startswith("_") and any(
        isinstance(node, ast.Attribute) and ast.unparse(node.value) == "self.database"
        for node in ast.walk(function)
    )


def lines_of(function: ast.FunctionDef) -> int:
    """Return the number of lines of its body, without its docstring."""
    body = function.body[1:] if ast.get_docstring(function) else function.body
    return body[-1].end_lineno - body[0].lineno + 1 if body else 0


def calls(tree: ast.AST) -> Iterator[str]:
    """Yield the name of each function or method that is called, once for each call."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            if isinstance(node.func, ast.Name):
                yield node.func.id
            elif isinstance(node.func, ast.Attribute):
                yield node.func.attr


def replaced(tree: ast.AST) -> Iterator[str]:
    """Yield each name that stands after an object, as in `setattr(chunk, "_lost", …)`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call | ast.Tuple):
            items = node.args if isinstance(node, ast.Call) else node.elts
            for before, name in pairwise(items):
                if isinstance(before, ast.Name | ast.Attribute) and isinstance(name, ast.Constant):
                    yield str(name.value)


def named_by_tests() -> set[str]:
    """Return what tests call and do not define themselves, and what they replace by its name."""
    trees = [ast.parse(path.read_text()) for path in (ROOT / "tests").rglob("*.py")]
    called = {name for tree in trees for name in calls(tree) if not name.startswith("_")}
    defined = {
        node.name for tree in trees for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)
    }
    return (called - defined) | {name for tree in trees for name in replaced(tree)}


def lonely() -> Iterator[tuple[Path, ast.FunctionDef]]:
    """Yield file and function of each short one with one caller."""
    texts = {path: path.read_text() for path in files()}
    words = {path: Counter(WORD.findall(COMMENT.sub("", text))) for path, text in texts.items()}
    trees = {path: ast.parse(text) for path, text in texts.items()}
    called = {path: Counter(calls(tree)) for path, tree in trees.items()}
    mentioned_anywhere: Counter[str] = sum(words.values(), Counter())
    called_anywhere: Counter[str] = sum(called.values(), Counter())
    by_name = (
        OF_LIBRARIES
        | named_by_tests()
        | set(WORD.findall("".join(path.read_text() for path in ROOT.glob("templates/**/*.html"))))
    )
    for path, tree in trees.items():
        for one in functions(tree):
            is_private = one.name.startswith("_")
            mentioned = words[path] if is_private else mentioned_anywhere
            callers = called[path] if is_private else called_anywhere
            calls_itself = one.name in set(calls(one))
            is_called_once = (
                mentioned[one.name] == 2 and callers[one.name] == 1 and not calls_itself
            )
            is_called_by_name = one.name in by_name or one.name.startswith(("draw_", "clean"))
            finds_problem = one.name.startswith("of_") and path.match("problems/of_*.py")
            is_statement = runs_statement(one) and one.name not in called[path]
            if finds_problem or is_statement:
                continue
            if lines_of(one) < LINES and is_called_once and not is_called_by_name:
                yield path, one


def main() -> None:
    found = list(lonely())
    if "--list" in sys.argv:
        for path, one in found:
            print(f"{path.relative_to(ROOT)}:{one.lineno} {one.name}")
    print(len(found))


if __name__ == "__main__":
    main()
