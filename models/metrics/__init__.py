"""Figures of predictions against the truth: ranking, decisions, calibration, boxes, masks. NumPy alone."""

from __future__ import annotations

from models.metrics.boxes import Rectangle, best_overlaps, hits, overlap, peak
from models.metrics.decisions import Bin, Decisions, calibration_error, decisions, reliability
from models.metrics.draws import Figure, figure, patient_draws
from models.metrics.froc import Marks, froc_curve, froc_sensitivity
from models.metrics.masks import dice, hausdorff
from models.metrics.ranking import Auc, auc, auc_draws, auc_interval

__all__ = [
    "Auc",
    "Bin",
    "Decisions",
    "Figure",
    "Marks",
    "Rectangle",
    "auc",
    "auc_draws",
    "auc_interval",
    "best_overlaps",
    "calibration_error",
    "decisions",
    "dice",
    "figure",
    "froc_curve",
    "froc_sensitivity",
    "hausdorff",
    "hits",
    "overlap",
    "patient_draws",
    "peak",
    "reliability",
]
