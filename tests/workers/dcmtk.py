"""The grey values that DCMTK shows of a file: the peer for all that a picture depends on."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tests.conftest import need

# DCMTK believes a descriptor's bits unless it is asked not to; OHIF and Horos never do.
BY_DATA = ("--ignore-mlut-depth", "--ignore-vlut-depth")
VOI_LUT, WINDOW = ("--use-voi-lut", "1"), ("--use-window", "1")


def picture(path: Path, *options: str) -> NDArray[np.float64]:
    """Grey values 0..1 (rows, columns), in 16 bits; AssertionError with DCMTK's own words where it shows none."""
    target = path.with_suffix(".pgm")
    command = [need("dcmj2pnm", "dcmtk"), "--write-n-bit-pnm", "16", "--no-overlays", *options, str(path), str(target)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert target.exists(), done.stderr + done.stdout
    written = target.read_bytes()
    target.unlink()
    head = re.match(rb"P([25])\s+(?:#[^\n]*\n\s*)*(\d+)\s+(\d+)\s+(\d+)\s", written)
    assert head is not None
    plain, columns, rows, largest = (int(group) for group in head.groups())
    body = written[head.end() :]
    values = np.array(body.split()) if plain == 2 else np.frombuffer(body, ">u2" if largest > 255 else "u1")
    return values.astype(np.float64).reshape(rows, columns) / largest
