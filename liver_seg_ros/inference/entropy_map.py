# SPDX-License-Identifier: Apache-2.0
"""Where a network is in doubt: the entropy of its probabilities, per voxel of the CT.

For whoever asks: it takes the time of a softmax over all classes and voxels, and the memory of labels.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from liver_seg_ros.geometry import Geometry
from liver_seg_ros.inference.bundle import BundleSpec
from liver_seg_ros.inference.region import Region
from liver_seg_ros.inference.resampling import resampled_slices
from liver_seg_ros.short_repr import short_repr

#: What stands for the entropy where all classes are equally probable.
FULL = 100


class EntropyMap:
    """The entropy of one network's probabilities in one CT, in percent of its largest value, see `FULL`.

    Probabilities are taken at the bundle's temperature, or as they are where nobody has calibrated it.

    Args:
        spec: of the network's bundle.
        geometry: the CT's grid.
    """

    def __init__(self, spec: BundleSpec, geometry: Geometry) -> None:
        self._per_score = np.float32(1 / (spec.calibration.temperature or 1.0))
        self._seen: list[tuple[Geometry, Region, NDArray[np.uint8]]] = []
        self._geometry = geometry

    __repr__ = short_repr

    def watch(
        self, grid: Geometry, region: Region, scores: Iterator[NDArray[np.float32]]
    ) -> Iterator[NDArray[np.float32]]:
        """The slices `(C, J, I)` of `grid` as they are, each kept in mind; they are of `region` of the CT."""
        kept = np.zeros(grid.shape, np.uint8)
        self._seen.append((grid, region, kept))
        for k, planes in enumerate(scores):
            kept[k] = np.rint(FULL * self._of_slice(planes))
            yield planes

    def on_ct(self) -> NDArray[np.uint8]:
        """`(K, J, I)`: on the CT's grid, 0 where nobody looked; where it was looked twice, what was seen first."""
        found = np.zeros(self._geometry.shape, np.uint8)
        for grid, region, kept in reversed(self._seen):
            into = found[region.box.slices]
            part = self._geometry.crop(region.box)
            planes = resampled_slices(lambda k, kept=kept: kept[k], grid, part)  # type: ignore[misc]
            for k, (plane, inside) in enumerate(zip(planes, region.slices(), strict=True)):
                np.copyto(into[k], np.rint(plane).astype(np.uint8), where=inside)
        return found

    def _of_slice(self, scores: NDArray[np.float32]) -> NDArray[np.float32]:
        """`(J, I)`, 0 to 1: log of the sum of exp(s) less the mean of s, s being scores less the largest, over T."""
        below = (scores - scores.max(axis=0)) * self._per_score
        share = np.exp(below)
        total = share.sum(axis=0)
        entropy: NDArray[np.float32] = np.log(total) - (share * below).sum(axis=0) / total
        return np.clip(entropy / np.float32(np.log(len(scores))), 0, 1)
