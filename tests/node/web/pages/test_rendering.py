from __future__ import annotations

import pytest

from node.web.pages.rendering import percent, person, shown, waited


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("DOE^JANE^A^DR^PHD", "DOE, DR JANE A PHD"),
        ("DOE", "DOE"),
        ("", "(no name)"),
        ("^JANE", "JANE"),
        ("Yamada^Tarou=山田^太郎=やまだ^たろう", "Yamada, Tarou (山田, 太郎, やまだ, たろう)"),
        ("A^B^C^D^E^F^G", "A, D B C E"),
    ],
)
def test_a_name_is_written_for_people(name: str, said: str) -> None:
    assert person(name) == said


def test_what_reorders_or_controls_is_shown_as_such() -> None:
    assert shown("a\u202eb\x00c\u2066d\n") == "a�b�c�d�"
    assert person("EV\u202eIL^X") == "EV�IL, X"
    assert shown("Tést Ä 山 <b>") == "Tést Ä 山 <b>"  # the template escapes


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(-3, "0 s"), (59.9, "59 s"), (60, "1 min"), (3599, "59 min"), (3900, "1 h 05 min"), (90000, "1 d 1 h")],
)
def test_how_long_somebody_waits(seconds: float, said: str) -> None:
    assert waited(seconds) == said


@pytest.mark.parametrize(
    ("value", "said"),
    [(0.0, "0.0 %"), (0.0004, "< 0.1 %"), (0.0967, "9.7 %"), (0.9999, "> 99.9 %"), (1.0, "100.0 %")],
)
def test_a_probability_is_never_rounded_to_certainty(value: float, said: str) -> None:
    assert percent(value).replace("\u00a0", " ") == said
