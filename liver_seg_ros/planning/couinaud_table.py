# SPDX-License-Identifier: Apache-2.0
"""Couinaud's segments as rows like those of the label table: value, name, color and SNOMED CT code.

A table of its own, because a voxel is a structure and lies in a segment. Codes are those of DICOM's context group 7151
(PS3.16). A part that more than one segment make up, as no landmark parts them, is the liver by its code.
"""

from __future__ import annotations

from liver_seg_ros.labels import LIVER, Structure

_ROMAN = ("I", "II", "III", "IV", "V", "VI", "VII", "VIII")
_CODES = ("71133005", "277956007", "277957003", "277958008", "277959000", "277960005", "277961009", "277962002")
_COLORS = (
    (200, 200, 200), (230, 159, 0), (240, 228, 66), (0, 158, 115), (86, 180, 233), (0, 114, 178), (213, 94, 0),
    (204, 121, 167),
)  # fmt: skip

#: Segments 1 to 8, by value.
SEGMENTS: tuple[Structure, ...] = tuple(
    Structure(number, f"segment_{number}", color, 0.6, code, f"Couinaud hepatic segment {roman}")
    for number, (roman, code, color) in enumerate(zip(_ROMAN, _CODES, _COLORS, strict=True), start=1)
)


def part_row(value: int, segments: tuple[int, ...]) -> Structure:
    """The row of a part of these segments; of one segment that of the segment itself."""
    if len(segments) == 1:
        return SEGMENTS[segments[0] - 1]
    name = "segments_" + "_".join(str(number) for number in segments)
    return Structure(value, name, SEGMENTS[segments[0] - 1].color_rgb, 0.6, LIVER.snomed_code, LIVER.snomed_meaning)
