"""The child process in which untrusted pixels are decoded; `workers.inputs.decoding.decoder` starts it.

Request on stdin, a socket: one byte (WHOLE, BY_FRAME, PICTURE or NIFTI), and a descriptor of the file (SCM_RIGHTS);
none where it could not be opened. Answer on what was stdout: 4 bytes length (big endian), JSON {"shape", "dtype",
"bytes", "left", "about"} and that many raw bytes (C order), or {"error"}, with "last" where the process then ends (out
of memory). "left" is how many answers follow: a file that is asked for by frame has one a frame, and no array of them
all is made. "about" is what `workers.inputs.decoding.pictures` has to say of a file that is no DICOM.

The first answer, {"ready": [layers of
`workers.inputs.decoding.confinement` that hold]}, is sent without a request. It is started with
`python -m workers.inputs.decoding.child MEMORY_BYTES LARGEST_BYTES PARENT_PID` and ends with its stdin or its parent.

Only this module loads codecs: all of them before it gives up its rights, since afterwards nothing can be imported.
"""

from __future__ import annotations

import json
import logging
import os
import resource
import socket
import sys
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any, BinaryIO

import gdcm
import numpy as np
from PIL import Image, Jpeg2KImagePlugin
from pydicom.encaps import encapsulate
from pydicom.pixels.decoders.base import Decoder, get_decoder
from pydicom.uid import UID, JPEGExtended12Bit

from workers.inputs.decoding.codestream import BadPixels, family, has_end, rows_columns, with_end
from workers.inputs.decoding.confinement import confine, die_with_parent, unplug
from workers.inputs.decoding.encapsulation import fragments, frames
from workers.inputs.decoding.image_pixel import ImagePixel, read_image_pixel
from workers.inputs.decoding.pictures import nifti, picture

PREFERRED = ("pylibjpeg", "pyjpegls", "gdcm")  # pydicom's names, the fastest first; any other comes last
WHOLE, BY_FRAME = b"\0", b"\1"  # of a DICOM file: all of it at once, or one answer a frame
PICTURE, NIFTI = b"\2", b"\3"  # of a PNG or JPEG, of a NIfTI file
LARGEST_FILE = 0x7FFFF000  # bytes that Linux reads at once
_FAMILIES = ("JPEG 2000", "JPEG-LS", "JPEG", "RLE")  # as they stand in the transfer syntaxes' names
Codec = Callable[[bytes], Any]  # a frame to its values (rows, columns[, samples])


def main(arguments: list[str]) -> int:
    """Answer requests until stdin ends."""
    memory_bytes, largest_bytes, parent = (int(argument) for argument in arguments)
    layers = unplug()
    limit(memory_bytes)
    die_with_parent(parent)
    requests, answers = socket.socket(fileno=0), _private_stdout()
    _load()
    _send(answers, {"ready": [*layers, *confine()]})
    for request, descriptor in _received(requests):
        try:
            for array, left, about in _arrays(request, _content(descriptor), largest_bytes):
                message: dict[str, object] = {
                    "shape": array.shape,
                    "dtype": array.dtype.str,
                    "bytes": array.nbytes,
                    "left": left,
                }
                message["about"] = about
                _send(answers, message, array.data)
        except MemoryError:
            _send(answers, {"error": "it needs more memory than the limit allows", "last": True})
            return 1
        except BadPixels as error:
            _send(answers, {"error": str(error)})
        except Exception as error:  # noqa: BLE001  the outermost handler: a fault of ours, or of a codec
            _send(answers, {"error": f"the decoder met an error of its own in it ({type(error).__name__})"})
    return 0


def _arrays(request: bytes, content: bytes, largest_bytes: int) -> Iterator[tuple[Any, int, dict[str, object]]]:
    """(what is answered, how many answers follow it, remarks on it)."""
    if request == BY_FRAME:
        yield from ((array, left, {}) for array, left in decode_by_frame(content, largest_bytes))
    elif request == PICTURE:
        yield picture(content, largest_bytes), 0, {}
    elif request == NIFTI:
        array, about = nifti(content, largest_bytes)
        yield array, 0, about
    else:
        yield decode(content, largest_bytes), 0, {}


def limit(memory_bytes: int) -> None:
    """Limit the address space, and write no core dump: it would hold pixels."""
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def decode(content: bytes, largest_bytes: int) -> Any:
    """The stored values of a file: an array ([frames,] rows, columns[, samples]) of the dtype that its bits need.

    Raises
    ------
    BadPixels
        No pixels, more declared than `largest_bytes`, or other than declared came out.
    """
    image = read_image_pixel(content, largest_bytes)
    decoder = _decoder(image)
    array = _compressed(image, decoder) if decoder.is_encapsulated else _native(image, decoder)
    return _stored_bits(array, image, decoder.is_encapsulated)


