"""A package tried without a node: from a network to checked objects, by Python and by the command."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

import pytest
import readfirst
import torch
from pydicom import dcmread
from torch import nn
from typer.testing import CliRunner

from models import packages
from tests.workers import study_phantoms
from workers.trial.cli import app
from workers.trial.trying import TrialFailed, try_package


def package(body_part: str = "WRIST") -> readfirst.Package:
    torch.manual_seed(0)
    body = nn.Conv2d(1, 4, 3, 4, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    made = readfirst.Package("wrist-fracture", nn.Sequential(*body, nn.Linear(4, 1)), licence="MIT", trained_on="none")
    made.input(modality=["DX", "CR"], body_part=body_part, size=(96, 64), mean=0.5, std=0.25)
    made.finding("Fracture", sct="125605004", site="74670003", urgency="HIGH")
    return made


def test_a_network_becomes_segmentation_and_report_of_its_own_body_part(tmp_path: Path) -> None:
    trial = package().test(out=tmp_path / "a" / "b" / "results")
    kinds = dict(trial.results)
    assert {"segmentation", "regions", "statement"} <= kinds.keys()
    assert not trial.faults
    assert "picture" in trial.findings[0].place
    report = str(dcmread(kinds["regions"]))
    assert "Wrist joint" in report
    assert "chest" not in report.lower()
    segments = dcmread(kinds["segmentation"]).SegmentSequence
    assert {one.SegmentedPropertyTypeCodeSequence[0].CodeValue for one in segments} == {"125605004"}


def test_a_real_file_is_read_by_the_cards_rules(tmp_path: Path) -> None:
    path = study_phantoms.radiograph(tmp_path, BodyPartExamined="WRIST")
    for given in (path, path.parent):
        (finding,) = package().test(given).findings
        assert finding.label == "Fracture"
    (tmp_path / "empty").mkdir()
    with pytest.raises(TrialFailed, match="empty is empty: give a folder"):
        package().test(tmp_path / "empty")
    with pytest.raises(readfirst.PackageError, match="not analysed, because: body part CHEST"):
        package().test(study_phantoms.radiograph(tmp_path, number=2))


def test_a_file_that_is_no_image_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.dcm").write_bytes(b"no DICOM")
    with pytest.raises(TrialFailed, match=r"a\.dcm cannot be read as a DICOM image"):
        package().test(tmp_path / "a.dcm")


def test_the_shipped_ct_package_passes_on_a_volume_of_shapes(tmp_path: Path) -> None:
    trial = try_package(packages.ZOO / "chest-ct", (), tmp_path / "study" / "results")
    assert not trial.faults
    assert "segmentation" in dict(trial.results)


def test_the_command_says_what_was_made_and_ends_with_1_where_something_is_wrong(tmp_path: Path) -> None:
    package().save(tmp_path / "wrist-fracture")
    options = ["--models", str(tmp_path), "--out", str(tmp_path / "trial")]
    done = CliRunner().invoke(app, ["test", "wrist-fracture", *options])
    assert done.exit_code == 0, done.output
    assert "segmentation: " in done.output
    assert done.output.endswith("wrist-fracture: every result passed all checks.\n")
    path = study_phantoms.radiograph(tmp_path)
    done = CliRunner().invoke(app, ["test", "wrist-fracture", str(path), *options])
    assert done.exit_code == 1
    assert "wrong: wrist-fracture: not analysed, because: body part CHEST" in done.output
    card = tmp_path / "wrist-fracture" / "card.toml"
    card.write_text(card.read_text().replace('manufacturer = "not given"', 'manufacturer = "ReadFirst"'))
    done = CliRunner().invoke(app, ["test", "wrist-fracture", *options])
    assert done.exit_code == 1
    assert "wrong: manufacturer is" in done.output


def test_the_lines_of_the_readme_and_of_the_front_door_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    readme = (Path(packages.ZOO).parent / "README.md").read_text(encoding="utf-8")
    lines = readme.split("```python\n")[1].split("```")[0]
    assert re.sub(r" +#.*", "", lines).split("\n\n")[1].replace('"wrist-fracture")\n', '"wrist-fracture/")\n') in (
        textwrap.dedent(str(readfirst.__doc__).partition("\n\n")[2])
    )
    study_phantoms.radiograph(tmp_path, BodyPartExamined="WRIST").rename(tmp_path / "one.dcm")
    monkeypatch.chdir(tmp_path)
    net = nn.Sequential(nn.Conv2d(1, 4, 3, 4, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 1))
    exec(lines, {"net": net})
    assert packages.load_card(tmp_path / "wrist-fracture").name == "wrist-fracture"


@pytest.mark.parametrize("modality", ["MG", "US", "MR", "CT"])
def test_results_of_other_modalities_pass_all_checks(modality: str) -> None:
    made = package()
    made.input(modality=[modality], size=(96, 64))
    assert not made.test().faults


def test_exclusive_classes_pass_all_checks() -> None:
    net = nn.Sequential(nn.Conv2d(1, 4, 3, 4, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))
    made = readfirst.Package("grades", net, licence="MIT", trained_on="nothing")
    made.input(modality=["DX"], size=(96, 64))
    made.finding("Normal", sct="17621005", site="74670003", normal=True)
    made.finding("Fracture", sct="125605004", site="74670003", urgency="HIGH")
    made.output("softmax")
    trial = made.test()
    assert not trial.faults
    assert sum(finding.probability for finding in trial.findings) == pytest.approx(1.0, abs=1e-4)


def test_what_is_added_was_tried_first(tmp_path: Path) -> None:
    """A network whose numbers are none where an image is not as even as the first one that it is asked."""

    class Fragile(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            uneven = (x[..., 1:, :] - x[..., :-1, :]).abs().amax((1, 2, 3))
            return torch.log(0.2 - uneven)[:, None]

    made = package()
    made.network = Fragile()
    made.input(modality=["DX"], size=(96, 64))
    made.output("sigmoid", where="occlusion")
    made.save(tmp_path / "wrist-fracture")
    done = CliRunner().invoke(app, ["add", str(tmp_path / "wrist-fracture"), "--into", str(tmp_path / "models")])
    assert done.exit_code == 1
    assert "cannot be used as it is: wrist-fracture: not analysed" in " ".join(done.output.split())
    assert not (tmp_path / "models").exists()


def test_that_shapes_show_no_lungs_is_no_fault_of_a_package(tmp_path: Path) -> None:
    trial = try_package(packages.ZOO / "lungs", (), tmp_path / "study" / "results")
    assert not trial.faults
    assert trial.notes[0].startswith("results were not tried: ")
