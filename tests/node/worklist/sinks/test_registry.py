"""Sinks register themselves: one more is one more file, and the documents name those that there are."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from node.admin.checks import run_checks
from node.errors import ConfigurationError
from node.settings import Settings, load
from node.worklist import sinks
from node.worklist.sinks import make_sinks, registered
from tests.node.worklist.sinks.phantoms import notice

DEPLOY = Path(__file__).parents[4] / "deploy"
SHIPPED = ["hl7", "ups", "webhook"]


@pytest.fixture
def with_toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """One more file in the folder of sinks; nothing else knows of it."""
    shutil.copy(Path(__file__).parent / "toy.py", tmp_path / "toy.py")
    monkeypatch.setattr(sinks, "__path__", [*sinks.__path__, str(tmp_path)])
    monkeypatch.setattr(sinks, "_registered", dict(sinks._registered))
    registered.cache_clear()
    yield
    sys.modules.pop("node.worklist.sinks.toy", None)
    registered.cache_clear()


def read(tmp_path: Path, text: str) -> Settings:
    file = tmp_path / "readfirst.toml"
    file.write_text(text)
    return load(file)


def test_the_documents_name_each_sink_and_its_table() -> None:
    assert list(registered()) == SHIPPED
    settings, conformance = (DEPLOY / name for name in ("SETTINGS.md", "CONFORMANCE.md"))
    (row,) = (line for line in settings.read_text().splitlines() if line.startswith("| `worklist.sinks`"))
    for name in registered():
        assert f"`{name}`" in row
        assert f"| `worklist.{name}." in settings.read_text()
        assert f"`worklist.{name}`" in conformance.read_text()


@pytest.mark.usefixtures("with_toy")
def test_a_sink_is_one_file_with_its_table(tmp_path: Path) -> None:
    settings = read(tmp_path, f'[worklist]\nsinks = ["ups", "toy"]\ntoy.file = "{tmp_path / "out"}"')
    ((name, toy),) = make_sinks(settings).items()  # ups without its table is the node's own SCP
    assert (name, toy.send(notice())) == ("toy", f"line of {notice().control_id}")
    assert (tmp_path / "out").read_text() == toy.preview(notice())
    lines = {line.what: (line.ok, line.detail) for line in run_checks(lambda: settings)}
    assert lines["sink toy"] == (True, f"{tmp_path / 'out'} can be written")


@pytest.mark.usefixtures("with_toy")
@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('sinks = ["toy"]', r"worklist: sinks names toy: write its table \[worklist.toy\]"),
        ('sinks = ["toy"]\ntoy.fiel = "x"', "worklist.toy.file: Field required; worklist.toy.fiel: "),
        ('sinks = ["ups", "webhok"]', "no sink is called webhok: hl7, toy, ups, webhook: did you mean webhook?"),
        ('sinks = ["ups", "fax"]', "worklist.sinks.1: no sink is called fax: hl7, toy, ups, webhook"),
        ('sinks = ["ups"]\ntoy.file = "x"', "unknown key worklist.toy"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(ConfigurationError, match=sentence):
        make_sinks(read(tmp_path, f"[worklist]\n{text}"))
