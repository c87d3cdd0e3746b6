# SPDX-License-Identifier: Apache-2.0
"""Labels from one file onto the CT from another: the same points in another order are reordered, others refused."""

from __future__ import annotations

import numpy as np

from liver_seg_ros.errors import InputError
from liver_seg_ros.grids import difference, reordering
from liver_seg_ros.volume import LabelVolume, Volume


def on_grid_of(ct: Volume, labels: LabelVolume, where: str) -> LabelVolume:
    """`labels` on the grid of `ct` and with its uid, their axes reordered where they are stored in another order.

    No voxel is resampled: the labels must lie on the points of the CT, to a tenth of a voxel.

    Args:
        ct: the CT that they belong to.
        labels: what was read.
        where: the file that they came from; starts the message.

    Raises:
        InputError: the labels lie on other points; says what differs and by how much.
    """
    reorientation = reordering(labels.geometry, ct.geometry)
    if reorientation is None:
        raise InputError(
            f"{where}: its grid is not the CT's: {difference(labels.geometry, ct.geometry)}. "
            "Give the labels of this CT, or resample them to it."
        )
    return LabelVolume(np.ascontiguousarray(reorientation.apply(labels.array)), ct.geometry, ct.uid)
