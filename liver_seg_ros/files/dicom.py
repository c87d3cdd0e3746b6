# SPDX-License-Identifier: Apache-2.0
"""Reading a CT from DICOM files: which series, which acquisition, its slices in order, one volume in HU.

Stricter than ITK's series reader, which stacks what it is given: gaps, doubled slices, acquisitions that interleave,
tilted gantries and slopes that change from slice to slice are handled or refused here.
"""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from liver_seg_ros.errors import InputError
from liver_seg_ros.files.dicom_acquisitions import choose_acquisition
from liver_seg_ros.files.dicom_file import MULTI_FRAME, damage_named, read_header
from liver_seg_ros.files.dicom_frames import headers_of_frames
from liver_seg_ros.files.dicom_pixels import read_stack
from liver_seg_ros.files.dicom_scan import choose_series, listed, scan
from liver_seg_ros.files.dicom_slice import Slice, is_localizer, make_slice
from liver_seg_ros.files.dicom_stack import stack_slices
from liver_seg_ros.files.tilt import straighten
from liver_seg_ros.geometry import Geometry
from liver_seg_ros.progress import Done, not_told, part_of
from liver_seg_ros.source_series import SourceSeries, SourceSlice

#: Of the time that a series takes, what its headers take; decoding takes the rest.
_HEADERS = 0.3

_log = logging.getLogger(__name__)


def read_series(
    path: Path, series_uid: str | None = None, acquisition: str | None = None, done: Done = not_told
) -> tuple[NDArray[np.int16], Geometry, str, SourceSeries]:
    """One CT as `(K, J, I)` HU, its right-handed geometry, its uid, and which object each of its slices is.

    The uid is the Series Instance UID; of a series that holds several acquisitions `#` and the name of the one follow.

    Args:
        path: a folder, searched with its subfolders, or one DICOM file, whose series is read from its own folder.
        series_uid: the series to take; needed where there are several.
        acquisition: the acquisition to take; needed where the series holds several that interleave.
        done: is told how many of the files were read.

    Raises:
        InputError: no CT series or acquisition, or several to choose from; slices that are missing, doubled with other
            content, of differing size or orientation, not decodable or without position; or a series that is no CT in
            HU.
    """
    folder, files, asked = path, sorted(path.rglob("*")), None
    if path.is_file():
        header = read_header(path)
        folder, files = path.parent, sorted(path.parent.iterdir())
        series_uid = series_uid or str(header.get("SeriesInstanceUID", ""))
        asked = path if header.get("SOPClassUID") in MULTI_FRAME else None
    where = str(folder)
    found = scan(files, part_of(done, 0.0, _HEADERS))
    headers = choose_series(found, series_uid, where)
    slices, chosen = choose_acquisition(_slices(headers, where), acquisition, where, asked)
    try:
        geometry, drift_mm = stack_slices(slices, where)
    except InputError as error:
        if found.unreadable:
            raise InputError(f"{error} Not readable: {found.unreadable_names}.") from error
        raise
    uid = str(headers[0].SeriesInstanceUID) + (f"#{chosen}" if chosen is not None else "")
    array, geometry = straighten(read_stack(slices, where, part_of(done, _HEADERS, 1.0)), geometry, drift_mm)
    return array, geometry, uid, _source(slices, headers)


def _source(slices: list[Slice], headers: list[Dataset]) -> SourceSeries:
    of_file = {Path(header.filename): header for header in headers}
    first = of_file[slices[0].path]
    return SourceSeries(
        _text(first, "StudyInstanceUID"),
        _text(first, "SeriesInstanceUID"),
        _text(first, "FrameOfReferenceUID"),
        tuple(
            SourceSlice(
                part.path,
                _text(of_file[part.path], "SOPClassUID"),
                _text(of_file[part.path], "SOPInstanceUID"),
                part.frame,
            )
            for part in slices
        ),
    )


def _text(header: Dataset, keyword: str) -> str:
    with damage_named(Path(header.filename), f"its {keyword} is damaged"):
        return str(header.get(keyword) or "")


def _slices(headers: list[Dataset], where: str) -> list[Slice]:
    """The slices of the files of one series: frames of enhanced ones, without scouts and without derived pictures that
    lie nowhere (a projection, a report)."""
    slices: list[Slice] = []
    without_place: list[str] = []
    for header in headers:
        path = Path(header.filename)
        with damage_named(path, "is damaged"):
            parts: list[tuple[int | None, Dataset]] = [(None, header)]
            if header.SOPClassUID in MULTI_FRAME:
                parts = [(n, frame) for n, frame in enumerate(headers_of_frames(header)) if not is_localizer(frame)]
            for frame, attributes in parts:
                if _is_derived(attributes) and not attributes.get("ImagePositionPatient"):
                    without_place.append(path.name)
                else:
                    slices.append(make_slice(attributes, path, frame))
    if without_place:
        _log.warning("%s: left out derived pictures without a position: %s", where, listed(without_place))
    if not slices:
        raise InputError(f"{where}: the series holds no slices, only scouts or projections. Give a whole CT series.")
    return slices


def _is_derived(header: Dataset) -> bool:
    return bool({"DERIVED", "SECONDARY"} & {str(value).strip().upper() for value in header.get("ImageType") or ()})
