"""What a package is worth on images that it has not seen; `evaluate` measures, `report` writes it for people."""

from __future__ import annotations

from models.evaluation.discrimination import FEWEST_POSITIVES, measurements, metadata_baseline
from models.evaluation.figures import Evaluation, Pointing
from models.evaluation.measuring import evaluate
from models.evaluation.traces import SAME_FINDING

__all__ = [
    "FEWEST_POSITIVES",
    "SAME_FINDING",
    "Evaluation",
    "Pointing",
    "evaluate",
    "measurements",
    "metadata_baseline",
]
