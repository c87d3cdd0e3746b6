# SPDX-License-Identifier: Apache-2.0
"""What is labeled in layers of a few slices, each as small as its labels are, worked on by all cores.

A liver's box is filled by a sixth; a layer's box is smaller than its share of that. Filters of numpy and SciPy let
other threads work meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from liver_seg_ros.geometry import Box
from liver_seg_ros.machine import usable_cores

#: Slices of a layer: fewer, and what filters see beyond its ends is most of the work.
_SLICES = 32


def layers_of(labels: NDArray[np.uint8]) -> list[Box]:
    """The boxes around what is not 0 in `labels` `(K, J, I)`, of at most `_SLICES` slices each."""
    boxes = []
    for first in range(0, len(labels), _SLICES):
        box = Box.around(labels[first : first + _SLICES])
        if box is not None:
            (i, j, k), (i_end, j_end, k_end) = box.start, box.stop
            boxes.append(Box((i, j, first + k), (i_end, j_end, first + k_end)))
    return boxes


def for_each_layer(work: Callable[[Box], None], layers: list[Box]) -> None:
    """Do `work` once for each layer, several at a time; the first error that one ends with is raised."""
    with ThreadPoolExecutor(usable_cores()) as pool:
        for _ in pool.map(work, layers):
            pass
