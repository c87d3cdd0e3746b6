# SPDX-License-Identifier: Apache-2.0
"""How sure the network was of lesions, told to whoever has only their labels: in a file, or on a topic.

Labels have no place for it; the report beside them has. Where a lesion of the labels is still the one that the report
speaks of, its confidence holds. A lesion that somebody has changed, or drawn, has none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from liver_seg_ros.geometry import Vector
from liver_seg_ros.labels import TUMOR
from liver_seg_ros.measurement import PartMeasurement, StructureMeasurement

#: By how much a report rounds (`report.py`), and a little: what differs by more is another lesion.
_CENTER_MM, _VOLUME_ML = 0.02, 0.002


@dataclass(frozen=True)
class KnownLesion:
    """What a report says of one lesion: LPS center of mass, volume, and the confidence in it, 0 to 1."""

    center_mm: Vector
    volume_ml: float
    confidence: float

    def is_of(self, part: PartMeasurement) -> bool:
        """Whether `part` is this lesion, unchanged."""
        apart_mm = np.abs(np.subtract(self.center_mm, part.center_mm)).max()
        return bool(apart_mm < _CENTER_MM and abs(self.volume_ml - part.volume_ml) < _VOLUME_ML)


def known_of(measured: Sequence[StructureMeasurement]) -> tuple[KnownLesion, ...]:
    """The lesions among `measured` whose confidence is known."""
    parts = (part for measurement in measured if measurement.structure == TUMOR for part in measurement.parts)
    return tuple(KnownLesion(p.center_mm, p.volume_ml, p.confidence) for p in parts if p.confidence is not None)


def with_known(
    measured: Sequence[StructureMeasurement], known: Sequence[KnownLesion]
) -> tuple[StructureMeasurement, ...]:
    """`measured`, with the confidence in each lesion that is among `known`."""
    if not known:
        return tuple(measured)

    def told(part: PartMeasurement) -> PartMeasurement:
        lesion = next((lesion for lesion in known if lesion.is_of(part)), None)
        return part if lesion is None else replace(part, confidence=lesion.confidence)

    return tuple(replace(m, parts=tuple(map(told, m.parts))) if m.structure == TUMOR else m for m in measured)
