# SPDX-License-Identifier: Apache-2.0
"""The graph of an imported network: its own normalization before it, several networks or flips averaged after it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import torch
from torch import Tensor, nn

from liver_seg_ros.deploy.graph import DeployedNetwork
from liver_seg_ros.deploy.importing.source import TrainedNetwork
from liver_seg_ros.inference.input_spec import IMAGE, PREVIOUS


class ImportedNetwork(DeployedNetwork):
    """`(B, 1, K, J, I)` HU, and for a cascade the same of class numbers, to logits `(B, C, K, J, I)`; slices without K.

    Args:
        networks: built and with their weights, along the source's own axes.
        told: what they are given, see `TrainedNetwork`.
    """

    def __init__(self, networks: Sequence[nn.Module], told: TrainedNetwork) -> None:
        super().__init__(nn.Identity(), told.clip, "logits")
        self.networks = nn.ModuleList(networks)
        self.told = told
        axes = len(told.transpose)
        self._forward = (0, 1, *(2 + axis for axis in told.transpose))
        self._backward = (0, 1, *(2 + told.transpose.index(axis) for axis in range(axes)))
        flipped = [2 + axis - (3 - axes) for axis in told.flips]
        self._flips = [axes for count in range(len(flipped) + 1) for axes in combinations(flipped, count)]

    @property
    def inputs(self) -> dict[str, int]:
        """{name: channels} of the graph."""
        return {IMAGE: 1, PREVIOUS: 1} if self.told.channels > 1 else {IMAGE: 1}

    def forward(self, image: Tensor, edges: Tensor | None = None) -> Tensor:
        """The second input is what the stage before found."""
        return self.logits(image) if edges is None else self.logits(image, edges)

    def logits(self, image: Tensor, *edges: Tensor) -> Tensor:
        """What wins where it is largest, `(B, C, K, J, I)` float32."""
        values = image.float() if self.told.clip is None else image.float().clamp(*self.told.clip)
        values = (values - self.told.mean) / self.told.deviation
        for before in edges:
            found = before.float().round()
            values = torch.cat([values, *((found == n).float() for n in range(1, self.told.channels))], dim=1)
        logits = torch.stack([self._along_own_axes(values, flips) for flips in self._flips]).mean(dim=0)
        return self._of_classes(logits) if self.told.regions else logits

    def _along_own_axes(self, values: Tensor, flips: tuple[int, ...]) -> Tensor:
        own = values.flip(flips).permute(self._forward) if flips else values.permute(self._forward)
        logits: Tensor = torch.stack([network(own) for network in self.networks]).mean(dim=0)
        logits = logits.permute(self._backward)
        return logits.flip(flips) if flips else logits

    def _of_classes(self, regions: Tensor) -> Tensor:
        """Scores of the background and of each class, of which the largest is that of the last region that holds.

        A region's own logit wins only where it is positive and that of no later one is.
        """
        scores: dict[int, Tensor] = {}
        none_later = torch.full_like(regions[:, :1], float("inf"))
        for number in reversed(range(len(self.told.regions))):
            logit = regions[:, number : number + 1]
            scores[self.told.regions[number]] = torch.minimum(logit, none_later)
            none_later = torch.minimum(none_later, -logit)
        return torch.cat([none_later, *(scores[n] for n in sorted(scores))], dim=1)
