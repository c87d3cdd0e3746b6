# SPDX-License-Identifier: Apache-2.0
"""How sure a network is of the tumors that it finds.

What a network gives is kept at its own spacing while its slices pass by, and is computed only where it sees liver: two
bytes for each of a few million voxels. The slices on their way to the CT's grid stay as they are. Whoever measures a
lesion then asks at the places of its voxels.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from liver_seg_ros.geometry import Geometry
from liver_seg_ros.inference.bundle import BundleSpec
from liver_seg_ros.inference.region import Region
from liver_seg_ros.labels import BACKGROUND, TUMOR
from liver_seg_ros.short_repr import short_repr


class TumorProbability:
    """The calibrated probability of tumor in one CT, as one network sees it; see `at`.

    Args:
        spec: of the network's bundle, which must be one that `tells`.

    Attributes:
        least_lesion: the mean probability in a lesion below which it is to be doubted.
    """

    def __init__(self, spec: BundleSpec) -> None:
        self._tumor = list(spec.label_values).index(TUMOR.value)
        self._background = list(spec.label_values).index(BACKGROUND)
        temperature = spec.calibration.temperature
        assert temperature is not None  # it `tells`
        self.least_lesion = float(spec.calibration.least_lesion)
        self._per_score = np.float32(1 / temperature)
        self._seen: list[tuple[Geometry, NDArray[np.float16], Region | None]] = []

    __repr__ = short_repr

    @staticmethod
    def tells(spec: BundleSpec) -> bool:
        """Whether a network says how sure it is of tumors: it knows them, gives more than labels, and is calibrated."""
        return TUMOR.value in spec.label_values and spec.output != "argmax" and spec.calibration.temperature is not None

    def watch(
        self, grid: Geometry, scores: Iterator[NDArray[np.float32]], region: Region | None = None
    ) -> Iterator[NDArray[np.float32]]:
        """The slices `(C, J, I)` of `grid` as they are, each kept in mind; of them counts what lies in `region`."""
        kept = np.zeros(grid.shape, np.float16)
        self._seen.append((grid, kept, region))
        for k, planes in enumerate(scores):
            kept[k] = self._of_slice(planes)
            yield planes

    def at(self, points_mm: NDArray[np.float64]) -> NDArray[np.float64]:
        """`(N,)`, 0 to 1: at the network's voxel nearest to each of the points `(N, 3)`, LPS mm; 0 where none is near.

        Of places that were looked at twice it is what was seen first, as it is with their labels.
        """
        found = np.full(len(points_mm), np.nan)
        for grid, kept, region in self._seen:
            index = np.rint(grid.lps_to_index(points_mm)).astype(np.int64)
            new = np.isnan(found) & np.all((index >= 0) & (index < grid.size), axis=1)
            if region is not None:
                new &= region.holds(points_mm)
            i, j, k = index[new].T
            found[new] = kept[k, j, i]
        return np.nan_to_num(found)

    def _of_slice(self, scores: NDArray[np.float32]) -> NDArray[np.float32]:
        """`(J, I)`: 1 / sum of exp((s - s of tumor) / T) where the background does not win, else 0."""
        probability = np.zeros(scores.shape[1:], np.float32)
        liver = scores.max(axis=0) > scores[self._background]
        inside = scores[:, liver]  # (C, N)
        with np.errstate(over="ignore"):
            probability[liver] = 1 / np.exp((inside - inside[self._tumor]) * self._per_score).sum(axis=0)
        return probability
