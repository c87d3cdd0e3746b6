# SPDX-License-Identifier: Apache-2.0
"""What is kept, while scores pass by, of how sure networks are: of tumors always, of every voxel where asked for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from liver_seg_ros.errors import InputError
from liver_seg_ros.geometry import Geometry
from liver_seg_ros.inference.bundle import BundleSpec
from liver_seg_ros.inference.entropy_map import EntropyMap
from liver_seg_ros.inference.region import Region
from liver_seg_ros.inference.tumor_probability import TumorProbability
from liver_seg_ros.orientation import Reorientation
from liver_seg_ros.short_repr import short_repr
from liver_seg_ros.volume import Volume


@dataclass(frozen=True, eq=False)
class Doubt:
    """How sure the fine networks are of one CT.

    Attributes:
        tumors: of tumors; None where the network that they come from does not say.
        of_tumors: the number of that network.
        entropy: of the first network; None where nobody asked.
    """

    tumors: TumorProbability | None
    of_tumors: int | None
    entropy: EntropyMap | None

    __repr__ = short_repr

    @staticmethod
    def of(tumors: BundleSpec | None, of_tumors: int | None, entropy: BundleSpec | None, geometry: Geometry) -> Doubt:
        """That of a CT on `geometry`, of the network of these specs: of tumors, and of the one whose entropy is wanted.

        Raises:
            InputError: that network gives no probabilities.
        """
        if entropy is not None and entropy.output == "argmax":
            raise InputError(f"{entropy.name} gives labels alone: there is no entropy of them; leave it out")
        tells = tumors is not None and TumorProbability.tells(tumors)
        return Doubt(
            TumorProbability(tumors) if tumors is not None and tells else None,
            of_tumors,
            None if entropy is None else EntropyMap(entropy, geometry),
        )

    def watch(
        self, number: int, grid: Geometry, region: Region, scores: Iterator[NDArray[np.float32]]
    ) -> Iterator[NDArray[np.float32]]:
        """The slices `(C, J, I)` that network `number` gives on `grid` of a region of the CT, as they are."""
        if self.tumors is not None and number == self.of_tumors:
            scores = self.tumors.watch(grid, scores, region)
        if self.entropy is not None and number == 0:
            scores = self.entropy.watch(grid, region, scores)
        return scores

    def entropy_volume(self, ct: Volume, reorientation: Reorientation) -> Volume | None:
        """The entropy on the CT's own grid, from which `reorientation` leads to the canonical one."""
        if self.entropy is None:
            return None
        found = np.zeros(ct.array.shape, np.int16)
        reorientation.apply(found)[:] = self.entropy.on_ct()
        return Volume(found, ct.geometry, ct.uid)
