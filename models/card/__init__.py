"""The card of a model package: what it finds, what it may see, how it was measured, what its weights are."""

from __future__ import annotations

from models.card.card import COARSEST_STRIDE, Card
from models.card.dense import Boxes, Masks, Voxels
from models.card.inputs import Input
from models.card.labels import LEAST_AUC, LEAST_SPECIFICITY, Calibration, Dot, Label, TriagePoint
from models.card.network import Anatomy, Detector, Network, VolumeInput, Weights, Window
from models.card.table import Code, Fraction, Interval, Text
from models.card.training import Agreement, Measurement, Overlap, Training

__all__ = [
    "COARSEST_STRIDE", "LEAST_AUC", "LEAST_SPECIFICITY", "Agreement", "Anatomy", "Boxes", "Calibration", "Card", "Code",
    "Detector", "Dot", "Fraction", "Input", "Interval", "Label", "Masks", "Measurement", "Network", "Overlap", "Text",
    "Training", "TriagePoint", "VolumeInput", "Voxels", "Weights", "Window",
]  # fmt: skip
