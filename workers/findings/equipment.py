"""Who made a result, in equipment, observer and algorithm alike (IHE AI Results)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import highdicom as hd
from pydicom import Dataset

from models.card import Label
from models.localizers.registry import LOCALIZERS
from workers.dicom import codes
from workers.dicom.uids import Context
from workers.findings.wording import PHRASES

MANUFACTURER = "ReadFirst"
RESEARCH = PHRASES["research"][0]


def software_versions(context: Context) -> list[str]:
    """Of the model package, then of ReadFirst."""
    return [context.card.version, f"ReadFirst {context.version}"]


def device_uid(context: Context) -> str:
    """Another one whenever the card, the weights or ReadFirst change."""
    return context.uid("device")


def contributing_equipment(context: Context) -> Any:
    """Item of the Contributing Equipment Sequence (0018,A001), PS3.3 C.12.1."""
    item = hd.ContributingEquipment(
        manufacturer=MANUFACTURER,
        purpose_of_reference=codes.coded(codes.PROCESSING_EQUIPMENT),
        manufacturer_model_name=context.card.name,
        software_versions=software_versions(context),
        contribution_description=f"{context.card.title[:900]}. {RESEARCH}",
    )
    item.ContributionDateTime = context.now.strftime("%Y%m%d%H%M%S%z")
    item.DeviceUID = device_uid(context)
    return item


def device_observer(context: Context) -> Any:
    """TID 1001 with TID 1004: the observer is this device."""
    return hd.sr.ObservationContext(observer_device_context=device_context(context))


def device_context(context: Context) -> Any:
    """TID 1002 of a device."""
    attributes = hd.sr.DeviceObserverIdentifyingAttributes(
        uid=device_uid(context),
        name=f"{MANUFACTURER} {context.card.name} {context.card.version}",
        manufacturer_name=MANUFACTURER,
        model_name=context.card.name,
    )
    return hd.sr.ObserverContext(observer_type=codes.coded(codes.DEVICE), observer_identifying_attributes=attributes)


def algorithm(context: Context, parameters: Sequence[str] = ()) -> Any:
    """TID 4019 Algorithm Identification."""
    card = context.card
    family = codes.coded(codes.ALGORITHM_FAMILIES[card.algorithm])
    return hd.sr.AlgorithmIdentification(card.name, card.version, list(parameters) or None, family, MANUFACTURER)


def segment_algorithm(context: Context, label: Label) -> Any:
    """Item of Segmentation Algorithm Identification Sequence (0062,0007)."""
    card = context.card
    parameters = {"method": method(context), "threshold": label.region_rule.removeprefix(">= ")}
    family = codes.coded(codes.ALGORITHM_FAMILIES[card.algorithm])
    return hd.AlgorithmIdentificationSequence(card.name, family, card.version, MANUFACTURER, parameters)


def method(context: Context) -> str:
    """How regions are found, in words."""
    return LOCALIZERS.get(context.card.localizer).maps


def region_parameters(context: Context, label: Label) -> tuple[str, str]:
    """What decided that a region was drawn and where it ends."""
    decision = f"{context.card.quantity} threshold {label.operating_point:g}"
    if context.card.activation == "softmax":
        decision = f"highest {context.card.quantity} of {len(context.card.labels)} exclusive classes"
    if context.card.activation == "ordinal":
        decision = f"median of {len(context.card.labels)} ordinal grades"
    return f"{method(context)} {label.region_rule} (raw scale)", decision


def sign(dataset: Dataset, context: Context) -> None:
    """Write who made an object and when into it, in place; all of it known beforehand, nothing from the clock.

    highdicom puts the clock's time into Instance Creation and into an item for itself: two runs would differ.
    """
    acquired = [
        item
        for item in dataset.get("ContributingEquipmentSequence", [])
        if item.PurposeOfReferenceCodeSequence[0].CodeValue != codes.PROCESSING_EQUIPMENT.value
    ]
    dataset.ContributingEquipmentSequence = [*acquired, contributing_equipment(context)]
    dataset.Manufacturer = MANUFACTURER
    dataset.ManufacturerModelName = context.card.name
    dataset.SoftwareVersions = software_versions(context)
    dataset.DeviceSerialNumber = context.digest[:16]
    dataset.DeviceUID = device_uid(context)
    dataset.InstanceCreationDate = dataset.ContentDate = context.now.strftime("%Y%m%d")
    dataset.InstanceCreationTime = dataset.ContentTime = context.now.strftime("%H%M%S")
    dataset.ContentQualification = "RESEARCH"
    dataset.CodingSchemeIdentificationSequence = [codes.scheme_identification()]


def series_description(context: Context, what: str) -> str:
    """It begins with AI and research; LO, 64 characters."""
    return f"AI research: {what}, {context.card.name} {context.card.version}"[:64]
