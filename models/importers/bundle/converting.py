"""Packages of MONAI Bundles whose network classifies radiographs; all that cannot be honoured is named at once.

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

from models import packages
from models.errors import PackageError, numbered
from models.importers import foreign
from models.importers.bundle.faults import Faults
from models.importers.bundle.network import WEIGHTS, Described, Made, described, made, of_two
from models.importers.bundle.transforms import Preprocessing, postprocessing, preprocessing

METADATA, INFERENCE = Path("configs") / "metadata.json", Path("configs") / "inference.json"
CLINICAL = Path("configs") / "readfirst.toml"
MODALITIES = ("", "n/a", "cr", "dx", "xr", "x-ray", "xray", "radiograph", "radiography")
OTHER_NAMES = {
    "pleural_effusion": "Effusion",
    "pulmonary_edema": "Edema",
    "lung_nodule": "Nodule",
    "lung_mass": "Mass",
    "hiatal_hernia": "Hernia",
}
NO_FINDING = ("normal", "no_finding", "healthy", "negative")  # classes that are the absence of one
HALF = 0.5  # of a map's peak, where no threshold follows from the network
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
        All of the bundle that cannot be honoured.
    """
    faults = Faults()
    try:
        found = _converted(bundle, folder, faults)
    except PackageError as error:
        faults.found.append(str(error).rstrip("."))
    except (AttributeError, TypeError, ValueError, LookupError) as error:
        faults.found.append(
            f"{METADATA} or {INFERENCE} is not written as the MONAI Bundle specification has it ({error!r})"
        )
    if faults.found:
        raise PackageError(numbered(f"The MONAI Bundle {bundle} cannot be added", faults.found))
    return found


def _converted(bundle: Path, folder: Path, faults: Faults) -> tuple[Path, tuple[str, ...]]:
    metadata, inference = (_json(bundle / name) for name in (METADATA, INFERENCE))
    steps = [faults.of(_transforms, inference, stage) for stage in ("preprocessing", "postprocessing")]
    before = None if steps[0] is None else preprocessing(steps[0], faults)
    after = None if steps[1] is None else postprocessing(steps[1], faults)
    network = faults.of(lambda: described(_resolved(inference, inference.get("network_def", {}))))
    if network and before:
        faults.of(_require_channels, network.channels, before.channels)
    faults.of(_require_modality, metadata)
    named = faults.of(_names, metadata, network.outputs) if network else None
    names = named[1:] if named and after and network and of_two(network, after) else named
    findings, rules = faults.of(_findings, bundle, names) if names else None, faults.of(_rules, bundle)
    weights = faults.of(made, bundle, network, before, after) if network and before and after else None
    if not (network and before and after and findings and rules and weights) or faults.found:
        return bundle, ()
    exclusive = after.activation == "softmax" and len(findings) > 1
    labels = [
        _label(one, index, before, after.threshold, weights, exclusive=exclusive) for index, one in enumerate(findings)
    ]
    card = _card(bundle, metadata, before, network, weights, labels, rules, exclusive=exclusive)
    source = str(metadata.get("name") or bundle.name) + f", MONAI Bundle {metadata.get('version', '')}".rstrip()
    place = foreign.write(folder, card, weights.data, source, packages.sha256(bundle / WEIGHTS))
    if (bundle / "LICENSE").is_file() and not (bundle / "LICENSE").is_symlink():
        shutil.copyfile(bundle / "LICENSE", place / "LICENSE")
    return place, before.notes


def _require_channels(channels: int, given: int) -> None:
    if channels != given:
        raise PackageError(
            f"network_def: in_channels = {channels} and a grey image of {given} after preprocessing;"
            " colour images cannot be honoured (RepeatChanneld makes three of one)"
        )


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


def _require_modality(metadata: Json) -> None:
    for one in metadata.get("network_data_format", {}).get("inputs", {}).values():
        if str(one.get("modality", "")).lower() not in MODALITIES:
            raise PackageError(f"{METADATA}: the modality {one['modality']!r} is no radiograph")


