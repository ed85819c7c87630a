from __future__ import annotations

import pytest

from models.report_labels.rules import read_rules
from models.report_labels.sections import SectionSplitter

SPLITTER = SectionSplitter(read_rules().headings)


def read(report: str) -> list[str]:
    return [section.text for section in SPLITTER.read(SPLITTER.split(report))]


@pytest.mark.parametrize(
    "report",
    [
        "INDICATION: Fever.\nFINDINGS: Big heart.\nIMPRESSION: Edema.",
        "Clinical history: fever. Findings: Big heart. Impression: Edema.",
        "INDICATION: fever FINDINGS: Big heart. IMPRESSION: Edema.",
        "**Indication:** fever\n\n**Findings:**\nBig heart.\n\n## Impression\nEdema.\n\nTechnique\nPA and lateral",
        "REASON FOR EXAM\r\nfever\r\nFINDINGS\r\nBig heart.\r\nIMPRESSION\r\nEdema.",
        "REASON FOR EXAM\nfever\nFINDINGS\nBig heart.\nIMPRESSION\nEdema.",
    ],
)
def test_findings_and_impression_are_read(report: str) -> None:
    assert read(report) == ["Big heart.", "Edema."]


def test_other_words_before_a_colon_stay() -> None:
    assert read("FINDINGS:\nPleura: no effusion.\nHEART: big.") == ["Pleura: no effusion.\nHEART: big."]
    assert read("FINDINGS: The prior study: was clear.") == ["The prior study: was clear."]


def test_text_without_headings_is_read_whole() -> None:
    assert read("Big heart. Edema.") == ["Big heart. Edema."]
    assert read("Chest, two views.\nComparison: none.") == ["Chest, two views."]


def test_a_body_without_a_heading_begins_after_the_paragraph_of_the_last_one() -> None:
    assert read("INDICATION: fever\nand cough\r\n \r\nBig heart.\n\nEdema.") == ["Big heart.\n\nEdema."]
    assert read("INDICATION: fever") == []
