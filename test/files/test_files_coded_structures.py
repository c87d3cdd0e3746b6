# SPDX-License-Identifier: Apache-2.0
"""Which structure a coded segment is: by its property, by its name where no code says, and never by its region."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from liver_seg_ros.files.coded_structures import judge
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
)

ALTERED = Code("49755003", "SCT", "Morphologically Altered Structure")
ANATOMY = Code("123037004", "SCT", "Anatomical Structure")
TISSUE, OLD_TISSUE = Code("85756007", "SCT", "Tissue"), Code("T-D0050", "SRT", "Tissue")


@pytest.mark.parametrize("structure", STRUCTURES, ids=lambda s: s.name)
def test_every_row_by_its_own_code_whatever_the_segment_is_called(structure) -> None:
    verdict = judge("Liver" if structure != LIVER else "tumor", Code(structure.snomed_code, "SCT", ""))
    assert verdict.structure is structure and verdict.because == ""


# Of the concepts that pydicom knows, by their names there.
NAMES = {
    LIVER: r"Liver|CouinaudHepaticSegment[IV]+",
    TUMOR: r"Mass|Neoplasm|NeoplasmPrimary|MalignantNeoplasmPrimary|NeoplasmMetastatic|Lesion|Metastasis",
    VESSEL: r"BloodVessel|Vein|Artery|EntireBloodVessel",
    PORTAL_VEIN: r"PortalVein|(Left|Right)MainBranchOfPortalVein|StructureOfUmbilicalPortionOfPortalVein",
    HEPATIC_VEIN: r"(Left|Middle|Right|InferiorRight)?HepaticVein",
    HEPATIC_ARTERY: r"(Common|Proper)?HepaticArtery|(Left|Right)BranchOfHepaticArtery",
    BILE_DUCT: r"(Common)?BileDuct",
    VENA_CAVA: r"InferiorVenaCava",
    AORTA: r"(Abdominal|Thoracic|Ascending|Descending)?Aorta|AorticArch",
    COLON: r"(Ascending|Transverse|Descending|Sigmoid)?Colon|(Hepatic|Splenic)FlexureOfColon",
    SMALL_BOWEL: r"SmallIntestine|Jejunum|Ileum",
    LUNG: r"Lung|(Upper|Lower)LobeOfLung|MiddleLobeOfRightLung|StructureOfUpperLobeOfLeftLung",
    HEART: r"Heart|(Left|Right)(Atrium|Ventricle)",
    BONE: r"Bone|Rib|Vertebra|Spine|[CTL]\d+Vertebra|Sacrum|Sternum|Clavicle|Scapula|Humerus|Femur|Hip|Skull",
    **{s: s.name.capitalize() for s in (GALLBLADDER, STOMACH, DUODENUM, PANCREAS, KIDNEY, SPLEEN)},
}
# Which pydicom does not know, as TotalSegmentator's and 3D Slicer's tables have them.
OTHERS = {
    "110765007": PORTAL_VEIN,  # portal vein and splenic vein
    "18639004": KIDNEY, "9846003": KIDNEY,  # left, right
    "44029006": LUNG, "3341006": LUNG,
    "74281007": HEART,  # myocardium
    **dict.fromkeys(
        ("48535007", "78247007", "25888004", "25523003", "15339008", "59558009", "24915002", "5953002", "22565002",
         "77644006", "58830002", "43993008"), BONE,
    ),  # first to twelfth rib
}  # fmt: skip


def test_of_all_concepts_those_are_taken_that_are_called_so() -> None:
    names: dict[str, list[str]] = {}
    for name in codes.SCT.dir():
        names.setdefault(getattr(codes.SCT, name).value, []).append(name)
    assert len(names) > 5000 and not names.keys() & OTHERS.keys()
    patterns = {structure: re.compile(pattern) for structure, pattern in NAMES.items()}
    expected = {
        concept: structure
        for concept, called in names.items()
        for structure, pattern in patterns.items()
        if any(pattern.fullmatch(name) for name in called)
    }
    taken = {concept: judge("", Code(concept, "SCT", "")).structure for concept in (*names, *OTHERS)}
    assert {concept: structure for concept, structure in taken.items() if structure} == expected | OTHERS


@pytest.mark.parametrize(
    ("value", "scheme", "structure"),
    [
        ("T-62000", "SRT", LIVER),
        ("T-62000", "SNM3", LIVER),
        ("T-62000", "99SDM", LIVER),
        ("M-03000", "SRT", TUMOR),  # mass
        ("M-80003", "SRT", TUMOR),  # malignant neoplasm
        ("M-8FFFF", "SRT", TUMOR),  # neoplasm
        ("T-48810", "SRT", PORTAL_VEIN),
        ("108369006", "SCT", TUMOR),  # neoplasm
        ("14799000", "SCT", TUMOR),  # metastatic neoplasm
        ("29092000", "SCT", VESSEL),  # vein
        ("110765007", "SCT", PORTAL_VEIN),  # portal and splenic vein
        ("45653009", "SCT", LUNG),  # upper lobe
        ("49668003", "SCT", BONE),  # fifth lumbar vertebra
    ],
)
def test_kinds_parts_and_old_codes(value: str, scheme: str, structure) -> None:
    assert judge("segment", Code(value, scheme, "x")).structure is structure


@pytest.mark.parametrize(
    "kind",
    [
        None,
        TISSUE,
        OLD_TISSUE,
        ANATOMY,
        Code("113343008", "SCT", "Organ"),
        Code("91723000", "SCT", "Anatomical structure"),
    ],
)
@pytest.mark.parametrize(
    ("name", "structure"),
    [("Liver", LIVER), (" portal vein ", PORTAL_VEIN), ("Tumor_2", TUMOR), ("tumours", TUMOR), ("Vessel-1", VESSEL)],
)
def test_names_decide_where_no_code_does(name: str, structure, kind: Code | None) -> None:
    verdict = judge(name, kind, ANATOMY)
    assert verdict.structure is structure and verdict.because == ""


def test_a_name_that_is_none_is_said() -> None:
    assert judge("spot", None).because == "it has no code, and its name is no structure's"


def test_a_code_wins_over_a_name() -> None:
    assert judge("Liver", Code("4147007", "SCT", "Mass"), ALTERED).structure is TUMOR
    bladder = judge("Liver", Code("89837001", "SCT", "Urinary bladder"))
    assert bladder.structure is None and bladder.because == "it is coded SCT 89837001 'Urinary bladder'"
    assert judge("Liver", Code("T-74000", "SRT", "Urinary bladder")).structure is None


def test_the_category_is_the_property_where_the_type_has_no_code() -> None:
    assert judge("x", None, Code("10200004", "SCT", "Liver")).structure is LIVER
    assert judge("x", TISSUE, Code("10200004", "SCT", "Liver")).structure is LIVER
    assert judge("x", Code("59820001", "SCT", "Blood vessel"), Code("10200004", "SCT", "Liver")).structure is VESSEL


def test_something_altered_is_no_healthy_structure() -> None:
    """Where a lesion's type was set to the organ that it lies in, its category still says what it is."""
    for name, kind in (("Liver", None), ("Liver", TISSUE), ("x", Code("10200004", "SCT", "Liver"))):
        verdict = judge(name, kind, ALTERED)
        assert verdict.structure is None and verdict.because == "it is coded as a morphologic alteration and as liver"
    assert judge("Tumor", None, ALTERED).structure is TUMOR
    assert judge("Mass", Code("M-03000", "SRT", "Mass"), Code("M-01000", "SRT", "Altered")).structure is TUMOR
    cyst = judge("Liver", Code("367643001", "SCT", "Cyst"), ALTERED)
    assert cyst.structure is None and cyst.because == "it is coded SCT 367643001 'Cyst'"


def test_codes_of_other_schemes_are_read_by_their_meaning_and_said() -> None:
    liver = judge("Segment 1", Code("7197", "FMA", "Liver"))
    assert liver.structure is LIVER and "FMA 7197 'Liver'" in liver.because
    other = judge("Liver", Code("15900", "FMA", "Urinary bladder"))
    assert other.structure is None and "FMA 15900 'Urinary bladder'" in other.because
    unsaid = judge("liver", Code("7197", "FMA", ""))
    assert unsaid.structure is LIVER and unsaid.because.endswith("its code FMA 7197 is not known")


@given(st.text(max_size=12), st.text("0123456789", min_size=6, max_size=12))
def test_an_unknown_concept_is_never_something_by_its_name(name: str, concept: str) -> None:
    known = judge("", Code(concept, "SCT", "")).structure
    verdict = judge(name, Code(concept, "SCT", ""))
    assert verdict.structure is known
    assert (known is None) == bool(verdict.because)
