"""The conformance statement says what the code does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from node.dicom import contexts
from node.worklist.ups import event_sender, scp

STATEMENT = (Path(__file__).parents[1] / "deploy" / "CONFORMANCE.md").read_text()


@pytest.mark.parametrize(
    ("title", "uids"),
    [
        ("SOP classes accepted for Storage", contexts.STORAGE_SOP_CLASSES),
        ("transfer syntaxes kept", contexts.KEPT_TRANSFER_SYNTAXES),
        ("SOP classes proposed", (*contexts.RESULT_SOP_CLASSES, *contexts.QUERY_SOP_CLASSES)),
        ("storage commitment SOP classes (SCU and SCP)", contexts.COMMITMENT_SOP_CLASSES),
        ("worklist SOP classes (SCP)", scp.SOP_CLASSES),
        ("worklist SOP classes proposed", event_sender.SOP_CLASSES),
    ],
)
def test_the_tables_are_those_of_the_code(title: str, uids: tuple[str, ...]) -> None:
    section = STATEMENT.split(f"## Table: {title}", 1)[1].split("\n## ", 1)[0]
    assert re.findall(r"\| ([0-9.]+) \|", section) == list(uids)
