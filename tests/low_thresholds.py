"""The shipped package for chest radiographs with thresholds that every image reaches, for tests of what follows."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

NAME = "chest-xray"
_THRESHOLDS = re.compile(r"^(operating_point|saliency_threshold) = .*$", re.MULTILINE)


def write_package(zoo: Path, parent: Path) -> None:
    """Copy the zoo's package below `parent`: all findings are present, with regions where their maps are above 0."""
    package = Path(shutil.copytree(zoo / NAME, parent / NAME))
    card = package / "card.toml"
    changed, count = _THRESHOLDS.subn(r"\1 = 1e-9", card.read_text(encoding="utf-8"))
    assert count, f"{card} has no thresholds"
    card.write_text(changed, encoding="utf-8")
