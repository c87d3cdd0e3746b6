# SPDX-License-Identifier: Apache-2.0
"""What a resection leaves as a table; apart from the other answers of planning, which need the extra [meshes]."""

from __future__ import annotations

from liver_seg_ros.planning.resection import Resection
from liver_seg_ros.report_table import ReportTable


def resection_table(resection: Resection) -> ReportTable:
    """One row per figure."""
    rows = (
        ("liver", f"{resection.liver_ml:.0f} ml"),
        ("taken", f"{resection.resected_ml:.0f} ml"),
        ("remnant", f"{resection.remnant_ml:.0f} ml, {resection.remnant_percent:.1f} % of the liver without tumor"),
        ("tumor left behind", f"{resection.tumor_left_ml:.1f} ml"),
        ("vessels divided", f"{len(resection.cut)}" + _thickest(resection)),
    )
    return ReportTable("Resection", ("what", "how much"), rows, (0, 1))


def _thickest(resection: Resection) -> str:
    return f", the thickest {2 * resection.cut[0].radius_mm:.1f} mm across" if resection.cut else ""
