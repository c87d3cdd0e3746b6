# SPDX-License-Identifier: Apache-2.0
"""What the numbers and the mask files of other tools mean: the one table of label schemes, in terms of the label table.

To add a tool, add a row to `SCHEMES`; the option `--labels`, its help and the messages follow. A tool's structures that
the label table does not have are known here too, so that they are left out knowingly: anything else that comes up is an
error or a warning. Sources, read for what means what:

- TotalSegmentator, `class_map` in its `map_to_binary.py` (github.com/wasserth/TotalSegmentator): the task total of
  version 2, and the names of liver_vessels, liver_segments, liver_lesions and of version 1, whose numbers differ.
- LiTS (Bilic et al. 2023, arXiv:1901.04056), which the liver task of the Medical Segmentation Decathlon took over.
- Medical Segmentation Decathlon, `dataset.json` of Task08_HepaticVessel: "1": "Vessel", "2": "Tumour".
- 3D-IRCADb-01: its annotators named the folders as they liked. Patient 7's `tumor` is one of the adrenal gland, and
  `metastasectomie` a cavity left by surgery: neither is a tumor of the liver.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TypeVar

from liver_seg_ros.labels import (
    AORTA,
    BILE_DUCT,
    BONE,
    COLON,
    DUODENUM,
    GALLBLADDER,
    HEART,
    HEPATIC_ARTERY,
    HEPATIC_VEIN,
    KIDNEY,
    LIVER,
    LUNG,
    PANCREAS,
    PORTAL_VEIN,
    SMALL_BOWEL,
    SPLEEN,
    STOMACH,
    STRUCTURES,
    TUMOR,
    VENA_CAVA,
    VESSEL,
    Structure,
)

Key = TypeVar("Key", int, str)


@dataclass(frozen=True)
class LabelScheme:
    """How one tool numbers or names what it labels.

    Attributes:
        name: what `--labels` calls it.
        about: whose it is, for people.
        values: the structure of each voxel value; None where the value is known and the label table has no row for it.
        names: the same for the names of its mask files or folders, lower case and without suffix; `*` stands for any
            characters.
        outside: what a structure is outside of the liver, where one mask of the tool holds both.
        is_users: True for a file that a user wrote, which wins over what a label file says of itself.
    """

    name: str
    about: str
    values: Mapping[int, Structure | None] = field(default_factory=dict)
    names: Mapping[str, Structure | None] = field(default_factory=dict)
    outside: Mapping[Structure, Structure] = field(default_factory=dict)
    is_users: bool = False

    def knows(self, name: str) -> bool:
        """Whether the tool has a structure of this name."""
        return self._pattern(name) is not None

    def structure(self, name: str) -> Structure | None:
        """The structure that the tool calls `name`; None where the label table has none for it, see `knows`."""
        pattern = self._pattern(name)
        return None if pattern is None else self.names[pattern]

    def _pattern(self, name: str) -> str | None:
        name = name.lower()
        if name in self.names:
            return name
        return next((pattern for pattern in self.names if fnmatchcase(name, pattern)), None)


def _every(keys: Iterable[Key], structure: Structure | None) -> dict[Key, Structure | None]:
    return dict.fromkeys(keys, structure)


#: This package's own numbers: what a file without names means where nobody says whose it is.
OWN = LabelScheme("", "the label table of liver_seg_ros", values={s.value: s for s in STRUCTURES})

TOTALSEGMENTATOR = LabelScheme(
    "totalsegmentator",
    "TotalSegmentator (task total of version 2)",
    values={
        **_every(range(1, 118), None),
        1: SPLEEN, 2: KIDNEY, 3: KIDNEY, 4: GALLBLADDER, 5: LIVER, 6: STOMACH, 7: PANCREAS, 20: COLON,
        18: SMALL_BOWEL, 19: DUODENUM,
        **_every(range(10, 15), LUNG),
        51: HEART, 61: HEART, 52: AORTA, 63: VENA_CAVA, 64: PORTAL_VEIN,
        # Sacrum and vertebrae; arms, shoulders, thighs and hips; skull, ribs, sternum, and the cartilages of the ribs,
        # which are in a needle's way as ribs are.
        **_every((*range(25, 51), *range(69, 79), *range(91, 118)), BONE),
    },
    names={
        "liver": LIVER, "liver_segment_*": LIVER, "liver_vessels": VESSEL,
        **_every(("liver_tumor", "liver_lesions"), TUMOR),
        "portal_vein_and_splenic_vein": PORTAL_VEIN, "inferior_vena_cava": VENA_CAVA, "aorta": AORTA,
        "gallbladder": GALLBLADDER, "stomach": STOMACH, "duodenum": DUODENUM, "colon": COLON, "pancreas": PANCREAS,
        "spleen": SPLEEN, "small_bowel": SMALL_BOWEL,
        **_every(("kidney_left", "kidney_right"), KIDNEY),
        **_every(("lung_*_lobe_left", "lung_*_lobe_right"), LUNG),
        **_every(("heart", "heart_*", "atrial_appendage_left"), HEART),
        **_every(("sacrum", "vertebrae_*", "rib_left_*", "rib_right_*", "sternum", "costal_cartilages", "skull"), BONE),
        **_every(("humerus_*", "scapula_*", "clavicula_*", "femur_*", "hip_left", "hip_right"), BONE),
        **_every(("adrenal_gland_*", "esophagus", "trachea", "thyroid_gland", "urinary_bladder"), None),
        **_every(("prostate", "kidney_cyst_*", "brain", "face", "spinal_cord", "superior_vena_cava"), None),
        **_every(("pulmonary_*", "brachiocephalic_*", "subclavian_artery_*", "common_carotid_artery_*"), None),
        **_every(("iliac_*", "iliopsoas_*", "gluteus_*", "autochthon_*"), None),
    },
)  # fmt: skip

LITS = LabelScheme("lits", "LiTS (1 liver, 2 lesion)", values={1: LIVER, 2: TUMOR})

MSD08 = LabelScheme("msd08", "Task08_HepaticVessel of the Decathlon (1 vessel, 2 tumor)", values={1: VESSEL, 2: TUMOR})

IRCADB = LabelScheme(
    "ircadb",
    "3D-IRCADb (a folder of one DICOM series per structure)",
    names={
        "liver": LIVER, "livertumor*": TUMOR, "portalvein*": PORTAL_VEIN, "venacava": VENA_CAVA,
        "venoussystem": HEPATIC_VEIN, "artery": HEPATIC_ARTERY, "biliarysystem": BILE_DUCT, "gallbladder": GALLBLADDER,
        "stomach": STOMACH, "duodenum": DUODENUM, "colon": COLON, "sigmoid": COLON, "pancreas": PANCREAS,
        "spleen": SPLEEN, "heart": HEART, "bone": BONE, "smallintestin": SMALL_BOWEL,
        **_every(("leftkidney", "rightkidney", "kidneys"), KIDNEY),
        **_every(("leftlung", "rightlung", "lungs"), LUNG),
        **_every(("skin", "tumor", "leftsurretumor", "rightsurretumor", "livercyst*", "liverkyst*"), None),
        **_every(("metastasectomie", "surrenalgland", "leftsurrenalgland", "rightsurrenalgland", "bladder"), None),
        **_every(("stomachoesophage", "uterus", "lymphnodes", "hyperplasie", "stones", "metal"), None),
    },
    # One mask holds the hepatic veins and the cava they end in, another the liver's artery and where it comes from.
    outside={HEPATIC_VEIN: VENA_CAVA, HEPATIC_ARTERY: AORTA},
)  # fmt: skip

#: Whose labels `--labels` can say that they are.
SCHEMES: dict[str, LabelScheme] = {s.name: s for s in (TOTALSEGMENTATOR, LITS, MSD08, IRCADB)}

#: What `--labels` takes.
CHOICES = f"{', '.join(SCHEMES)} or a YAML file of 'value: structure'"

_OTHER_WORDS = {"tumour": TUMOR, "lesion": TUMOR, "mass": TUMOR, "neoplasm": TUMOR}


def structure_named(name: str) -> Structure | None:
    """The structure that people mean by `name`, a row of the label table or a class of TotalSegmentator; else None.

    Case, blanks for underscores, a number at the end (`Tumor 2`) and a plural make no difference.
    """
    plain = re.sub(r"[\s_-]+", "_", name.strip().lower())
    without_number = re.sub(r"_?\d+$", "", plain)
    for word in (plain, without_number, without_number.removesuffix("s")):
        for structure in STRUCTURES:
            if word == structure.name:
                return structure
        found = _OTHER_WORDS.get(word) or TOTALSEGMENTATOR.structure(word)
        if found is not None:
            return found
    return None


def schemes_with(values: Iterable[int]) -> tuple[str, ...]:
    """Names of the schemes that know every one of these voxel values."""
    wanted = set(values)
    return tuple(scheme.name for scheme in SCHEMES.values() if wanted <= set(scheme.values))
