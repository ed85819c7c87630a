from __future__ import annotations

import pytest
from pydicom import Dataset

from workers.inputs.patients import by_patient, mixed, named


def header(patient_id: str | None, name: str = "A^B", birth_date: str = "19700101", issuer: str = "") -> Dataset:
    dataset = Dataset()
    dataset.PatientName, dataset.PatientBirthDate, dataset.IssuerOfPatientID = name, birth_date, issuer
    dataset.SOPInstanceUID = "1.2.3"
    if patient_id is not None:
        dataset.PatientID = patient_id
    return dataset


@pytest.mark.parametrize(
    ("headers", "counts"),
    [
        ([], []),
        ([header("1"), header("1", name="Other^Name")], [2]),
        ([header("1"), header("2"), header("1")], [2, 1]),
        ([header("a"), header("A")], [1, 1]),
        ([header("1", issuer="X"), header("1", issuer="Y"), header("1")], [2, 1]),
        ([header("1", issuer="X"), header("1")], [2]),
        ([header("1"), header("")], [2]),
        ([header(None), header("1")], [2]),
        ([header("1"), header("", name="C^D")], [1, 1]),
        ([header("1", birth_date=""), header("", birth_date="")], [1, 1]),
        ([header(""), header("", name="C^D"), header(None)], [2, 1]),
        ([header("", name="", birth_date=""), header(None, name="", birth_date="")], [2]),
    ],
)
def test_two_patient_ids_are_two_patients(headers: list[Dataset], counts: list[int]) -> None:
    found = by_patient(headers)
    assert [len(own) for own in found] == counts
    assert bool(mixed(found)) == (len(counts) > 1)


def test_the_remark_and_the_names_say_nothing_of_the_patients() -> None:
    found = by_patient([header("4711"), header("4712")])
    assert mixed(found)[0].startswith("the study holds images of 2 patients (1 and 1 instances with different")
    assert "471" not in mixed(found)[0]
    assert [name for name, _ in named(found)] == ["", "/1.2.3"]
    assert named(()) == (("", ()),)
