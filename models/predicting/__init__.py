"""Predictions of files, written to a folder: probabilities, raw maps and regions of images and of volumes."""

from __future__ import annotations

from models.predicting.images import image_files, predict
from models.predicting.volumes import predict_volumes, volume_files

__all__ = ["image_files", "predict", "predict_volumes", "volume_files"]