def decode_by_frame(content: bytes, largest_bytes: int) -> Iterator[tuple[Any, int]]:
    """(the stored values of a frame, how many frames follow it) of each frame; as `decode` else."""
    image = read_image_pixel(content, largest_bytes)
    decoder, alone = _decoder(image), replace(image, frames=1)
    if decoder.is_encapsulated:
        codecs = _codecs(image, decoder)
        arrays = (_decoded(frame, alone, codecs) for frame in frames(bytes(image.pixel_data), image.frames))
    else:
        arrays = (_native(replace(alone, pixel_data=part), decoder) for part in _native_frames(image))
    for number, array in enumerate(arrays, start=1):
        yield _stored_bits(array, image, decoder.is_encapsulated), image.frames - number


def _decoder(image: ImagePixel) -> Decoder:
    try:
        return get_decoder(image.transfer_syntax)
    except NotImplementedError:
        name = UID(image.transfer_syntax).name
        raise BadPixels(f"nothing here decodes its Transfer Syntax ({name})") from None


def _native_frames(image: ImagePixel) -> Iterator[memoryview]:
    length = image.rows * image.columns * image.samples * image.itemsize
    if image.encapsulated or image.bits_allocated % 8 or len(image.pixel_data) < length * image.frames:
        raise BadPixels("its Pixel Data is not as long as it declares, or not in whole bytes")
    return (image.pixel_data[number * length : (number + 1) * length] for number in range(image.frames))


def _native(image: ImagePixel, decoder: Decoder) -> Any:
    value = image.pixel_data
    if image.encapsulated:  # some devices put even uncompressed values into items
        value = memoryview(b"".join(fragments(bytes(value))))
    bits = image.bits_allocated * image.frames * image.rows * image.columns * image.samples
    if image.photometric_interpretation == "YBR_FULL_422":
        bits = bits // 3 * 2
    if len(value) < (needed := (bits + 7) // 8):
        raise BadPixels(f"its Pixel Data has {len(value)} bytes where {needed} are declared")
    view = value[: needed + needed % 2]
    options = _options(image, image.frames) | {"view_only": True, "pixel_vr": image.vr or "OW"}
    return decoder.as_array(view, **options)[0]


def _compressed(image: ImagePixel, decoder: Decoder) -> Any:
    codecs = _codecs(image, decoder)
    array = None
    for number, frame in enumerate(frames(bytes(image.pixel_data), image.frames)):
        decoded = _decoded(frame, image, codecs)
        if image.frames == 1:
            return decoded
        if array is None:
            array = np.empty(image.shape, decoded.dtype)
        if decoded.dtype != array.dtype:
            raise BadPixels("its frames have different depths")
        array[number] = decoded
    return array


def _decoded(frame: bytes, image: ImagePixel, codecs: dict[str, Codec]) -> Any:
    """One frame, by the first codec that can; a codestream of another size than declared never reaches one."""
    size, found = (image.rows, image.columns), rows_columns(frame)
    if found is not None and found != size:  # it makes a codec write where it should not, or cuts the image silently
        raise BadPixels(f"its codestream is {found[0]} x {found[1]} where {size[0]} x {size[1]} are declared")
    for streams in with_end(frame):
        for codec in codecs.values():
            try:
                first, *others = map(codec, streams)
            except MemoryError:
                raise
            except Exception:  # noqa: BLE001, S112  each codec has exceptions of its own; the next may be able to
                continue
            if first.shape != image.frame_shape or first.dtype.itemsize > image.itemsize:
                raise BadPixels(
                    f"{first.shape} values of {first.dtype} came out where {image.frame_shape} are declared"
                )
            if all(np.array_equal(first, other) for other in others):
                return first
    raise BadPixels(f"no codec can decode it: {_why(frame, image)} ({', '.join(codecs)})")


def _why(frame: bytes, image: ImagePixel) -> str:
    """What of it can be seen without decoding."""
    declared, found = _family(image.transfer_syntax), family(frame)
    if found and found != declared:
        return f"it is {found} where its Transfer Syntax says {declared}"
    if declared == "RLE":
        return "its RLE segments are damaged or cut"
    if not found:
        return f"it does not begin as {declared} does"
    if not has_end(frame):
        return "its codestream has no end marker, and bits before it are missing or cannot be told from padding"
    return "its codestream is damaged, cut, or of a kind that they do not read"


def _family(transfer_syntax: str) -> str:
    return next((name for name in _FAMILIES if name in UID(transfer_syntax).name), "")


def _codecs(image: ImagePixel, decoder: Decoder) -> dict[str, Codec]:
    if image.transfer_syntax == JPEGExtended12Bit and image.bits_stored > 8:
        return {"gdcm": partial(_extended_12_bit, image)}
    options = _options(image, 1)

    def codec(plugin: str, frame: bytes) -> Any:
        return decoder.as_array(encapsulate([frame], has_bot=False), decoding_plugin=plugin, **options)[0]

    return {plugin: partial(codec, plugin) for plugin in sorted(decoder.available_plugins, key=_rank)}


def _rank(plugin: str) -> int:
    return PREFERRED.index(plugin) if plugin in PREFERRED else len(PREFERRED)


def _options(image: ImagePixel, count: int) -> dict[str, Any]:
    """Options of pydicom's decoders: the values as they are stored, without any processing."""
    return {
        "raw": True, "correct_unused_bits": False, "allow_excess_frames": False, "pixel_keyword": "PixelData",
        "rows": image.rows, "columns": image.columns, "samples_per_pixel": image.samples, "number_of_frames": count,
        "bits_allocated": image.bits_allocated, "bits_stored": image.bits_stored,
        "pixel_representation": image.pixel_representation, "planar_configuration": image.planar_configuration,
        "photometric_interpretation": image.photometric_interpretation,
    }  # fmt: skip


def _extended_12_bit(image: ImagePixel, frame: bytes) -> Any:
    """JPEG Extended of 12 bits, which pydicom's plugins refuse and GDCM itself decodes."""
    fragment = gdcm.Fragment()
    fragment.SetByteStringValue(frame)
    sequence = gdcm.SequenceOfFragments.New()
    sequence.AddFragment(fragment)
    element = gdcm.DataElement(gdcm.Tag(0x7FE0, 0x0010))
    element.SetValue(sequence.__ref__())
    picture = gdcm.Image()
    picture.SetNumberOfDimensions(2)
    picture.SetDimensions((image.columns, image.rows, 1))
    kind = gdcm.PhotometricInterpretation.GetPIType(image.photometric_interpretation)
    picture.SetPhotometricInterpretation(gdcm.PhotometricInterpretation(kind))
    picture.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.GetTSType(image.transfer_syntax)))
    bits = (image.bits_allocated, image.bits_stored, image.bits_stored - 1, image.pixel_representation)
    picture.SetPixelFormat(gdcm.PixelFormat(image.samples, *bits))
    picture.SetDataElement(element)
    values = picture.GetBuffer()
    if values is None:
        raise BadPixels("gdcm cannot decode it")
    dtype = f"<{'ui'[image.pixel_representation]}2"
    return np.frombuffer(values.encode("utf-8", "surrogateescape"), dtype=dtype).reshape(image.frame_shape)