def _names(metadata: Json, outputs: int) -> list[str]:
    formats = metadata.get("network_data_format", {}).get("outputs", {}).values()
    found = [one["channel_def"] for one in formats if one.get("channel_def")]
    names = [str(found[0].get(str(index), "")) for index in range(outputs)] if len(found) == 1 else []
    if not names or not all(names):
        raise PackageError(
            f"{METADATA}: network_data_format.outputs must name each of {outputs} outputs in channel_def"
        )
    return names


def _findings(bundle: Path, names: list[str]) -> list[Json]:
    """Name, codes, urgency and colour of each output; PackageError with all those that nothing is known of."""
    known = {name.lower(): one for name, one in foreign.known_findings().items()}
    own = {str(one["name"]): one for one in _clinical(bundle).get("labels", [])}
    findings, unknown = [], []
    for name in names:
        plain = re.sub(r"\W+", "_", name).strip("_")
        finding = own.get(name) or known.get(OTHER_NAMES.get(plain.lower(), plain).lower())
        if finding is None:
            unknown.append(name)
        else:
            findings.append(finding | {"name": finding["name"] if finding["name"] != name else plain})
    if unknown:
        raise PackageError(
            f"it is not known how to report {', '.join(map(repr, unknown))}: write {CLINICAL} into the bundle with a"
            f' table [[labels]] for each: name = {json.dumps(unknown[0])}, code and site = ["value", "scheme",'
            ' "meaning"], urgency = "LOW", acr = 0, colour = [r, g, b]'
        )
    return findings


def _rules(bundle: Path) -> Json:
    """What the network may see."""
    rules: Json = INPUT | _clinical(bundle).get("input", {})
    return rules


def _clinical(bundle: Path) -> Json:
    """What the bundle's own file adds to findings and rules; empty where there is none."""
    path = bundle / CLINICAL
    if not path.is_file():
        return {}
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
        [one["name"] for one in table.get("labels", [])]
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, KeyError, TypeError) as error:
        raise PackageError(f"{CLINICAL} cannot be read: {error!r}") from error
    return table


def _label(
    finding: Json, index: int, before: Preprocessing, threshold: float, weights: Made, *, exclusive: bool
) -> Json:
    assert before.size is not None
    # Of exclusive classes the most probable one is present, so no threshold of a cell follows from one of the class.
    exact = None if exclusive or weights.thresholds is None else weights.thresholds[index]
    return finding | {
        "operating_point": 0.0 if exclusive else threshold,
        "saliency_threshold": exact or 0.0,
        "region_of_peak": HALF if exact is None else 0.0,
        "smallest_region_fraction": foreign.smallest_region(before.size, weights.stride),
        "finding": not (exclusive and finding["name"].lower() in NO_FINDING),
    }


def _card(
    bundle: Path,
    metadata: Json,
    before: Preprocessing,
    network: Described,
    weights: Made,
    labels: list[Json],
    rules: Json,
    *,
    exclusive: bool,
) -> Json:
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
        "quantity": "probability" if exclusive else "score",
        "activation": "softmax" if exclusive else "sigmoid",
        "localizer": weights.localizer,
        "input": {"kind": "image", "size": size, **rules},
        "network": {
            "backbone": weights.backbone,
            "channels": network.channels,
            "mean": -before.offset / before.gain,
            "std": 1 / before.gain,
            "scaling": before.scaling,
        },
        "training": {
            "data": str(metadata.get("data_source") or metadata.get("data_type") or "not given by the bundle"),
            "split": "Of the bundle's authors; not known here.",
            "method": f"A MONAI Bundle ({network.name}), trained by its authors. {_region_rule(weights, exclusive)}",
            "citation": " ".join(str(one) for one in metadata.get("references", [])),
        },
        "labels": labels,
    }


def _region_rule(weights: Made, exclusive: bool) -> str:
    if exclusive or weights.thresholds is None:
        return f"Regions are half of the peak of its {weights.localizer} map."
    divided = "" if weights.localizer == "cam" else " The map is stored divided by its number of cells (HiResCAM)."
    return foreign.REGION_RULE + divided
