from __future__ import annotations

from pathlib import Path

import pytest

from node.errors import ReadFirstError
from node.sending.command import _progress, find_dicom, parse_address
from tests.node.phantoms import PREAMBLE, image, save


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("PACS@127.0.0.1:104", "127.0.0.1", 104),
        ("PACS@pacs.ward:1", "pacs.ward", 1),
        ("PACS@[::1]:9", "::1", 9),
    ],
)
def test_an_address_names_a_peer(text: str, host: str, port: int) -> None:
    peer = parse_address(text)
    assert (peer.ae_title, peer.host, peer.port) == ("PACS", host, port)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "PACS",
        "PACS@host",
        "host:104",
        "@host:104",
        "PACS@:104",
        "PACS@h:0",
        "PACS@h:65536",
        "SEVENTEEN_LETTERS@h:1",
    ],
)
def test_what_is_no_address_is_quoted(text: str) -> None:
    with pytest.raises(ReadFirstError, match="write AET@HOST:PORT") as error:
        parse_address(text)
    assert f"--to {text}:" in str(error.value)


def test_instances_are_found_below_folders_and_others_counted(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    second, first = save(tmp_path / "b" / "no_suffix", image()), save(tmp_path / "a.dcm", image("1.2.3"))
    (tmp_path / "readme.txt").write_text("hello")
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "head_only").write_bytes(PREAMBLE)
    save(tmp_path / "DICOMDIR", image(), sop_class_uid="1.2.840.10008.1.3.10")
    assert find_dicom([tmp_path]) == ([first, second], 4)
    assert find_dicom([second]) == ([second], 0)


def test_a_path_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(ReadFirstError, match=r"there is no .*nowhere"):
        find_dicom([tmp_path / "nowhere"])


def test_progress_without_a_terminal_is_a_plain_line_now_and_then(capsys: pytest.CaptureFixture[str]) -> None:
    with _progress(2, seconds=0.0) as advance:
        advance()
        advance()
    assert capsys.readouterr().err == "sending: 1 of 2 instances\nsending: 2 of 2 instances\n"
    with _progress(1, seconds=0.0) as advance:
        advance()
    assert capsys.readouterr().err == "sending: 1 of 1 instance\n"
    with _progress(1, seconds=10.0) as advance:
        advance()
    assert capsys.readouterr().err == ""
