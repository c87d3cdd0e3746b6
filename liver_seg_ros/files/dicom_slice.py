# SPDX-License-Identifier: Apache-2.0
"""One slice of a CT: where it lies, what its stored values mean, and what tells it from slices of other acquisitions.

A slice is a DICOM file, or a frame of a file that holds many (see `dicom_frames`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from liver_seg_ros.errors import InputError
from liver_seg_ros.files.dicom_traits import TRAIT_KEYWORDS, Value, traits
from liver_seg_ros.short_repr import short_repr

# The finest CT scanners make 2048 x 2048 pixels. What claims more is refused before memory is spent on it.
MOST_PIXELS = 4096 * 4096

ORIENTATION_TOLERANCE = 1e-3

MONOCHROME = ("MONOCHROME2", "MONOCHROME1")

# Rescale types that mean HU or leave it open; others are maps of iodine, electron density and the like.
HU_RESCALE_TYPES = ("", "HU", "US")

_COUNTS = {"ImagePositionPatient": 3, "ImageOrientationPatient": 6, "PixelSpacing": 2}
PIXEL_KEYWORDS = ("Rows", "Columns", "BitsAllocated", "BitsStored", "PixelRepresentation")
REQUIRED = (*_COUNTS, *PIXEL_KEYWORDS)
COLOR_KEYWORDS = ("SamplesPerPixel", "PhotometricInterpretation")
RESCALE_KEYWORDS = ("RescaleSlope", "RescaleIntercept", "RescaleType", "ModalityLUTSequence")
# All that a slice is made of.
KEYWORDS = (*REQUIRED, "HighBit", *COLOR_KEYWORDS, *RESCALE_KEYWORDS, *TRAIT_KEYWORDS)


@dataclass(frozen=True, eq=False)
class Slice:
    """One picture of a CT series.

    Attributes:
        path: its file.
        frame: its number in the file, from 0; None where the file is the slice.
        position_mm: `(3,)` LPS, of the center of the first pixel.
        axes: `(3, 3)`, the directions of a row (i), a column (j) and their normal (k) as columns, each of length 1.
        pixel_mm: distance of rows and of columns.
        shape: `(J, I)`.
        slope, intercept: HU are stored values times slope plus intercept.
        traits: what slices of one acquisition have in common, by DICOM's keyword; unknown ones are left out.
    """

    path: Path
    frame: int | None
    position_mm: NDArray[np.float64]
    axes: NDArray[np.float64]
    pixel_mm: tuple[float, float]
    shape: tuple[int, int]
    slope: float
    intercept: float
    traits: Mapping[str, Value]

    __repr__ = short_repr

    @property
    def name(self) -> str:
        """How messages call it."""
        return _name(self.path.name, self.frame)


def make_slice(header: Dataset, path: Path, frame: int | None = None) -> Slice:
    """The slice that `header` describes: that of a file, or of a frame as `dicom_frames` makes it.

    Raises:
        InputError: an attribute is missing or unusable, a color picture, several frames, or values that are not HU.
    """
    where = _name(str(path), frame)
    missing = [name for name in REQUIRED if header.get(name) in (None, "")]
    if missing:
        raise InputError(f"{where}: has no {missing[0]}; this is no CT slice. Export the series again.")
    orientation = _numbers(header, "ImageOrientationPatient", where).reshape(2, 3)
    lengths = np.linalg.norm(orientation, axis=1)
    if not lengths.all():
        raise InputError(f"{where}: ImageOrientationPatient is unusable (a direction is 0). Export the series again.")
    row, column = orientation / lengths[:, None]
    row_mm, column_mm = _numbers(header, "PixelSpacing", where).tolist()
    rows, columns = (int(_numbers(header, name, where)[0]) for name in ("Rows", "Columns"))
    if not 0 < rows * columns <= MOST_PIXELS:
        raise InputError(f"{where}: claims {rows} x {columns} pixels; no CT slice has. Export the series again.")
    _check_pixels(header, where, single=frame is None)
    slope, intercept = _rescale(header, where, is_frame=frame is not None)
    return Slice(
        path=path,
        frame=frame,
        position_mm=_numbers(header, "ImagePositionPatient", where),
        axes=np.stack([row, column, np.cross(row, column)], axis=1),
        pixel_mm=(row_mm, column_mm),
        shape=(rows, columns),
        slope=slope,
        intercept=intercept,
        traits=traits(header),
    )


def is_localizer(header: Dataset) -> bool:
    """Whether a picture is a scout: a projection, no slice."""
    kinds = [str(value).strip().upper() for value in header.get("ImageType") or ()]
    return "LOCALIZER" in kinds or "SCOUT" in kinds


def _name(file: str, frame: int | None) -> str:
    return file if frame is None else f"{file}, frame {frame + 1}"


def _check_pixels(header: Dataset, where: str, single: bool) -> None:
    photometric = str(header.get("PhotometricInterpretation") or MONOCHROME[0]).strip().upper()
    if int(header.get("SamplesPerPixel") or 1) != 1 or photometric not in MONOCHROME:
        raise InputError(f"{where}: is a color picture, no CT slice. Remove it or export the series again.")
    if single and int(header.get("NumberOfFrames") or 1) != 1:
        raise InputError(f"{where}: holds several frames but is no enhanced CT. Convert it to single slices first.")
    allocated, stored, high = (header.get(name) for name in ("BitsAllocated", "BitsStored", "HighBit"))
    if high is None or stored == allocated or high == stored - 1:
        return
    raise InputError(
        f"{where}: stores {stored} bits below bit {high + 1}; where its values begin is unclear. "
        "Export the series again."
    )


def _rescale(header: Dataset, where: str, is_frame: bool) -> tuple[float, float]:
    """Slope and intercept; 1 and 0 where the file of a single slice says nothing of them. Frames have to."""
    rescale_type = str(header.get("RescaleType") or "").strip().upper()
    if rescale_type not in HU_RESCALE_TYPES:
        raise InputError(f"{where}: its values are {rescale_type}, not HU. Give a CT series in HU.")
    if header.get("ModalityLUTSequence") and header.get("RescaleSlope") is None:
        raise InputError(f"{where}: has a table (Modality LUT) in place of a slope. Export the CT in HU.")
    missing = [name for name in RESCALE_KEYWORDS[:2] if header.get(name) in (None, "")]
    if is_frame and missing:
        raise InputError(f"{where}: has no {missing[0]}; its HU are unknown. Export the series again.")
    slope, intercept = (
        default if name in missing else float(_numbers(header, name, where)[0])
        for name, default in (("RescaleSlope", 1.0), ("RescaleIntercept", 0.0))
    )
    if slope == 0:
        raise InputError(f"{where}: RescaleSlope is 0, which makes all voxels equal. Export the CT in HU.")
    return slope, intercept


def _numbers(header: Dataset, name: str, where: str) -> NDArray[np.float64]:
    """The numbers of an attribute; checks how many there must be."""
    try:
        numbers = np.array(header[name].value, dtype=float).reshape(-1)
    except (ValueError, TypeError) as error:
        raise InputError(f"{where}: {name} is unusable. Export the series again.") from error
    if numbers.size != _COUNTS.get(name, 1) or not np.isfinite(numbers).all():
        raise InputError(f"{where}: {name} is unusable ({header[name].value}). Export the series again.")
    return numbers
