# SPDX-License-Identifier: Apache-2.0
"""The pixels of CT slices in HU: stored values times slope plus intercept, whatever else the file says.

MONOCHROME1 says how to show a picture, white for low; the values mean the same and are not inverted.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from io import SEEK_END
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, dcmread
from pydicom.dataelem import RawDataElement
from pydicom.encaps import get_frame
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.utils import as_pixel_options
from pydicom.uid import UID, ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian, RLELossless

from liver_seg_ros.errors import InputError
from liver_seg_ros.files.claims import check_claim
from liver_seg_ros.files.dicom_codec import SYNTAXES, decode_frame
from liver_seg_ros.files.dicom_file import damage_named, open_dicom, transfer_syntax
from liver_seg_ros.files.dicom_slice import PIXEL_KEYWORDS, Slice
from liver_seg_ros.files.values import HuConversion, scaled
from liver_seg_ros.progress import Done, not_told

NATIVE = (ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian)
_UNDEFINED_LENGTH = 0xFFFFFFFF
_DEFER_BYTES = 65536  # a larger element is not read with the others but skipped
_READ = (*PIXEL_KEYWORDS, "NumberOfFrames", "ExtendedOffsetTable", "ExtendedOffsetTableLengths", "PixelData")
# All that a CT may be; how to show it changes no value.
_GRAY = {"samples_per_pixel": 1, "photometric_interpretation": "MONOCHROME2", "pixel_keyword": "PixelData"}


def read_values(part: Slice) -> NDArray[np.generic]:
    """The values `(J, I)` of one slice in HU, neither rounded nor clipped.

    Raises:
        InputError: fewer or more pixels than the file claims, or pixels that are cut off or cannot be decoded.
    """
    [stored] = _stored(part.path, [part])
    return scaled(stored, part.slope, part.intercept)


def read_stack(slices: Sequence[Slice], where: str, done: Done = not_told) -> NDArray[np.int16]:
    """Slices of one size as `(K, J, I)` int16 in HU; each file is opened once, and one frame decoded at a time.

    Raises `InputError` as `read_values` does, where many voxels are no HU, and where memory does not suffice.
    """
    rows, columns = slices[0].shape
    check_claim(where, (columns, rows, len(slices)), np.dtype(np.int16).itemsize)
    array = np.empty((len(slices), rows, columns), np.int16)
    conversion = HuConversion(where)
    places: dict[Path, list[int]] = {}
    for k, part in enumerate(slices):
        places.setdefault(part.path, []).append(k)
    read = 0
    for path, in_file in places.items():
        for k, stored in zip(in_file, _stored(path, [slices[k] for k in in_file]), strict=True):
            array[k] = conversion.convert(scaled(stored, slices[k].slope, slices[k].intercept))
            read += 1
            done(read / len(slices))
    conversion.judge()
    return array


def _stored(path: Path, parts: Sequence[Slice]) -> Iterator[NDArray[np.integer]]:
    """The stored values `(J, I)` of slices of one file, in the order asked for."""
    with damage_named(path, "its pixels are cut off or cannot be decoded"):
        yield from _decoded(path, [part.frame or 0 for part in parts])


def _decoded(path: Path, frames: list[int]) -> Iterator[NDArray[np.integer]]:
    with open_dicom(path) as stream:
        image = dcmread(stream, force=True, defer_size=_DEFER_BYTES, specific_tags=list(_READ))
        syntax = transfer_syntax(image)
        if "PixelData" not in image:
            raise InputError(f"{path}: has no pixels. Remove it or export the series again.")
        element = cast("RawDataElement", image.get_item("PixelData", keep_deferred=True))
        _check_syntax(syntax, element.length == _UNDEFINED_LENGTH, path)
        if syntax in NATIVE:
            left = stream.seek(0, SEEK_END) - element.value_tell
            _check_length(image, min(element.length, left), path)
        options = as_pixel_options(image, **_GRAY)
        stream.seek(element.value_tell)
        if syntax not in SYNTAXES:
            decoder = get_decoder(syntax)
            for array, _ in decoder.iter_array(stream, indices=frames, raw=True, **options):
                yield array
            return
        count, offsets = options["number_of_frames"], options.get("extended_offsets")
        for frame in frames:
            code = get_frame(stream, frame, number_of_frames=count, extended_offsets=offsets)
            yield decode_frame(code, syntax, image, str(path))


def _check_syntax(syntax: UID, is_compressed: bool, path: Path) -> None:
    """Raise `InputError` where the pixels are not what the transfer syntax says, or of one that nobody decodes."""
    if syntax not in (*NATIVE, *SYNTAXES, RLELossless):
        raise InputError(f"{path}: its transfer syntax ({syntax.name}) cannot be decoded. Export it uncompressed.")
    if is_compressed == (syntax in NATIVE):
        what = "are compressed, which its transfer syntax denies" if is_compressed else "are uncompressed"
        raise InputError(f"{path}: its pixels {what} ({syntax.name}). Export the series again.")


def _check_length(image: Dataset, length: int, path: Path) -> None:
    """Raise `InputError` where uncompressed pixels are not as many as claimed."""
    row_bytes = image.Columns * image.BitsAllocated / 8
    claimed = math.ceil(row_bytes * image.Rows * int(image.get("NumberOfFrames") or 1))
    if not claimed <= length < claimed + row_bytes:  # beyond lies padding, less than a row of it
        raise InputError(
            f"{path}: holds {length} bytes of pixels, and its {image.Columns} x {image.Rows} pixels of "
            f"{image.get('NumberOfFrames') or 1} frames need {claimed}. Copy or export it again."
        )
