"""Finding the CT series among the DICOM files of a folder, and choosing one."""

from __future__ import annotations

import struct
import warnings
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path

from pydicom import Dataset, dcmread
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.misc import is_dicom
from pydicom.uid import CTImageStorage, EnhancedCTImageStorage, LegacyConvertedEnhancedCTImageStorage

from liver_seg_ros.errors import InputError

MULTI_FRAME = (EnhancedCTImageStorage, LegacyConvertedEnhancedCTImageStorage)

_BEFORE_META = 144  # bytes: preamble, "DICM", and the element that tells the length of the file meta information

# What reading a damaged DICOM file raises, in pydicom and below.
UNREADABLE = (
    InvalidDicomError, BytesLengthException, OSError, EOFError, ValueError, KeyError, AttributeError,
    NotImplementedError, RuntimeError, struct.error,
)  # fmt: skip


def read_header(path: Path) -> Dataset:
    """The attributes of a DICOM file without its pixels; `.filename` is its path.

    Raises `InputError` for a file that is no DICOM or cut off before its attributes end.
    """
    try:
        with warnings.catch_warnings():  # pydicom remarks on values that break a rule and do no harm here
            warnings.simplefilter("ignore")
            header = dcmread(path, stop_before_pixels=True)
            is_cut_off = _is_cut_off(header, path)
    except UNREADABLE as error:
        raise InputError(f"{path}: is damaged or no DICOM file. Copy or export it again.") from error
    if is_cut_off:
        raise InputError(f"{path}: is cut off. Copy or export it again.")
    return header


def _is_cut_off(header: Dataset, path: Path) -> bool:
    """Whether the file ends before its attributes do: pydicom takes it as one with fewer; a slice would get lost."""
    meta_length = header.file_meta.get("FileMetaInformationGroupLength")
    if isinstance(meta_length, int) and path.stat().st_size <= _BEFORE_META + meta_length:
        return True
    for key in list(header.keys())[-1:]:
        header[key]  # is decoded when asked for, and raises where its end is missing
    kind = header.file_meta.get("MediaStorageSOPClassUID") or header.get("SOPClassUID")
    return kind is None or (kind == CTImageStorage and "SeriesInstanceUID" not in header)


def scan(files: Iterable[Path]) -> list[Dataset]:
    """The headers of those `files` that are DICOM, everything else ignored. Raises `InputError` for damaged ones."""
    return [read_header(path) for path in files if path.is_file() and is_dicom(path)]


def choose_series(headers: list[Dataset], series_uid: str | None, where: str) -> list[Dataset]:
    """The headers of the slices of one CT series; scouts and all that is no CT image are left out.

    Raises:
        InputError: no CT series here, several and no UID, or the UID is not that of a CT series here.
    """
    if not headers:
        raise InputError(f"{where}: holds no DICOM files. Give the folder of a CT series.")
    series: dict[str, list[Dataset]] = defaultdict(list)
    for header in headers:
        if _is_ct_slice(header):
            series[str(header.get("SeriesInstanceUID", ""))].append(header)
    if series_uid is None and len(series) == 1:
        return next(iter(series.values()))
    if series_uid is not None and series_uid in series:
        return series[series_uid]
    of_uid = [h for h in headers if series_uid is not None and str(h.get("SeriesInstanceUID", "")) == series_uid]
    if any(h.get("SOPClassUID") in MULTI_FRAME for h in of_uid or ([] if series else headers)):
        raise InputError(f"{where}: holds an enhanced (multi-frame) CT. Convert it to single slices or NIfTI first.")
    if not series:
        raise InputError(f"{where}: holds no CT series, only {_kinds(headers)}. Give the folder of a CT series.")
    if series_uid is None:
        raise InputError(f"{where}: holds {len(series)} CT series; choose one by its UID: {_listed(series)}.")
    if of_uid:
        raise InputError(f"{where}: series {series_uid} is {_kinds(of_uid)}, no CT; there is {_listed(series)}.")
    raise InputError(f"{where}: has no series {series_uid}; there is {_listed(series)}.")


def _is_ct_slice(header: Dataset) -> bool:
    kinds = [str(value).upper() for value in header.get("ImageType") or ()]
    return header.get("SOPClassUID") == CTImageStorage and "LOCALIZER" not in kinds


def _kinds(headers: list[Dataset]) -> str:
    """Such as `2 MR, 1 CT LOCALIZER`."""
    kinds = Counter(_kind(header) for header in headers)
    return ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())


def _kind(header: Dataset) -> str:
    modality = str(header.get("Modality") or "unknown")
    if header.get("SOPClassUID") == CTImageStorage:
        return f"{modality} localizer"
    name = header.get("SOPClassUID")
    return f"{modality} ({name.name})" if name is not None and name.name != str(name) else modality


def _listed(series: dict[str, list[Dataset]]) -> str:
    return "; ".join(
        f"{uid} ({str(slices[0].get('SeriesDescription') or 'no description').strip()}, {len(slices)} slices)"
        for uid, slices in sorted(series.items())
    )
