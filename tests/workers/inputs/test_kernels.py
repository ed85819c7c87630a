"""Kernels by the names that makers give them."""

from __future__ import annotations

import numpy as np
import pytest

from tests.workers.imaging_phantoms import ct_slice
from workers.inputs.kernels import kernel_of, kernel_words


@pytest.mark.parametrize(
    ("attributes", "kind"),
    [
        ({"ConvolutionKernel": "STANDARD"}, "soft"),
        ({"ConvolutionKernel": "BONEPLUS"}, "lung"),
        ({"ConvolutionKernel": "B31f"}, "soft"),
        ({"ConvolutionKernel": ["I70f", "3"]}, "lung"),
        ({"ConvolutionKernel": "Br40d"}, "soft"),
        ({"ConvolutionKernel": "Bl57f"}, "lung"),
        ({"ConvolutionKernel": "FC08"}, "soft"),
        ({"ConvolutionKernel": "FC51"}, "lung"),
        ({"ConvolutionKernel": "YC"}, "lung"),
        ({"ConvolutionKernel": "MYSTERY"}, ""),
        ({"ConvolutionKernel": "MYSTERY", "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL", "LUNG"]}, "lung"),
        ({"ConvolutionKernel": "B31f", "ConvolutionKernelGroup": "LUNG"}, "lung"),
        ({}, ""),
    ],
)
def test_a_kernel_is_soft_or_lung_or_unknown(attributes: dict[str, object], kind: str) -> None:
    assert kernel_of(ct_slice(np.zeros((2, 2), np.int16), (0, 0, 0), **attributes)) == kind


def test_a_kernel_in_words() -> None:
    header = ct_slice(np.zeros((2, 2), np.int16), (0, 0, 0), ConvolutionKernel="B60f")
    assert kernel_words(header) == "kernel B60F (lung)"
    del header.ConvolutionKernel
    assert kernel_words(header) == "kernel not named"
