"""Soft or lung: what a CT's reconstruction kernel is, from the names that makers give it.

Chosen from the makers' documents and from what archives hold; a name that is in no table is unknown, and counts as
neither. Bone kernels are sharp like lung kernels, and are taken for one.
"""

from __future__ import annotations

import re
from typing import Literal

from pydicom.dataset import Dataset

from workers.dicom.attributes import text, words

Kernel = Literal["soft", "lung", ""]
_GROUPS: dict[str, Kernel] = {"SOFT_TISSUE": "soft", "BRAIN": "soft", "LUNG": "lung", "BONE": "lung"}  # (0018,9316)
_NAMES: dict[str, Kernel] = {
    # GE
    "STANDARD": "soft", "SOFT": "soft", "CHEST": "soft", "DETAIL": "lung", "LUNG": "lung", "BONE": "lung",
    "BONEPLUS": "lung", "EDGE": "lung", "ULTRA": "lung",
    # Philips
    "A": "soft", "B": "soft", "C": "soft", "D": "lung", "E": "lung", "L": "lung", "YA": "lung", "YB": "lung",
    "YC": "lung", "YD": "lung",
}  # fmt: skip
_SIEMENS = re.compile(r"[BHIJQU][A-Z]?(\d\d)[A-Z]?(?:\\.*)?")  # B31f, I70f, Br40d, Bl57f: two digits are the sharpness
_CANON = re.compile(r"FC(\d\d)")
SHARP = 50  # from this number on


def kernel_of(header: Dataset) -> Kernel:
    """By Convolution Kernel Group (0018,9316), else Convolution Kernel (0018,1210), else a word of Image Type."""
    group = text(header, "ConvolutionKernelGroup")
    if group in _GROUPS:
        return _GROUPS[group]
    named = words(header, "ConvolutionKernel")
    for name in named[:1]:
        if found := _named(name):
            return found
    types = set(words(header, "ImageType"))
    return "lung" if "LUNG" in types else "soft" if "SOFT" in types else ""


def kernel_words(header: Dataset) -> str:
    """The kernel as a report names it: "kernel B60F (lung)"."""
    name, kind = text(header, "ConvolutionKernel")[:24], kernel_of(header)
    return f"kernel {name or 'not named'}" + (f" ({kind})" if kind and kind.upper() != name else "")


def _named(name: str) -> Kernel:
    if name in _NAMES:
        return _NAMES[name]
    siemens, canon = _SIEMENS.fullmatch(name), _CANON.fullmatch(name)
    if siemens:
        return "lung" if int(siemens[1]) >= SHARP else "soft"
    if canon:  # FC01 to FC29 are of body and head, FC30 and FC80 on of bone, FC50 on of the lung
        return "soft" if int(canon[1]) < 30 else "lung"
    return ""
