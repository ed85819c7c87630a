"""Whose the instances of a study are. Devices and merges put two patients under one Study Instance UID.

No volume, no document and no finding is made of the images of two: each patient's images are analysed by themselves,
and their results carry the identity that those images carry, so that a PACS files them where it filed the images. None
is left out, since nobody here can know which of the two is the right one, and an urgent finding counts for either.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from pydicom import Dataset

Patients = tuple[tuple[Dataset, ...], ...]


@dataclass(frozen=True, slots=True)
class _Identity:
    """Exactly as written, but for padding: Patient IDs that differ in anything are two patients to a PACS."""

    patient_id: str
    issuer: str
    name: str
    birth_date: str

    @property
    def known_by_name(self) -> bool:
        return bool(self.name.strip("^= ") and self.birth_date)


def by_patient(headers: Sequence[Dataset]) -> Patients:
    """The headers of each patient, in their order.

    Two are one patient's where Patient ID and issuer are the same; an issuer that is missing contradicts none of the
    same ID. One without Patient ID is taken for a patient only by the same name and date of birth.
    """
    identities = [_identity(header) for header in headers]
    issuers: dict[str, set[str]] = defaultdict(set)
    named: dict[tuple[str, str], _Identity] = {}
    for one in identities:
        if one.patient_id:
            issuers[one.patient_id] |= {one.issuer} - {""}
            named.setdefault((one.name, one.birth_date), one)
    groups: dict[tuple[str, ...], list[Dataset]] = {}
    for header, one in zip(headers, identities, strict=True):
        known = one
        if not one.patient_id and one.known_by_name:
            known = named.get((one.name, one.birth_date), one)
        groups.setdefault(_key(known, issuers[known.patient_id]), []).append(header)
    return tuple(map(tuple, groups.values()))


def mixed(patients: Patients) -> tuple[str, ...]:
    """The remark on a study of several patients; none on any other. It names none of them."""
    if len(patients) < 2:
        return ()
    counts = " and ".join(str(len(own)) for own in patients)
    return (
        f"the study holds images of {len(patients)} patients ({counts} instances with different Patient IDs): each was "
        "analysed by itself and has its own results; whose the study is must be cleared up in the PACS",
    )


def named(patients: Patients) -> tuple[tuple[str, tuple[Dataset, ...]], ...]:
    """Each patient's headers with a part of their results' UIDs.

    It is empty for the first, whose results stay the same when a second patient's images arrive late, else the first
    SOP Instance UID.
    """
    if not patients:
        return (("", ()),)
    first, *others = patients
    return (("", first), *((f"/{min(str(one.SOPInstanceUID) for one in own)}", own) for own in others))


def _key(one: _Identity, issuers: set[str]) -> tuple[str, ...]:
    if not one.patient_id:
        return ("", one.name, one.birth_date)
    return (one.patient_id, (one.issuer or min(issuers)) if len(issuers) > 1 else "")


def _identity(header: Dataset) -> _Identity:
    keywords = ("PatientID", "IssuerOfPatientID", "PatientName", "PatientBirthDate")
    patient_id, issuer, name, birth_date = (str(header.get(keyword) or "").strip() for keyword in keywords)
    return _Identity(patient_id, issuer, name, birth_date)
