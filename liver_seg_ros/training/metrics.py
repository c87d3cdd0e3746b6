"""Dice on the network's own grid, for the training's log."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from liver_seg_ros.labels import BACKGROUND, LIVER


class DiceCounter:
    """Dice coefficients over the voxels of all cases together.

    Args:
        labels: class index -> name, background included.
    """

    def __init__(self, labels: Mapping[int, str]) -> None:
        self._labels = labels
        self._joint = np.zeros((len(labels), len(labels)), np.int64)  # voxels per (answer, truth)

    def add(self, answer: NDArray[np.integer], truth: NDArray[np.integer]) -> None:
        """Count one case; two arrays of the same shape with values of `labels`."""
        count = len(self._labels)
        pairs = answer.astype(np.int64).reshape(-1) * count + truth.reshape(-1)
        self._joint += np.bincount(pairs, minlength=count * count).reshape(count, count)

    def scores(self) -> dict[str, float]:
        """Dice per structure; `liver` is the organ with all that lies in it. What neither has is left out."""
        scores = {}
        for value, name in self._labels.items():
            if value == BACKGROUND:
                continue
            own = slice(BACKGROUND + 1, None) if value == LIVER.value else slice(value, value + 1)
            sizes = self._joint[own].sum() + self._joint[:, own].sum()
            if sizes > 0:
                scores[name] = float(2 * self._joint[own, own].sum() / sizes)
        return scores
