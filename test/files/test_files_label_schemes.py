# SPDX-License-Identifier: Apache-2.0
"""The table of other tools' labels, against lists written down anew from what the tools' authors publish."""

from __future__ import annotations

import pytest

from liver_seg_ros.files.label_schemes import (
    CHOICES,
    IRCADB,
    LITS,
    MSD08,
    OWN,
    SCHEMES,
    TOTALSEGMENTATOR,
    schemes_with,
    structure_named,
)
from liver_seg_ros.labels import (
    AORTA,
    BONE,
    COLON,
    DUODENUM,
    HEART,
    HEPATIC_ARTERY,
    HEPATIC_VEIN,
    KIDNEY,
    LIVER,
    LUNG,
    PORTAL_VEIN,
    STRUCTURES,
    TUMOR,
    VENA_CAVA,
    VESSEL,
)

# TotalSegmentator 2, task total, in its order from 1; sides and numbers of vertebrae and ribs as it counts them.
_TOTAL = """
spleen kidney_right kidney_left gallbladder liver stomach pancreas adrenal_gland_right adrenal_gland_left
lung_upper_lobe_left lung_lower_lobe_left lung_upper_lobe_right lung_middle_lobe_right lung_lower_lobe_right esophagus
trachea thyroid_gland small_bowel duodenum colon urinary_bladder prostate kidney_cyst_left kidney_cyst_right sacrum
vertebrae_S1 vertebrae_L5 vertebrae_L4 vertebrae_L3 vertebrae_L2 vertebrae_L1 vertebrae_T12 vertebrae_T11
vertebrae_T10 vertebrae_T9 vertebrae_T8 vertebrae_T7 vertebrae_T6 vertebrae_T5 vertebrae_T4 vertebrae_T3 vertebrae_T2
vertebrae_T1 vertebrae_C7 vertebrae_C6 vertebrae_C5 vertebrae_C4 vertebrae_C3 vertebrae_C2 vertebrae_C1 heart aorta
pulmonary_vein brachiocephalic_trunk subclavian_artery_right subclavian_artery_left common_carotid_artery_right
common_carotid_artery_left brachiocephalic_vein_left brachiocephalic_vein_right atrial_appendage_left
superior_vena_cava inferior_vena_cava portal_vein_and_splenic_vein iliac_artery_left iliac_artery_right
iliac_vena_left iliac_vena_right humerus_left humerus_right scapula_left scapula_right clavicula_left clavicula_right
femur_left femur_right hip_left hip_right spinal_cord gluteus_maximus_left gluteus_maximus_right gluteus_medius_left
gluteus_medius_right gluteus_minimus_left gluteus_minimus_right autochthon_left autochthon_right iliopsoas_left
iliopsoas_right brain skull rib_left_1 rib_left_2 rib_left_3 rib_left_4 rib_left_5 rib_left_6 rib_left_7 rib_left_8
rib_left_9 rib_left_10 rib_left_11 rib_left_12 rib_right_1 rib_right_2 rib_right_3 rib_right_4 rib_right_5 rib_right_6
rib_right_7 rib_right_8 rib_right_9 rib_right_10 rib_right_11 rib_right_12 sternum costal_cartilages
"""
TOTAL = _TOTAL.split()
BONES = ("sacrum", "vertebrae", "humerus", "scapula", "clavicula", "femur", "hip", "skull", "rib", "sternum", "costal")
OTHERS = {
    "portal_vein_and_splenic_vein": PORTAL_VEIN, "inferior_vena_cava": VENA_CAVA, "atrial_appendage_left": HEART,
    "kidney_right": KIDNEY, "kidney_left": KIDNEY,
}  # fmt: skip


def meant(name: str):
    """What a class of TotalSegmentator is here, decided by its words."""
    if name.startswith(BONES):
        return BONE
    if name.startswith("lung_"):
        return LUNG
    same = {structure.name: structure for structure in STRUCTURES}
    return OTHERS.get(name, same.get(name))


