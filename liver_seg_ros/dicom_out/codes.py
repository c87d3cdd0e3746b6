# SPDX-License-Identifier: Apache-2.0
"""The label table in codes of DICOM."""

from __future__ import annotations

from highdicom.sr import CodedConcept

from liver_seg_ros.labels import Structure

_SNOMED_CT = "SCT"


def kind_of(structure: Structure) -> CodedConcept:
    """What a structure is."""
    return CodedConcept(structure.snomed_code, _SNOMED_CT, structure.snomed_meaning)


def category_of(structure: Structure) -> CodedConcept:
    """What kind of thing it is."""
    code, meaning = structure.snomed_category
    return CodedConcept(code, _SNOMED_CT, meaning)
