# SPDX-License-Identifier: Apache-2.0
"""How sure the network was of lesions whose labels were written to a file: told by the report beside it.

A file of labels has no place for it. `liver-seg segment` writes `report.json` beside its labels; where a lesion is
still the one that stands there, its confidence holds. A lesion that somebody has changed, or drawn, has none.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from liver_seg_ros.labels import TUMOR
from liver_seg_ros.measurement import PartMeasurement, StructureMeasurement

REPORT = "report.json"
#: By how much a report rounds (`report.py`), and a little: what differs by more is another lesion.
_CENTER_MM, _VOLUME_ML = 0.02, 0.002


def with_known_confidence(measured: Sequence[StructureMeasurement], labels: Path) -> tuple[StructureMeasurement, ...]:
    """`measured`, of the file `labels`, with the confidence in each lesion that the report beside it knows."""
    known = _known_lesions(labels.parent / REPORT)
    if not known:
        return tuple(measured)
    return tuple(
        replace(m, parts=tuple(_known(part, known) for part in m.parts)) if m.structure == TUMOR else m
        for m in measured
    )


def _known_lesions(report: Path) -> list[Mapping[str, Any]]:
    """What the report says of each lesion; nothing where there is none that can be read."""
    try:
        parts = json.loads(report.read_text(encoding="utf-8"))["structures"][TUMOR.name]["parts"]
        return [part for part in parts if part["confidence"] is not None and len(part["center_mm"]) == 3]
    except (OSError, ValueError, KeyError, TypeError):
        return []


def _known(part: PartMeasurement, known: list[Mapping[str, Any]]) -> PartMeasurement:
    for entry in known:
        apart_mm = np.abs(np.subtract(entry["center_mm"], part.center_mm)).max()
        if apart_mm < _CENTER_MM and abs(entry["volume_ml"] - part.volume_ml) < _VOLUME_ML:
            return replace(part, confidence=float(entry["confidence"]))
    return part
