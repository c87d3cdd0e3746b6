# SPDX-License-Identifier: Apache-2.0
"""Which structure a segment of DICOM or 3D Slicer is: decided by its property, and by its name where no code says.

The property is what was drawn: its type, and its category where the type has no code. The anatomic region says where
that lies and modifiers say which of several: neither is read here, because a mass in the region "liver" is no liver.
(DICOM PS3.3 C.8.20.4; 3D Slicer keeps the same codes in one line of text.)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from liver_seg_ros.files.label_schemes import structure_named
from liver_seg_ros.labels import (
    AORTA,
    BILE_DUCT,
    BONE,
    COLON,
    HEART,
    HEPATIC_ARTERY,
    HEPATIC_VEIN,
    KIDNEY,
    LIVER,
    LUNG,
    PORTAL_VEIN,
    SMALL_BOWEL,
    STRUCTURES,
    TUMOR,
    VESSEL,
    Structure,
)

if TYPE_CHECKING:
    from pydicom.sr.coding import Code

SNOMED_CT = "SCT"
#: The designators under which SNOMED's older codes (`T-62000`, `M-80003`) go; pydicom knows their successors.
SNOMED_RT = ("SRT", "SNM3", "99SDM")

#: SNOMED CT concepts that are a row of the label table, or a kind or part of one, beside the row's own code.
FURTHER_CODES: dict[Structure, tuple[str, ...]] = {
    LIVER: (
        "71133005", "277956007", "277957003", "277958008", "277959000", "277960005", "277961009", "277962002",
    ),  # Couinaud's segments
    # Neoplasm: any, primary, malignant primary, metastatic; lesion; metastasis.
    TUMOR: ("108369006", "372087000", "86049000", "14799000", "52988006", "128462008"),
    VESSEL: ("29092000", "51114001", "361097006"),  # vein, artery, entire blood vessel
    PORTAL_VEIN: ("70253006", "73931004", "284639000", "110765007"),  # its branches; portal and splenic vein
    HEPATIC_VEIN: ("272998002", "273099000", "273202007", "397425002"),  # right, middle, left, inferior right
    HEPATIC_ARTERY: ("66559000", "18112008", "21807003", "69421009"),  # common, proper, left, right
    BILE_DUCT: ("79741001",),  # common bile duct
    # Abdominal, thoracic; ascending, arch, descending.
    AORTA: ("7832008", "113262008", "54247002", "57034009", "281130003"),
    COLON: ("9040008", "48338005", "485005", "72592005", "32622004", "60184004"),
    KIDNEY: ("18639004", "9846003"),  # left, right
    SMALL_BOWEL: ("21306003", "34516001"),  # jejunum, ileum
    LUNG: ("44029006", "3341006", "45653009", "90572001", "72481006", "44714003"),  # left, right, lobes
    HEART: ("82471001", "73829009", "74281007", "87878005", "53085002"),  # chambers, myocardium
    BONE: (
        "113197003", "48535007", "78247007", "25888004", "25523003", "15339008", "59558009", "24915002", "5953002",
        "22565002", "77644006", "58830002", "43993008",  # ribs
        "51282000", "14806007", "39976000", "113205007", "5329002", "36978003", "36054005", "87391001", "64864005",
        "53733008", "1626008", "73071006", "56401006", "45296009", "62487009", "11068009", "82687006", "7610001",
        "12989004", "23215003", "66794005", "14293000", "36470004", "11994002", "49668003", "54735007",  # vertebrae
        "421060004", "56873002", "51299004", "79601000", "85050009", "71341001", "29836001", "89546000",  # to skull
    ),
}  # fmt: skip

_STRUCTURE_OF = {
    code: structure for structure in STRUCTURES for code in (structure.snomed_code, *FURTHER_CODES.get(structure, ()))
}

_ALTERED = "49755003"  # morphologically altered structure
#: Concepts that leave open what was drawn: tissue, organ, anatomical structure (two of them).
_SAYS_NOTHING = ("85756007", "113343008", "123037004", "91723000", _ALTERED)


@dataclass(frozen=True)
class Verdict:
    """What a segment is.

    Attributes:
        structure: a row of the label table; None where it is none of them.
        because: what decided, where a user should hear of it: why it is none, or that it is one by a name alone.
    """

    structure: Structure | None
    because: str = ""


def judge(name: str, kind: Code | None, category: Code | None = None) -> Verdict:
    """What the segment called `name` is.

    Args:
        name: its name or label.
        kind: code of its property's type; None where it has none.
        category: code of its property's category.
    """
    coded = next((code for code in (kind, category) if code is not None and _snomed(code) not in _SAYS_NOTHING), None)
    if coded is None:
        verdict = _by_name(name)
    elif (snomed := _snomed(coded)) is not None:
        structure = _STRUCTURE_OF.get(snomed)
        verdict = Verdict(structure, "" if structure else f"it is coded {_shown(coded)}")
    else:
        verdict = _by_foreign_code(name, coded)
    if category is not None and _snomed(category) == _ALTERED and verdict.structure not in (TUMOR, None):
        return Verdict(None, f"it is coded as a morphologic alteration and as {verdict.structure.name}")
    return verdict


def _by_name(name: str) -> Verdict:
    structure = structure_named(name)
    return Verdict(structure, "" if structure else "it has no code, and its name is no structure's")


def _by_foreign_code(name: str, coded: Code) -> Verdict:
    """Of a code whose numbers mean nothing here only its meaning can be read, which is a name too."""
    word = coded.meaning.strip() or name
    structure = structure_named(word)
    if structure is None:
        return Verdict(None, f"it is coded {_shown(coded)}, of a scheme that is not known here")
    return Verdict(structure, f"taken for {structure.name} by the word '{word}'; its code {_shown(coded)} is not known")


def _snomed(code: Code) -> str | None:
    """The SNOMED CT concept of `code`, of an old code its successor if that is known here; None of other schemes."""
    if code.scheme_designator == SNOMED_CT:
        return str(code.value)
    if code.scheme_designator not in SNOMED_RT:
        return None
    from pydicom.sr.coding import Code

    old = Code(code.value, "SRT", "")
    known = (*_STRUCTURE_OF, *_SAYS_NOTHING)
    return next((concept for concept in known if old == Code(concept, SNOMED_CT, "")), str(code.value))


def _shown(code: Code) -> str:
    meaning = f" '{code.meaning}'" if code.meaning else ""
    return f"{code.scheme_designator} {code.value}{meaning}"
