"""Packages of MONAI Bundles whose network is a DenseNet-121 for radiographs; what cannot be honoured is named.

A bundle (MONAI Bundle specification, MONAI 1.6) is a folder with configs/metadata.json, configs/inference.json and
models/model.pt. Its configuration is read as data: expressions ("$…") are Python, and are never run.
"""

from __future__ import annotations

import json
import re
import shutil
import tomllib
from pathlib import Path
from typing import Any

from torch import Tensor

from models import packages
from models.errors import PackageError
from models.importers import foreign
from models.importers.bundle_transforms import Postprocessing, Preprocessing, postprocessing, preprocessing
from models.importers.pickled import read_tensors
from models.networks.modules.densenet import STRIDE, published_state

METADATA, INFERENCE = Path("configs") / "metadata.json", Path("configs") / "inference.json"
CLINICAL = Path("configs") / "readfirst.toml"
WEIGHTS = Path("models") / "model.pt"
NETWORKS = ("DenseNet121", "Densenet121", "densenet121", "DenseNet")
# Arguments of monai.networks.nets.DenseNet that make it a DenseNet-121; None: of no matter once it is trained.
ARGUMENTS: dict[str, tuple[Any, ...] | None] = {
    "spatial_dims": (2,),
    "in_channels": (1, 3),
    "out_channels": None,
    "init_features": (64,),
    "growth_rate": (32,),
    "block_config": ([6, 12, 24, 16],),
    "bn_size": (4,),
    "act": ("relu", "RELU", ["relu", {"inplace": True}]),
    "norm": ("batch", "BATCH"),
    "dropout_prob": None,
    "pretrained": None,
    "progress": None,
}
MODALITIES = ("", "n/a", "cr", "dx", "xr", "x-ray", "xray", "radiograph", "radiography")
OTHER_NAMES = {
    "pleural_effusion": "Effusion",
    "pulmonary_edema": "Edema",
    "lung_nodule": "Nodule",
    "lung_mass": "Mass",
    "hiatal_hernia": "Hernia",
}
LONGEST_NAME = 48  # Manufacturer's Model Name is LO: 64 characters
INPUT = {"modalities": ["CR", "DX"], "body_parts": ["CHEST", "THORAX"], "views": ["PA", "AP"]}
Json = dict[str, Any]


def convert(bundle: Path, folder: Path) -> tuple[Path, tuple[str, ...]]:
    """Write the package of a bundle.

    Returns
    -------
    The package's folder, made in `folder`, and what is honoured but not to the letter.

    Raises
    ------
    PackageError
        The first thing of the bundle that cannot be honoured.
    """
    try:
        return _converted(bundle, folder)
    except PackageError as error:
        raise PackageError(f"The MONAI Bundle {bundle} cannot be added: {str(error).rstrip('.')}.") from error
    except (AttributeError, TypeError, ValueError, LookupError) as error:
        raise PackageError(
            f"The MONAI Bundle {bundle} cannot be added: {METADATA} or {INFERENCE} is not written as the MONAI Bundle"
            f" specification has it ({error!r})."
        ) from error


def _converted(bundle: Path, folder: Path) -> tuple[Path, tuple[str, ...]]:
    metadata, inference = (_json(bundle / name) for name in (METADATA, INFERENCE))
    before = preprocessing(_transforms(inference, "preprocessing"))
    after = postprocessing(_transforms(inference, "postprocessing"))
    channels, outputs = _network(inference, before)
    state = _state(bundle, before, after, outputs)
    names = _names(metadata, outputs, after)
    labels, rules = _labels(bundle, names, [float(bias) for bias in state["head.bias"]], before, after)
    card = _card(bundle, metadata, before, channels, labels, rules)
    source = str(metadata.get("name") or bundle.name) + f", MONAI Bundle {metadata.get('version', '')}".rstrip()
    place = foreign.write(folder, card, state, source, packages.sha256(bundle / WEIGHTS))
    if (bundle / "LICENSE").is_file() and not (bundle / "LICENSE").is_symlink():
        shutil.copyfile(bundle / "LICENSE", place / "LICENSE")
    return place, before.notes


def _json(path: Path) -> Json:
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise PackageError(
            f"{path} cannot be read as JSON ({error}); a configuration in YAML cannot be honoured"
        ) from error
    if not isinstance(table, dict):
        raise PackageError(f"{path} is not a table")
    return table


