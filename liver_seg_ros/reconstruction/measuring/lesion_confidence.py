# SPDX-License-Identifier: Apache-2.0
"""How sure whoever made the labels is of each lesion: the mean probability of tumor over its voxels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from liver_seg_ros.labels import TUMOR
from liver_seg_ros.measurement import StructureMeasurement
from liver_seg_ros.reconstruction.masks import StructureMask
from liver_seg_ros.reconstruction.parts import lesions
from liver_seg_ros.volume import LabelVolume

#: The probability of tumor, 0 to 1, `(N,)` at points `(N, 3)` LPS mm.
ProbabilityAt = Callable[[NDArray[np.float64]], NDArray[np.float64]]

#: A mean over more voxels is that of every so many-th: it is good to a hundredth with a hundred times less.
_MOST_VOXELS = 100_000


def with_confidence(
    measured: tuple[StructureMeasurement, ...], labels: LabelVolume, probability_at: ProbabilityAt
) -> tuple[StructureMeasurement, ...]:
    """The same measurements with the confidence in each lesion.

    Args:
        measured: of `labels`, by `structures.measure`.
        labels: whose lesions they are.
        probability_at: what made the labels, see `inference.tumor_probability`.
    """

    def filled(measurement: StructureMeasurement) -> StructureMeasurement:
        found = (
            float(probability_at(_points(part)).mean()) for part in islice(lesions(labels), len(measurement.parts))
        )
        parts = zip(measurement.parts, found, strict=True)
        return replace(measurement, parts=tuple(replace(part, confidence=sure) for part, sure in parts))

    return tuple(filled(m) if m.structure == TUMOR and m.parts else m for m in measured)


def _points(part: StructureMask) -> NDArray[np.float64]:
    """`(N, 3)` LPS mm: voxel centers of one lesion, all or evenly many of them."""
    voxels = np.flatnonzero(part.array)
    some = voxels[:: 1 + len(voxels) // _MOST_VOXELS]
    return part.geometry.index_to_lps(np.stack(np.unravel_index(some, part.array.shape), axis=1)[:, ::-1])
