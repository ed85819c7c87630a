"""What draws images again: an autoencoder, a denoising U-Net, a variational autoencoder."""
