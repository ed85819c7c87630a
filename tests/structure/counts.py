"""What can be counted without running anything: folders, files, lines, cycles, queues, private accesses."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pynetdicom

PACKAGES = ("node", "workers", "models")
QUEUE_COLUMNS = frozenset({"attempts", "sink"})
"""A table with one of these columns holds work that waits: how often it was tried, or for whom it is spooled."""


def sources(tree: Path) -> dict[str, Path]:
    """Module name to file of the three packages."""
    found = {}
    for package in PACKAGES:
        for path in sorted((tree / package).rglob("*.py")):
            parts = path.relative_to(tree).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def lines(tree: Path) -> dict[str, int]:
    """Lines of Python of each package."""
    counts = dict.fromkeys(PACKAGES, 0)
    for module, path in sources(tree).items():
        counts[module.partition(".")[0]] += len(path.read_text(encoding="utf-8").splitlines())
    return counts


def entries(tree: Path) -> dict[str, tuple[int, int]]:
    """(folders, files of Python) directly in each package."""
    return {
        package: (
            sum(path.is_dir() and any(path.rglob("*.py")) for path in (tree / package).iterdir()),
            sum(path.suffix == ".py" for path in (tree / package).iterdir()),
        )
        for package in PACKAGES
    }


def cycles(tree: Path) -> list[tuple[str, ...]]:
    """Sets of siblings, folders and files of one folder, that import each other in a circle."""
    modules = sources(tree)
    imports = {module: _imports(module, path, modules) for module, path in modules.items()}
    folders = {module.rpartition(".")[0] for module in modules} - {""}
    found = []
    for folder in sorted(folders):
        graph: dict[str, set[str]] = {}
        for module, targets in imports.items():
            source = _child(folder, module)
            if source:
                graph.setdefault(source, set()).update(filter(None, (_child(folder, one) for one in targets)))
        found += [one for one in _components(graph) if len(one) > 1]
    return found


def _child(folder: str, module: str) -> str:
    """The sibling below `folder` that the module is or lies in; empty where it does not."""
    if not module.startswith(f"{folder}."):
        return ""
    return f"{folder}.{module[len(folder) + 1 :].partition('.')[0]}"


def _imports(module: str, path: Path, modules: Mapping[str, Path]) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            found |= {name if name in modules else node.module for name in names}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return (found & modules.keys()) - {module}


def _components(graph: Mapping[str, set[str]]) -> list[tuple[str, ...]]:
    """Strongly connected components: who reaches whom, and back."""
    reach = {one: _reached(graph, one) for one in graph}
    found: list[tuple[str, ...]] = []
    for one in sorted(graph):
        if not any(one in component for component in found):
            found.append(tuple(sorted({one} | {other for other in reach[one] if one in reach.get(other, ())})))
    return found


def _reached(graph: Mapping[str, set[str]], start: str) -> set[str]:
    seen: set[str] = set()
    todo = [start]
    while todo:
        for target in graph.get(todo.pop(), set()) - seen:
            seen.add(target)
            todo.append(target)
    return seen


def queues(tree: Path) -> list[str]:
    """Tables of the ledger that hold work which waits."""
    found = []
    for path in sources(tree).values():
        if path.name != "tables.py":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Table":
                columns = {name for call in node.args if (name := _column(call))}
                if columns & QUEUE_COLUMNS and isinstance(node.args[0], ast.Constant):
                    found.append(str(node.args[0].value))
    return sorted(found)


def _column(call: ast.expr) -> str:
    named = isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "Column"
    first = call.args[0] if isinstance(call, ast.Call) and call.args else None
    return str(first.value) if named and isinstance(first, ast.Constant) else ""


def private(tree: Path) -> dict[str, int]:
    """Accesses to private parts of pynetdicom, by folder."""
    theirs = frozenset(_private_names())
    counts: dict[str, int] = {}
    for path in sources(tree).values():
        text = path.read_text(encoding="utf-8")
        if "pynetdicom" in text or "event.assoc" in text:
            own = set(re.findall(r"(?:self\.|def )(_[a-z]\w*)(?: =|:|\()", text))
            used = [
                name for name in _accessed(ast.parse(text)) if name[1] in theirs and not (name[0] and name[1] in own)
            ]
            folder = str(path.parent.relative_to(tree))
            if used:
                counts[folder] = counts.get(folder, 0) + len(used)
    return dict(sorted(counts.items()))


def _private_names() -> Iterator[str]:
    for path in Path(str(pynetdicom.__file__)).parent.glob("*.py"):
        yield from re.findall(r"(?:self\.|def )(_[a-z]\w*)", path.read_text(encoding="utf-8"))


def _accessed(tree: ast.Module) -> Iterator[tuple[bool, str]]:
    """(whether of self, name) of each private attribute that is read, written or called."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and re.match(r"_[a-z]", node.attr):
            yield isinstance(node.value, ast.Name) and node.value.id == "self", node.attr
