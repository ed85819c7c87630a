"""Frames of an enhanced CT as headers of single slices."""

from __future__ import annotations

import numpy as np

from tests.workers.enhanced_phantoms import enhanced_ct
from tests.workers.imaging_phantoms import CHEST_CT, ct_series
from workers.inputs.choose import choose
from workers.inputs.frames import frame_number, frames, instance_uid


def test_each_frame_has_what_its_slice_has_and_a_uid_of_its_own() -> None:
    slices = ct_series([5.0, 4.0, 3.0, 2.0, 1.0, 0.0])
    one = enhanced_ct(slices)
    found = frames(one)
    assert [frame_number(each) for each in found] == [1, 2, 3, 4, 5, 6]
    assert {instance_uid(each) for each in found} == {str(one.SOPInstanceUID)}
    assert len({each.SOPInstanceUID for each in found} | {one.SOPInstanceUID}) == 7
    assert [each.SOPInstanceUID for each in found] == [each.SOPInstanceUID for each in frames(one)]
    for each, slice_ in zip(found, slices, strict=True):
        for keyword in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "RescaleIntercept"):
            np.testing.assert_array_equal(each[keyword].value, slice_[keyword].value)
    assert "NumberOfFrames" not in found[0]
    assert one.NumberOfFrames == 6


def test_a_single_slice_is_its_own_frame() -> None:
    (slice_,) = ct_series([0.0])
    assert frames(slice_) == (slice_,)
    assert frame_number(slice_) is None
    assert instance_uid(slice_) == slice_.SOPInstanceUID


def test_of_an_enhanced_ct_the_frames_are_chosen_in_the_order_of_their_places() -> None:
    one = enhanced_ct(ct_series([5.0, 4.0, 3.0, 2.0, 1.0, 0.0]))
    choice = choose([one], CHEST_CT)
    (target,) = choice.targets
    assert target.frames == (6, 5, 4, 3, 2, 1)
    assert target.sop_instance_uids == (one.SOPInstanceUID,) * 6
    assert choice.left_out == ()
    localizer = enhanced_ct(ct_series([0.0, 1.0, 2.0, 3.0, 4.0]), frame_type=("ORIGINAL", "PRIMARY", "LOCALIZER"))
    assert choose([localizer], CHEST_CT).targets == ()
