"""How the viewer comes into its cache."""

from __future__ import annotations

from pathlib import Path

import ohif
import pytest


def test_another_package_than_the_one_that_was_tried_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(ohif, "INTEGRITY", "sha512-" + 86 * "A" + "==")
    try:
        with pytest.raises(RuntimeError, match="it is not used"):
            ohif.install()
    except ohif.UnreachableError as error:
        pytest.skip(str(error))
    assert list((tmp_path / "readfirst").iterdir()) == []


def test_without_npm_the_reason_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ohif.UnreachableError, match="npm is not installed"):
        ohif.install()
