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


@pytest.mark.parametrize(
    ("kind", "sources", "digest", "version"),
    [
        ("regions", ("1.2.3",), "d", "1"),
        ("statement", ("1.2.3", "1.2.4"), "d", "1"),
        ("statement", ("1.2.3",), "e", "1"),
        ("statement", ("1.2.3",), "d", "2"),
    ],
)
def test_whatever_changes_a_result_changes_its_uid(
    kind: str, sources: tuple[str, ...], digest: str, version: str
) -> None:
    changed = derive(kind, *sources, digest=digest, version=version)
    assert changed != derive("statement", "1.2.3", digest="d", version="1")
    assert changed.is_valid
    assert len(changed) <= 64


def test_a_context_names_its_package_and_forgets_the_time() -> None:
    image, volume = phantoms.context("image"), phantoms.context("volume")
    later = Context(image.card, image.digest, image.version, image.now + timedelta(days=1))
    assert image.uid("device") == later.uid("device")
    assert image.uid("device") != volume.uid("device")
