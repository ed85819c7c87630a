"""A model package whose network finds what is bright: a `CamNetwork` with a head fitted on drawn pictures.

Its backbone is the shipped one up to its third block, so that a cell is 4 pixels wide and regions have the shape of
what is bright. Of its three labels one gets regions, one is present and has none (its map never reaches the card's
threshold), one is absent.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from models import packages
from models.card import Calibration, Card, Network, Weights
from models.cardfile import card_text
from models.networks.modules.backbone_file import imagenet_weights
from models.networks.modules.storage import halved, to_bytes
from models.networks.modules.tapped import CamNetwork

NAME, SIZE, TAPS = "bright", (512, 512), (2,)
BRIGHT = 0.55  # of white; darker is nothing
LABELS = ("Nodule", "Infiltration", "Pneumothorax")


def write_package(parent: Path) -> Path:
    """The package's folder below `parent`: a card like the shipped one's, and the fitted weights."""
    folder = parent / NAME
    folder.mkdir(parents=True)
    shipped = packages.load_card(packages.find("chest-xray"))
    assert shipped.network is not None
    network = _fitted(shipped.network)
    data = to_bytes(network)
    (folder / "weights.safetensors").write_bytes(data)
    card = _card(shipped, hashlib.sha256(data).hexdigest())
    (folder / packages.CARD).write_text(card_text(card), encoding="utf-8")
    return folder


def _card(shipped: Card, sha256: str) -> Card:
    """The score rises by one half for a lesion of a fiftieth of the image; 1e6 is a threshold that nothing reaches."""
    given = {label.name: label for label in shipped.labels}
    thresholds = (0.2, 1e6, 0.2)
    labels = tuple(
        given[name].model_copy(
            update={
                "operating_point": 0.5,
                "triage": None,
                "shows_regions": True,
                "region_of_peak": 0.0,
                "saliency_threshold": threshold,
                "smallest_region_fraction": 0.001,
                "calibration": Calibration(600.0, -1.0),
            }
        )
        for name, threshold in zip(LABELS, thresholds, strict=True)
    )
    assert shipped.network is not None
    return shipped.model_copy(
        update={
            "name": NAME,
            "localizer": "cam",
            "anatomy": None,
            "title": "What is bright",
            "labels": labels,
            "limits": ("It finds brightness and nothing else.", "For tests."),
            "network": shipped.network.model_copy(update={"taps": TAPS, "border": 0, "deviations": False}),
            "weights": Weights(sha256=sha256),
            "training": shipped.training.model_copy(update={"measured": ()}),
        }
    )


def _fitted(rules: Network) -> CamNetwork:
    """Least squares: the cell's features to how much brighter than `BRIGHT` it is."""
    network = CamNetwork(TAPS, len(LABELS))
    network.backbone.load_imagenet(imagenet_weights())
    halved(network.backbone)
    network.eval()
    pictures = _pictures()
    with torch.no_grad():
        given = torch.from_numpy((pictures - rules.mean) / rules.std).float()[:, None].expand(-1, 3, -1, -1)
        (features,) = network.features(given)
    cells = features.permute(0, 2, 3, 1).reshape(-1, features.shape[1]).double().numpy()
    count, height, width = len(pictures), *features.shape[-2:]
    side = SIZE[0] // height
    means = pictures.reshape(count, height, side, width, side).mean((2, 4)).reshape(-1)
    wanted = np.clip(means - BRIGHT, 0, None)
    solved, *_ = np.linalg.lstsq(np.c_[cells, np.ones(len(cells))], wanted, rcond=None)
    weight, constant = torch.from_numpy(solved[:-1]).float(), float(solved[-1])
    with torch.no_grad():
        network.head.weight.copy_(torch.stack([weight, weight, -weight]))
        network.head.bias.zero_()
        network.centre.copy_(-constant * weight / (weight @ weight))
    return network


def _pictures(count: int = 6) -> NDArray[np.float32]:
    """Grey slopes with bright and half-bright ellipses."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[: SIZE[0], : SIZE[1]] / SIZE[0]
    pictures = []
    for _ in range(count):
        picture = rng.uniform(0, 0.2) + rng.uniform(0, 0.25) * x + rng.uniform(0, 0.15) * y
        for _ in range(8):
            v, u, height, width = *rng.uniform(0.1, 0.9, 2), *rng.uniform(0.03, 0.12, 2)
            picture[((y - v) / height) ** 2 + ((x - u) / width) ** 2 < 1] = rng.uniform(0.2, 1.0)
        pictures.append(np.clip(picture + rng.normal(0, 0.01, SIZE), 0, 1))
    return np.stack(pictures).astype(np.float32)
