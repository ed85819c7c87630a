"""Makes the pictures from OHIF anew: `PYTHONPATH=.:deploy python deploy/pictures/make_pictures.py` in the clone's root.

Every study is analysed by the code that the node's workers run, its results pass the gate and are stored in an Orthanc
beside the images; then it is opened in OHIF as a radiologist would.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from shutil import which

from ohif import Ohif
from pacs import Orthanc
from pydicom import Dataset
from viewer import Browser, Reading

from models import packages
from models.simulation.cohort import anatomies, simulated
from node.dicom.headers import read_header
from node.sending import scu
from node.settings import Peer, Settings
from tests.viewer import bright, phantoms
from workers import pipeline
from workers.delivery.profiles import result_options
from workers.inputs.decoding.decoder import Decoder
from workers.pipeline import Environment, Instance

HERE = Path(__file__).resolve().parent
SAMPLES = HERE.parent / "samples"
SIMULATED = "simulated-pneumothorax"
FAMILIES, SEED, UNUSED = 40, 2, 1000  # of the cohort of chest-ct-findings, and a volume that is not in it
RECEIVED = 1_767_348_930.0  # 2 January 2026


@dataclass(frozen=True)
class Picture:
    """What is shown of a study: the result whose series description holds `what`."""

    name: str
    what: str
    row: int | None = None  # of the list of segments: the image goes there


@dataclass(frozen=True)
class Study:
    """A folder of images, the package that analyses them, and the pictures of it."""

    folder: str
    package: str
    pictures: tuple[Picture, ...]


STUDIES = (
    Study("chest-xray-pneumothorax", "chest-xray", (Picture("nih-pneumothorax-statement", "all findings"),)),
    Study(
        "chest-xray-effusion",
        "chest-xray",
        (Picture("nih-effusion-segments", "regions,"), Picture("nih-effusion-outlines", "regions with")),
    ),
    Study(
        "chest-ct",
        "chest-ct",
        (
            Picture("lidc-segments", "regions,", row=0),
            Picture("lidc-outlines", "regions with"),
            Picture("lidc-statement", "all findings"),
        ),
    ),
    Study(
        "phantom-radiographs",
        bright.NAME,
        (
            Picture("phantom-dx-oblong-segments", "S:6 I:1 regions,"),
            Picture("phantom-cr-feet-up-outlines", "S:5 I:1 regions with"),
        ),
    ),
    Study("chest-ct", "chest-ct-nodules", (Picture("lidc-nodule-cnn-segments", "regions,", row=0),)),
    Study(
        SIMULATED,
        "chest-ct-findings",
        (
            Picture("simulated-pneumothorax-segments", "regions,", row=0),
            Picture("simulated-pneumothorax-outlines", "regions with"),
            Picture("simulated-pneumothorax-statement", "all findings"),
        ),
    ),
    Study("phantom-ct", "chest-ct", (Picture("phantom-ct-oblique-segments", "regions,", row=1),)),
)


def main() -> None:
    """All pictures, one after the other."""
    chromium = which("chromium")
    if chromium is None:
        raise SystemExit("chromium is not installed (Debian: chromium)")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _draw_phantoms(folder)
        with Orthanc(folder / "pacs", dicomweb=True) as pacs, Ohif(pacs.dicomweb) as viewer:
            results = [_deliver(study, folder, pacs) for study in STUDIES]
            with Browser(Path(chromium), (1120, 700)) as browser:
                for study, made in zip(STUDIES, results, strict=True):
                    _photograph(study, made, pacs, viewer, browser)


def _draw_phantoms(folder: Path) -> None:
    bright.write_package(folder / "models")
    for name in ("phantom-radiographs", "phantom-ct"):
        (folder / name).mkdir()
    for series, case in enumerate(phantoms.RADIOGRAPHS, start=1):
        phantoms.radiograph(case, 1, series, folder / "phantom-radiographs")
    phantoms.volume(phantoms.OBLIQUE, 2, folder / "phantom-ct")
    (folder / SIMULATED).mkdir()
    unseen = next(one for one in anatomies(None, FAMILIES, SEED) if one.split == "test")
    made = simulated(unseen, SEED, UNUSED, {"Pneumothorax": 0.45})
    phantoms.scanned(made.volume, 9, folder / SIMULATED, "CT, simulated")


def _deliver(study: Study, folder: Path, pacs: Orthanc) -> list[Dataset]:
    """Headers of the results, which are in the PACS beside the images."""
    images = sorted((SAMPLES if (SAMPLES / study.folder).exists() else folder).joinpath(study.folder).glob("*.dcm"))
    model = packages.load(packages.find(study.package, [folder / "models"]), "cpu", 1)
    headers = [read_header(path) for path in images]
    instances = [Instance(str(one.SOPInstanceUID), path, RECEIVED) for one, path in zip(headers, images, strict=True)]
    with Decoder() as decoder:
        environment = Environment(decoder, "0.1.0", result_options(Settings()))
        analysed = pipeline.Study(tuple(instances), folder / f"results-{study.folder}-{study.package}")
        report = pipeline.analyze(analysed, [model], environment)
    made = [Path(result.path) for result in report.results]
    peer = Peer(ae_title="ORTHANC", host="127.0.0.1", port=pacs.dicom_port)
    refused = [one.error for one in scu.store(scu.Requestor("SCANNER"), peer, [*images, *made]) if one.error]
    if refused:
        raise SystemExit(f"{study.folder}: {refused[0]}")
    return [read_header(path) for path in made]


def _photograph(study: Study, results: Sequence[Dataset], pacs: Orthanc, viewer: Ohif, browser: Browser) -> None:
    uid = str(results[0].StudyInstanceUID)
    series = len({one["series_instance_uid"] for one in pacs.instances(uid)})
    for picture in study.pictures:
        with Reading(browser, viewer, uid, series) as reading:
            (found,) = (one for one in results if picture.what in one.SeriesDescription)
            reading.show(str(found.SeriesInstanceUID))
            if found.Modality == "SEG":
                reading.panel("panelSegmentation")
            if picture.row is not None:
                reading.jump(picture.row)
            path = HERE / f"{picture.name}.png"
            reading.save(path)
            errors = f"; {reading.complaints()}" if reading.complaints() else ""
            print(f"{path.name}: {path.stat().st_size // 1024} KiB{errors}")


if __name__ == "__main__":
    main()
