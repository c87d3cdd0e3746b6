"""The label table: the one place that says which value means which structure, and how it looks and is coded.

Values follow LiTS for liver and tumor. To add a structure, add a row; everything else (colors in RViz and 3D Slicer,
names of files and namespaces of markers, DICOM codes) is read from here.
"""

from __future__ import annotations

from dataclasses import dataclass

BACKGROUND = 0


@dataclass(frozen=True)
class Structure:
    """One row of the label table.

    Attributes:
        value: the voxel value in a `LabelVolume`, 1 to 255.
        name: lower-case name used in files, topics, marker namespaces and reports.
        color_rgb: display color, 0 to 255 per channel (those of 3D Slicer's general anatomy table).
        opacity: display opacity, 0.0 to 1.0; the organ is translucent so that what lies inside is seen.
        snomed_code: SNOMED CT concept identifier.
        snomed_meaning: that concept's name.
    """

    value: int
    name: str
    color_rgb: tuple[int, int, int]
    opacity: float
    snomed_code: str
    snomed_meaning: str


LIVER = Structure(1, "liver", (221, 130, 101), 0.30, "10200004", "Liver")
TUMOR = Structure(2, "tumor", (144, 238, 144), 1.0, "4147007", "Mass")
VESSEL = Structure(3, "vessel", (0, 151, 206), 1.0, "59820001", "Blood vessel")

STRUCTURES: tuple[Structure, ...] = (LIVER, TUMOR, VESSEL)


def structure_by_name(name: str) -> Structure:
    """The row called `name`. Raises `ValueError` listing the names there are."""
    for structure in STRUCTURES:
        if structure.name == name:
            return structure
    raise ValueError(f"unknown structure '{name}'; the table has: {', '.join(s.name for s in STRUCTURES)}")


def structure_by_value(value: int) -> Structure:
    """The row of voxel value `value`. Raises `ValueError` listing the values there are."""
    for structure in STRUCTURES:
        if structure.value == value:
            return structure
    raise ValueError(f"unknown label value {value}; the table has: {', '.join(str(s.value) for s in STRUCTURES)}")
