# SPDX-License-Identifier: Apache-2.0
"""The fine networks on one CT: what each is shown, and their answers as one label volume."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from liver_seg_ros.geometry import Box, Geometry, Vector
from liver_seg_ros.inference.doubt import Doubt
from liver_seg_ros.inference.fusion import lay_over
from liver_seg_ros.inference.input_spec import CT_VIEW, InputSpec
from liver_seg_ros.inference.liver_scores import LiverScores
from liver_seg_ros.inference.network import Network
from liver_seg_ros.inference.region import Region
from liver_seg_ros.labels import LIVER
from liver_seg_ros.progress import Stages


@dataclass(eq=False)
class Labeling:
    """One CT being labeled, region by region.

    Attributes:
        networks: of stage "segment", in the order in which they are asked.
        tables: per network, the label value of each of its classes (`fusion.label_tables`).
        hu: `(K, J, I)` of the whole CT, canonical.
        geometry: its grid.
        stages: the clock.
        doubt: is shown all scores.
        liver: the localizer's, where no network gives it.
    """

    networks: Sequence[Network]
    tables: Sequence[NDArray[np.uint8]]
    hu: NDArray[np.int16]
    geometry: Geometry
    stages: Stages
    doubt: Doubt
    liver: LiverScores | None = None
    _spacings: dict[int, Vector] = field(default_factory=dict)  # by network: what the first box was seen at

    def label(self, region: Region, stage: str) -> NDArray[np.uint8]:
        """The networks' labels `(K, J, I)` of the box of `region`, 0 beyond it; `stage` is what the work is called."""
        box = region.box
        target, stages = self.geometry.crop(box), self.stages
        labels = np.zeros(target.shape, np.uint8)
        for name in ("resample", stage, "upsample"):  # in the order of a reader, not of generators
            stages.seconds.setdefault(name, 0.0)
        with stages.stage(stage), stages.timed("upsample"):
            if self.liver is not None:
                for k, inside in enumerate(self.liver.inside(target)):
                    labels[k] = inside * np.uint8(LIVER.value)
            count = len(self.networks)
            for number, (network, table) in enumerate(zip(self.networks, self.tables, strict=True)):
                shares = (number / count, (number + 1) / count)
                shown = shown_of(network.spec.input, box, self.geometry)
                spacing_mm = self._spacings.setdefault(
                    number, network.spec.input.spacing_for(self._measured(network, box))
                )
                grid, scores = network.scores(
                    self.hu[shown.slices],
                    self.geometry.crop(shown),
                    stages,
                    stage,
                    "resample",
                    shares,
                    spacing_mm,
                )
                scores = self.doubt.watch(number, grid, region, scores)
                # Scores, not the arg-max at the network's spacing: with ideal scores plus noise on a phantom, vessels
                # lost 0.05 of Dice that way.
                for k, winners in enumerate(network.winners(scores, grid, target)):
                    found = table[winners]
                    first = number == 0 and self.liver is None
                    labels[k] = found if first else lay_over(labels[k], found)
                # Its activations must not stand beside the next network's, nor beside what postprocessing needs.
                network.release_memory()
            for k, inside in enumerate(region.slices()):
                labels[k] *= inside
        return labels

    def _measured(self, network: Network, box: Box) -> Geometry:
        """What the network's `input.size` is the size of."""
        return self.geometry if network.spec.input.view == CT_VIEW else self.geometry.crop(box)


def shown_of(spec: InputSpec, box: Box, geometry: Geometry) -> Box:
    """What of a CT on `geometry` a network is shown to label `box`.

    With the CT in view these are whole slices, and all of them where `input.size` says how many there are.
    """
    if spec.view != CT_VIEW:
        return box
    (_, _, first), (_, _, last) = box.start, box.stop
    i, j, k = geometry.size
    return Box((0, 0, 0), (i, j, k)) if spec.size and spec.size[2] else Box((0, 0, first), (i, j, last))
