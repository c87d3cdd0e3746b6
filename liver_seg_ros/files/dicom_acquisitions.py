# SPDX-License-Identifier: Apache-2.0
"""Choosing one acquisition of a series that holds several, or saying which there are."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from liver_seg_ros.errors import InputError
from liver_seg_ros.files.dicom_interleaving import split
from liver_seg_ros.files.dicom_pixels import read_values
from liver_seg_ros.files.dicom_slice import ORIENTATION_TOLERANCE, Slice
from liver_seg_ros.files.dicom_stack import SAME_POSITION_MM, depths_mm
from liver_seg_ros.files.dicom_traits import LIKELY_TRAITS, SURE_TRAITS, TRAITS, Value

# What is told of every acquisition where it is known; other traits where they differ.
ALWAYS_TOLD = ("AcquisitionNumber", "AcquisitionTime", "ContrastBolusAgent", "ConvolutionKernel")
MOST_TOLD = 12
GEOMETRY = {"Rows", "Columns", "PixelSpacing", "ImageOrientationPatient"}


def choose_acquisition(
    slices: Sequence[Slice], name: str | None, where: str, file: Path | None = None
) -> tuple[list[Slice], str | None]:
    """The slices of one acquisition from first to last, one for each position, and its name among several.

    The name is None where the series is one acquisition.

    Args:
        slices: those of one series, in any order.
        name: that of the acquisition to take: its number, or its place in the list that the refusal gives.
        where: starts messages.
        file: an enhanced object that was asked for; chooses where its frames are one acquisition.

    Raises:
        InputError: several acquisitions and no name, no acquisition of this name, or different slices at one place that
            nothing tells apart.
    """
    found, differing = _acquisitions(slices)
    names = _names(found)
    of_file = [place for place, part in enumerate(found) if any(slice_.path == file for slice_ in part)]
    if name is not None:
        if name not in names:
            raise InputError(f"{where}: has no acquisition {name}; there is {_listed(found, names, differing)}")
        place = names.index(name)
    elif len(found) == 1 or len(of_file) == 1:
        place = of_file[0] if of_file else 0
    else:
        raise InputError(
            f"{where}: the series holds {len(found)} acquisitions that differ in {', '.join(differing)}; choose one "
            f"with --acquisition (a node: parameter 'acquisition'): {_listed(found, names, differing)}"
        )
    kept, different = _without_copies(found[place])
    if different:
        one, other = different
        raise InputError(
            f"{where}: two different slices lie at the same place ({one.name} and {other.name}); the series "
            "mixes acquisitions. Separate them."
        )
    return kept, names[place] if len(found) > 1 else None


def _acquisitions(slices: Sequence[Slice]) -> tuple[list[list[Slice]], list[str]]:
    """The acquisitions in order of time, number and place, and the keywords in which they differ."""
    shapes, differing = _by_geometry(slices)
    found: list[list[Slice]] = []
    for shape in shapes:
        parts, keywords = split(shape, SURE_TRAITS)
        differing += keywords
        for part in parts:
            # Copies of one picture may differ in when they were made and how they are numbered.
            finer, likely = split(_without_copies(part)[0], LIKELY_TRAITS)
            differing += likely
            found += finer
    return sorted(found, key=_order), list(dict.fromkeys(differing))


def _by_geometry(slices: Sequence[Slice]) -> tuple[list[list[Slice]], list[str]]:
    """The slices by size, spacing and orientation: no stack holds slices that differ in these."""
    groups: list[list[Slice]] = []
    differing: set[str] = set()
    for part in slices:
        for group in groups:
            keywords = _differences(part, group[0])
            if not keywords:
                group.append(part)
                break
            differing.update(keywords)
        else:
            groups.append([part])
    return groups, sorted(differing) if len(groups) > 1 else []


def _differences(one: Slice, other: Slice) -> list[str]:
    pairs: dict[str, tuple[ArrayLike, ArrayLike]] = {
        "Rows": (one.shape[0], other.shape[0]),
        "Columns": (one.shape[1], other.shape[1]),
        "PixelSpacing": (one.pixel_mm, other.pixel_mm),
        "ImageOrientationPatient": (one.axes, other.axes),
    }
    return [name for name, (a, b) in pairs.items() if not np.allclose(a, b, rtol=0, atol=ORIENTATION_TOLERANCE)]


def _without_copies(slices: Sequence[Slice]) -> tuple[list[Slice], tuple[Slice, Slice] | None]:
    """The slices from first to last, a picture that is there twice counted once; and two that differ at one place.

    Where there are two such, all slices come back: then not copies are the matter.
    """
    depths = depths_mm(slices)
    in_order = [slices[n] for n in sorted(range(len(slices)), key=lambda n: (depths[n], slices[n].name))]
    kept = in_order[:1]
    for part in in_order[1:]:
        if not _is_same_place(part, kept[-1]):
            kept.append(part)
        elif not np.array_equal(read_values(part), read_values(kept[-1])):
            return in_order, (kept[-1], part)
    return kept, None


def _is_same_place(one: Slice, other: Slice) -> bool:
    return np.allclose(one.position_mm, other.position_mm, rtol=0, atol=SAME_POSITION_MM)


def _order(slices: list[Slice]) -> tuple[str, ...]:
    """What acquisitions are listed by: their traits, then their first slice."""
    texts = [min((_sortable(s.traits.get(trait)) for s in slices), default="") for trait in _ORDER]
    return (*texts, min(s.name for s in slices))


_ORDER = ("AcquisitionTime", "AcquisitionNumber", *(trait.keyword for trait in TRAITS))


def _sortable(value: Value | None) -> str:
    return f"{value:020.6f}" if isinstance(value, int | float) else str(value or "")


def _names(found: list[list[Slice]]) -> list[str]:
    """The acquisitions' numbers where each has one of its own, else their places in the list."""
    numbers = [{s.traits.get("AcquisitionNumber") for s in part} for part in found]
    single = [str(next(iter(of_part))) for of_part in numbers if len(of_part) == 1 and None not in of_part]
    if len(set(single)) == len(found):
        return single
    return [str(place) for place in range(1, len(found) + 1)]


