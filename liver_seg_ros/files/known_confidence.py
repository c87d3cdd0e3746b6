# SPDX-License-Identifier: Apache-2.0
"""How sure the network was of lesions whose labels were written to a file: told by the report beside it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from liver_seg_ros.known_lesions import KnownLesion, with_known
from liver_seg_ros.labels import TUMOR
from liver_seg_ros.measurement import StructureMeasurement

REPORT = "report.json"


def with_known_confidence(measured: Sequence[StructureMeasurement], labels: Path) -> tuple[StructureMeasurement, ...]:
    """`measured`, of the file `labels`, with the confidence in each lesion that the report beside it knows."""
    return with_known(measured, _known_lesions(labels.parent / REPORT))


def _known_lesions(report: Path) -> list[KnownLesion]:
    """What the report says of each lesion; nothing where there is none that can be read."""
    try:
        parts = json.loads(report.read_text(encoding="utf-8"))["structures"][TUMOR.name]["parts"]
        found = []
        for part in parts:
            if part["confidence"] is not None:
                x, y, z = (float(value) for value in part["center_mm"])
                found.append(KnownLesion((x, y, z), float(part["volume_ml"]), float(part["confidence"])))
        return found
    except (OSError, ValueError, KeyError, TypeError):
        return []
