"""`POST /predict` from the socket to the models and back."""

from __future__ import annotations

import base64
import gzip
import io
import json
import os
import re
import subprocess
import threading
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import nibabel
import numpy as np
import pytest
from billiard.exceptions import SoftTimeLimitExceeded
from PIL import Image
from structlog.testing import capture_logs

from models.prediction import Model
from node.predicting import openapi
from node.settings import Limits, Settings
from tests.system.needles import leaks
from tests.workers.imaging_phantoms import sample
from tests.workers.predicting.conftest import SeesBright, Work
from tests.workers.study_phantoms import NOTHING, TinyModel, cut, radiograph
from workers.model_set import Fault

ROOT = Path(__file__).parents[3]


def post(site: Any, content: bytes | Path, query: str = "") -> httpx.Response:
    """The answer, which is as the OpenAPI description says."""
    content = content.read_bytes() if isinstance(content, Path) else content
    answer: httpx.Response = site.client.post(f"/predict{query}", content=content, timeout=60)
    document = openapi.document()
    responses = document["paths"]["/predict"]["post"]["responses"]
    schema = responses[str(answer.status_code)]["content"]["application/json"]["schema"]
    jsonschema.validate(answer.json(), schema | {"components": document["components"]})
    return answer


def answered(site: Any, content: bytes | Path, query: str = "") -> dict[str, Any]:
    answer = post(site, content, query)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def pixels(of_png: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(of_png))))


def picture(array: np.ndarray, form: str = "PNG") -> bytes:
    content = io.BytesIO()
    Image.fromarray(array).save(content, form, quality=100)
    return content.getvalue()


def nifti(array: np.ndarray, affine: np.ndarray) -> bytes:
    return gzip.compress(bytes(nibabel.Nifti1Image(array, affine).to_bytes()), 1)


def test_a_dicom_file_gets_its_findings_and_where_they_are(work: Work, tmp_path: Path) -> None:
    found = answered(work(TinyModel(), SeesBright()), radiograph(tmp_path))
    assert found["file"] == {"kind": "DICOM", "rows": 80, "columns": 64, "slices": None}
    assert found["research_use"].startswith("Research software, not a medical device")
    (package,) = found["packages"]
    assert (package["package"], package["version"], package["sha256"]) == ("test-image", "1.2.3", "d" * 64)
    assert found["not_analysed"] == [{"package": "test-volume", "reason": "modality CR, the model reads CT"}]
    pneumothorax, *others = package["findings"]
    assert (pneumothorax["label"], pneumothorax["probability"]) == ("Pneumothorax", pytest.approx(0.9))
    assert [one["present"] for one in (pneumothorax, *others)] == [True, False, False]
    assert [one["regions"] for one in others] == [[], []]
    (region,) = pneumothorax["regions"]
    x, y, width, height = region["box"]
    assert (x + width / 2, y + height / 2) == pytest.approx((22, 30), abs=2)  # (6, 6) of 16 in the letterbox
    assert region["polygon"][0] == region["polygon"][-1]
    assert region["location"] == pneumothorax["place"] != ""
    assert pneumothorax["map"] is None and package["pictures"] == []


def test_maps_have_a_fixed_scale_and_pictures_are_those_of_the_page(work: Work, tmp_path: Path) -> None:
    site = work(TinyModel())
    (package,) = answered(site, radiograph(tmp_path), "?maps=png&pictures=png")["packages"]
    label = TinyModel().card.labels[0]
    shown = package["findings"][0]["map"]
    assert shown["threshold"] == label.saliency_threshold
    assert (shown["low"], shown["high"]) == (0.0, 2 * label.saliency_threshold)
    (absent,) = answered(work(TinyModel(NOTHING)), radiograph(tmp_path), "?maps=png")["packages"]
    assert absent["findings"][0]["map"]["png"] == shown["png"]  # the same raw map, whatever is found
    assert pixels(shown["png"]).shape == (80, 64, 3)
    (image,) = package["pictures"]
    assert pixels(image["png"]).shape == (image["rows"], image["columns"]) == (80, 64)


