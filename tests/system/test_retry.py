"""`readfirst retry` after a repair, on a running node: what our own checks kept back is made, checked and sent."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.uid import SegmentationStorage

from tests.system.test_up import SAMPLES, Up

FAULTY = """
import sys
from pathlib import Path

class Faulty:
    def find_spec(self, name, path=None, target=None):
        if name == "workers.gate.gate":
            sys.meta_path.remove(self)
            from pydicom.uid import SegmentationStorage
            from workers.gate import rules
            holds = lambda _dataset: not Path({flag!r}).exists()
            rules.RULES = (*rules.RULES, rules.Requirement(SegmentationStorage, holds, "It is broken."))

sys.meta_path.insert(0, Faulty())
"""  # a rule of the gate that is wrong while a file is there: it is read by each process of the node


def test_what_was_kept_back_is_sent_after_the_repair(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flag, out = tmp_path / "faulty", tmp_path / "out"
    flag.touch()
    (tmp_path / "sitecustomize.py").write_text(FAULTY.format(flag=str(flag)))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    peer = f'[peers.archive]\nfolder = "{out}"\nreceive = ["results"]\n[models]\npackages = ["chest-xray"]\n'
    up = Up(tmp_path, peer)
    try:
        up.push(SAMPLES / "chest-xray-effusion")
        up.finish(1)
        story = up.story("chest-xray-effusion")
        uid, kept = story["study_instance_uid"], story["objects_quarantined"]
        assert kept >= 1 and segmentations(out) == []
        shown = up.readfirst("study", uid, "--config", str(up.config)).stdout
        assert f"after its repair `readfirst retry {uid}` makes and checks them again" in " ".join(shown.split())
        sent = {path.name for path in out.rglob("*.dcm")}
        flag.unlink()
        done = up.readfirst("retry", uid, "--config", str(up.config))
        assert "analysis queued again" in done.stdout, done.stderr
        up.until(lambda: up.story("chest-xray-effusion")["objects_quarantined"] == 0)
        up.finish(1)
        assert len(segmentations(out)) == kept
        assert sent < {path.name for path in out.rglob("*.dcm")}
        again = up.readfirst("retry", uid, "--config", str(up.config))
        assert again.returncode == 1 and "nothing kept back" in again.stderr
    finally:
        up.end()


def segmentations(folder: Path) -> list[Path]:
    headers = ((path, dcmread(path, stop_before_pixels=True)) for path in folder.rglob("*.dcm"))
    return [path for path, header in headers if header.SOPClassUID == SegmentationStorage]
