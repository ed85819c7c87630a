"""Models know tensors alone: packages of weights and cards, predictions with calibrated probability and saliency."""

from __future__ import annotations

from models.card import Card, Code, Input, Label
from models.errors import CardError, DataError, InputError, ModelsError, PackageError
from models.packages import available, digest, find, load, load_card, verify
from models.prediction import Model, Prediction

__all__ = [
    "Card",
    "CardError",
    "Code",
    "DataError",
    "Input",
    "InputError",
    "Label",
    "Model",
    "ModelsError",
    "PackageError",
    "Prediction",
    "available",
    "digest",
    "find",
    "load",
    "load_card",
    "verify",
]