@pytest.mark.parametrize(("kind", "lost"), [("PNG", 0.02), ("JPEG", 0.05)])
def test_a_picture_is_seen_as_the_same_dicom_image_is(work: Work, chest: Model, kind: str, lost: float) -> None:
    (file,) = sample("chest-xray-effusion")
    site = work(chest)
    of_dicom = answered(site, file, "?pictures=png")
    grey = pixels(of_dicom["packages"][0]["pictures"][0]["png"])  # 512 x 512: as large as the file
    of_picture = answered(site, picture(grey, kind))
    assert of_picture["file"]["kind"] == kind
    pairs = zip(of_dicom["packages"][0]["findings"], of_picture["packages"][0]["findings"], strict=True)
    for one, other in pairs:
        assert other["probability"] == pytest.approx(one["probability"], abs=lost), one["label"]
    remarks = of_picture["packages"][0]["remarks"]
    assert f"A {kind} file names neither modality nor body part" in remarks[0]


@pytest.mark.parametrize("flips", [(1, 1, 1), (-1, -1, 1), (1, -1, -1)])
@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1)])
def test_regions_of_a_nifti_volume_are_in_its_own_voxels(
    work: Work, flips: tuple[int, ...], order: tuple[int, ...]
) -> None:
    array = np.full((48, 40, 30), -1000, np.int16)
    array[4:44, 4:36, :] = 20
    array[30:36, 10:16, 20:24] = 300
    affine = np.eye(4)
    affine[:3, :3] = (np.diag(flips) * np.array([3.0, 3.0, 4.0]))[list(order)]
    found = answered(work(SeesBright()), nifti(array, affine))
    assert found["file"] == {"kind": "NIfTI", "rows": 40, "columns": 48, "slices": 30}
    (region,) = found["packages"][0]["findings"][0]["regions"]
    assert region["slices"] == [20, 23] and region["slice"] in range(20, 24)
    x, y, width, height = region["box"]
    assert (x, y) == pytest.approx((30, 10), abs=1) and (width, height) == pytest.approx((6, 6), abs=1)
    assert region["volume_mm3"] == pytest.approx(6 * 6 * 4 * 36, rel=0.2)


def test_one_plane_of_nifti_is_an_image(work: Work) -> None:
    plane = np.indices((64, 80)).sum(axis=0).astype(np.int16)[..., None]
    site = work(TinyModel(), SeesBright())
    found = answered(site, nifti(plane, np.diag([-1.0, -1.0, 1.0, 1.0])))
    assert found["file"] == {"kind": "NIfTI", "rows": 80, "columns": 64, "slices": None}
    assert [one["package"] for one in found["packages"]] == ["test-image"]
    assert found["not_analysed"][0]["reason"] == "it reads volumes, and the file is one image"


def test_what_cannot_be_analysed_says_why(work: Work, tmp_path: Path) -> None:
    site = work(TinyModel(), SeesBright())

    def reason(content: bytes | Path, query: str = "") -> str:
        answer = post(site, content, query)
        assert answer.status_code == 422
        sentence: str = answer.json()["error"]
        return sentence

    assert "The file was not analysed: test-image: " in reason(cut(radiograph(tmp_path)))
    assert "cannot be decoded: it is damaged or cut" in reason(picture(np.zeros((99, 99), np.uint8))[:60])
    bomb = picture(np.zeros((5000, 5000), np.uint8))
    assert len(bomb) < 1 << 20 and "more than may be decoded" in reason(bomb)
    packed = gzip.compress(
        nibabel.Nifti1Image(np.zeros((64, 64, 9), np.uint8), np.eye(4)).to_bytes()[:400] + bytes(1 << 27), 1
    )
    assert "unpacks to more bytes than may be decoded" in reason(packed)
    skew = np.eye(4)
    skew[0, 1] = 0.5
    assert "not at right angles" in reason(nifti(np.zeros((8, 8, 8), np.int16), skew))
    assert "test-volume: it reads volumes" in reason(picture(np.zeros((9, 9), np.uint8)), "?package=test-volume")


def test_a_package_is_chosen_by_its_name(work: Work, tmp_path: Path) -> None:
    site = work(TinyModel(), SeesBright())
    found = answered(site, radiograph(tmp_path), "?package=test-image")
    assert (len(found["packages"]), found["not_analysed"]) == (1, [])


