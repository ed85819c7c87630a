"""Predictions of files, written to a folder: probabilities, raw maps and regions of images and of volumes."""

from __future__ import annotations

from models.predicting.images import image_files, predict

__all__ = ["image_files", "predict"]
