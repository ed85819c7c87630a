from __future__ import annotations

from datetime import timedelta

import pytest

from tests.workers import results_phantoms as phantoms
from workers.dicom.uids import Context, derive


def test_the_same_input_gives_the_same_uid_in_whatever_order_it_came() -> None:
    first = derive("statement", "1.2.3", "1.2.4", digest="d", version="1")
    assert first == derive("statement", "1.2.4", "1.2.3", "1.2.4", digest="d", version="1")


def test_a_uid_is_fixed_for_ever() -> None:
    """Results that were sent long ago keep their UIDs: a change here sends every study's results a second time."""
    assert derive("statement", "1.2.3", digest="d", version="1") == "2.25.123979309587112708221035530448687190010"
    of_study = derive("statement", "1.2.3", digest="d", version="1", study="1.2")
    assert of_study == "2.25.260059716134893064980847519314056770927"


@pytest.mark.parametrize(
    ("kind", "sources", "digest", "version", "study"),
    [
        ("regions", ("1.2.3",), "d", "1", "1.2"),
        ("statement", ("1.2.3", "1.2.4"), "d", "1", "1.2"),
        ("statement", ("1.2.3",), "e", "1", "1.2"),
        ("statement", ("1.2.3",), "d", "2", "1.2"),
        ("statement", ("1.2.3",), "d", "1", "1.3"),
        ("statement", ("1.2.3",), "d", "1", ""),
    ],
)
def test_whatever_changes_a_result_changes_its_uid(
    kind: str, sources: tuple[str, ...], digest: str, version: str, study: str
) -> None:
    changed = derive(kind, *sources, digest=digest, version=version, study=study)
    assert changed != derive("statement", "1.2.3", digest="d", version="1", study="1.2")
    assert changed.is_valid
    assert len(changed) <= 64


def test_a_context_names_its_package_and_forgets_the_time() -> None:
    image, volume = phantoms.context("image"), phantoms.context("volume")
    later = Context(image.card, image.digest, image.version, image.now + timedelta(days=1))
    assert image.uid("device") == later.uid("device")
    assert image.uid("device") != volume.uid("device")


def test_the_same_instance_in_two_studies_has_results_of_its_own_and_one_device() -> None:
    one, other = (phantoms.context("image", study_instance_uid=study) for study in ("1.2", "1.3"))
    assert one.uid("statement/instance", "1.2.3") != other.uid("statement/instance", "1.2.3")
    assert one.uid("device") == other.uid("device") == phantoms.context("image").uid("device")
