"""Reading a CT series from DICOM files: which series, its slices in order, one volume in HU.

Stricter than ITK's series reader, which stacks what it is given: gaps, doubled slices, tilted gantries and slopes that
change from slice to slice are handled or refused here.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from liver_seg_ros.errors import InputError
from liver_seg_ros.files.dicom_pixels import read_hu
from liver_seg_ros.files.dicom_scan import choose_series, read_header, scan
from liver_seg_ros.files.dicom_stack import depths_mm, stack_slices
from liver_seg_ros.files.tilt import straighten
from liver_seg_ros.geometry import Geometry

SAME_POSITION_MM = 0.01


def read_series(path: Path, series_uid: str | None = None) -> tuple[NDArray[np.int16], Geometry, str]:
    """One CT series as `(K, J, I)` HU, its right-handed geometry and its Series Instance UID.

    Args:
        path: a folder, searched with its subfolders, or one DICOM file, whose series is read from its own folder.
        series_uid: the series to take; needed where there are several.

    Raises:
        InputError: no CT series or several to choose from, slices that are missing, doubled with other content, of
            differing size or orientation, not decodable or without position, or a series that is no CT in HU.
    """
    if path.is_file():
        folder, files = path.parent, sorted(path.parent.iterdir())
        series_uid = series_uid or str(read_header(path).get("SeriesInstanceUID", ""))
    else:
        folder, files = path, sorted(path.rglob("*"))
    headers = choose_series(scan(files), series_uid, str(folder))
    uid = str(headers[0].SeriesInstanceUID)
    headers = _without_duplicates(headers, str(folder))
    geometry, drift_mm = stack_slices(headers, str(folder))
    array = np.empty(geometry.shape, np.int16)
    for target, header in zip(array, headers, strict=True):
        target[...] = read_hu(Path(header.filename))
    return *straighten(array, geometry, drift_mm), uid


def _without_duplicates(headers: list[Dataset], where: str) -> list[Dataset]:
    """The headers from first to last slice, one per position; copies of the same picture are dropped."""
    depths = depths_mm(headers, where)
    order = np.argsort(depths, kind="stable")
    kept: list[Dataset] = []
    for index in order:
        header = headers[index]
        if kept and np.allclose(
            np.array(header.ImagePositionPatient, float),
            np.array(kept[-1].ImagePositionPatient, float),
            atol=SAME_POSITION_MM,
        ):
            if not np.array_equal(read_hu(Path(header.filename)), read_hu(Path(kept[-1].filename))):
                names = f"{Path(kept[-1].filename).name} and {Path(header.filename).name}"
                raise InputError(
                    f"{where}: two different slices lie at the same place ({names}); the series mixes acquisitions. "
                    "Separate them."
                )
            continue
        kept.append(header)
    return kept
