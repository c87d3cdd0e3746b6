# SPDX-License-Identifier: Apache-2.0
"""Only some structures of a label volume: those that someone asked for."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from liver_seg_ros.labels import LIVER, LIVER_VESSELS, TUMOR, Structure
from liver_seg_ros.volume import LabelVolume


def only_wanted(labels: LabelVolume, wanted: Collection[Structure]) -> LabelVolume:
    """`labels` without what is not in `wanted`; all of it where that is empty.

    Tumors and vessels that are not wanted are liver where the liver is, which they are a part of, else background.
    """
    if not wanted:
        return labels
    values = {structure.value for structure in wanted}
    inside = LIVER.value if LIVER.value in values else 0
    table = np.zeros(256, np.uint8)
    table[[structure.value for structure in (TUMOR, *LIVER_VESSELS)]] = inside
    table[sorted(values)] = sorted(values)
    return LabelVolume(table[labels.array], labels.geometry, labels.uid)
