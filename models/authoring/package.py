"""`Package`: a model package of a user's own network, described step by step and written whole or not at all."""

from __future__ import annotations

import colorsys
import hashlib
import re
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import ValidationError

from models import packages
from models.authoring import dense
from models.authoring.codes import sct
from models.authoring.inputs import Channels, Number, Window
from models.authoring.networks import Stored, stored
from models.card import Card, Weights
from models.cardfile import card_text, read_card
from models.errors import PackageError, numbered

if TYPE_CHECKING:
    from models.authoring.calibrating import Calibrated
    from models.authoring.networks import Given
    from models.loaded import LoadedModel

NOT_A_DEVICE = (
    "Research software, not a medical device: no result may be used without a radiologist's reading of the images."
)
NOT_MEASURED = "Not measured: no figure of this network on images that it has not seen is on this card."
REGIONS = "Regions show what raised the score and outline nothing; how well they lie on a finding was not measured."
WHERE = ("grad-cam", "grad-cam++", "hirescam", "cam", "score-cam", "rollout", "occlusion")
HALF = 0.5  # of the map's own peak, from which on a region is drawn until thresholds are chosen on images
GOLDEN = 0.618034  # of the circle of hues between two findings' colours


@dataclass(slots=True, eq=False)
class Package:
    """A package that is being made: `input`, `finding` for each output in its order, `output`, then `save`.

    Parameters
    ----------
    name
        Small letters, digits and hyphens: "wrist-fracture".
    network
        An `nn.Module`, a program of `torch.export` or its .pt2 file, or an ONNX file; it returns (1, findings).
    licence
        Of the weights: "Apache-2.0".
    trained_on
        On which images, for the reader of a result: "312 wrists, Hospital X".
    manufacturer
        Who made the network; results name it.
    """

    name: str
    network: Given
    licence: str
    trained_on: str
    manufacturer: str = "not given"
    version: str = "0.1.0"
    title: str = ""
    limits: Sequence[str] = ()
    _input: dict[str, Any] = field(default_factory=dict, init=False)
    _scale: dict[str, Any] = field(default_factory=dict, init=False)
    _labels: list[dict[str, Any]] = field(default_factory=list, init=False)
    _activation: str = field(default="sigmoid", init=False)
    _where: str = field(default="grad-cam", init=False)
    _size: tuple[int, ...] = field(default=(), init=False)
    _voxels: dict[str, Any] | None = field(default=None, init=False)
    _dense: dense.Dense | None = field(default=None, init=False)
    _structures: set[str] = field(default_factory=set, init=False)
    _stored: Stored | None = field(default=None, init=False)
    _calibrated: Calibrated | None = field(default=None, init=False)

    def input(
        self,
        *,
        modality: Sequence[str],
        size: tuple[int, ...],
        mean: Number = 0.0,
        std: Number = 1.0,
        body_part: str | Sequence[str] = (),
        view: Sequence[str] = (),
        channels: int | Literal["rgb"] = 1,
        window: Window | Sequence[Window] = (),
        crop: float = 0.0,
        scaling: Literal["none", "range", "standard", "equalize", "clahe"] = "none",
        smallest: tuple[int, int] = (64, 64),
        volume: bool = False,
        spacing: float | tuple[float, float, float] | None = None,
        percentiles: tuple[float, float] = dense.PERCENTILES,
    ) -> None:
        """What the network may see, and how an image becomes its input.

        Parameters
        ----------
        modality
            Values of Modality (0008,0060): ["DX", "CR"].
        size
            (rows, columns) of the network's input; an image is fitted into it with black beside it.
        mean, std
            The input is (intensity - mean) / std, of intensities 0 (black) to 1 (white) as a viewer shows them; one
            number, or one for each channel.
        body_part, view
            Values of Body Part Examined and View Position; none: any.
        channels
            Of the input, all the same; "rgb": red, green and blue.
        window
            (centre, width) in HU or other values that become 0..1, in place of the image's own contrast, or of
            `percentiles` of each volume; several: a channel each.
        crop
            The part, a side, that is seen of the largest centred rectangle of the input's shape; 0: the whole image.
        scaling
            Of the intensities before mean and std, see `models.data.scaling`.
        smallest
            (rows, columns) below which an image is not analysed.
        volume
            Whether the network sees volumes of CT or MR; `size` is then (slices, rows, columns).
        spacing
            Of the voxels that it sees, mm, one number or (z, y, x).
        percentiles
            Of a volume's values that become 0 and 1, where there is no window.
        """
        if volume or spacing is not None:
            self._voxels = dense.voxels(size, spacing, window, percentiles)
            volume, window = True, ()
        else:
            self._voxels = None
        made = Channels.of(channels, window, mean, std, scaling)
        parts = [body_part] if isinstance(body_part, str) else list(body_part)
        self._input = {
            "kind": "volume" if volume else "image", "modalities": list(modality), "smallest_rows_columns": smallest,
            "size": None if volume else size, "smallest_slices": 2 if volume else 1,
            "body_parts": [part.upper() for part in parts], "views": [one.upper() for one in view], "crop": crop,
        } | made.of_input  # fmt: skip
        self._scale = made.of_network
        self._size, self._stored = tuple(size), None

    def finding(
        self,
        name: str,
        *,
        sct: str,
        site: str,
        urgency: Literal["HIGH", "MEDIUM", "LOW"] = "LOW",
        meaning: str = "",
        site_meaning: str = "",
        threshold: float = 0.5,
        normal: bool = False,
    ) -> None:
        """The next output of the network.

        Parameters
        ----------
        name
            For people: "Fracture".
        sct, site
            SNOMED CT values of the finding and of where it is.
        meaning, site_meaning
            Their meanings, where DICOM has none of its own; default: the name.
        threshold
            Present from this probability on; exclusive classes need none.
        normal
            Of exclusive classes the one that says that there is no finding.
        """
        self._labels.append(
            {
                "name": re.sub(r"\W+", "_", name).strip("_"),
                "code": _code(sct, meaning or name),
                "site": _code(site, site_meaning or "Anatomical structure"),
                "urgency": urgency,
                "finding": not normal,
                "operating_point": threshold,
                "saliency_threshold": 0.0,
                "region_of_peak": HALF,
                "colour": _colour(len(self._labels)),
            }
        )

    def structure(
        self, name: str, *, sct: str, site: str = "", meaning: str = "", site_meaning: str = "", threshold: float = 0.5
    ) -> None:
        """The next mask of the network, which is an organ: it is segmented, and is no finding; see `finding`."""
        self.finding(
            name, sct=sct, site=site or sct, meaning=meaning, site_meaning=site_meaning or meaning or name,
            threshold=threshold,
        )  # fmt: skip
        self._structures.add(self._labels[-1]["name"])

    def output(
        self,
        kind: Literal["sigmoid", "softmax", "ordinal", "masks", "boxes"] = "sigmoid",
        where: str = "grad-cam",
        *,
        activation: Literal["sigmoid", "softmax"] = "sigmoid",
        threshold: float = HALF,
        share: float = 0.0,
        first_label: int = 0,
        suppression: float = 1.0,
    ) -> None:
        """What the network's outputs are, and how a finding is located.

        Parameters
        ----------
        kind
            "sigmoid": each output is the logit of a finding of its own; "softmax": they are exclusive classes, of which
            the most probable one is present; "ordinal": the findings are grades in their order, and the network has a
            logit for each but the first: that the grade is this one or a higher one;
            "masks": the network segments, and returns (1, labels, rows, columns);
            "boxes": it detects, and returns boxes (N, 4), scores (N,) and label indices (N,), see
            `models.localizers.direct.boxes`.
        where
            Without masks and boxes one of `WHERE`; "occlusion" works with any network and is slow.
        activation
            Of masks: "softmax" where a pixel belongs to one label alone, with the background before the labels.
        threshold
            Probability from which on a pixel belongs to a mask; score from which on a box is drawn.
        share
            Of masks: a finding's score is the mean over this part of the pixels, the most probable; 0: the largest.
        first_label, suppression
            Of boxes: see `models.card.Boxes`.
        """
        self._dense = None
        if kind in ("masks", "boxes"):
            of_masks = kind == "masks"
            self._dense = (
                dense.masks(activation, threshold, share) if of_masks
                else dense.boxes(threshold, first_label, suppression)
            )  # fmt: skip
            self._activation, self._stored = "sigmoid", None
            return
        if where not in WHERE:
            raise PackageError(f"There is no way {where!r} to locate a finding; there are: {', '.join(WHERE)}.")
        self._activation, self._where, self._stored = kind, where, None

    def card(self) -> Card:
        """The card; PackageError with all that is wrong or missing."""
        faults = list(self._faults())
        if faults:
            raise PackageError(numbered(f"{self.name} cannot be written", faults))
        network = self.stored
        try:
            card = Card.model_validate(self._table(network))
            return self._with_figures(card) if self._calibrated else card
        except ValidationError as error:
            wrong = [f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors(include_url=False)]
            raise PackageError(numbered(f"{self.name} cannot be written", wrong)) from error

    def calibrate(self, labels: Path | str, split: str = "", test: str = "") -> str:
        """Predict the images of labels.csv, and put calibration, operating points and figures onto the card.

        The last step before `test` and `save`; see `models.authoring.calibrating.calibrate`.

        Returns
        -------
        On which images, in the sentence that the card has of it.
        """
        from models.authoring.calibrating import calibrate  # noqa: PLC0415 (scikit-learn)

        self._calibrated = None
        self._calibrated = calibrate(self.load(), Path(labels), split, test)
        return self._calibrated.about

    def _with_figures(self, card: Card) -> Card:
        """The card that `calibrate` made of this one."""
        made = self._calibrated
        assert made is not None
        if card != made.before.model_copy(update={"weights": None}):
            raise PackageError(
                numbered(
                    f"{self.name} cannot be written", ["calibrate() must come after input(), finding() and output()"]
                )
            )
        limits = tuple(made.about if one == NOT_MEASURED else one for one in card.limits)
        return made.card.model_copy(update={"limits": limits, "weights": None})

    def load(self) -> LoadedModel:
        """The model as the node will load it; PackageError where it would not."""
        with tempfile.TemporaryDirectory() as room:
            return packages.load(self._written(Path(room)), "cpu")

    def save(self, folder: Path | str) -> Path:
        """Write the package to a folder that is not there yet, after it has worked on an image of its kind.

        Raises
        ------
        PackageError
            Something is wrong or missing, all of it in one message, or the folder is there.
        """
        target = Path(folder)
        if target.exists():
            raise PackageError(f"{target} is there already: give another folder, or remove it.")
        with tempfile.TemporaryDirectory() as room:
            made = self._written(Path(room))
            packages.require_working(packages.load(made, "cpu"))
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copytree(made, target)
        return target

    @property
    def stored(self) -> Stored:
        """The network as it is written; made once."""
        if self._stored is None:
            boxes = self._dense is not None and self._dense.kind == "boxes"
            self._stored = stored(self.network, (1, self._scale["channels"], *self._size), boxes=boxes)
        return self._stored

    def _written(self, room: Path) -> Path:
        card, network = self.card(), self.stored
        weights = Weights(file=network.file, sha256=hashlib.sha256(network.data).hexdigest())
        folder = room / card.name
        folder.mkdir()
        (folder / network.file).write_bytes(network.data)
        text = card_text(card.model_copy(update={"weights": weights}))
        (folder / packages.CARD).write_text(text, encoding="utf-8")
        read_card(folder / packages.CARD)
        return folder

    def _faults(self) -> list[str]:
        faults = []
        if not self._input:
            faults.append("input() is missing: which modality and size the network sees")
        if not self._labels:
            faults.append("finding() is missing: one for each output of the network, in its order")
        if faults:
            return faults
        if self._dense and self._dense.kind == "boxes" and self._voxels:
            return [dense.NO_BOXES]
        network = self.stored
        faults += dense.structure_faults(self._dense, len(self._structures), len(self._labels))
        if self._voxels:
            where = "" if self._dense else self._where
            faults += dense.volume_faults(self._voxels, self._input, self._scale["channels"], where)
        if self._dense:
            return faults + list(self._dense.faults(network, len(self._labels), len(self._size)))
        faults += dense.no_masks(network)
        if network.outputs != len(self._labels) - (self._activation == "ordinal"):
            ordinal = ", one for each grade but the first" if self._activation == "ordinal" else ""
            faults.append(
                f"the network has {network.outputs} outputs{ordinal} and {len(self._labels)} findings are named"
            )
        same = "sigmoid" if self._activation == "ordinal" else self._activation
        if network.activation not in ("", same):
            faults.append(f"the network ends in {network.activation}, and output() says {self._activation}")
        if self._where == "cam" and not network.pooled:
            faults.append('where="cam" needs global average pooling and a linear layer at the end of an ONNX file')
        if self._where not in ("cam", "occlusion") and not network.gradients:
            faults.append(f'where="{self._where}" needs gradients, which ONNX Runtime has not: use where="occlusion"')
        return faults

    def _table(self, network: Stored) -> dict[str, Any]:
        exclusive, found, volume = self._activation != "sigmoid", self._dense, self._voxels is not None
        where = dense.VOLUME_WHERE.get(self._where, self._where) if volume else self._where
        where = found.localizer(volume=volume) if found else where
        drawn = found.label(structure=bool(self._structures), volume=volume) if found else {}
        drawn |= {"territory": "anywhere"} if volume else {}
        return {
            "name": self.name, "version": self.version, "title": self.title or self.name.replace("-", " ").capitalize(),
            "manufacturer": self.manufacturer, "licence": self.licence,
            "summary": f"{self.title or self.name}: a network of {self.manufacturer}, trained on {self.trained_on}",
            "limits": [NOT_A_DEVICE, NOT_MEASURED, *self.limits, found.limit if found else REGIONS],
            "algorithm": "neural network", "quantity": "probability" if exclusive else "score",
            "activation": self._activation, "localizer": where,
            "category": "structure" if self._structures else "finding",
            "input": self._input, "voxels": self._voxels, **({found.kind: found.table} if found else {}),
            "network": {"backbone": network.backbone, **self._scale},
            "training": {
                "data": self.trained_on, "split": "Of its authors; not known here.",
                "method": f"A network of its authors, written by readfirst.Package; located by {where}.",
            },
            "labels": [label | drawn | ({"operating_point": 0.0} if exclusive else {}) for label in self._labels],
        }  # fmt: skip


def _code(value: str, meaning: str) -> list[str]:
    return list(sct(value, meaning))


def _colour(index: int) -> list[int]:
    """Colours far from one another, the first orange."""
    return [round(255 * part) for part in colorsys.hsv_to_rgb((0.1 + GOLDEN * index) % 1.0, 0.85, 1.0)]