def _listed(found: list[list[Slice]], names: list[str], differing: list[str]) -> str:
    """Such as `3 (20 slices, acquisition number 3, acquired 10:15:02, kernel B30f); 4 (...)`."""
    known = {keyword for part in found for slice_ in part for keyword in slice_.traits}
    told = {*differing, *ALWAYS_TOLD} & (known | GEOMETRY)
    texts = [f"{name} ({_described(part, told)})" for name, part in zip(names, found, strict=True)]
    if len(texts) > MOST_TOLD:
        texts[MOST_TOLD:] = [f"and {len(found) - MOST_TOLD} more"]
    return "; ".join(texts)


def _described(part: list[Slice], told: set[str]) -> str:
    first = min(part, key=lambda slice_: slice_.name)
    facts = [f"{len(part)} slice{'s' * (len(part) > 1)}"]
    if not GEOMETRY.isdisjoint(told):
        facts.append(f"{first.shape[1]} x {first.shape[0]} pixels of {first.pixel_mm[1]:g} x {first.pixel_mm[0]:g} mm")
    for trait in (trait for trait in TRAITS if trait.keyword in told):
        values = {slice_.traits[trait.keyword] for slice_ in part if trait.keyword in slice_.traits}
        low, high = (_shown(min(values)), _shown(max(values))) if values else ("not told", "not told")
        if trait.keyword == "ConcatenationUID":
            low = high = first.path.name
        facts.append(f"{trait.shown} {low}" + f" to {high}" * (low != high))
    return ", ".join(facts)


def _shown(value: Value) -> str:
    if isinstance(value, datetime):
        return f"{value:%H:%M:%S}"
    return f"{value:g}" if isinstance(value, float) else str(value)
