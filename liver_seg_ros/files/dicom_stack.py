"""Where the slices of a CT series lie: one regular grid, or a refusal that names the slices at fault.

Plane equations: DICOM PS3.3 C.7.6.2.1.1.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from liver_seg_ros.errors import InputError
from liver_seg_ros.geometry import Geometry

# Scanners round positions to 0.1 mm at worst; a slice may lie this share of a spacing beside its regular place.
PLACE_TOLERANCE = 0.1
ORIENTATION_TOLERANCE = 1e-3
REQUIRED = ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "Rows", "Columns")


def depths_mm(headers: list[Dataset], where: str) -> NDArray[np.float64]:
    """`(N,)` positions of the slices along their common normal.

    Raises:
        InputError: a slice without position, orientation, spacing or size, or slices that disagree in one of the last.
    """
    for header in headers:
        missing = [name for name in REQUIRED if header.get(name) in (None, "")]
        if missing:
            raise InputError(f"{header.filename}: has no {missing[0]}; this is no CT slice. Export the series again.")
        for name in REQUIRED[1:]:
            if not np.allclose(_numbers(header, name), _numbers(headers[0], name), atol=ORIENTATION_TOLERANCE):
                raise InputError(
                    f"{where}: {Path(headers[0].filename).name} and {Path(header.filename).name} differ in {name}; "
                    "the series mixes acquisitions. Separate them."
                )
    return _positions(headers) @ _axes(headers[0])[:, 2]


def stack_slices(headers: list[Dataset], where: str) -> tuple[Geometry, tuple[float, float]]:
    """The right-handed grid of slices given in order of depth, and how far each drifts in its plane.

    Returns:
        The grid of which the first slice is slice 0, and the in-plane drift in mm per slice along `(i, j)`: zero
        unless the gantry was tilted, in which case the slices lie beside that grid (see `tilt.straighten`).

    Raises:
        InputError: one slice only, slices missing, or slices that lie on no straight line.
    """
    if len(headers) < 2:
        raise InputError(f"{where}: the series holds one slice. Give a whole CT series.")
    axes = _axes(headers[0])
    if abs(axes[:, 0] @ axes[:, 1]) > ORIENTATION_TOLERANCE:
        raise InputError(f"{where}: rows and columns are not at right angles. Export the series again.")
    positions = _positions(headers)
    depths = positions @ axes[:, 2]
    spacing = (depths[-1] - depths[0]) / (len(headers) - 1)
    steps = np.arange(len(headers))
    if np.abs(depths - depths[0] - steps * spacing).max() > PLACE_TOLERANCE * spacing:
        _refuse_gap(headers, depths, where)
    row_spacing, column_spacing = (float(s) for s in headers[0].PixelSpacing)
    in_plane = (positions - positions[0]) @ axes[:, :2]  # (N, 2) mm along (i, j)
    drift = in_plane[-1] / (len(headers) - 1)
    pixel = np.array([column_spacing, row_spacing])
    if (np.abs(in_plane - steps[:, None] * drift) > PLACE_TOLERANCE * pixel).any():
        raise InputError(f"{where}: the slices do not lie on a straight line. Export the series again.")
    if (np.abs(in_plane[-1]) < PLACE_TOLERANCE * pixel).all():
        drift = np.zeros(2)  # rounding, no tilt
    first = headers[0]
    try:
        geometry = Geometry(
            (int(first.Columns), int(first.Rows), len(headers)),
            (column_spacing, row_spacing, float(spacing)),
            tuple(positions[0]),
            axes,  # type: ignore[arg-type]
        )
    except ValueError as error:
        raise InputError(f"{where}: its geometry is unusable: {error}. Export the series again.") from error
    return geometry, (float(drift[0]), float(drift[1]))


def _refuse_gap(headers: list[Dataset], depths: NDArray[np.float64], where: str) -> None:
    gaps = np.diff(depths)
    usual = float(np.median(gaps))
    worst = int(np.argmax(np.abs(gaps - usual)))
    before, after = (Path(header.filename).name for header in headers[worst : worst + 2])
    raise InputError(
        f"{where}: slices are missing or uneven between {before} and {after}: {gaps[worst]:.2f} mm apart, "
        f"the others {usual:.2f} mm. Export the whole series."
    )


def _axes(header: Dataset) -> NDArray[np.float64]:
    """`(3, 3)`: the directions of a row (i), a column (j) and their normal (k) as columns, each of length 1."""
    row, column = _numbers(header, "ImageOrientationPatient").reshape(2, 3)
    row, column = row / np.linalg.norm(row), column / np.linalg.norm(column)
    return np.stack([row, column, np.cross(row, column)], axis=1)


def _positions(headers: list[Dataset]) -> NDArray[np.float64]:
    return np.array([_numbers(header, "ImagePositionPatient") for header in headers])


def _numbers(header: Dataset, name: str) -> NDArray[np.float64]:
    """The numbers of an attribute; checks how many there must be."""
    count = {"ImagePositionPatient": 3, "ImageOrientationPatient": 6, "PixelSpacing": 2}.get(name, 1)
    try:
        numbers = np.array(header[name].value, dtype=float).reshape(-1)
    except (ValueError, TypeError) as error:
        raise InputError(f"{header.filename}: {name} is unusable. Export the series again.") from error
    if numbers.size != count or not np.isfinite(numbers).all():
        raise InputError(f"{header.filename}: {name} is unusable ({header[name].value}). Export the series again.")
    return numbers
