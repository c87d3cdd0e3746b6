# SPDX-License-Identifier: Apache-2.0
"""Where the liver is: asked of the coarse network, and of the fine one where the coarse one is unsure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from liver_seg_ros.geometry import Geometry, Vector
from liver_seg_ros.inference.liver_place import LiverPlace, place_of
from liver_seg_ros.inference.liver_scores import LiverScores, lead_of
from liver_seg_ros.inference.network import Network
from liver_seg_ros.inference.postprocessing import largest_liver
from liver_seg_ros.labels import LIVER
from liver_seg_ros.progress import Stages
from liver_seg_ros.volume import LabelVolume

#: Mean probability of the liver below which a network is unsure. The shipped localizer has 0.97 to 0.98 on phantoms.
_SURE_PROBABILITY = 0.85

#: Something like a liver, but less than the least plausible one, may be a liver that the network hardly sees; less than
#: this share of the least is nothing.
_LEAST_SHARE = 0.1


@dataclass(frozen=True, eq=False)
class Finding:
    """What a network says about the liver's place.

    Attributes:
        place: None where there is no liver that is large enough.
        liver_mm3: volume of the largest liver-like body.
        probability: mean over that body, 0 where there is none.
        least_mm3: what would have been large enough.
        scores: the body as the network has it; only where it was asked for.
        liver: that body, `(K, J, I)` bool on `place.coarse`; None where there is no place.
    """

    place: LiverPlace | None
    liver_mm3: float
    probability: float
    least_mm3: float
    scores: LiverScores | None = None
    liver: NDArray[np.bool_] | None = None

    def coarse_labels(self, uid: str) -> LabelVolume | None:
        """The body as labels with this uid, on the network's own grid over the CT's extent; None for no place."""
        if self.place is None or self.liver is None:
            return None
        return LabelVolume(self.liver * np.uint8(LIVER.value), self.place.coarse, uid)

    @property
    def unsure(self) -> bool:
        """Whether there is something like a liver, but it is too small or the network doubts it."""
        if self.place is None:
            return self.liver_mm3 > _LEAST_SHARE * self.least_mm3
        return self.probability < _SURE_PROBABILITY


def find_liver(
    network: Network,
    hu: NDArray[np.int16],
    geometry: Geometry,
    stages: Stages,
    stage: str,
    margin_mm: float,
    least_mm3: float,
    spacing_mm: Vector | None = None,
    keep_scores: bool = False,
) -> Finding:
    """Where in a CT the largest liver-like body is.

    Args:
        network: of any stage.
        hu: `(K, J, I)` on `geometry`, canonical: the whole CT.
        geometry: the CT's grid.
        stages, stage: the clock, and what this work is called.
        margin_mm: of the box, see `LiverPlace`.
        least_mm3: of the liver.
        spacing_mm: that the network sees; the bundle's own if not given.
        keep_scores: whether `Finding.scores` is wanted.
    """
    with stages.stage(stage):
        grid, slices = network.scores(hu, geometry, stages, stage, spacing_mm=spacing_mm)
        values = np.array(network.spec.label_values, np.uint8)
        labels = np.empty(grid.shape, np.uint8)
        percent = np.empty(
            grid.shape, np.uint8
        )  # whole percents are exact enough for a mean, in a quarter of the memory
        lead = np.empty(grid.shape if keep_scores else 0, np.float16)
        for k, scores in enumerate(slices):
            if keep_scores:
                lead[k] = lead_of(scores)
            labels[k] = values[scores.argmax(axis=0)]
            percent[k] = np.rint(100 * network.probability(scores))
        liver = largest_liver(labels)
        voxels = np.count_nonzero(liver)
        # As a share of the CT, since a thin CT's one coarse voxel may be thicker than the CT itself.
        liver_mm3 = float(voxels / liver.size * np.prod(geometry.extent_mm))
        probability = float(percent[liver].mean() / 100) if voxels else 0.0
        place = place_of(liver, grid, geometry, margin_mm) if voxels and liver_mm3 >= least_mm3 else None
        found = LiverScores(lead, grid).only(liver) if keep_scores else None
        return Finding(place, liver_mm3, probability, least_mm3, found, None if place is None else liver)
