"""Each file stands in a folder that deploy/ARCHITECTURE.md names, with the first line of the folder's docstring."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ARCHITECTURE = (ROOT / "deploy" / "ARCHITECTURE.md").read_text(encoding="utf-8")
FOLDERS = dict(re.findall(r"^\| `((?:node|workers|models)[\w/]*)/` \| (.+?) \|", ARCHITECTURE, re.MULTILINE))
TOP = {
    package: frozenset(re.findall(r"`(\w+)`", names))
    for package, names in re.findall(r"^Files of `(\w+)/` itself: (.+)$", ARCHITECTURE, re.MULTILINE)
}
MOST = 16  # files in a folder, __init__ not counted; more hide a folder


def misplaced(root: Path) -> list[str]:
    """A sentence for each file that stands where no file of its kind is expected."""
    found = []
    for package, names in TOP.items():
        for path in sorted((root / package).rglob("*.py")):
            folder = str(path.parent.relative_to(root))
            if folder == package and path.stem not in names | {"__init__", "__main__"}:
                found.append(
                    f"{path.relative_to(root)}: {package}/ itself holds {', '.join(sorted(names))}; put it into the"
                    " folder of its service or stage, see the table of deploy/ARCHITECTURE.md"
                )
            elif folder not in FOLDERS and folder != package and "migrations" not in path.parts:
                found.append(
                    f"{path.relative_to(root)}: the folder {folder}/ is in no table; if none of the folders of"
                    " deploy/ARCHITECTURE.md is the file's, add a line for it there"
                )
    return found


def test_each_file_is_in_a_known_folder() -> None:
    assert not misplaced(ROOT)


def test_a_new_file_is_told_where_it_belongs(tmp_path: Path) -> None:
    for name in ("node/turns.py", "node/doors/door.py", "workers/seg.py", "models/cam.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    sentences = misplaced(tmp_path)
    assert len(sentences) == 4
    assert all("deploy/ARCHITECTURE.md" in sentence for sentence in sentences)


@pytest.mark.parametrize("folder", sorted(FOLDERS))
def test_the_table_has_the_folders_own_words(folder: str) -> None:
    docstring = ast.get_docstring(ast.parse((ROOT / folder / "__init__.py").read_text(encoding="utf-8"))) or ""
    assert FOLDERS[folder] == docstring.partition("\n")[0]


@pytest.mark.parametrize("folder", sorted(FOLDERS))
def test_no_folder_hides_another(folder: str) -> None:
    files = [path for path in (ROOT / folder).glob("*.py") if path.stem != "__init__"]
    assert len(files) <= MOST, f"{folder}/ has {len(files)} files; look for the folder in it"


def test_the_top_level_is_the_one_that_was_chosen() -> None:
    expected = {"pyproject.toml", "node", "workers", "models", "tests", "deploy", "README.md", "LICENSE"}
    found = {path.name for path in ROOT.iterdir() if not path.name.startswith(".")}
    assert found - {"var", "demo-results", "dist"} == expected