def _resolved(inference: Json, value: Any) -> Any:
    """The value that a reference "@a::b" or "@a#b" names; literals as they are, expressions refused."""
    seen = 0
    while isinstance(value, str) and value.startswith(("@", "$@")) and seen < 10:
        found: Any = inference
        for part in re.split(r"::|#", value.lstrip("$@")):
            try:
                found = found[int(part) if isinstance(found, list) else part]
            except (KeyError, IndexError, ValueError, TypeError) as error:
                raise PackageError(
                    f"{INFERENCE}: {value!r} names nothing that is written there, or is Python"
                ) from error
        value, seen = found, seen + 1
    if isinstance(value, str) and value.startswith(("$", "%")):
        raise PackageError(f"{INFERENCE}: {value!r} is Python or a macro, which is not run")
    if isinstance(value, list):
        return [_resolved(inference, one) for one in value]
    return {key: _resolved(inference, one) for key, one in value.items()} if isinstance(value, dict) else value


def _transforms(inference: Json, stage: str) -> list[Json]:
    if stage not in inference:
        raise PackageError(f"{INFERENCE} has no {stage!r}")
    composed = _resolved(inference, inference[stage])
    listed = composed.get("transforms") if isinstance(composed, dict) else composed
    if not isinstance(listed, list) or not all(isinstance(one, dict) for one in listed):
        raise PackageError(f"{INFERENCE}: {stage} is not a Compose with a list of transforms")
    kept = [one for one in listed if not one.get("_disabled_")]
    return [{key: value for key, value in one.items() if key != "_disabled_"} for one in kept]


def _network(inference: Json, before: Preprocessing) -> tuple[int, int]:
    """Channels of the input and number of outputs of a network that is a DenseNet-121."""
    table = _resolved(inference, inference.get("network_def", {}))
    target = str(table.get("_target_", "")) if isinstance(table, dict) else ""
    path, _, name = target.rpartition(".")
    if name not in NETWORKS or (path and not path.startswith("monai.networks.nets")):
        raise PackageError(f"network_def: {target or 'no _target_'} is not monai.networks.nets.DenseNet121")
    for key, value in table.items():
        if key.startswith("_"):
            continue
        if key not in ARGUMENTS:
            raise PackageError(f"network_def: the argument {key!r} cannot be honoured")
        allowed = ARGUMENTS[key]
        if allowed is not None and value not in allowed:
            raise PackageError(f"network_def: {key} = {value!r} cannot be honoured, only {allowed[0]!r}")
    channels, outputs = table.get("in_channels"), table.get("out_channels")
    if "spatial_dims" not in table or channels is None or not isinstance(outputs, int) or outputs < 1:
        raise PackageError("network_def: spatial_dims, in_channels and out_channels must be written there")
    if channels != before.channels:
        raise PackageError(
            f"network_def: in_channels = {channels} and a grey image of {before.channels} after preprocessing;"
            " colour images cannot be honoured (RepeatChanneld makes three of one)"
        )
    return int(channels), outputs


def _state(bundle: Path, before: Preprocessing, after: Postprocessing, outputs: int) -> dict[str, Tensor]:
    """The weights by our names, transposed to see rows first, the head with one output a label."""
    path = bundle / WEIGHTS
    if not path.is_file():
        scripted = path.with_suffix(".ts").is_file()
        reason = "only model.ts is there, a TorchScript program, which is not run: give model.pt" if scripted else ""
        raise PackageError(f"{WEIGHTS} is missing" + (f"; {reason}" if reason else ""))
    state = published_state(read_tensors(path))
    if len(state.get("head.bias", ())) != outputs:
        raise PackageError(f"{WEIGHTS} has not the {outputs} outputs that network_def has")
    if before.x_first:  # a network that sees the image transposed is one whose kernels are
        state = {key: value.transpose(2, 3) if value.ndim == 4 else value for key, value in state.items()}
    if after.activation == "softmax":
        if outputs != 2:
            raise PackageError(f"softmax over {outputs} outputs cannot be honoured: a finding is present or absent")
        for key in ("head.weight", "head.bias"):  # softmax of two is the sigmoid of their difference
            state[key] = state[key][1:] - state[key][:1]
    return state


