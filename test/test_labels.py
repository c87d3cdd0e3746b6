# SPDX-License-Identifier: Apache-2.0
"""The label table: unique, in range, findable, and coded as SNOMED CT numbers its concepts."""

from __future__ import annotations

import pytest

from liver_seg_ros.files.coded_structures import FURTHER_CODES
from liver_seg_ros.labels import LIVER, STRUCTURES, TUMOR, VESSEL, structure_by_name, structure_by_value


def test_values_are_those_of_the_design() -> None:
    assert (LIVER.value, TUMOR.value, VESSEL.value) == (1, 2, 3)


@pytest.mark.parametrize("field", ["value", "name", "color_rgb", "snomed_code"])
def test_rows_differ_in(field: str) -> None:
    assert len({getattr(structure, field) for structure in STRUCTURES}) == len(STRUCTURES)


@pytest.mark.parametrize("structure", STRUCTURES, ids=lambda s: s.name)
def test_row_is_usable(structure) -> None:
    assert 1 <= structure.value <= 255
    assert structure.name == structure.name.lower()
    assert all(0 <= channel <= 255 for channel in structure.color_rgb)
    assert 0 < structure.opacity <= 1
    assert has_snomed_check_digit(structure.snomed_code)
    assert structure_by_name(structure.name) is structure
    assert structure_by_value(structure.value) is structure


def test_further_codes_are_of_one_row_each_and_well_formed() -> None:
    codes = [code for structure in STRUCTURES for code in (structure.snomed_code, *FURTHER_CODES.get(structure, ()))]
    assert len(set(codes)) == len(codes) > 100
    assert [code for code in codes if not has_snomed_check_digit(code)] == []


def test_unknown_rows_name_the_known_ones() -> None:
    with pytest.raises(ValueError, match="liver, tumor, vessel"):
        structure_by_name("tumour")
    with pytest.raises(ValueError, match="1, 2, 3"):
        structure_by_value(0)


def has_snomed_check_digit(code: str) -> bool:
    """SNOMED CT identifiers end in a Verhoeff check digit, so that a mistyped code shows."""
    times = [[0] * 10 for _ in range(10)]  # the dihedral group D5
    for a in range(10):
        for b in range(10):
            turn = (a + b if a < 5 else a - b) % 5
            times[a][b] = turn + 5 * ((a < 5) != (b < 5))
    step = [1, 5, 7, 6, 2, 8, 3, 0, 9, 4]
    check = 0
    for place, digit in enumerate(reversed(code)):
        value = int(digit)
        for _ in range(place % 8):
            value = step[value]
        check = times[check][value]
    return check == 0


def test_check_digit_sees_a_swap() -> None:
    assert has_snomed_check_digit("10200004")
    assert not has_snomed_check_digit("10200040")
    assert not has_snomed_check_digit("12000004")
