# SPDX-License-Identifier: Apache-2.0
"""Where the slices of a CT lie: one regular grid, or a refusal that names the slices at fault.

Plane equations: DICOM PS3.3 C.7.6.2.1.1.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from liver_seg_ros.errors import InputError
from liver_seg_ros.files.dicom_slice import ORIENTATION_TOLERANCE, Slice
from liver_seg_ros.geometry import Geometry, to_vector

# Scanners round positions to 0.1 mm at worst; a slice may lie this share of a spacing beside its regular place.
PLACE_TOLERANCE = 0.1
SAME_POSITION_MM = 0.01
# Gantries tilt by up to 30 degrees. Far more would only be a great volume of air, in which slices lie side by side.
MOST_TILT = np.tan(np.deg2rad(45.0))


def depths_mm(slices: Sequence[Slice]) -> NDArray[np.float64]:
    """`(N,)` positions of slices of one orientation along their common normal."""
    return np.array([part.position_mm for part in slices]) @ slices[0].axes[:, 2]


def stack_slices(slices: Sequence[Slice], where: str) -> tuple[Geometry, tuple[float, float]]:
    """The right-handed grid of slices given in order of depth, and how far each drifts in its plane.

    Args:
        slices: of one size, spacing and orientation.
        where: starts messages.

    Returns:
        The grid of which the first slice is slice 0, and the in-plane drift in mm per slice along `(i, j)`: zero
        unless the gantry was tilted, in which case the slices lie beside that grid (see `tilt.straighten`).

    Raises:
        InputError: one slice only, slices missing, or slices that lie on no straight line.
    """
    if len(slices) < 2:
        raise InputError(f"{where}: the series holds one slice. Give a whole CT series.")
    first = slices[0]
    if abs(first.axes[:, 0] @ first.axes[:, 1]) > ORIENTATION_TOLERANCE:
        raise InputError(f"{where}: rows and columns are not at right angles. Export the series again.")
    positions = np.array([part.position_mm for part in slices])
    depths = depths_mm(slices)
    spacing = (depths[-1] - depths[0]) / (len(slices) - 1)
    steps = np.arange(len(slices))
    if np.abs(depths - depths[0] - steps * spacing).max() > PLACE_TOLERANCE * spacing:
        _refuse_gap(slices, depths, where)
    row_spacing, column_spacing = first.pixel_mm
    in_plane = (positions - positions[0]) @ first.axes[:, :2]  # (N, 2) mm along (i, j)
    drift = in_plane[-1] / (len(slices) - 1)
    if np.hypot(*drift) > MOST_TILT * spacing:
        raise InputError(f"{where}: the slices do not lie behind each other. Export the series again.")
    pixel = np.array([column_spacing, row_spacing])
    if (np.abs(in_plane - steps[:, None] * drift) > PLACE_TOLERANCE * pixel).any():
        raise InputError(f"{where}: the slices do not lie on a straight line. Export the series again.")
    if (np.abs(in_plane[-1]) < PLACE_TOLERANCE * pixel).all():
        drift = np.zeros(2)  # rounding, no tilt
    rows, columns = first.shape
    try:
        geometry = Geometry(
            (columns, rows, len(slices)),
            (column_spacing, row_spacing, float(spacing)),
            to_vector(positions[0]),
            first.axes,  # type: ignore[arg-type]
        )
    except InputError as error:
        raise InputError(f"{where}: its geometry is unusable: {error}. Export the series again.") from error
    return geometry, (float(drift[0]), float(drift[1]))


def _refuse_gap(slices: Sequence[Slice], depths: NDArray[np.float64], where: str) -> None:
    gaps = np.diff(depths)
    usual = float(np.median(gaps))
    worst = int(np.argmax(np.abs(gaps - usual)))
    before, after = (part.name for part in slices[worst : worst + 2])
    raise InputError(
        f"{where}: slices are missing or uneven between {before} and {after}: {gaps[worst]:.2f} mm apart, "
        f"the others {usual:.2f} mm. Export the whole series."
    )
