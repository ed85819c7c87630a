"""Makes the pictures of validation images with a radiologist's boxes beside our regions.

    PYTHONPATH=.:deploy python deploy/pictures/make_validation_pictures.py CHEST_XRAY_FOLDER

CHEST_XRAY_FOLDER holds `labels.csv`, `boxes.csv` and `images/*.jpg` (NIH ChestX-ray14, 512 x 512). A whole
`readfirst up` receives the images; each study is opened on its page and, from the Orthanc that received the results, in
OHIF. Only boxes of the NIH are shown. The script prints what the package reported of each image.
"""

from __future__ import annotations

import csv
import io
import sys
import tempfile
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from shutil import which

import numpy as np
from make_page_pictures import is_done, running_node, wait_until
from ohif import Ohif
from pacs import Orthanc
from PIL import Image, ImageDraw, ImageFont
from ports import free_port
from samples.make_samples import compressed, radiograph
from viewer import Browser, Reading

from node.admin.study_view import StudyView, study_view
from node.ledger.engine import Ledger, open_ledger
from node.sending import scu
from node.settings import Peer, load

TARGET = Path(__file__).resolve().parent / "validation"
BLIND = ("Pneumonia", "Cardiomegaly", "Infiltrate", "Mass", "Effusion", "Pneumothorax")  # the first by name of each
WITH_REGION = {"Infiltrate": "Infiltration", "Pneumonia": "Pneumonia"}  # the first by name with a region of the finding
PANEL, GAP, LINE = 400, 6, 18  # pixels
COLOURS = 160  # of a PNG
BOX = (255, 220, 0)
SETTINGS = """
[node]
port = {port}
data = "{folder}/data"
quiet_seconds = 1.0
[web]
port = {web}
[models]
packages = ["chest-xray"]
[peers.scanner]
ae_title = "SCANNER"
host = "127.0.0.1"
send = ["images"]
[peers.pacs]
ae_title = "ORTHANC"
host = "127.0.0.1"
port = {pacs}
receive = ["results"]
"""


@dataclass(frozen=True)
class Case:
    """A validation image: the label that it was chosen for, its row of labels.csv, its boxes of the NIH."""

    file: Path
    label: str
    row: dict[str, str]
    boxes: tuple[tuple[str, float, float, float, float], ...]  # label, x, y, width, height in pixels of the file


@dataclass(frozen=True)
class Site:
    """The running programs, and where they are."""

    pacs: Orthanc
    viewer: Ohif
    browser: Browser
    ledger: Ledger
    port: int
    web: int
    folder: Path


def main(chest_xray: Path) -> None:
    """All cases, one after the other."""
    chromium = which("chromium")
    if chromium is None:
        raise SystemExit("chromium is not installed (Debian: chromium)")
    TARGET.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        folder, port, web = Path(name), free_port(), free_port()
        config = folder / "readfirst.toml"
        with Orthanc(folder / "pacs", dicomweb=True) as pacs, Ohif(pacs.dicomweb) as viewer:
            config.write_text(SETTINGS.format(port=port, web=web, pacs=pacs.dicom_port, folder=folder))
            with (
                running_node(config),
                closing(open_ledger(load(config))) as ledger,
                Browser(Path(chromium), (965, 700)) as browser,
            ):
                site = Site(pacs, viewer, browser, ledger, port, web, folder)
                for label in BLIND:
                    case = _cases(chest_xray, label)[0]
                    _photograph(case, _send(case, site), site)
                for label, finding in WITH_REGION.items():
                    sent = ((case, _send(case, site)) for case in _cases(chest_xray, label))
                    found = next(
                        (pair for pair in sent if any(row["label"] == finding for row in pair[1].pictures)), None
                    )
                    if found:
                        _photograph(*found, site)
                    else:
                        print(f"no image with a box of {label} has a region of {finding}", flush=True)


def _cases(chest_xray: Path, label: str) -> Sequence[Case]:
    """The images with an NIH box of a label, by name."""
    rows = {row["image"]: row for row in csv.DictReader((chest_xray / "labels.csv").open(encoding="utf-8"))}
    boxes = [row for row in csv.DictReader((chest_xray / "boxes.csv").open(encoding="utf-8")) if row["source"] == "NIH"]
    names = sorted({box["image"] for box in boxes if box["label"] == label})
    images = chest_xray / "images"
    return [
        Case(images / name, label, rows[name], tuple(_box(box) for box in boxes if box["image"] == name))
        for name in names
    ]


def _box(row: dict[str, str]) -> tuple[str, float, float, float, float]:
    return row["label"], float(row["x"]), float(row["y"]), float(row["width"]), float(row["height"])


def _photograph(case: Case, view: StudyView, site: Site) -> None:
    """Write the picture of a case that was analysed."""
    panels = (_boxed(case), _page(view, site), _viewer(view, site))
    path = TARGET / f"{case.label.lower()}-{case.file.stem}.png"
    picture = _compose(panels, case, view)
    picture = picture.quantize(COLOURS, Image.Quantize.MAXCOVERAGE, kmeans=3, dither=Image.Dither.NONE)
    picture.save(path, optimize=True)
    found = "; ".join(text for text, _ in _findings(view)) or "nothing is present"
    print(f"{path.name}: {path.stat().st_size // 1024} KiB; {found}", flush=True)


