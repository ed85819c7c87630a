"""How long certificates are good, held against what openssl says of them."""

from __future__ import annotations

import ssl
import subprocess
import time
from pathlib import Path

import pytest

from node.errors import ConfigurationError
from node.tls.certificates import _seconds, ends, warnings
from tests.node.authority import Authority

DAY = 86400.0


@pytest.mark.parametrize("rsa", [False, True])
def test_the_end_is_that_which_openssl_reads(tmp_path: Path, *, rsa: bool) -> None:
    path = Authority(tmp_path / "a").issue(days=77, rsa=rsa).certificate
    said = subprocess.run(
        ["openssl", "x509", "-in", path, "-noout", "-enddate"], check=True, capture_output=True, text=True
    ).stdout
    assert ends(path) == ssl.cert_time_to_seconds(said.strip().removeprefix("notAfter="))


def test_of_a_chain_the_first_end_counts(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "a")
    long, short = authority.issue("long", days=90), authority.issue("short", days=9)
    chain = tmp_path / "chain.pem"
    chain.write_text("words before\n" + long.certificate.read_text() + short.certificate.read_text())
    assert ends(chain) == ends(short.certificate) < ends(long.certificate)


def test_a_year_after_2049_is_written_with_four_digits(tmp_path: Path) -> None:
    path = Authority(tmp_path / "a").issue(days=40 * 366).certificate
    assert abs(ends(path) - time.time() - 40 * 366 * DAY) < DAY
    assert _seconds("500101000000Z", two_digits=True) < 0 < _seconds("491231235959Z", two_digits=True)  # RFC 5280


def test_what_ends_soon_or_is_over_is_said(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "a")
    files = {
        key: authority.issue(key, days=days).certificate for key, days in (("good", 90), ("soon", 9), ("over", -1))
    }
    said = dict(warnings(files, time.time()))
    assert said.keys() == {False, True}
    assert said[False].startswith("soon: ") and "in 9 days: put a new one there" in said[False]
    assert said[True].startswith("over: ") and "ended on" in said[True]


@pytest.mark.parametrize("content", ["", "no PEM", "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"])
def test_what_is_no_certificate_is_named(tmp_path: Path, content: str) -> None:
    (path := tmp_path / "c.pem").write_text(content)
    with pytest.raises(ConfigurationError, match=r"c\.pem"):
        ends(path)
