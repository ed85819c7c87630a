from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from pydicom import Dataset

from models.localizers.registry import LOCALIZERS
from tests.workers import results_phantoms as phantoms
from workers.dicom.uids import Context
from workers.findings import equipment


def test_equipment_observer_and_algorithm_say_the_same() -> None:
    context = phantoms.context()
    item = equipment.contributing_equipment(context)
    observer = {one.name.value: one.value for one in equipment.device_observer(context)}
    algorithm = {one.name.value: one.value for one in equipment.algorithm(context)}
    segment = equipment.segment_algorithm(context, context.card.labels[0])[0]
    assert item.PurposeOfReferenceCodeSequence[0].CodeValue == "109102"
    assert item.Manufacturer == observer["121014"] == algorithm["122405"] == segment.AlgorithmSource == "ReadFirst"
    assert item.ManufacturerModelName == observer["121015"] == algorithm["111001"] == segment.AlgorithmName
    assert item.SoftwareVersions == ["1.2.3", "ReadFirst 0.1.0"]
    assert item.SoftwareVersions[0] == algorithm["111003"] == segment.AlgorithmVersion
    assert item.DeviceUID == observer["121012"]
    assert algorithm["111000"].value == "123110"


def test_classical_image_analysis_is_not_called_artificial_intelligence() -> None:
    algorithm = {one.name.value: one.value for one in equipment.algorithm(phantoms.context("volume"))}
    assert algorithm["111000"].meaning == "Morphological Operations"


def test_another_model_is_another_device() -> None:
    assert equipment.device_uid(phantoms.context()) != equipment.device_uid(phantoms.context(digest="b" * 64))


def test_every_localizer_has_words() -> None:
    for entry in LOCALIZERS.entries():
        context = phantoms.context()
        named = replace(context, card=context.card.model_copy(update={"localizer": entry.name}))
        assert equipment.method(named) == entry.maps


def test_method_and_threshold_are_named() -> None:
    context = phantoms.context()
    assert equipment.region_parameters(context, context.card.labels[0]) == (
        "class activation map >= 1 (raw scale)",
        "probability threshold 0.3",
    )


def test_signing_takes_every_time_from_the_context() -> None:
    context = phantoms.context()
    aware = Context(context.card, context.digest, context.version, datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))
    ds = Dataset()
    equipment.sign(ds, aware)
    assert (ds.InstanceCreationDate, ds.InstanceCreationTime) == ("20260102", "030405")
    assert (ds.ContentDate, ds.ContentTime) == ("20260102", "030405")
    assert str(ds.ContributingEquipmentSequence[0].ContributionDateTime).startswith("20260102030405")
    assert ds.ContentQualification == "RESEARCH"


def test_a_series_description_fits_its_attribute() -> None:
    description = equipment.series_description(phantoms.context(), "regions " * 20)
    assert len(description) == 64
    assert description.startswith("AI research: ")
