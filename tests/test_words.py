"""The field's words in plain English: what no name and no docstring's first line of the source uses ."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = sorted(
    path.relative_to(ROOT)
    for package in ("node", "workers", "models")
    for path in (ROOT / package).rglob("*.py")
    if "versions" not in path.parts  # migrations are frozen
)
SPOKEN = re.compile(
    r"\b(tells?|told|telling|says?|said|saying|comes?|came|coming|brings?|brought|bringing|hears?|heard|speaks?|spoke"
    r"|knocks?|rings?|rung|worth|turned away|calls us)\b",
    re.IGNORECASE,
)
NAMES = re.compile(
    r"(^|_)(doors?|doorkeeper|keeper|turned|tall(y|ies)|promises?|going|rounds?|bell|rung|ring|told|tell|tells|said|say"
    r"|says|heard|hear|brought|bring|came|come|sit|rise|seat|seated|places|pace|ladder|descend|turns|worth|stand_in"
    r"|unrung|verdicts?|visitor|courier|couriers)($|_)"
)
CLASSES = re.compile(
    r"^_?(Verdict|Outcome|Answer|Rule|Report|OneAtATime|Doorkeeper|TurnedAway|Door|Tallies|Places|Visitor|Pace|Rounds"
    r"|Courier|Desk|Turns|Senders|House)$"
)


def spoken(path: Path, tree: ast.Module) -> Iterator[str]:
    """Docstrings whose first line says what a program tells, hears or brings."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = (ast.get_docstring(node) or "").partition("\n")[0]
            if SPOKEN.search(first):
                yield f"{path}:{getattr(node, 'lineno', 1)}: {first}"


def named(path: Path, tree: ast.Module) -> Iterator[str]:
    """Names that the glossary of deploy/ARCHITECTURE.md replaces."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef) and CLASSES.search(node.name):
            yield f"{path}:{node.lineno}: class {node.name}"
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            arguments = [] if isinstance(node, ast.ClassDef) else _arguments(node)
            names = [node.name, *(argument.arg for argument in arguments)]
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names = [node.id]
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            names = [node.attr]
        else:
            continue
        for name in names:
            if NAMES.search(name.lower()):
                yield f"{path}:{node.lineno}: {name}"


def _arguments(node: ast.FunctionDef | ast.AsyncFunctionDef) -> list[ast.arg]:
    return [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]


@pytest.mark.parametrize("find", [spoken, named])
def test_no_file_uses_words_that_the_glossary_replaces(find) -> None:
    found = [line for path in FILES for line in find(path, ast.parse((ROOT / path).read_text(encoding="utf-8")))]
    assert not found, "\n".join(["see the glossary of deploy/ARCHITECTURE.md", *found])


if __name__ == "__main__":  # python tests/test_words.py FOLDER…: what is left there
    import sys

    for path in FILES:
        if str(path).startswith(tuple(sys.argv[1:])):
            tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
            for line in (*spoken(path, tree), *named(path, tree)):
                print(line)