def _names(metadata: Json, outputs: int, after: Postprocessing) -> list[str]:
    formats = metadata.get("network_data_format", {})
    for one in formats.get("inputs", {}).values():
        if str(one.get("modality", "")).lower() not in MODALITIES:
            raise PackageError(f"{METADATA}: the modality {one['modality']!r} is no radiograph")
    found = [one["channel_def"] for one in formats.get("outputs", {}).values() if one.get("channel_def")]
    names = [str(found[0].get(str(index), "")) for index in range(outputs)] if len(found) == 1 else []
    if not names or not all(names):
        raise PackageError(
            f"{METADATA}: network_data_format.outputs must name each of {outputs} outputs in channel_def"
        )
    return names[1:] if after.activation == "softmax" else names


def _labels(
    bundle: Path, names: list[str], biases: list[float], before: Preprocessing, after: Postprocessing
) -> tuple[list[Json], Json]:
    """Labels of the card, and the rules of its input."""
    clinical, rules = _clinical(bundle)
    assert before.size is not None
    labels = []
    for name, bias in zip(names, biases, strict=True):
        plain = re.sub(r"\W+", "_", name).strip("_")
        finding = clinical.get(name) or clinical.get(OTHER_NAMES.get(plain.lower(), plain).lower())
        if finding is None:
            raise PackageError(
                f"it is not known how to report {name!r}: write {CLINICAL} into the bundle with a table [[labels]]:"
                f' name = {json.dumps(name)}, code and site = ["value", "scheme", "meaning"], urgency = "LOW", acr = 0,'
                " colour = [r, g, b]"
            )
        labels.append(
            finding
            | {
                "name": finding["name"] if finding["name"] != name else plain,
                "operating_point": after.threshold,
                "saliency_threshold": round(foreign.logit(after.threshold) - bias, 6),
                "smallest_region_fraction": foreign.smallest_region(before.size, STRIDE),
            }
        )
    return labels, rules


def _clinical(bundle: Path) -> tuple[dict[str, Json], Json]:
    """Findings by name (the known ones in lower case), and what the network may see; the bundle's file adds to both."""
    known = {name.lower(): one for name, one in foreign.known_findings().items()}
    path = bundle / CLINICAL
    if not path.is_file():
        return known, INPUT
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
        own = {str(one["name"]): one for one in table.get("labels", [])}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, KeyError, TypeError) as error:
        raise PackageError(f"{CLINICAL} cannot be read: {error!r}") from error
    return known | own, INPUT | table.get("input", {})


def _card(bundle: Path, metadata: Json, before: Preprocessing, channels: int, labels: list[Json], rules: Json) -> Json:
    title = str(metadata.get("name") or bundle.name)
    name = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")[:LONGEST_NAME].rstrip("-") or "bundle"
    version = re.match(r"\d+\.\d+\.\d+", str(metadata.get("version", "")))
    assert before.size is not None
    size = before.size[::-1] if before.x_first else before.size
    return {
        "name": name,
        "version": version[0] if version else "0.0.0",
        "title": title,
        "manufacturer": str(metadata.get("authors") or "not given"),
        "summary": str(metadata.get("description") or title),
        "licence": str(metadata.get("copyright") or "not given by the bundle: see its LICENSE"),
        "limits": [
            foreign.NOT_A_DEVICE,
            foreign.NOT_MEASURED,
            *([f"The bundle's intended use: {metadata['intended_use']}"] if metadata.get("intended_use") else []),
            *before.notes,
            foreign.REGIONS_NOT_MEASURED,
        ],
        "algorithm": "neural network",
        "quantity": "score",
        "localizer": "cam",
        "input": {"kind": "image", "size": size, **rules},
        "network": {
            "backbone": "densenet121",
            "channels": channels,
            "mean": -before.offset / before.gain,
            "std": 1 / before.gain,
            "scaling": before.scaling,
        },
        "training": {
            "data": str(metadata.get("data_source") or metadata.get("data_type") or "not given by the bundle"),
            "split": "Of the bundle's authors; not known here.",
            "method": f"A MONAI Bundle, trained by its authors. {foreign.REGION_RULE}",
            "citation": " ".join(str(one) for one in metadata.get("references", [])),
        },
        "labels": labels,
    }
