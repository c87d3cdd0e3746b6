# SPDX-License-Identifier: Apache-2.0
"""What arrived: whether an object is whole and what it claims to be, told from its header; no pixel is decoded.

Nothing that is said here of an object holds a value of it but UIDs, which are checked to be some.
"""

from __future__ import annotations

import math
import re
import struct
import warnings
from dataclasses import dataclass
from io import BytesIO

from pydicom import Dataset, dcmread
from pydicom.uid import UID, ExplicitVRBigEndian, ImplicitVRLittleEndian

from liver_seg_ros.dicom_network.statuses import CANNOT_UNDERSTAND, NOT_AS_ANNOUNCED, RefusedError
from liver_seg_ros.files.dicom_file import UNREADABLE
from liver_seg_ros.files.dicom_slice import MOST_PIXELS, is_localizer

#: PS3.5 9.1. UIDs become names of files, so that nothing else may.
_UID = re.compile(r"(?:0|[1-9][0-9]*)(?:\.(?:0|[1-9][0-9]*))+")
_LONGEST_UID = 64
_UNDEFINED = 0xFFFFFFFF
_PIXEL_DATA = (0x7FE0, 0x0010)
_END_OF_FRAGMENTS = b"\xfe\xff\xdd\xe0"
_TRAILING = 4096  # bytes in which the end of the fragments has to come: padding may follow
#: Frames of one object; scanners make some thousands.
MOST_FRAMES = 20_000


@dataclass(frozen=True)
class Arrived:
    """An object that is whole, as far as its header tells.

    Attributes:
        study_uid, series_uid, instance_uid: its UIDs.
        acquisition: what tells acquisitions of the series apart; "" where nothing does.
        announced: how many objects it says there are of this acquisition or concatenation; None where it does not.
        series_total: how many it says there are in the series; None where it does not.
        is_localizer: a scout, no slice.
    """

    study_uid: str
    series_uid: str
    instance_uid: str
    acquisition: str = ""
    announced: int | None = None
    series_total: int | None = None
    is_localizer: bool = False


def judge(data: bytes, sop_class: str, instance_uid: str, most_unpacked_bytes: int) -> Arrived:
    """What a DICOM file in memory is.

    Args:
        data: the file, with its meta information.
        sop_class, instance_uid: as they were announced with it.
        most_unpacked_bytes: that its pixels may claim to be, once decoded.

    Raises:
        RefusedError: it cannot be read, is another object than announced, is cut off, or claims too much.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            stream = BytesIO(data)
            header = dcmread(stream, stop_before_pixels=True)
            arrived = _described(header)
            _check_pixels(header, header.file_meta.TransferSyntaxUID, data, stream.tell(), most_unpacked_bytes)
            announced = str(header.get("SOPClassUID") or ""), str(header.get("SOPInstanceUID") or "")
    except RefusedError:
        raise
    except (*UNREADABLE, MemoryError) as error:
        raise RefusedError(CANNOT_UNDERSTAND, f"its header cannot be read ({type(error).__name__})") from error
    if announced != (sop_class, instance_uid):
        raise RefusedError(NOT_AS_ANNOUNCED, "is another object than was announced")
    return arrived


def judge_again(data: bytes, most_unpacked_bytes: int) -> Arrived:
    """The same of a file that was kept, whose own meta information says what was announced."""
    try:
        meta = dcmread(BytesIO(data), specific_tags=["SOPClassUID"], stop_before_pixels=True).file_meta
        announced = str(meta.MediaStorageSOPClassUID), str(meta.MediaStorageSOPInstanceUID)
    except (*UNREADABLE, MemoryError) as error:
        raise RefusedError(CANNOT_UNDERSTAND, f"its header cannot be read ({type(error).__name__})") from error
    return judge(data, *announced, most_unpacked_bytes)


def is_uid(text: str) -> bool:
    """Whether `text` is a UID, and so fit for the name of a file."""
    return len(text) <= _LONGEST_UID and _UID.fullmatch(text) is not None


def _described(header: Dataset) -> Arrived:
    uids = {name: str(header.get(name) or "") for name in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")}
    for name, uid in uids.items():
        if not is_uid(uid):
            raise RefusedError(CANNOT_UNDERSTAND, f"has no usable {name}")
    concatenation = str(header.get("ConcatenationUID") or "")
    total = "InConcatenationTotalNumber" if concatenation else "ImagesInAcquisition"
    return Arrived(
        uids["StudyInstanceUID"],
        uids["SeriesInstanceUID"],
        uids["SOPInstanceUID"],
        concatenation or str(header.get("AcquisitionNumber") or ""),
        _count(header, total),
        _count(header, "NumberOfSeriesRelatedInstances"),
        is_localizer(header),
    )


def _count(header: Dataset, name: str) -> int | None:
    """A number of objects; None where it is missing or none that can be."""
    try:
        count = int(header.get(name) or 0)
    except (TypeError, ValueError):
        return None
    return count if 0 < count <= MOST_FRAMES else None


def _check_pixels(header: Dataset, syntax: UID, data: bytes, position: int, most_bytes: int) -> None:
    rows, columns, bits = (int(header.get(name) or 0) for name in ("Rows", "Columns", "BitsAllocated"))
    frames, samples = (int(header.get(name) or 1) for name in ("NumberOfFrames", "SamplesPerPixel"))
    if min(rows, columns, bits, frames, samples) < 1:
        raise RefusedError(CANNOT_UNDERSTAND, "holds no picture")
    claimed = math.ceil(rows * columns * samples * frames * bits / 8)
    if rows * columns > MOST_PIXELS or frames > MOST_FRAMES or claimed > most_bytes:
        raise RefusedError(CANNOT_UNDERSTAND, f"claims {frames} frames of {rows} x {columns} pixels, too many")
    order = ">" if syntax == ExplicitVRBigEndian else "<"
    explicit = syntax != ImplicitVRLittleEndian
    start = position + (12 if explicit else 8)
    if start > len(data) or struct.unpack_from(f"{order}HH", data, position) != _PIXEL_DATA:
        raise RefusedError(CANNOT_UNDERSTAND, "holds no pixels")
    length = struct.unpack_from(f"{order}L", data, start - 4)[0]
    if syntax.is_compressed:
        whole = length == _UNDEFINED and _END_OF_FRAGMENTS in data[max(start, len(data) - _TRAILING) :]
    else:
        whole = claimed <= length <= len(data) - start
    if not whole:
        raise RefusedError(CANNOT_UNDERSTAND, "is cut off: its pixels are fewer than it claims")
