"""Packages of TorchXRayVision's published DenseNet-121 classifiers. Cohen et al., MIDL 2022; the table is xrv.toml."""

from __future__ import annotations

import tomllib
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import Tensor

from models import packages
from models.errors import PackageError
from models.importers import foreign
from models.importers.monai_networks import unwrapped
from models.importers.pickled import read_weights
from models.networks.modules.densenet import STRIDE, published_state

SIZE, CHANNELS = (224, 224), 1
CHUNK = 1 << 20
SECONDS = 30.0  # without a byte
FIRST = "features.conv0.weight"  # of a DenseNet-121
MEAN, STD = 0.5, 1 / 2048  # xrv.datasets.normalize: 0..1 becomes -1024..1024
NIH = ("NIH", "RSNA", "Open-I")  # collections whose images we, too, know

Advance = Callable[[str, int, int], None]


def table() -> dict[str, Any]:
    """xrv.toml."""
    return tomllib.loads(Path(__file__).with_name("xrv.toml").read_text(encoding="utf-8"))


def build(name: str, folder: Path, weights: Path | None, advance: Advance) -> tuple[Path, tuple[str, ...]]:
    """Write the package of one network.

    Parameters
    ----------
    name
        As TorchXRayVision calls it, "densenet121-res224-all".
    folder
        Where the package's folder is made, and the weights are fetched to.
    weights
        The published file, or a state dict or checkpoint saved from it; None fetches it.

    Returns
    -------
    The package's folder, and what the user should know.

    Raises
    ------
    PackageError
        No such network, or weights that cannot be fetched, read or used.
    """
    known = table()
    if name not in known["networks"]:
        raise PackageError(
            f"{name!r} cannot be added from TorchXRayVision: ReadFirst builds its DenseNet-121 networks, which are"
            f" {', '.join(known['networks'])}; a ResNet, a segmentation or a baseline network is none of them."
        )
    network = known["networks"][name]
    url = known["release"] + network["file"]
    file = fetch(url, folder / network["file"], advance) if weights is None else weights
    rows = [index for index, output in enumerate(known["outputs"]) if output in network["operating_points"]]
    state = _state(file, len(known["outputs"]), rows)
    found = packages.sha256(file)
    data = foreign.densenet_bytes(state, len(rows), CHANNELS)
    made = foreign.write(folder, _card(name, network, state, known["outputs"]), data, url, found)
    return made, (f"{file.name}: SHA-256 {found} (stored on the card; TorchXRayVision publishes none to compare with)",)


def fetch(url: str, path: Path, advance: Advance) -> Path:
    """Download a file, or PackageError with the words what to do instead."""
    try:
        with urllib.request.urlopen(url, timeout=SECONDS) as response, path.open("wb") as out:  # noqa: S310 (xrv.toml)
            total, done = int(response.headers.get("Content-Length") or 0), 0
            while chunk := response.read(CHUNK):
                done += out.write(chunk)
                advance("bytes", done, max(total, done))
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise PackageError(
            f"{url} could not be fetched ({reason}). Fetch it on a machine with internet, copy the file here, and name"
            " it: --weights FILE."
        ) from error
    if total and done < total:
        raise PackageError(f"{url} ended after {done} of {total} bytes; try again.")
    return path


def _state(file: Path, outputs: int, rows: list[int]) -> dict[str, Tensor]:
    """The weights by our names, of the head only the outputs that the network was trained on."""
    state = published_state(unwrapped(read_weights(file), FIRST))
    for key in ("head.weight", "head.bias"):
        if key not in state or len(state[key]) != outputs:
            raise PackageError(f"{file} is not a classifier of TorchXRayVision: its head has not {outputs} outputs.")
        state[key] = state[key][rows]
    return state


def _card(name: str, network: dict[str, Any], state: dict[str, Tensor], outputs: list[str]) -> dict[str, Any]:
    points: dict[str, float] = network["operating_points"]
    labelled = [output for output in outputs if output in points]
    biases = [float(bias) for bias in state["head.bias"]]
    labels = [_label(output, points[output], bias) for output, bias in zip(labelled, biases, strict=True)]
    return {
        "name": "xrv-" + name.replace("_", "-"),
        "version": "1.0.0",
        "title": f"Chest radiograph, {len(labels)} findings, by TorchXRayVision ({name})",
        "manufacturer": "TorchXRayVision (Cohen et al.)",
        "summary": f"TorchXRayVision's {name}, a DenseNet-121 trained by its authors on {network['data']}. ReadFirst"
        " computes the same logits and adds exact class activation maps.",
        "licence": "TorchXRayVision's code: Apache-2.0. Its weights are published with it and come from data with"
        " terms of their own: see its README and those of the data before any use.",
        "limits": _limits(network["data"]),
        "algorithm": "neural network",
        "quantity": "score",
        "localizer": "cam",
        "input": {
            "kind": "image",
            "modalities": ["CR", "DX"],
            "body_parts": ["CHEST", "THORAX"],
            "views": ["PA", "AP"],
            "size": SIZE,
            "smallest_rows_columns": SIZE,
        },
        "network": {"backbone": "densenet121", "channels": CHANNELS, "mean": MEAN, "std": STD},
        "training": {
            "data": network["data"],
            "split": "Of TorchXRayVision's authors; not known here.",
            "method": "Trained by TorchXRayVision's authors (its scripts/train_model.py). The score is their op_norm of"
            " the sigmoid: two straight lines that take their operating point to 0.5, which is the threshold of a"
            f" finding. {foreign.REGION_RULE}",
            "citation": "Cohen JP, Viviano JD, Bertin P, Morrison P, Torabian P, Guarrera M, Lungren MP, Chaudhari A,"
            " Brooks R, Hashir M, Bertrand H. TorchXRayVision: A library of chest X-ray datasets and models. MIDL 2022,"
            " arXiv 2111.00595. Cohen JP, Hashir M, Brooks R, Bertrand H. On the limits of cross-domain generalization"
            " in automated X-ray prediction. MIDL 2020, arXiv 2002.02497.",
        },
        "labels": labels,
    }


def _label(output: str, point: float, bias: float) -> dict[str, Any]:
    finding = foreign.known_findings()[output.replace(" ", "_")]
    return finding | {
        "operating_point": 0.5,
        "saliency_threshold": round(foreign.logit(point) - bias, 6),
        "smallest_region_fraction": foreign.smallest_region(SIZE, STRIDE),
        "calibration": [1.0, 0.0, point],
    }


def _limits(data: str) -> list[str]:
    limits = [
        foreign.NOT_A_DEVICE,
        foreign.NOT_MEASURED,
        "Scores are no probabilities: 0.5 is the threshold that TorchXRayVision's authors chose, the rest is"
        " stretched around it. How sensitive or specific it is on your images is not known.",
        foreign.REGIONS_NOT_MEASURED,
        "TorchXRayVision cuts the middle square out of an image and takes a DICOM's stored values without its VOI LUT;"
        " ReadFirst shows the network the whole image with black at its sides, after the VOI LUT. The logits of the"
        " same 224 x 224 input are the same; the inputs are not.",
        "Frontal views only; children and lateral views were not looked at.",
    ]
    if any(word in data for word in NIH):
        limits.append(
            f"It was trained on {data}: figures on images of these collections, the NIH images that chest-xray was"
            " trained and validated on among them, are no test of it."
        )
    return limits
