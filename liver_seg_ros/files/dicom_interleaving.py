# SPDX-License-Identifier: Apache-2.0
"""Telling the acquisitions in one series apart: slices that lie between or upon each other and differ in a trait.

Many traits differ within one good volume too: step-and-shoot scanners number each block of slices, and times run on
from slice to slice. So a trait separates only what interleaves: blocks that follow each other along the patient stay
one volume, and what is merely likely to differ counts only where each part is a whole stack.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from liver_seg_ros.files.dicom_slice import Slice
from liver_seg_ros.files.dicom_stack import PLACE_TOLERANCE, SAME_POSITION_MM, depths_mm
from liver_seg_ros.files.dicom_traits import Trait, Value

Group = list[int]  # indices of slices


def split(slices: Sequence[Slice], traits: Iterable[Trait]) -> tuple[list[list[Slice]], list[str]]:
    """The acquisitions among slices of one size, spacing and orientation, and the keywords in which they differ.

    One list where all belong together. Slices keep the order in which they came.
    """
    parts, differing = [list(slices)], []
    for trait in traits:
        finer = [piece for part in parts for piece in _split_by(trait, part)]
        if len(finer) > len(parts):
            differing.append(trait.keyword)
        parts = finer
    return parts, differing


def _split_by(trait: Trait, slices: list[Slice]) -> list[list[Slice]]:
    values = [part.traits.get(trait.keyword) for part in slices]
    if len(set(values)) < 2:
        return [slices]
    depths = depths_mm(slices)
    by_value: dict[Value, Group] = defaultdict(list)
    unknown: Group = []
    for index, value in enumerate(values):
        (unknown if value is None else by_value[value]).append(index)
    groups = list(by_value.values())
    parts = _runs(by_value, depths) if trait.is_ordered else groups
    # What lacks the trait may well belong to what has it, and counts like a trait that is merely likely to differ.
    is_sure = trait.is_sure and not unknown
    if unknown:
        parts = [*parts, unknown]
    if len(parts) < 2 or not _interleave(parts, depths):
        return [slices]
    if (is_sure and _interleave(groups, depths)) or _are_whole(parts, trait, values, depths):
        return [[slices[index] for index in part] for part in parts]
    return [slices]


def _runs(by_value: dict[Value, Group], depths: NDArray[np.float64]) -> list[Group]:
    """Stretches in the order of the values along which the scanner went in one direction and came nowhere twice."""
    runs: list[Group] = []
    low = high = direction = 0.0
    for value in sorted(by_value):
        group = by_value[value]
        first, last = depths[group].min(), depths[group].max()
        beyond = 1.0 if first > high + SAME_POSITION_MM else -1.0 if last < low - SAME_POSITION_MM else 0.0
        if runs and beyond and direction in (0.0, beyond):
            runs[-1].extend(group)
            low, high, direction = min(low, first), max(high, last), beyond
        else:
            runs.append(list(group))
            low, high, direction = first, last, 0.0
    return runs


def _interleave(groups: list[Group], depths: NDArray[np.float64]) -> bool:
    """Whether the stretches that two of the groups cover along the patient overlap."""
    ranges = sorted((depths[group].min(), depths[group].max()) for group in groups)
    furthest = -np.inf
    for low, high in ranges:
        if low <= furthest + SAME_POSITION_MM:
            return True
        furthest = max(furthest, high)
    return False


def _are_whole(parts: list[Group], trait: Trait, values: list[Value | None], depths: NDArray[np.float64]) -> bool:
    """Whether parts that interleave are acquisitions by themselves and not an accident of the trait's values."""
    if all(_is_stack(depths[part]) for part in parts):
        might_be_one = trait.is_ordered and not trait.is_sure and _is_stack(depths)
        return not might_be_one or _pause_between(parts, values)
    # Slices may be missing. As many parts as slices lie at one place, none of them doubled, explain the doubled ones.
    return len(parts) == _most_at_one_place(depths) and all(_most_at_one_place(depths[part]) == 1 for part in parts)


def _is_stack(depths: NDArray[np.float64]) -> bool:
    """Whether two or more slices lie at even distances, each at a place of its own."""
    if len(depths) < 2:
        return False
    steps = np.diff(np.sort(depths))
    return bool(steps.min() > SAME_POSITION_MM and np.abs(steps - steps.mean()).max() <= PLACE_TOLERANCE * steps.mean())


def _most_at_one_place(depths: NDArray[np.float64]) -> int:
    """How many slices lie where most lie."""
    places = np.cumsum(np.diff(np.sort(depths), prepend=-np.inf) > SAME_POSITION_MM)
    return int(np.bincount(places).max())


def _pause_between(runs: list[Group], values: list[Value | None]) -> bool:
    """Whether more time or numbers lie between the runs than between two slices within any of them.

    Two acquisitions of alternating slices make one even stack; so would one that was merely written in an odd order.
    """
    known = sorted(sorted(_number(values[index]) for index in run if values[index] is not None) for run in runs)
    known = [run for run in known if run]
    within = max(float(np.diff(run).max(initial=0.0)) for run in known)
    between = [following[0] - before[-1] for before, following in pairwise(known)]
    return min(between, default=np.inf) > within


def _number(value: Value | None) -> float:
    if isinstance(value, datetime):
        return (value - datetime.min).total_seconds()
    return float(value or 0.0)
