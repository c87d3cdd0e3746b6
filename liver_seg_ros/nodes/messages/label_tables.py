# SPDX-License-Identifier: Apache-2.0
"""The label table as a message."""

from __future__ import annotations

from builtin_interfaces.msg import Time
from std_msgs.msg import ColorRGBA, Header

from liver_seg_interfaces.msg import LabelEntry, LabelTable
from liver_seg_ros.labels import STRUCTURES, Structure


def color_of(structure: Structure) -> ColorRGBA:
    """Its display color and opacity."""
    red, green, blue = (channel / 255 for channel in structure.color_rgb)
    return ColorRGBA(r=red, g=green, b=blue, a=structure.opacity)


def entry_of(structure: Structure) -> LabelEntry:
    """Its row."""
    return LabelEntry(
        value=structure.value,
        name=structure.name,
        color=color_of(structure),
        snomed_code=structure.snomed_code,
        snomed_meaning=structure.snomed_meaning,
    )


def label_table(stamp: Time) -> LabelTable:
    """The whole table, by value."""
    return LabelTable(
        header=Header(stamp=stamp),
        entries=[entry_of(structure) for structure in sorted(STRUCTURES, key=lambda structure: structure.value)],
    )
