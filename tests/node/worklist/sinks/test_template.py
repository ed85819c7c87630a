"""Templates: what an administrator may write, and the sentence for what not."""

from __future__ import annotations

from pathlib import Path

import pytest

from node.errors import ConfigurationError
from node.worklist.sinks.template import MESSAGES, SHIPPED, Template

HEAD = "MSH\n    10  {{ control_id }}\n"


def rendered(tmp_path: Path, text: str, **values: object) -> list[str]:
    file = tmp_path / "site.hl7"
    file.write_text(text)
    return Template("ORM^O01", file).render({"control_id": "C1"} | values).split("\r")


def test_places_are_hl7s_own_numbers(tmp_path: Path) -> None:
    text = HEAD + "ZAB\n  1 one\n  3.2 two\n  4.2.3 three\n  5[2].1 four\n  5 five\n"
    assert rendered(tmp_path, text)[1] == "ZAB|one||^two|^&&three|five~four"


def test_msh_counts_its_separator(tmp_path: Path) -> None:
    assert rendered(tmp_path, HEAD + "  3 APP\n  9 ORM^O01\n") == ["MSH|^~\\&|APP||||||ORM^O01|C1", ""]


def test_values_are_escaped_and_the_templates_own_text_is_not(tmp_path: Path) -> None:
    text = HEAD + "NTE\n  3 a^b {{ it }}\n"
    assert rendered(tmp_path, text, it="x|y^z&~\\ \r\nPID|1")[1] == "NTE|||a^b x\\F\\y\\S\\z\\T\\\\R\\\\E\\   PID\\F\\1"


def test_what_is_empty_is_left_out(tmp_path: Path) -> None:
    text = HEAD + "{# a comment #}\n\nZZ1\n  1 {{ none }}\n  2\nZZ2\n  1 x\n  9 {{ none }}\n"
    assert rendered(tmp_path, text, none="")[1:] == ["ZZ2|x", ""]


def test_conditions_and_repeated_segments(tmp_path: Path) -> None:
    text = (
        HEAD
        + "{% for one in many %}\nOBX\n  1 {{ loop.index }}\n{% if one %}\n  5 {{ one }}\n{% endif %}\n{% endfor %}\n"
    )
    assert rendered(tmp_path, text, many=["a", ""])[1:] == ["OBX|1||||a", "OBX|2", ""]


def test_a_sites_template_may_include_a_shipped_part(tmp_path: Path) -> None:
    patient = {"id": "1", "issuer": "", "names": [], "birth_date": "", "sex": ""}
    assert rendered(tmp_path, HEAD + '{% include "patient" %}\n', patient=patient)[1] == "PID|1||1"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "the first segment must be MSH"),
        ("PID\n  1 1\n", "the first segment must be MSH"),
        (HEAD + "what is this\n", "neither a segment's name nor a place"),
        (HEAD + "  x 1\n", "neither a segment's name nor a place"),
        (HEAD + "  3 {{ nobody }}\n", "'nobody' is undefined"),
        (HEAD + "  3 {{ control_id.x.y }}\n", "has no attribute"),
        (HEAD + "{% if %}\n", "is no template"),
        (HEAD + "  3 {{ ''.__class__.__mro__ }}\n", "unsafe"),
        (HEAD + '{% include "/etc/passwd" %}\n', "cannot be filled in"),
        (HEAD + "  3 {{ 1 / 0 }}\n", "division by zero"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(ConfigurationError, match=says) as caught:
        rendered(tmp_path, text)
    assert "site.hl7" in str(caught.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"worklist\.hl7\.template: .*nowhere\.hl7 cannot be read"):
        Template("ORM^O01", tmp_path / "nowhere.hl7")


def test_each_kind_of_message_has_its_shipped_template() -> None:
    assert {path.name for path in SHIPPED.iterdir()} == {*MESSAGES.values(), "patient"}
