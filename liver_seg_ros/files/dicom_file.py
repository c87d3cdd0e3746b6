# SPDX-License-Identifier: Apache-2.0
"""DICOM files as they come: with and without a preamble, deflated, cut off; and which files are DICOM at all.

File format: DICOM PS3.10 chapter 7. Old archives and network dumps leave out the preamble, the letters "DICM", or the
whole file meta information; a slice must not get lost for that.
"""

from __future__ import annotations

import logging
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from pydicom import Dataset, dcmread
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.filereader import read_file_meta_info, read_partial
from pydicom.tag import Tag
from pydicom.uid import (
    UID,
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    EnhancedCTImageStorage,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    LegacyConvertedEnhancedCTImageStorage,
)
from pydicom.valuerep import STANDARD_VR

from liver_seg_ros.errors import InputError

MULTI_FRAME = (EnhancedCTImageStorage, LegacyConvertedEnhancedCTImageStorage)
CT_STORAGES = (CTImageStorage, *MULTI_FRAME)

# What reading a damaged DICOM file raises, in pydicom and below.
UNREADABLE = (
    InvalidDicomError, BytesLengthException, OSError, EOFError, ValueError, KeyError, AttributeError, TypeError,
    IndexError, NotImplementedError, RuntimeError, OverflowError, struct.error, zlib.error,
)  # fmt: skip

PREAMBLE, MAGIC = 128, b"DICM"
_BEFORE_META = 144  # bytes: preamble, "DICM", and the element that tells the length of the file meta information
_BEGINNING = 1024  # bytes that hold the preamble and the file meta information, or the first elements without them
_LONGEST_FIRST_VALUE = 256  # bytes; a dataset begins with a group length, a character set, an image type or a UID
MOST_INFLATED_BYTES = 1 << 30

# Remarks of pydicom on values that break a rule go to the terminal otherwise; what matters is raised as InputError.
logging.getLogger("pydicom").setLevel(logging.CRITICAL)


def looks_like_dicom(path: Path) -> bool:
    """Whether a file begins as DICOM files do, preamble or not. Raises `OSError` where it cannot be opened."""
    with path.open("rb") as file:
        return _start(file.read(_BEGINNING)) is not None


@contextmanager
def damage_named(path: Path, what: str, also: tuple[type[Exception], ...] = ()) -> Iterator[None]:
    """Make one `InputError` of whatever a damaged file raises inside, and of `also`, saying `what` is wrong with it.

    Remarks of pydicom on values that break a rule and do no harm stay off the terminal.
    """
    damage: tuple[type[Exception], ...] = (*UNREADABLE, *also)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except InputError:
        raise
    except damage as error:
        raise InputError(f"{path}: {what}. Copy or export it again.") from error


@contextmanager
def open_dicom(path: Path) -> Iterator[BinaryIO]:
    """The bytes of a DICOM file as pydicom takes them with `force`: a whole preamble in front, or nothing.

    A deflated dataset comes inflated, as explicit VR little endian without file meta information.

    Raises:
        InputError: a deflated dataset that is cut off, damaged, or larger than `MOST_INFLATED_BYTES`.
    """
    with path.open("rb") as file:
        beginning = file.read(_BEGINNING)
        start = _start(beginning) or 0
        file.seek(start)
        if DeflatedExplicitVRLittleEndian.encode() in beginning and start == 0:
            yield BytesIO(_inflated(path))
        elif start:
            yield BytesIO(file.read())
        else:
            yield file


def read_header(path: Path) -> Dataset:
    """The attributes of a DICOM file without its pixels; `.filename` is its path.

    Its `file_meta` has a transfer syntax, also where the file tells none.

    Raises `InputError` for a file that is no DICOM or cut off before its attributes end.
    """
    with damage_named(path, "is damaged or no DICOM file", also=(MemoryError,)):  # attributes that claim gigabytes
        with open_dicom(path) as stream:
            header = dcmread(stream, stop_before_pixels=True, force=True)
            has_pixels = bool(stream.read(1))
        header.filename = str(path)
        header.file_meta.TransferSyntaxUID = transfer_syntax(header)
        is_cut_off = _is_cut_off(header, has_pixels)
        _check_identity(header)
    if is_cut_off:
        raise InputError(f"{path}: is cut off. Copy or export it again.")
    return header


