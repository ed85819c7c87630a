"""Localizers whose map is what a network of normal images fails to draw again; torch is imported on loading."""

from models.localizers.reconstruction import autoencoder, denoising, variational

__all__ = ["autoencoder", "denoising", "variational"]
