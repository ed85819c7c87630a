"""From what was chosen of a study to the source that a model sees: decoded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from pydicom import Dataset

from models.card import Input
from workers.findings.source import ImageSource, Source, VolumeSource
from workers.inputs.choose import Target
from workers.inputs.decoding.decoder import Decoder
from workers.inputs.pixels import image_grid, load_image
from workers.inputs.volume import load_volume


def load_source(
    target: Target, paths: Mapping[str, Path], headers: Sequence[Dataset], rules: Input, decoder: Decoder
) -> Source:
    """Decode what the model is to see.

    Parameters
    ----------
    paths
        The file of each SOP Instance UID.
    headers
        Those that were read already; they stay as they are.

    Raises
    ------
    AnalysisError
    """
    chosen = [paths[uid] for uid in target.sop_instance_uids]
    if target.kind == "volume":
        known = {paths[uid]: one for one in headers if (uid := str(one.SOPInstanceUID)) in paths}
        return VolumeSource(load_volume(chosen, decoder, rules, target.frames, known))
    assert rules.size is not None, "the card's own check: an image model has a size"
    image = load_image(chosen[0], decoder, rules)
    return ImageSource(image, image_grid(image.dataset, rules.size, rules.crop), rules)
