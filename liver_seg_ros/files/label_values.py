# SPDX-License-Identifier: Apache-2.0
"""What the values in a label file mean, and the labels they make in terms of the label table.

Whoever knows more about the file is believed: the user's own scheme, then the names in the file, then the scheme of the
tool that the user says made it, and only where nobody says anything this package's own numbers.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from liver_seg_ros.errors import InputError
from liver_seg_ros.files.checks import MOST_LABELS
from liver_seg_ros.files.found_labels import FoundLabels, UnknownLabelsError
from liver_seg_ros.files.label_schemes import CHOICES, OWN, TOTALSEGMENTATOR, LabelScheme, schemes_with, structure_named
from liver_seg_ros.files.values import to_whole_numbers
from liver_seg_ros.geometry import Geometry
from liver_seg_ros.labels import LIVER, LIVER_VESSELS, SEGMENTED, STRUCTURES, TUMOR, Structure, structure_by_value
from liver_seg_ros.volume import LabelVolume

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Meaning:
    source: str
    values: Mapping[int, Structure | None]
    names: Mapping[int, str]


def found_by_values(
    array: NDArray[np.generic],
    geometry: Geometry,
    where: str,
    scheme: LabelScheme | None = None,
    names: Mapping[int, str] | None = None,
) -> FoundLabels:
    """The labels in a file of one value per voxel.

    Args:
        array: `(K, J, I)`, the values stored.
        geometry: their right-handed grid.
        where: the file; starts messages.
        scheme: whose values they are, where the user says so.
        names: what the file itself calls its values.

    Raises:
        InputError: values that are no labels, or that nobody says the meaning of.
    """
    stored = to_whole_numbers(array, where)
    found = values_in(stored)
    meaning = _meaning(scheme, names or {}, where)
    unknown = [value for value in found if value not in meaning.values]
    if unknown:
        kind = UnknownLabelsError if len(found) <= MOST_LABELS else InputError
        raise kind(f"{where}: {_unknown(unknown, found, meaning, scheme)}")
    if meaning.source == OWN.about:
        _warn_if_anybody_s(found, where)
    _warn_of_strange_names([meaning.names[value] for value in found if value in meaning.names], where)
    named = {value: f"{value} {meaning.names.get(value, '')}".strip() for value in meaning.values}
    return FoundLabels(
        LabelVolume(relabelled(stored, meaning.values, found), geometry),
        meaning.source,
        {named[value]: meaning.values[value] for value in found},
        _spoken_of(found, meaning),
    )


def values_in(stored: NDArray[np.uint8] | NDArray[np.uint16]) -> list[int]:
    """The label values that occur, without the background."""
    # Slice by slice: bincount widens to 8 bytes per voxel.
    there = np.zeros(int(stored.max()) + 1, bool)
    for part in stored:
        there |= np.bincount(part.reshape(-1), minlength=there.size) > 0
    return [int(value) for value in np.flatnonzero(there) if value]


def relabelled(
    stored: NDArray[np.uint8] | NDArray[np.uint16],
    values: Mapping[int, Structure | None],
    there: Sequence[int] | None = None,
) -> NDArray[np.uint8]:
    """`stored` `(K, J, I)` in values of the label table; background where `values` has nothing or None.

    `stored` itself where those that are `there`, if that is known, stand for themselves.
    """
    table = np.zeros(int(stored.max()) + 1, np.uint8)
    for value, structure in values.items():
        if structure is not None and value < table.size:
            table[value] = structure.value
    if there is not None and stored.dtype == np.uint8 and all(table[value] == value for value in there):
        return stored.astype(np.uint8, copy=False)
    return table[stored]


def _meaning(scheme: LabelScheme | None, names: Mapping[int, str], where: str) -> _Meaning:
    named = {value: structure_named(name) for value, name in names.items()}
    are_known = any(structure is not None or TOTALSEGMENTATOR.knows(names[value]) for value, structure in named.items())
    if scheme is not None and not scheme.is_users and not scheme.values:
        raise InputError(f"{where}: is one file, and not {scheme.about}. Give that folder, or other --labels.")
    if are_known and (scheme is None or (scheme.names and not scheme.is_users)):
        return _Meaning("names in the file", named, names)
    chosen = OWN if scheme is None else scheme
    return _Meaning(chosen.about, chosen.values, {})


def _unknown(unknown: list[int], found: list[int], meaning: _Meaning, scheme: LabelScheme | None) -> str:
    if meaning.names:
        return f"label values {listed(unknown)} have no name in the file. Give --labels: {CHOICES}."
    if scheme is not None and scheme.is_users:
        return f"{scheme.name} says nothing about label values {listed(unknown)}. Add lines, or null to leave them out."
    if scheme is not None:
        return f"label values {listed(unknown)} are none of {scheme.about}. Give --labels as it is, or leave it out."
    first, last = ", ".join(f"{s.value} {s.name}" for s in SEGMENTED), STRUCTURES[-1]
    fitting = schemes_with(found)
    hint = f" {' and '.join(fitting)} would know them." if fitting else ""
    return (
        f"label values {listed(unknown)} are not in the table ({first} ... {last.value} {last.name}). "
        f"If another tool made them, say which: --labels {CHOICES}.{hint}"
    )


def _warn_if_anybody_s(found: list[int], where: str) -> None:
    """Numbers beyond the first three mean something in every tool, and something else in each."""
    further = [s for s in STRUCTURES if s.value in found and s not in SEGMENTED]
    if further:
        _log.warning(
            "%s: taken for this package's own numbers (%s). If another tool made them, say so with --labels.",
            where,
            ", ".join(f"{structure.value} {structure.name}" for structure in further),
        )


def _warn_of_strange_names(names: list[str], where: str) -> None:
    strange = [name for name in names if structure_named(name) is None and not TOTALSEGMENTATOR.knows(name)]
    if strange:
        _log.warning("%s: left out, since no structure is known by these names: %s", where, ", ".join(strange))


def _spoken_of(found: list[int], meaning: _Meaning) -> tuple[Structure, ...]:
    """What the labels are about. Of this package's own numbers nobody says it: a liver with nothing in it is taken for
    a mask of the organ, which says nothing about tumors and vessels."""
    spoken = {structure for structure in meaning.values.values() if structure is not None}
    if meaning.source == OWN.about:
        spoken = {structure_by_value(value) for value in found}
        spoken |= {LIVER} if spoken.isdisjoint((TUMOR, *LIVER_VESSELS)) else set(SEGMENTED)
    return tuple(structure for structure in STRUCTURES if structure in spoken)


def listed(values: Sequence[int]) -> str:
    """The first of them, as messages name them."""
    return ", ".join(map(str, values[:8])) + (" and more" if len(values) > 8 else "")
