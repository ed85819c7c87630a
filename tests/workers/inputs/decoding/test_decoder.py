"""The decoding child: every transfer syntax, and every way in which it can go wrong. Real files are pydicom's own."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import DeflatedExplicitVRLittleEndian, RLELossless

from tests.waiting import at_most, wait_until
from tests.workers.imaging_phantoms import ct_slice, pydicom_file, radiograph, sample, save
from workers.inputs.decoding.decoder import DecodeError, Decoder

TWINS = [  # compressed, uncompressed, tolerance
    ("MR_small_implicit.dcm", "MR_small.dcm", 0),
    ("MR_small_bigendian.dcm", "MR_small.dcm", 0),
    ("MR_small_expb.dcm", "MR_small.dcm", 0),
    ("MR_small_padded.dcm", "MR_small.dcm", 0),
    ("MR_small_RLE.dcm", "MR_small.dcm", 0),
    ("MR_small_jp2klossless.dcm", "MR_small.dcm", 0),
    ("MR_small_jpeg_ls_lossless.dcm", "MR_small.dcm", 0),
    ("JPEG2000.dcm", "JPEG2000_UNC.dcm", 0),
    ("693_J2KR.dcm", "693_UNCR.dcm", 0),
    ("693_J2KI.dcm", "693_UNCI.dcm", 2),
    ("MR2_J2KR.dcm", "MR2_UNCR.dcm", 0),
    ("MR2_J2KI.dcm", "MR2_UNCI.dcm", 1),
    ("RG1_J2KR.dcm", "RG1_UNCR.dcm", 0),
    ("RG1_J2KI.dcm", "RG1_UNCI.dcm", 1),
    ("RG3_J2KR.dcm", "RG3_UNCR.dcm", 0),
    ("RG3_J2KI.dcm", "RG3_UNCI.dcm", 1),
    ("emri_small_RLE.dcm", "emri_small.dcm", 0),
    ("emri_small_big_endian.dcm", "emri_small.dcm", 0),
    ("emri_small_jpeg_2k_lossless.dcm", "emri_small.dcm", 0),
    ("emri_small_jpeg_ls_lossless.dcm", "emri_small.dcm", 0),
    ("rtdose_rle.dcm", "rtdose.dcm", 0),
    ("rtdose_expb.dcm", "rtdose.dcm", 0),
    ("US1_J2KR.dcm", "US1_UNCR.dcm", 0),
    ("SC_rgb_rle_2frame.dcm", "SC_rgb_2frame.dcm", 0),
]
# Without a twin: shape, and values that pydicom's own tests take from another decoder.
KNOWN = {
    "JPGExtended.dcm": ((1024, 256), {(420, 140): 244, (230, 120): 95}),  # JPEG Extended, 12 bit
    "JPEG-lossy.dcm": ((1024, 256), {(420, 140): 244, (230, 120): 95}),
    "JPEG-LL.dcm": ((1024, 256), {(400, 124): 60, (400, 127): 68, (600, 124): 3}),  # JPEG Lossless, first order
    "JPGLosslessP14SV1_1s_1f_8b.dcm": ((768, 1024), {(300, 512): 26, (600, 512): 45, (600, 519): 21}),
    "JPEGLSNearLossless_16.dcm": ((50, 10), {(0, 0): 65535, (5, 0): 32765, (15, 0): 4095, (40, 0): 5}),
    "J2K_pixelrep_mismatch.dcm": ((512, 512), {(0, 0): -2000}),  # signed values in an unsigned codestream
    "image_dfl.dcm": ((512, 512), {}),
}


@pytest.fixture(scope="module")
def decoder():
    with Decoder() as decoder:
        yield decoder


@pytest.fixture
def small() -> Path:
    return pydicom_file("MR_small.dcm")


@pytest.mark.parametrize(("name", "twin", "tolerance"), TWINS, ids=[name for name, _, _ in TWINS])
def test_a_compressed_file_holds_what_its_uncompressed_twin_holds(decoder, name, twin, tolerance):
    found, expected = decoder.decode(pydicom_file(name)), dcmread(pydicom_file(twin)).pixel_array
    assert found.shape == expected.shape
    assert np.abs(found.astype(np.int64) - expected).max() <= tolerance


@pytest.mark.parametrize("name", KNOWN)
def test_a_file_without_a_twin_holds_known_values(decoder, name):
    shape, values = KNOWN[name]
    found = decoder.decode(pydicom_file(name))
    assert found.shape == shape
    assert {place: found[place] for place in values} == values


def test_the_samples_decode(decoder):
    for name in ("chest-xray-pneumothorax", "chest-xray-normal", "chest-xray-effusion"):
        assert decoder.decode(sample(name)[0]).shape == (512, 512)
    assert decoder.decode(sample("dog")[0]).shape == (169, 211)


@pytest.mark.parametrize(
    ("stored", "high_bit", "values", "expected"),
    [
        (12, 11, np.array([[0xF123, 0x0FFF]], np.uint16), [0x123, 0xFFF]),  # overlay or noise above the stored bits
        (12, 11, np.array([[0x0FFF, 0x0800]], np.int16), [-1, -2048]),  # not sign extended by the sender
        (12, 11, np.array([[-1, 0x07FF]], np.int16), [-1, 2047]),
        (12, 15, np.array([[0x1230, 0xFFFF]], np.uint16), [0x123, 0xFFF]),  # the retired high bit
        (8, 7, np.array([[0x01FF, 0x0100]], np.uint16), [0xFF, 0]),
    ],
)
def test_only_the_stored_bits_count(decoder, tmp_path, stored, high_bit, values, expected):
    path = save(radiograph(values, BitsStored=stored, HighBit=high_bit), tmp_path / "x.dcm")
    assert decoder.decode(path).tolist() == [expected]


def test_padding_outside_of_the_stored_bits_is_left_recognisable(decoder, tmp_path):
    values = np.array([[0xFFFF, 0x0FFF, 5]], np.uint16)
    dataset = radiograph(values, BitsStored=12, HighBit=11, PixelPaddingValue=0xFFFF)
    assert decoder.decode(save(dataset, tmp_path / "x.dcm")).tolist() == [[0xFFFF, 0xFFF, 5]]


def test_a_truncated_file_is_refused_by_name_and_the_child_lives_on(decoder, small):
    pid, broken = decoder.pid, pydicom_file("MR_truncated.dcm")
    with pytest.raises(DecodeError, match="its Pixel Data has 8130 bytes where 8192 are declared") as caught:
        decoder.decode(broken)
    assert caught.value.sop_instance_uid == dcmread(broken).SOPInstanceUID
    assert caught.value.sop_instance_uid in str(caught.value)
    assert decoder.decode(small).shape == (64, 64)
    assert decoder.pid == pid


@pytest.mark.parametrize(
    ("name", "rows", "reason"),
    [
        ("MR_small_jp2klossless.dcm", 48, "codestream is 64 x 64 where 48 x 64 are declared"),
        ("MR_small_jpeg_ls_lossless.dcm", 48, "codestream is 64 x 64 where 48 x 64 are declared"),  # else cut silently
        ("MR_small_jpeg_ls_lossless.dcm", 80, "codestream is 64 x 64 where 80 x 64 are declared"),  # else GDCM aborts
        ("JPEG-LL.dcm", 512, "codestream is 1024 x 256"),
        ("JPGExtended.dcm", 512, "codestream is 1024 x 256"),
        ("MR_small_RLE.dcm", 80, "no codec can decode it"),
    ],
)
def test_a_header_that_declares_another_size_than_the_codestream_is_refused(
    decoder, tmp_path, small, name, rows, reason
):
    dataset = dcmread(pydicom_file(name))
    dataset.Rows = rows
    with pytest.raises(DecodeError, match=reason):
        decoder.decode(save(dataset, tmp_path / "x.dcm"))
    assert decoder.decode(small).shape == (64, 64)


@pytest.mark.parametrize(
    "name",
    [
        "MR_small_jpeg_ls_lossless.dcm",
        "MR_small_jp2klossless.dcm",
        "MR_small_RLE.dcm",
        "JPEG-LL.dcm",
        "JPGExtended.dcm",
    ],
)
def test_half_a_codestream_is_refused_and_not_shown_as_half_an_image(decoder, tmp_path, small, name):
    dataset = dcmread(pydicom_file(name))
    frame = next(generate_frames(dataset.PixelData, number_of_frames=1))
    dataset.PixelData = encapsulate([frame[: len(frame) // 2]])
    with pytest.raises(DecodeError, match="no codec can decode it"):
        decoder.decode(save(dataset, tmp_path / "x.dcm"))
    assert decoder.decode(small).shape == (64, 64)


def test_noise_in_a_codestream_may_kill_the_child_but_not_the_worker(decoder, tmp_path, small):
    dataset = dcmread(pydicom_file("MR_small_RLE.dcm"))
    frame = next(generate_frames(dataset.PixelData, number_of_frames=1))
    random = np.random.default_rng(0)
    for _ in range(5):  # with pylibjpeg-rle 2.2 some of these end in a segmentation fault
        noisy = bytearray(frame)
        for place in random.integers(64, len(frame), 20):
            noisy[place] = int(random.integers(256))
        dataset.PixelData = encapsulate([bytes(noisy)])
        with contextlib.suppress(DecodeError):
            assert decoder.decode(save(dataset, tmp_path / "x.dcm")).shape == (64, 64)
        assert decoder.decode(small).shape == (64, 64)


def test_a_bomb_is_refused_before_it_is_decoded(decoder, tmp_path):
    dataset = dcmread(pydicom_file("MR_small_jp2klossless.dcm"))
    dataset.Rows = dataset.Columns = 65535
    start = time.monotonic()
    with pytest.raises(DecodeError, match="declares 8589672450 bytes of pixels, more than the limit"):
        decoder.decode(save(dataset, tmp_path / "x.dcm"))
    assert time.monotonic() - start < at_most(2)


def test_no_file_and_no_dicom_file_are_refused(decoder, tmp_path):
    (tmp_path / "x.dcm").write_bytes(b"no DICOM" * 100)
    for path in (tmp_path / "x.dcm", tmp_path / "missing.dcm"):
        with pytest.raises(DecodeError, match=path.name):
            decoder.decode(path)


def test_a_child_killed_between_two_calls_is_not_noticed(small):
    with Decoder() as decoder:
        decoder.decode(small)
        first = decoder.pid
        os.kill(first, signal.SIGKILL)
        wait_until(lambda: not _runs(Path(f"/proc/{first}/stat")))
        assert decoder.decode(small).shape == (64, 64)
        assert decoder.pid != first


def test_a_crash_fails_one_instance_and_the_next_gets_a_fresh_child(small):
    with Decoder() as decoder:
        decoder.decode(small)
        os.kill(decoder.pid, signal.SIGSTOP)  # so that it is surely killed at work
        threading.Timer(0.2, os.kill, (decoder.pid, signal.SIGKILL)).start()
        with pytest.raises(DecodeError, match="crashed"):
            decoder.decode(small)
        assert decoder.decode(small).shape == (64, 64)


def test_a_child_that_hangs_is_killed_after_its_time(small):
    with Decoder(seconds=0.5) as decoder:
        decoder.decode(small)
        hanging = decoder.pid
        os.kill(hanging, signal.SIGSTOP)
        with pytest.raises(DecodeError, match=r"took longer than 0\.5 s"):
            decoder.decode(small)
        assert not Path(f"/proc/{hanging}").exists()
        assert decoder.decode(small).shape == (64, 64)


def test_too_much_memory_fails_one_instance_and_the_next_gets_a_fresh_child(small, tmp_path):
    dataset = radiograph(np.zeros((12000, 12000), np.uint8))
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    bomb = save(dataset, tmp_path / "x.dcm")
    assert bomb.stat().st_size < 1_000_000
    with Decoder(memory_bytes=400 << 20) as decoder:
        decoder.decode(small)
        first = decoder.pid
        with pytest.raises(DecodeError, match="more memory than the limit"):
            decoder.decode(bomb)
        assert decoder.decode(small).shape == (64, 64)
        assert decoder.pid != first
    with Decoder() as decoder:
        assert decoder.decode(bomb).shape == (12000, 12000)


def test_many_are_decoded_in_order_and_an_abandoned_iteration_leaves_nothing_behind(decoder, small):
    paths = [small, pydicom_file("CT_small.dcm"), pydicom_file("JPEG2000.dcm")]
    assert [array.shape for array in decoder.decode_many(paths)] == [(64, 64), (128, 128), (1024, 256)]
    assert list(decoder.decode_many([])) == []
    for array in decoder.decode_many(paths):
        assert array.shape == (64, 64)
        break
    assert decoder.decode(paths[2]).shape == (1024, 256)


def test_many_name_the_one_that_fails(decoder, small):
    broken = pydicom_file("MR_truncated.dcm")
    iterator = decoder.decode_many([small, broken, small])
    assert next(iterator).shape == (64, 64)
    with pytest.raises(DecodeError, match="where 8192 are declared"):
        next(iterator)
    assert decoder.decode(small).shape == (64, 64)


def test_the_child_sees_no_secret_of_the_workers_environment(monkeypatch, small):
    monkeypatch.setenv("READFIRST_WEB__TOKEN", "secret")
    with Decoder() as decoder:
        decoder.decode(small)
        assert b"secret" not in Path(f"/proc/{decoder.pid}/environ").read_bytes()


def test_the_child_dies_with_its_parent():
    program = (
        "import os, signal, sys\nfrom pathlib import Path\nfrom workers.inputs.decoding.decoder import Decoder\n"
        "decoder = Decoder().__enter__()\ndecoder.decode(Path(sys.argv[1]))\nprint(decoder.pid, flush=True)\n"
        "os.kill(decoder.pid, signal.SIGSTOP)\nos.kill(os.getpid(), signal.SIGKILL)\n"
    )  # stopped, so that the end of its stdin alone would not end it
    done = subprocess.run(
        [sys.executable, "-c", program, str(pydicom_file("MR_small.dcm"))], capture_output=True, text=True, check=False
    )
    child = Path(f"/proc/{int(done.stdout)}/stat")
    wait_until(lambda: not _runs(child))


def test_leaving_the_context_ends_the_child_and_a_decoder_needs_its_context(small):
    with Decoder() as decoder:
        pid = decoder.pid
    assert not Path(f"/proc/{pid}").exists()
    with pytest.raises(RuntimeError, match="outside of its context"):
        decoder.decode(small)


def _runs(stat: Path) -> bool:
    """A zombie, which waits for an init that this container may not have, does not run."""
    try:
        return stat.read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.parametrize("padding", [b"", b"\0"])
def test_a_padded_deflated_data_set_is_no_longer_than_declared(decoder, tmp_path, padding):
    dataset = radiograph(np.arange(5000 * 5000, dtype=np.uint8).reshape(5000, 5000))  # more than is inflated at first
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    path = save(dataset, tmp_path / "x.dcm")
    content = path.read_bytes()
    path.write_bytes(content.removesuffix(b"\0") + padding)
    assert decoder.decode(path).shape == (5000, 5000)


@pytest.mark.parametrize("compressed", [False, True])
def test_frame_by_frame_is_what_all_at_once_is(tmp_path, compressed):
    values = np.random.default_rng(1).integers(-1000, 1000, (4, 12, 10)).astype(np.int16)
    dataset = ct_slice(values, (0, 0, 0), NumberOfFrames=4)
    dataset.PixelData = values.tobytes()
    if compressed:
        dataset.compress(RLELossless, encoding_plugin="pydicom")
    path = save(dataset, tmp_path / "frames.dcm")
    with Decoder() as decoder:
        np.testing.assert_array_equal(np.stack(list(decoder.decode_frames(path))), values)
        frames = decoder.decode_frames(path)
        next(frames)  # the rest is not taken: the next file gets a fresh child
        np.testing.assert_array_equal(decoder.decode(path), values)
