"""A finding that fills both lungs, in every object that is made of it: in words, and without an outline."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydicom import Dataset

from tests.workers import results_phantoms as phantoms
from tests.workers.test_pipeline import words
from workers.findings.analysed import AnalysedStudy
from workers.findings.source import ImageSource
from workers.results.legend import legend_of
from workers.results.pictures import draw
from workers.results.text import sections


@pytest.fixture
def source() -> ImageSource:
    return phantoms.image_source(phantoms.radiograph())


@pytest.fixture
def study(source: ImageSource) -> AnalysedStudy:
    return phantoms.study_of(phantoms.analysed(source, phantoms.diffuse_findings(source)))


def segments(segmentation: Dataset) -> list[str]:
    return [str(segment.SegmentLabel) for segment in segmentation.SegmentSequence]


def test_every_object_passes_the_gate_and_says_it(study: AnalysedStudy, tmp_path: Path) -> None:
    wanted = {"segmentation", "regions", "statement", "report-text", "report-pdf", "capture"}
    made = dict(phantoms.objects(study, wanted))
    for kind, dataset in made.items():
        phantoms.passed(dataset, tmp_path / f"{kind}.dcm")
    assert segments(made["segmentation"]) == ["Nodule 1"]
    assert not any("Pneumothorax" in sentence for sentence in words(made["regions"]))
    statement = "\n".join(words(made["statement"]))
    assert "No region is drawn of what is diffuse, both lungs." in statement
    assert "Pneumothorax, probability 87 %: diffuse, both lungs." in statement
    assert "Region Nodule 1: left lower zone" in statement
    assert "Pneumothorax, probability 87 %: diffuse, both lungs." in "\n".join(words(made["report-text"]))


def test_without_another_finding_there_is_no_segmentation(source: ImageSource) -> None:
    pneumothorax, _, absent = phantoms.diffuse_findings(source)
    alone = phantoms.study_of(phantoms.analysed(source, (pneumothorax, absent)))
    made = dict(phantoms.objects(alone, {"segmentation", "regions", "statement"}))
    assert set(made) == {"statement"}


@pytest.mark.parametrize(("language", "place"), [("en", "diffuse, both lungs"), ("zh", "弥漫性,双肺")])
def test_the_report_names_the_lungs_in_both_languages(language: str, place: str, study: AnalysedStudy) -> None:
    """Of these sentences the text report and the pages to print are made."""
    assert place in "\n".join(sections(study, language).findings)


def test_the_legend_names_the_lungs_and_what_outlines_are(study: AnalysedStudy) -> None:
    rows = [row.text for row in legend_of(study.sources[0].findings, phantoms.context()).rows]
    assert "Pneumothorax, probability 87 %: diffuse, both lungs." in rows
    assert "Outlines show what raised the score." in rows


def test_the_page_has_a_layer_of_the_focus_alone(study: AnalysedStudy, tmp_path: Path) -> None:
    _, *layers = draw(study.sources[0], tmp_path / "study")
    assert [layer.label for layer in layers] == ["Nodule"]


def test_of_two_images_the_one_that_is_diffuse_is_named_beside_the_others_region(source: ImageSource) -> None:
    other = phantoms.image_source(phantoms.radiograph(SOPInstanceUID="1.2.826.0.1.3680043.8.498.9", InstanceNumber=2))
    both = phantoms.study_of(phantoms.analysed(source, phantoms.diffuse_findings(source)), phantoms.analysed(other))
    text = "\n".join(sections(both, "en").findings)
    assert "Pneumothorax, probability 87 %: diffuse, both lungs; right middle zone." in text