def _stored_bits(array: Any, image: ImagePixel, compressed: bool) -> Any:
    """Only the Bits Stored below High Bit (PS3.5 8.1.1), sign extended; padding outside of them stays as it is."""
    stored, high = image.bits_stored, image.high_bit
    array = np.ascontiguousarray(array)
    array = array.astype(array.dtype.newbyteorder("="), copy=False)
    width = array.dtype.itemsize * 8
    if stored >= width or array.dtype.kind not in "ui":
        return array
    down = width - stored
    up = down if compressed else down - max(high + 1 - stored, 0)
    values = np.right_shift(np.left_shift(array, max(up, 0)), down)
    padding = _padding_outside(image, array.dtype)
    return values if padding is None else np.where(array == padding, array, values)


def _padding_outside(image: ImagePixel, dtype: Any) -> Any:
    if image.padding is None:
        return None
    stored = image.bits_stored
    limits = (-(1 << stored - 1), (1 << stored - 1) - 1) if dtype.kind == "i" else (0, (1 << stored) - 1)
    padding = int(np.array(image.padding & ((1 << dtype.itemsize * 8) - 1)).astype(dtype))
    return None if limits[0] <= padding <= limits[1] else padding


def _load() -> None:
    """Import what is imported late elsewhere, and let nothing write of itself."""
    Image.preinit()
    Image.register_open(Jpeg2KImagePlugin.Jpeg2KImageFile.format, Jpeg2KImagePlugin.Jpeg2KImageFile)
    warnings.simplefilter("ignore")
    logging.disable()


def _private_stdout() -> BinaryIO:
    """The answers' stream, out of reach of codecs that print: their stdout becomes stderr."""
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    return answers


def _received(requests: socket.socket) -> Iterator[tuple[bytes, int | None]]:
    """Each request and the descriptor of its file, None where it has none, until the other end is gone."""
    while True:
        request, descriptors, _, _ = socket.recv_fds(requests, 1, 1)
        if not request:
            return
        yield request, descriptors[0] if descriptors else None


def _content(descriptor: int | None) -> bytes:
    """All bytes of a file, which is closed."""
    if descriptor is None:
        raise BadPixels("its file cannot be opened")
    try:
        size = os.lseek(descriptor, 0, os.SEEK_END)
        if size > LARGEST_FILE:
            raise BadPixels(f"its file has more than {LARGEST_FILE} bytes")
        return os.pread(descriptor, size, 0)
    except OSError:
        raise BadPixels("its file cannot be read") from None
    finally:
        os.close(descriptor)


def _send(stream: BinaryIO, message: dict[str, object], values: Any = b"") -> None:
    line = json.dumps(message).encode()
    _write(stream, memoryview(len(line).to_bytes(4, "big") + line))
    _write(stream, memoryview(values).cast("B"))


def _write(stream: BinaryIO, view: memoryview) -> None:
    while view:
        view = view[stream.write(view) :]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
