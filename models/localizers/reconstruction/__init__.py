"""Localizers by reconstruction: maps are where what draws normal images again fails."""

from models.localizers.reconstruction import autoencoder, denoising, variational

__all__ = ["autoencoder", "denoising", "variational"]