def transfer_syntax(dataset: Dataset) -> UID:
    """How a dataset that was read is encoded: as its file says, or else as its bytes were understood."""
    stated = dataset.file_meta.get("TransferSyntaxUID")
    if stated:
        return UID(stated)
    is_implicit, is_little_endian = dataset.original_encoding
    if not is_little_endian:
        return ExplicitVRBigEndian
    return ImplicitVRLittleEndian if is_implicit else ExplicitVRLittleEndian


def series_uid_of_damaged(path: Path) -> str | None:
    """The Series Instance UID of a file that cannot be read as a whole; None where not even that is in it."""
    last = Tag("SeriesInstanceUID")
    try:
        with damage_named(path, "is damaged", also=(MemoryError,)), open_dicom(path) as stream:
            dataset = read_partial(stream, stop_when=lambda tag, *_: tag > last, force=True)
            return str(dataset.get("SeriesInstanceUID") or "") or None
    except InputError:
        return None


def _start(beginning: bytes) -> int | None:
    """Where reading begins: 0 where pydicom finds its way itself, None for what is no DICOM."""
    if beginning[PREAMBLE : PREAMBLE + 4] == MAGIC or _begins_dataset(beginning):
        return 0
    if beginning[:4] == MAGIC and _begins_dataset(beginning[4:]):
        return 4
    if _begins_dataset(beginning[PREAMBLE:]):
        return PREAMBLE
    return None


def _begins_dataset(data: bytes) -> bool:
    """Whether an element of file meta information (group 2) or of the first group of a dataset (8) stands here."""
    if len(data) < 8:
        return False
    for order in "<>":
        group, element = struct.unpack(f"{order}HH", data[:4])
        if group not in (0x0002, 0x0008) or element > 0x00FF:
            continue
        if data[4:6].decode("latin-1") in STANDARD_VR:
            return True
        length = struct.unpack("<L", data[4:8])[0]
        if order == "<" and group == 0x0008 and length % 2 == 0 and length <= _LONGEST_FIRST_VALUE:  # implicit VR
            return True
    return False


def _inflated(path: Path) -> bytes:
    """The dataset of a deflated file (PS3.5 A.5), its size bounded before memory is spent on it."""
    meta_length = int(read_file_meta_info(path).FileMetaInformationGroupLength)
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    data = inflater.decompress(path.read_bytes()[_BEFORE_META + meta_length :], MOST_INFLATED_BYTES)
    if inflater.unconsumed_tail:
        raise InputError(f"{path}: inflates to more than {MOST_INFLATED_BYTES >> 20} MB. Export it uncompressed.")
    if not inflater.eof:
        raise InputError(f"{path}: is cut off. Copy or export it again.")
    return data


def _is_cut_off(header: Dataset, has_pixels: bool) -> bool:
    """Whether the file ends before its attributes do: pydicom takes it as one with fewer; a slice would get lost."""
    for key in list(header.keys())[-1:]:
        header[key]  # is decoded when asked for, and raises where its end is missing
    kind = header.file_meta.get("MediaStorageSOPClassUID") or header.get("SOPClassUID")
    return kind is None or (kind in CT_STORAGES and not (has_pixels and "SeriesInstanceUID" in header))


def _check_identity(header: Dataset) -> None:
    """Decode what files are sorted by, so that a file in which it is damaged is found out here."""
    for name in ("SOPClassUID", "SeriesInstanceUID"):
        if not isinstance(header.get(name) or "", str):
            raise ValueError(f"{name} is {header.get(name)}")
    for name in ("Modality", "SeriesDescription", "ImageType"):
        str(header.get(name))
    int(header.get("NumberOfFrames") or 1)
