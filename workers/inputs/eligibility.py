"""Why a model may not see an instance, by its header alone: one check a function, each returns a reason or None.

A reason is read by people and written to logs: it quotes code strings and single words, never free text of a patient.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from pydicom.datadict import dictionary_description
from pydicom.dataset import Dataset
from pydicom.uid import UID

from workers.dicom.attributes import items, number, photometric, text, words
from workers.inputs.colour import is_colour
from workers.inputs.frames import ENHANCED_CT, is_enhanced
from workers.inputs.storage import COLOURED, SECONDARY, SECONDARY_CAPTURE, STORAGE, image_classes
from workers.inputs.views import WORDS as VIEW_WORDS
from workers.inputs.views import view_refusal

if TYPE_CHECKING:
    from models.card import Input

OURS = "READFIRST"
OUR_OWN = "our own result"
HUMAN = frozenset({("337915000", "SCT"), ("L-85B00", "SRT"), ("L-85B00", "SNM3")})  # CID 7454, homo sapiens
RADIOGRAPHS = {STORAGE + "1": "CR", STORAGE + "1.1": "DX"}
OF_RADIOGRAPHS = frozenset({"CR", "DX", "DR", "RG", "XR", "CXR", "XRAY", "OT"})  # words that deny no radiograph
READ = {"CT": frozenset({STORAGE + "2"}) | ENHANCED_CT, "MR": frozenset({STORAGE + "4"})}  # as volumes, by Modality
# SOP classes of PS3.4 B.5 that are no acquired image, by the beginning of what follows STORAGE; the first that fits.
NO_IMAGE = (
    (("88.67", "88.68", "88.76"), "dose report"),
    (("88.59",), "key object selection"),
    (("88.",), "structured report"),
    (("11.",), "presentation state"),
    (("66.4", "66.7", "66.8"), "segmentation"),
    (("66", "67"), "registration or raw data"),
    (("30",), "parametric map"),
    (("481.",), "radiotherapy object"),
    (("104.",), "encapsulated document"),
    (("7",), "secondary capture"),
    (("9.",), "waveform"),
    (("1.1.1",), "unprocessed image (FOR PROCESSING)"),
)
RECONSTRUCTED = frozenset(
    {"MIP", "MINIP", "MPR", "PROJECTION IMAGE", "VOLUME RENDERED", "VRT", "SSD", "REFORMATTED", "AVERAGE", "RESAMPLED"}
)
DESCRIPTIONS = ("SeriesDescription", "ProtocolName", "AcquisitionDeviceProcessingDescription", "StudyDescription")
INSTITUTIONS = ("InstitutionName", "InstitutionalDepartmentName")
ANIMAL = re.compile(r"\b(CANINE|FELINE|EQUINE|MURINE|RODENT|DOGS?|ANIMALS?|VETERINAR\w*|TIER[AÄ]RZT\w*|KLEINTIER\w*)\b")
CHEST = frozenset({"CHEST", "THORAX", "LUNG"})
CHEST_WORDS = CHEST | {"LUNGS", "TORAX", "CXR", "POUMON", "POUMONS", "LUNGE"}
OTHER_PARTS = frozenset(
    {"HEAD", "BRAIN", "SKULL", "NECK", "SINUS", "ABDOMEN", "PELVIS", "HIP", "SPINE", "FEMUR"}
    | {"HAND", "FOOT", "KNEE", "SHOULDER", "ELBOW", "WRIST", "ANKLE"}
)


def refusal(dataset: Dataset, rules: Input) -> str | None:
    """The first reason why a model of these rules may not see the instance, or None."""
    return next((reason for check in CHECKS if (reason := check(dataset, rules))), None)


def _our_own(dataset: Dataset, _: Input) -> str | None:
    """By its maker, or where a PACS coerced that, by the versions: we write our own name into them."""
    equipment = (dataset, *items(dataset, "ContributingEquipmentSequence"))
    makers = {text(one, "Manufacturer") for one in equipment}
    versions = [word for one in equipment for word in words(one, "SoftwareVersions")]
    return OUR_OWN if OURS in makers or any(word.startswith(f"{OURS} ") for word in versions) else None


def _no_image(dataset: Dataset, rules: Input) -> str | None:
    if _captured(dataset, rules):
        return None
    rest = text(dataset, "SOPClassUID").removeprefix(STORAGE)
    return next((reason for beginnings, reason in NO_IMAGE if _begins(rest, beginnings)), None)


def _captured(dataset: Dataset, rules: Input) -> bool:
    """Whether it is a secondary capture, and the model reads those."""
    return SECONDARY_CAPTURE in rules.modalities and text(dataset, "SOPClassUID") in SECONDARY


def _begins(rest: str, beginnings: tuple[str, ...]) -> bool:
    return any(rest == one or rest.startswith(one if one.endswith(".") else one + ".") for one in beginnings)


def modality_of(dataset: Dataset) -> str:
    """Modality, where a device has its own word for a radiograph the one of its SOP class (OHDSI/ImageWG#11: DR)."""
    written, sop_class_uid = text(dataset, "Modality"), text(dataset, "SOPClassUID")
    return RADIOGRAPHS.get(sop_class_uid, written) if written in OF_RADIOGRAPHS else written


def _modality(dataset: Dataset, rules: Input) -> str | None:
    modality = modality_of(dataset)
    if modality in rules.modalities or _captured(dataset, rules):
        return None
    return f"modality {modality or 'unknown'}, the model reads {' and '.join(rules.modalities)}"


def _class(dataset: Dataset, rules: Input) -> str | None:
    sop_class_uid = text(dataset, "SOPClassUID")
    of_volumes = rules.kind == "volume"
    read = {uid for one in rules.modalities for uid in (READ.get(one, ()) if of_volumes else image_classes(one))}
    return None if sop_class_uid in read else f"{UID(sop_class_uid).name} is not read by this model"


def _species(dataset: Dataset, _: Input) -> str | None:
    description = text(dataset, "PatientSpeciesDescription")
    if description and not re.search(r"\bHUMAN\b|HOMO SAPIENS", description):
        return f"not a human (Patient Species {description[:40]})"
    for item in items(dataset, "PatientSpeciesCodeSequence"):
        if (text(item, "CodeValue"), text(item, "CodingSchemeDesignator")) not in HUMAN:
            return f"not a human (Patient Species {text(item, 'CodeMeaning')[:40]})"
    for keyword in ("PatientBreedDescription", "PatientSexNeutered"):
        if text(dataset, keyword):
            return f"not a human ({dictionary_description(keyword)} is given)"
    if items(dataset, "PatientBreedCodeSequence") or text(dataset, "ResponsiblePersonRole") == "OWNER":
        return "not a human (a breed or an owner is given)"
    return None


def _animal_words(dataset: Dataset, _: Input) -> str | None:
    for keyword in DESCRIPTIONS + INSTITUTIONS:
        found = ANIMAL.search(text(dataset, keyword))
        if found:
            return f"not a human ({dictionary_description(keyword)}: {found.group()})"
    meanings = (text(item, "CodeMeaning") for item in items(dataset, "PerformedProtocolCodeSequence"))
    found = ANIMAL.search(" ".join(meanings))
    return f"not a human (Performed Protocol: {found.group()})" if found else None


def _body_part(dataset: Dataset, rules: Input) -> str | None:
    if not rules.body_parts:
        return None
    wanted = set(rules.body_parts) | (CHEST_WORDS if CHEST & set(rules.body_parts) else set())
    regions = " ".join(text(item, "CodeMeaning") for item in items(dataset, "AnatomicRegionSequence"))
    part = text(dataset, "BodyPartExamined") or regions
    if part:
        return None if _is_part(part, wanted, rules.kind) else f"body part {part[:40]}"
    found = set(re.findall(r"\w+", " ".join(text(dataset, keyword) for keyword in DESCRIPTIONS)))
    other = sorted(found & OTHER_PARTS)
    if found & wanted:
        return None
    return f"body part {other[0]}" if other else None if rules.kind == "volume" else "body part unknown"


def of_chest(dataset: Dataset) -> bool:
    """Whether Body Part Examined names the chest; where it names nothing a radiograph or CT is taken for one."""
    part = text(dataset, "BodyPartExamined")
    return any(word in part for word in CHEST_WORDS) if part else modality_of(dataset) in ("CR", "DX", "CT")


def _is_part(part: str, wanted: set[str], kind: str) -> bool:
    """An image shows the wanted part alone ("CHEST PA"); a volume may hold more ("CHESTABDOMEN")."""
    if kind == "volume":
        return any(word in part for word in wanted)
    tokens = set(re.findall(r"[^\W_]+", part)) - set(VIEW_WORDS)
    return bool(tokens & wanted) and not tokens & (OTHER_PARTS - wanted)


def _image_type(dataset: Dataset, rules: Input) -> str | None:
    image_type = words(dataset, "ImageType")
    if "LOCALIZER" in image_type:
        return "localizer"
    rebuilt = sorted(RECONSTRUCTED & set(image_type))
    if rules.kind == "volume" and rebuilt:
        return f"derived reconstruction ({rebuilt[0]})"
    derived = image_type[:2] == ("DERIVED", "SECONDARY") and not _captured(dataset, rules)
    return "derived secondary image, such as a screen capture" if derived else None


def _presentation(dataset: Dataset, _: Input) -> str | None:
    unprocessed = text(dataset, "PresentationIntentType") == "FOR PROCESSING"
    return "unprocessed image (FOR PROCESSING)" if unprocessed else None


def _view(dataset: Dataset, rules: Input) -> str | None:
    return view_refusal(dataset, rules.views) if rules.kind == "image" else None


def _pixels(dataset: Dataset, rules: Input) -> str | None:
    if number(dataset, "SamplesPerPixel", 1) != 1 or not photometric(dataset).startswith("MONO"):
        read = is_colour(dataset) and text(dataset, "SOPClassUID") in COLOURED
        if not read or rules.windows:
            return "colour image"
    if number(dataset, "NumberOfFrames", 1) > 1 and not is_enhanced(dataset):
        return "image of several frames"
    rows, columns = int(number(dataset, "Rows", 0)), int(number(dataset, "Columns", 0))
    low = rules.smallest_rows_columns
    if rows >= low[0] and columns >= low[1]:
        return None
    return f"only {rows} x {columns} pixels, at least {low[0]} x {low[1]} are needed"


CHECKS: tuple[Callable[[Dataset, Input], str | None], ...] = (
    _our_own,
    _no_image,
    _modality,
    _class,
    _species,
    _animal_words,
    _body_part,
    _image_type,
    _presentation,
    _view,
    _pixels,
)