def _send(case: Case, site: Site) -> StudyView:
    """Send the image to the PACS and to the node; what the ledger has when the PACS has the results."""
    pixels = np.asarray(Image.open(case.file).convert("L"))
    dataset = radiograph(case.file.stem, case.row, pixels)
    dataset.LossyImageCompressionRatio = round(pixels.size / case.file.stat().st_size, 1)
    path, uid = site.folder / f"{case.file.stem}.dcm", str(dataset.StudyInstanceUID)
    compressed(dataset).save_as(path, enforce_file_format=True)
    for ae_title, port in (("ORTHANC", site.pacs.dicom_port), ("READFIRST", site.port)):
        peer = Peer(ae_title=ae_title, host="127.0.0.1", port=port)
        refused = [one.error for one in scu.store(scu.Requestor("SCANNER"), peer, [path]) if one.error]
        if refused:
            raise SystemExit(f"{path.name}: {refused[0]}")
    wait_until(lambda: is_done(uid, "pacs", site.ledger), f"the results of {path.name}")
    with site.ledger.read() as connection:
        view = study_view(connection, uid)
    assert view is not None
    return view


def _boxed(case: Case) -> Image.Image:
    """The published image with the radiologist's boxes, whose labels are written into them."""
    grey = Image.open(case.file).convert("L")
    scale = PANEL / grey.width
    picture = grey.resize((PANEL, PANEL), Image.Resampling.LANCZOS).convert("RGB")
    pen, font = ImageDraw.Draw(picture), ImageFont.load_default(14)
    for line, (label, x, y, width, height) in enumerate(case.boxes):
        left, top = x * scale, y * scale
        pen.rectangle((left, top, (x + width) * scale, (y + height) * scale), outline=BOX, width=2)
        at = (left + 4, top + 2 if line else top - LINE)  # two boxes may begin at the same place
        pen.text(at, label, fill=BOX, font=font, stroke_width=2, stroke_fill=(0, 0, 0))
    return picture


def _page(view: StudyView, site: Site) -> Image.Image:
    """The picture on the study's page, with its overlay."""
    page = site.browser.page
    page.goto(f"http://127.0.0.1:{site.web}/study/{view.study_instance_uid}")
    page.wait_for_load_state("load")
    return _square(page.locator("figure:not([hidden]) .stage").screenshot())


def _viewer(view: StudyView, site: Site) -> Image.Image:
    """OHIF's viewport with the Segmentation, or with the image alone where there is none."""
    stored = site.pacs.instances(view.study_instance_uid)
    series = {one["modality"]: one["series_instance_uid"] for one in stored}
    count = len({one["series_instance_uid"] for one in stored})
    with Reading(site.browser, site.viewer, view.study_instance_uid, count) as reading:
        reading.show(series.get("SEG", series["CR"]))
        picture = Image.fromarray(reading.image().astype(np.uint8))
        if reading.complaints():
            print(f"OHIF: {reading.complaints()}")
    return _square(picture)


def _square(picture: Image.Image | bytes) -> Image.Image:
    """The middle of a picture, as large as a panel."""
    image = (Image.open(io.BytesIO(picture)) if isinstance(picture, bytes) else picture).convert("RGB")
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    middle = image.crop((left, top, left + side, top + side))
    return middle.resize((PANEL, PANEL), Image.Resampling.LANCZOS)


def _compose(panels: Sequence[Image.Image], case: Case, view: StudyView) -> Image.Image:
    """The panels side by side under their titles, and below them what is present."""
    segments = any(row["label"] for row in view.pictures)
    titles = (
        f"NIH {case.file.stem}, {case.row['view']}: radiologist's boxes",
        "ReadFirst's page" + ("" if segments else ": no region"),
        "OHIF" + (": our Segmentation" if segments else ": no Segmentation, the image"),
    )
    findings = _findings(view) or (("nothing is present", "#ffffff"),)
    size = (3 * PANEL + 2 * GAP, LINE + PANEL + LINE * ((len(findings) + 1) // 2) + GAP)
    picture = Image.new("RGB", size, (0, 0, 0))
    pen, font = ImageDraw.Draw(picture), ImageFont.load_default(13)
    for column, (panel, title) in enumerate(zip(panels, titles, strict=True)):
        picture.paste(panel, (column * (PANEL + GAP), LINE))
        pen.text((column * (PANEL + GAP) + 2, 1), title, fill=(255, 255, 255), font=font)
    for number, (text, colour) in enumerate(findings):
        at = (2 + number % 2 * size[0] // 2, LINE + PANEL + 2 + LINE * (number // 2))
        pen.text(at, text, fill=colour, font=font)
    return picture


def _findings(view: StudyView) -> tuple[tuple[str, str], ...]:
    """What is present, the most probable first, in the colour of its region, else in white."""
    present = sorted((row for row in view.findings if row["present"]), key=lambda row: -row["probability"])
    colours = {row["label"]: row["colour"] for row in view.pictures if row["label"]}
    return tuple(
        (
            f"{row['label']} {row['probability']:.0%} (threshold {row['operating_point']:.0%}), "
            + (row["place"] or "no region"),
            colours.get(row["label"], "#ffffff"),
        )
        for row in present
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
