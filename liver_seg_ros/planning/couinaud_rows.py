# SPDX-License-Identifier: Apache-2.0
"""Segments as rows of plain values, for a table of any kind."""

from __future__ import annotations

from typing import Any

from liver_seg_ros.planning.couinaud import LiverSegments

COLUMNS = ("value", "segments", "volume_ml", "volume_percent", "tumor_ml", "lesions")


def segment_rows(divided: LiverSegments) -> list[list[Any]]:
    """One row per part under `COLUMNS`, by value as in the label file. Percent are of the organ, tumors included."""
    whole_ml = sum(part.volume_ml for part in divided.parts)
    return [
        [
            part.value,
            " ".join(map(str, part.segments)),
            round(part.volume_ml, 3),
            round(100 * part.volume_ml / whole_ml, 2),
            round(part.tumor_ml, 3),
            " ".join(map(str, part.lesions)),
        ]
        for part in divided.parts
    ]
