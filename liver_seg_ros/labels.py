# SPDX-License-Identifier: Apache-2.0
"""The label table: the one place that says which value means which structure, and how it looks and is coded.

Values follow LiTS for liver and tumor. The first three rows are what the shipped networks find; the others come from
another segmentation or by hand, and planning keeps clear of them. To add a structure, add a row; everything else
(colors in RViz and 3D Slicer, names of files and namespaces of markers, DICOM codes) is read from here. What other
tools call the same is in `files/label_schemes.py`.
"""

from __future__ import annotations

from dataclasses import dataclass

from liver_seg_ros.errors import InputError

BACKGROUND = 0


@dataclass(frozen=True)
class Structure:
    """One row of the label table.

    Attributes:
        value: the voxel value in a `LabelVolume`, 1 to 255.
        name: lower-case name used in files, topics, marker namespaces and reports.
        color_rgb: display color, 0 to 255 per channel (of 3D Slicer's general anatomy table, or near it
            where two would look alike).
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

    def __repr__(self) -> str:
        return f"Structure({self.value} {self.name})"

    @property
    def title(self) -> str:
        """The name as people write it."""
        return self.name.replace("_", " ")

    @property
    def snomed_category(self) -> tuple[str, str]:
        """SNOMED CT concept and its name of what kind of thing it is: a tumor is an alteration, the others anatomy."""
        return (
            ("49755003", "Morphologically Altered Structure")
            if self == TUMOR
            else ("123037004", "Anatomical Structure")
        )


LIVER = Structure(1, "liver", (221, 130, 101), 0.30, "10200004", "Liver")
TUMOR = Structure(2, "tumor", (144, 238, 144), 1.0, "4147007", "Mass")
VESSEL = Structure(3, "vessel", (0, 151, 206), 1.0, "59820001", "Blood vessel")

PORTAL_VEIN = Structure(4, "portal_vein", (0, 112, 192), 1.0, "32764006", "Portal vein")
HEPATIC_VEIN = Structure(5, "hepatic_vein", (92, 84, 205), 1.0, "8993003", "Hepatic vein")
HEPATIC_ARTERY = Structure(6, "hepatic_artery", (216, 101, 79), 1.0, "76015000", "Hepatic artery")
BILE_DUCT = Structure(7, "bile_duct", (0, 145, 30), 1.0, "28273000", "Bile duct")
VENA_CAVA = Structure(8, "vena_cava", (0, 80, 140), 1.0, "64131007", "Inferior vena cava")
AORTA = Structure(9, "aorta", (224, 97, 76), 1.0, "15825003", "Aorta")
GALLBLADDER = Structure(10, "gallbladder", (139, 150, 98), 1.0, "28231008", "Gallbladder")
STOMACH = Structure(11, "stomach", (216, 132, 105), 0.6, "69695003", "Stomach")
DUODENUM = Structure(12, "duodenum", (255, 253, 229), 0.6, "38848004", "Duodenum")
COLON = Structure(13, "colon", (204, 168, 143), 0.6, "71854001", "Colon")
PANCREAS = Structure(14, "pancreas", (249, 180, 111), 0.6, "15776009", "Pancreas")
KIDNEY = Structure(15, "kidney", (185, 102, 83), 0.6, "64033007", "Kidney")
SPLEEN = Structure(16, "spleen", (157, 108, 162), 0.6, "78961009", "Spleen")
LUNG = Structure(17, "lung", (197, 165, 145), 0.3, "39607008", "Lung")
HEART = Structure(18, "heart", (206, 110, 84), 0.6, "80891009", "Heart")
BONE = Structure(19, "bone", (241, 214, 145), 1.0, "272673000", "Bone")
SMALL_BOWEL = Structure(20, "small_bowel", (205, 167, 142), 0.6, "30315005", "Small intestine")

#: What this package segments: reports have a row for each of them, found or not.
SEGMENTED: tuple[Structure, ...] = (LIVER, TUMOR, VESSEL)
#: What a map of the surroundings tells apart: the liver with all in it, and where else no needle goes.
SURROUNDINGS: tuple[Structure, ...] = (
    LIVER, PORTAL_VEIN, VENA_CAVA, AORTA, GALLBLADDER, STOMACH, DUODENUM, COLON, PANCREAS, KIDNEY, SPLEEN, LUNG, HEART,
    BONE, SMALL_BOWEL,
)  # fmt: skip
#: Vessels of the liver, told apart or not; where the liver encloses them they are part of the organ.
LIVER_VESSELS: tuple[Structure, ...] = (VESSEL, PORTAL_VEIN, HEPATIC_VEIN, HEPATIC_ARTERY, BILE_DUCT)
#: The whole table.
STRUCTURES: tuple[Structure, ...] = (
    *SEGMENTED, *LIVER_VESSELS[1:], VENA_CAVA, AORTA, GALLBLADDER, STOMACH, DUODENUM, COLON, PANCREAS, KIDNEY, SPLEEN,
    LUNG, HEART, BONE, SMALL_BOWEL,
)  # fmt: skip


def structure_by_name(name: str) -> Structure:
    """The row called `name`. Raises `InputError` listing the names there are."""
    for structure in STRUCTURES:
        if structure.name == name:
            return structure
    raise InputError(f"unknown structure '{name}'; the table has: {', '.join(s.name for s in STRUCTURES)}")


def structure_by_value(value: int) -> Structure:
    """The row of voxel value `value`. Raises `InputError` listing the values there are."""
    for structure in STRUCTURES:
        if structure.value == value:
            return structure
    raise InputError(f"unknown label value {value}; the table has: {', '.join(str(s.value) for s in STRUCTURES)}")


def structures_named(names: str) -> tuple[Structure, ...]:
    """The rows of these names, with commas between; none for an empty text. Raises `InputError` as above."""
    return tuple(structure_by_name(name.strip()) for name in names.split(",") if name.strip())
