"""UIDs of results, derived and never random: the same input gives the same instances."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pydicom import Dataset
from pydicom.uid import UID

from models.card import Card

# Fixed for ever: changing it would give every result ever sent another UID.
NAMESPACE = uuid.uuid5(uuid.NAMESPACE_DNS, "readfirst.results")


def derive(kind: str, *source_sop_instance_uids: str, digest: str, version: str, study: str = "") -> UID:
    """A UID below 2.25 (PS3.5 B.2) that depends on nothing but the arguments.

    Parameters
    ----------
    kind
        What is named, for example ``"segmentation/instance"`` or ``"tracking/Nodule/1"``.
    source_sop_instance_uids
        The instances that the result was made from; their order and repetitions do not matter.
    digest
        The model package's digest (card and weights).
    version
        ReadFirst's own version.
    study
        The Study Instance UID: devices send one SOP Instance UID in two studies, and each has its own results. Empty:
        what is named is of no study.
    """
    sources = sorted({str(source) for source in source_sop_instance_uids})
    parts = [kind, sources, digest, version, *([study] if study else [])]
    name = json.dumps(parts, separators=(",", ":"))
    return UID(f"2.25.{uuid.uuid5(NAMESPACE, name).int}")


@dataclass(frozen=True, slots=True, eq=False)
class Context:
    """What a result contains beside the findings, and what its identity depends on.

    Attributes
    ----------
    card, digest
        The model package's card and its digest.
    version
        ReadFirst's version.
    now
        The content's date and time: when the study was received, not the clock, so that a repeated run gives the same
        bytes.
    headers
        Headers of the study's instances, without pixels, also of those left out; they name left-out images for people.
    study_instance_uid
        The study's, part of each result's identity.
    language, font
        Of text that is drawn or printed: "en" or "zh", and the font's file (None: DejaVu Sans).
    """

    card: Card
    digest: str
    version: str
    now: datetime
    headers: tuple[Dataset, ...] = ()
    study_instance_uid: str = ""
    language: str = "en"
    font: Path | None = None

    def uid(self, kind: str, *source_sop_instance_uids: str) -> UID:
        """`derive` with this context's package name, digest and version; another language gives another UID.

        The device is the same in every language and for every study.
        """
        sources = source_sop_instance_uids
        language = "" if self.language == "en" or kind == "device" else f"@{self.language}"
        study = "" if kind == "device" else self.study_instance_uid
        name = f"{self.card.name}/{kind}{language}"
        return derive(name, *sources, digest=self.digest, version=self.version, study=study)
