from __future__ import annotations

from pathlib import Path

import pytest

from models.commands.folders import configured_folder
from models.errors import ModelsError
from node.settings import load


@pytest.mark.parametrize(
    "text",
    [
        "",
        '[node]\ndata = "/srv/data"\n',
        '[models]\nfolder = "/srv/models"\n',
        '[node]\ndata = "a"\n[models]\nfolder = "b"\n',
    ],
)
def test_packages_go_where_the_node_looks(tmp_path: Path, text: str) -> None:
    file = tmp_path / "readfirst.toml"
    file.write_text(text)
    assert (configured_folder(file),) == load(file).model_folders


@pytest.mark.parametrize("variable", ["READFIRST_MODELS__FOLDER", "READFIRST_NODE__DATA"])
def test_the_environment_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    monkeypatch.setenv(variable, "/elsewhere")
    file = tmp_path / "readfirst.toml"
    file.write_text('[node]\ndata = "/srv/data"\n')
    assert (configured_folder(file),) == load(file).model_folders


def test_a_broken_file_is_named(tmp_path: Path) -> None:
    file = tmp_path / "readfirst.toml"
    file.write_text("[node")
    with pytest.raises(ModelsError, match=r"readfirst\.toml cannot be read"):
        configured_folder(file)
