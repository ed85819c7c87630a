"""What the documents name exists: files, folders, modules and their members, and what links lead to."""

from __future__ import annotations

import ast
import re
import textwrap
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from node.entities import JobState
from node.settings import load

ROOT = Path(__file__).parents[1]
TOPS = ("node", "workers", "models", "tests", "deploy")
PAPERS = (ROOT / "README.md", *sorted(path for top in TOPS for path in (ROOT / top).rglob("*.md")))
CODE = re.compile(r"`([^`\n]+)`")
BLOCK = re.compile(r"^```.*?^```$|^    .+$", re.MULTILINE | re.DOTALL)
FILE = re.compile(rf"(?:{'|'.join(TOPS)})/[\w./+@-]*\w/?|[\w/]+\.(?:py|md|toml|png)")
MODULE = re.compile(rf"((?:{'|'.join(TOPS[:4])})(?:\.[A-Za-z_]\w*)+)")
COMMAND = re.compile(r"python -m ([\w.]+\w)")
LINK = re.compile(r"\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
MADE = {  # files that a user writes, or that a command makes
    "readfirst.toml", "card.toml", "evaluation.json", "reliability.png", "picture.png", "configs/readfirst.toml",
}  # fmt: skip


def spans(paper: Path) -> Iterator[str]:
    """What stands in backticks."""
    yield from CODE.findall(BLOCK.sub("", paper.read_text(encoding="utf-8")))


def missing_files(paper: Path) -> Iterator[str]:
    """Paths that neither the repository nor the paper's own folder has."""
    for span in spans(paper):
        named = FILE.fullmatch(span) and span not in MADE and "NAME" not in span
        if named and not any((base / span).exists() for base in (ROOT, paper.parent)):
            yield span


def missing_modules(paper: Path) -> Iterator[str]:
    """Dotted names whose module, or whose member of a module, does not exist; also of commands."""
    names = {found[1] for span in spans(paper) if (found := MODULE.fullmatch(span))}
    names |= set(COMMAND.findall(paper.read_text(encoding="utf-8")))
    yield from sorted(name for name in names if not _exists(name) and not _is_key(name))


def _exists(name: str) -> bool:
    parts = name.split(".")
    for cut in range(len(parts), 0, -1):
        path = ROOT.joinpath(*parts[:cut])
        file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
        if file.exists():
            return cut == len(parts) or parts[cut] in _members(file)
    return False


@cache
def _members(file: Path) -> frozenset[str]:
    """Names that a module defines or imports."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
        elif isinstance(node, ast.ImportFrom | ast.Import):
            found |= {alias.asname or alias.name for alias in node.names}
    return frozenset(found)


@cache
def _keys() -> frozenset[str]:
    return frozenset(re.findall(r"^\| `([\w.]+)` \|", (ROOT / "deploy" / "SETTINGS.md").read_text(), re.MULTILINE))


def _is_key(name: str) -> bool:
    """Whether it is a key, or a table of keys, of the settings."""
    return any(key == name or key.startswith(f"{name}.") for key in _keys())


def broken_links(paper: Path) -> Iterator[str]:
    """Links into the repository that lead nowhere."""
    for target in LINK.findall(paper.read_text(encoding="utf-8")):
        file, _, anchor = target.partition("#")
        to = (paper.parent / file) if file else paper
        if not target.startswith(("http:", "https:")) and (not to.exists() or (anchor and anchor not in anchors(to))):
            yield target


def anchors(paper: Path) -> frozenset[str]:
    """The anchors that GitHub makes of a document's headings."""
    headings = HEADING.findall(paper.read_text(encoding="utf-8"))
    return frozenset(re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings)


@pytest.mark.parametrize("paper", PAPERS, ids=lambda paper: str(paper.relative_to(ROOT)))
@pytest.mark.parametrize("find", [missing_files, missing_modules, broken_links])
def test_what_a_document_names_is_there(paper: Path, find) -> None:
    assert not [f"{paper.relative_to(ROOT)}: {name}" for name in find(paper)]


def test_the_index_of_decisions_names_each() -> None:
    text = (ROOT / "deploy" / "DECISIONS.md").read_text(encoding="utf-8")
    index, _, decisions = text.partition("\n## ")
    headings = re.findall(r"^##+ (.+)$", "## " + decisions, re.MULTILINE)
    assert re.findall(r"\[(.+?)\]\(#", index) == headings


def test_a_missing_name_is_found(tmp_path: Path) -> None:
    paper = tmp_path / "paper.md"
    paper.write_text("`node/door.py` `node.door` `node.entities.Door` `node.entities.JobState` `node.port` [x](#y)\n")
    assert list(missing_files(paper)) == ["node/door.py"]
    assert list(missing_modules(paper)) == ["node.door", "node.entities.Door"]
    assert list(broken_links(paper)) == ["#y"]


def test_the_readme_explains_each_word_that_a_person_sees() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    rows = {word for line in text.splitlines() if line.startswith("|") for word in CODE.findall(line.split("|")[1])}
    doubtful = {state.value for state in JobState} - {"delivered", "failed", "quarantined"}  # these need no row
    assert {*doubtful, "kept back", "regions-2d", "statement-2d"} <= rows


def test_the_sample_configuration_of_the_readme_is_read_and_names_addresses(tmp_path: Path) -> None:
    sample = textwrap.dedent(re.findall(r"```toml\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)[0])
    (tmp_path / "readfirst.toml").write_text(textwrap.dedent(sample))
    settings = load(tmp_path / "readfirst.toml")
    assert [str(one) for one in settings.peers["pacs"].addresses] == ["10.0.0.5/32"]