def test_what_fails_in_our_software_is_no_fault_of_the_file_and_stays_short(work: Work, tmp_path: Path) -> None:
    def broken() -> None:
        raise RuntimeError("Tést^Ä")

    def slow() -> None:
        raise SoftTimeLimitExceeded

    with capture_logs():
        answer = post(work(TinyModel(before=broken)), radiograph(tmp_path))
        assert (answer.status_code, "Tést" in answer.text) == (500, False)
        assert answer.json()["error"] == "The package test-image failed with this file; see the worker's log."
        assert post(work(TinyModel(before=slow)), radiograph(tmp_path)).status_code == 504


def test_files_that_a_package_fails_with_do_not_set_it_aside(work: Work, tmp_path: Path) -> None:
    failing = [True] * 5

    def at_first() -> None:
        if failing and failing.pop():
            raise RuntimeError

    site = work(TinyModel(before=at_first))
    with capture_logs():
        assert [post(site, radiograph(tmp_path)).status_code for _ in range(6)] == [500] * 5 + [200]


def test_of_many_at_once_each_is_answered(work: Work, tmp_path: Path) -> None:
    site, path = work(TinyModel(), limits=Limits(predictions=3)), radiograph(tmp_path)
    statuses: list[int] = []
    threads = [threading.Thread(target=lambda: statuses.append(post(site, path).status_code)) for _ in range(9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(statuses) <= {200, 503} and statuses.count(200) >= 3
    assert post(site, path).status_code == 200


def test_nothing_of_the_patient_is_in_answer_or_log(work: Work, tmp_path: Path) -> None:
    secret = {"PatientName": "Zwölfer^Sieglinde", "PatientID": "PID-4711", "PatientBirthDate": "19310704"}
    secret |= {
        "AccessionNumber": "ACC-0815",
        "ReferringPhysicianName": "Quacksalber^Q",
        "StudyDescription": "Sieglinde",
    }
    site = work(TinyModel(), SeesBright())
    with capture_logs() as logs:
        texts = [
            post(site, path, "?maps=png").text
            for path in (
                radiograph(tmp_path, **secret),
                cut(radiograph(tmp_path, 2, **secret)),
                radiograph(tmp_path, 3, **secret, Modality="MR"),
                radiograph(tmp_path, 4, **secret, BodyPartExamined="HAND"),
            )
        ]
    said = "\n".join([*texts, json.dumps(logs, default=str)]).encode()
    assert [value for value in secret.values() if leaks(value, said)] == []
    assert leaks("19310704", b"x 19310704 x")


def test_the_line_of_the_readme_runs_as_written(work: Work, chest: Model) -> None:
    readme = (ROOT / "README.md").read_text()
    (line,) = re.findall(r"^ *(curl .*/predict\S*)$", readme, re.MULTILINE)
    site = work(chest)
    assert "http://127.0.0.1:8080/predict" in line
    here = line.replace("http://127.0.0.1:8080", site.url)
    done = subprocess.run(
        ["sh", "-c", here], cwd=ROOT, capture_output=True, timeout=120, check=False, env=os.environ | {"no_proxy": "*"}
    )
    assert done.returncode == 0, done.stderr
    (package,) = json.loads(done.stdout)["packages"]
    present = {one["label"] for one in package["findings"] if one["present"]}
    assert "Effusion" in present


def test_a_package_that_cannot_be_used_is_named(work: Work, settings: Settings, tmp_path: Path) -> None:
    from node.predicting.spool import FOLDER, Spool
    from workers.model_set import ModelSet
    from workers.predicting.predictor import Predictor

    own = settings.model_copy(update={"models": settings.models.model_copy(update={"packages": ("gone",)})})
    models = ModelSet(own)
    models.faults["gone"] = Fault("gone", "its weights are missing", 1e12, None)
    spool = Spool(settings.node.data / FOLDER)
    spool.prepare()
    name = spool.new()
    spool.incoming(name).write_bytes(radiograph(tmp_path).read_bytes())
    Predictor(own, models, lambda: pytest.fail("nothing is decoded")).run(name, "", maps=False, pictures=False)
    answer = spool.answered(name)
    assert answer is not None
    assert (answer[0], json.loads(answer[1])["error"]) == (
        503, "the model package gone cannot be used: its weights are missing",
    )  # fmt: skip