def test_totalsegmentators_numbers_and_names_mean_the_same() -> None:
    assert len(TOTAL) == 117
    expected = {number: meant(name) for number, name in enumerate(TOTAL, 1)}
    assert dict(TOTALSEGMENTATOR.values) == expected
    assert (expected[1].name, expected[5], expected[64], expected[19], expected[20]) == (
        "spleen", LIVER, PORTAL_VEIN, DUODENUM, COLON,
    )  # fmt: skip
    for name in TOTAL:
        assert TOTALSEGMENTATOR.knows(name) and TOTALSEGMENTATOR.structure(name) == meant(name), name


@pytest.mark.parametrize(
    ("name", "structure"),
    [
        ("liver_vessels", VESSEL),
        ("liver_tumor", TUMOR),
        ("liver_lesions", TUMOR),
        ("liver_segment_8", LIVER),
        ("Liver", LIVER),
        ("heart_atrium_left", HEART),  # of version 1
    ],
)
def test_names_of_totalsegmentators_other_tasks(name: str, structure) -> None:
    assert TOTALSEGMENTATOR.structure(name) is structure


@pytest.mark.parametrize("name", ["lung_vessels", "lung_nodules", "tumor", "body_trunc", "", "livers"])
def test_names_that_totalsegmentators_table_does_not_have(name: str) -> None:
    assert not TOTALSEGMENTATOR.knows(name) and TOTALSEGMENTATOR.structure(name) is None


def test_data_sets_of_liver_lesions_and_vessels() -> None:
    assert dict(LITS.values) == {1: LIVER, 2: TUMOR}
    assert dict(MSD08.values) == {1: VESSEL, 2: TUMOR}
    assert dict(OWN.values) == {structure.value: structure for structure in STRUCTURES}


def test_folders_of_3d_ircadb() -> None:
    taken = {
        "liver": LIVER, "livertumor": TUMOR, "livertumor01": TUMOR, "livertumor2": TUMOR, "livertumors": TUMOR,
        "portalvein": PORTAL_VEIN, "portalvein1": PORTAL_VEIN, "venoussystem": HEPATIC_VEIN, "venacava": VENA_CAVA,
        "artery": HEPATIC_ARTERY, "leftkidney": KIDNEY, "kidneys": KIDNEY, "lungs": LUNG, "bone": BONE,
    }  # fmt: skip
    assert {name: IRCADB.structure(name) for name in taken} == taken
    assert dict(IRCADB.outside) == {HEPATIC_VEIN: VENA_CAVA, HEPATIC_ARTERY: AORTA}


@pytest.mark.parametrize(
    "name", ["tumor", "metastasectomie", "livercyst", "liverkyst", "liverkyste", "leftsurretumor", "skin", "Stones"]
)
def test_what_3d_ircadb_has_and_is_no_tumor_of_the_liver(name: str) -> None:
    assert IRCADB.knows(name) and IRCADB.structure(name) is None


@pytest.mark.parametrize("structure", STRUCTURES, ids=lambda s: s.name)
def test_every_row_is_known_by_its_name(structure) -> None:
    for name in (
        structure.name,
        structure.name.upper().replace("_", " "),
        f"{structure.name}_12",
        f"{structure.name}s",
    ):
        assert structure_named(name) is structure


@pytest.mark.parametrize(
    ("name", "structure"),
    [
        ("Tumour 3", TUMOR),
        ("lesion", TUMOR),
        ("Kidney left", KIDNEY),
        ("vertebrae_L5", BONE),
        ("liver segment 4", LIVER),
    ],
)
def test_other_words_for_a_structure(name: str, structure) -> None:
    assert structure_named(name) is structure


@pytest.mark.parametrize("name", ["", "1", "liverish", "esophagus", "segment 1", "bladder", "L1", "s"])
def test_words_for_none(name: str) -> None:
    assert structure_named(name) is None


def test_which_schemes_know_values() -> None:
    assert schemes_with([1, 5, 117]) == ("totalsegmentator",)
    assert schemes_with([1, 2]) == ("totalsegmentator", "lits", "msd08")
    assert schemes_with([118]) == ()
    assert list(SCHEMES) == ["totalsegmentator", "lits", "msd08", "ircadb"] and all(name in CHOICES for name in SCHEMES)
