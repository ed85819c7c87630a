"""Several acquisitions, phases and reconstructions in one CT series; what is no pass is not split."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from pydicom import Dataset

from tests.workers.imaging_phantoms import CHEST_CT, ct_slice
from workers.inputs.choose import Choice, choose

ALL = [2.5 * index for index in range(40)]
HALF_WAY = [place + 1.25 for place in ALL]
BESIDE = [place + 0.9 for place in ALL]
PIXELS = np.full((16, 16), 1000, np.int16)
Value = Callable[[int], Any] | Any


def series(places: list[float], start: int = 1, **attributes: Value) -> list[Dataset]:
    """Numbered from `start` on; a value may depend on the index."""
    return [
        ct_slice(PIXELS, (0.0, 0.0, place), InstanceNumber=start + index,
                 **{key: value(index) if callable(value) else value for key, value in attributes.items()})
        for index, place in enumerate(places)
    ]  # fmt: skip


def clock(hour: int) -> Callable[[int], str]:
    return lambda index: f"{hour}10{index % 60:02d}"


def chosen(headers: list[Dataset]) -> tuple[Choice, list[Dataset]]:
    shuffled = random.Random(3).sample(headers, len(headers))
    choice = choose(shuffled, CHEST_CT)
    by_uid = {str(header.SOPInstanceUID): header for header in headers}
    return choice, [by_uid[uid] for target in choice.targets for uid in target.sop_instance_uids]


# Series of two passes, of which the first is to be taken; and what they are told apart by.
PASSES: dict[str, tuple[list[Dataset], list[Dataset], str]] = {
    "half way": (series(ALL, AcquisitionNumber=1), series(HALF_WAY, 200, AcquisitionNumber=2), "Acquisition Number 1"),
    "beside": (
        series(ALL, AcquisitionNumber=1), series(BESIDE[5:25], 200, AcquisitionNumber=2), "Acquisition Number 1"),
    "beside, the short one first": (
        series(ALL, AcquisitionNumber=2), series(BESIDE[5:25], 200, AcquisitionNumber=1), "Acquisition Number 2"),
    "same places and numbers": (
        series(ALL, AcquisitionNumber=1), series(ALL, AcquisitionNumber=2), "Acquisition Number 1"),
    "a number for each rotation": (
        series(ALL, AcquisitionNumber=lambda index: index + 1),
        series(ALL, 100, AcquisitionNumber=lambda index: index + 100), "Acquisition Number 1, 2, 3 and 37 more"),
    "kernels": (series(ALL, ConvolutionKernel="B30f"), series(ALL, ConvolutionKernel="B60f"), "Kernel B30F"),
    "kernels half way": (
        series(ALL, ConvolutionKernel="B30f"), series(HALF_WAY, ConvolutionKernel="B60f"), "Kernel B30F"),
    "image types": (
        series(ALL, ImageType=["ORIGINAL", "PRIMARY", "AXIAL", "CT_SOM5 A"]),
        series(BESIDE, ImageType=["ORIGINAL", "PRIMARY", "AXIAL", "CT_SOM5 B"]), "Image Type ORIGINAL"),
    "phases": (
        series(ALL, TemporalPositionIdentifier=1), series(ALL, 50, TemporalPositionIdentifier=2),
        "Temporal Position Identifier 1"),
    "echoes": (series(ALL, EchoNumbers=1), series(ALL, EchoNumbers=2), "Echo Number(s) 1"),
    "times": (series(ALL, AcquisitionTime="101010"), series(HALF_WAY, AcquisitionTime="101110"), "Time 101010"),
    "a time for each slice": (
        series(ALL, AcquisitionTime=clock(10)), series(ALL, 50, AcquisitionTime=clock(11)), "Acquisition Time 101000"),
    "a time for each slice, half way": (
        series(ALL, AcquisitionTime=clock(10)), series(HALF_WAY, 50, AcquisitionTime=clock(11)),
        "Instance Number from 1 "),
    "counted on": (series(ALL), series(HALF_WAY, 100), "Instance Number from 1 "),
    "counted back": (series(ALL), series(ALL[::-1], 100), "Instance Number from 1 "),
    "counted anew": (series(ALL), series(HALF_WAY), "Instance Number from 1 "),
    "two parts, two phases": (
        series(ALL[:20], AcquisitionNumber=1) + series(ALL[20:], 21, AcquisitionNumber=2),
        series(ALL[:20], 101, AcquisitionNumber=3) + series(ALL[20:], 121, AcquisitionNumber=4),
        "Acquisition Number 1, 2"),
}  # fmt: skip


@pytest.mark.parametrize("what", PASSES)
def test_one_pass_is_taken_whole_and_it_is_said_which(what: str) -> None:
    taken, rejected, name = PASSES[what]
    choice, slices = chosen(taken + rejected)
    assert sorted(id(one) for one in slices) == sorted(id(one) for one in taken)
    (note,) = choice.notes
    assert name in note
    assert f"({len(taken)} slices): " in note
    reasons = {reason for _, reason in choice.left_out}
    assert len(choice.left_out) == len(rejected)
    assert all(reason.startswith("another pass of the series was chosen, not ") for reason in reasons)


# One volume each, whatever changes within it.
WHOLE: dict[str, list[Dataset]] = {
    "one acquisition": series(ALL),
    "a number for each slice": series(ALL, AcquisitionNumber=lambda index: index + 1),
    "a time for each slice": series(ALL, AcquisitionTime=clock(10), ContentTime=clock(11)),
    "two parts": series(ALL[:20], AcquisitionNumber=1) + series(ALL[20:], 21, AcquisitionNumber=2),
    "two parts, each counted anew": series(ALL[:20], AcquisitionNumber=1) + series(ALL[20:], AcquisitionNumber=2),
    "one slice of another number": series(ALL, AcquisitionNumber=lambda index: 7 if index == 20 else 1),
    "one slice of another kernel": series(ALL, ConvolutionKernel=lambda index: "B60f" if index == 20 else "B30f"),
    "numbers without order": [
        one
        for place, number in zip(ALL, random.Random(1).sample(range(40), 40), strict=True)
        for one in series([place], number)
    ],
    "places with one decimal": series([round(-300 + 0.625 * index, 1) for index in range(60)]),
    "places with one decimal, oblong": series([round(-300 + 0.75 * index, 1) for index in range(60)]),
}  # fmt: skip


@pytest.mark.parametrize("what", WHOLE)
def test_what_is_one_volume_stays_one(what: str) -> None:
    choice, slices = chosen(WHOLE[what])
    assert len(slices) == len(WHOLE[what])
    assert (choice.left_out, choice.notes) == ((), ())


def test_a_slice_that_was_sent_twice_is_no_pass() -> None:
    choice, slices = chosen(series(ALL) + series(ALL[5:9], 6))
    assert len(slices) == 40
    assert {reason.partition(" at ")[0] for _, reason in choice.left_out} == {"duplicate of another slice"}
    assert choice.notes == ()


def test_a_pass_with_a_hole_gives_way_to_a_whole_one() -> None:
    holed, whole = series(ALL[:15] + ALL[16:], AcquisitionNumber=1), series(BESIDE, 100, AcquisitionNumber=2)
    choice, slices = chosen(holed + whole)
    assert len(slices) == 40
    assert "Acquisition Number 2 (40 slices): it covers more of the patient" in choice.notes[0]
    assert any("slices are missing between" in reason for _, reason in choice.left_out)


def test_positions_off_the_grid_by_more_than_a_decimal_are_uneven() -> None:
    places = [2.0 * index for index in range(20)]
    places[10] += 0.3
    choice, slices = chosen(series(places))
    assert slices == []
    assert "uneven slice spacing" in choice.left_out[0][1]
