"""A U-Net that takes noise away: trained on normal images, it takes away what it has not seen, too.

A U-Net that draws its input again learns to copy it through its skip connections, lesions and all. So it is given the
image with coarse noise and asked for the image without: Kascenas, Pugeault and O'Neil, Denoising autoencoders for
unsupervised anomaly detection in brain MRI, MIDL 2022. Their noise is drawn on a grid of an eighth of the resolution,
of a deviation of 0.2, and stretched to the image at a random offset; at prediction there is none.
"""

from __future__ import annotations

import torch
from monai.networks.nets.unet import UNet as MonaiUNet
from torch import Tensor, nn
from torch.nn import functional

WIDTHS = (16, 32, 64, 128)
STRIDE = 8  # input pixels a cell of the lowest level
COARSE = 8  # pixels a number of the noise
DEVIATION = 0.2  # of the noise, where black is 0 and white 1


class DenoisingUNet(nn.Module):
    """A `Drawer` at the input's own size, whose sides are multiples of `STRIDE`."""

    def __init__(self) -> None:
        super().__init__()
        self.unet = MonaiUNet(2, 1, 1, WIDTHS, (2, 2, 2), num_res_units=1, norm="BATCH")

    def forward(self, x: Tensor) -> Tensor:
        """The image (N, 1, rows, columns) without what is taken for noise."""
        drawn: Tensor = self.unet(x)
        return drawn

    def loss(self, x: Tensor) -> Tensor:
        """Mean absolute error of images that were given with noise."""
        error: Tensor = (self(x + coarse_noise(x)) - x).abs().mean()
        return error


def coarse_noise(x: Tensor) -> Tensor:
    """Noise of the shape of images (N, 1, rows, columns), smooth over `COARSE` pixels, nowhere on a fixed grid."""
    rows, columns = x.shape[-2:]
    grid = torch.randn(len(x), 1, rows // COARSE + 2, columns // COARSE + 2, device=x.device) * DEVIATION
    fine = functional.interpolate(grid, scale_factor=COARSE, mode="bilinear")
    row, column = (int(torch.randint(COARSE, ())) for _ in range(2))
    return fine[..., row : row + rows, column : column + columns]
