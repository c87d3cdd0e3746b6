# SPDX-License-Identifier: Apache-2.0
"""The segments of a DICOM Segmentation or of 3D Slicer, and which structure each of them is."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from liver_seg_ros.errors import InputError
from liver_seg_ros.files.coded_structures import Verdict, judge
from liver_seg_ros.files.label_schemes import LabelScheme
from liver_seg_ros.labels import Structure

if TYPE_CHECKING:
    from pydicom.sr.coding import Code

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Segment:
    """One segment as its file describes it.

    Attributes:
        number: its number, or its value in the voxels.
        name: its label; may be empty, or that of others too.
        kind: code of its property's type.
        category: code of its property's category.
    """

    number: int
    name: str
    kind: Code | None = None
    category: Code | None = None


def judge_segments(segments: Sequence[Segment], scheme: LabelScheme | None, where: str) -> list[Verdict]:
    """What each of `segments` is: by its codes and names, or as the user's own `scheme` says by names or numbers.

    What a name alone decided against a code that is not known is logged as a warning.

    Raises:
        InputError: the scheme of a tool, since such a file says itself what its segments are, or a segment that the
            user's scheme says nothing about.
    """
    if scheme is None:
        verdicts = [judge(segment.name, segment.kind, segment.category) for segment in segments]
    elif scheme.is_users:
        verdicts = _as_users_say(segments, scheme, where)
    else:
        raise InputError(
            f"{where}: says itself what its segments are; {scheme.name} says it of other files. Leave --labels out, or "
            "give a YAML file of its segments' numbers or names."
        )
    for segment, verdict in zip(segments, verdicts, strict=True):
        if verdict.structure is not None and verdict.because:
            _log.warning("%s: segment '%s': %s", where, segment.name, verdict.because)
    return verdicts


def not_taken(segments: Sequence[Segment], verdicts: Sequence[Verdict]) -> str:
    """Such as `'x' is not in the label table (it is coded SCT 367643001 'Cyst')`, of all segments that are not."""
    pairs = zip(segments, verdicts, strict=True)
    return ", ".join(
        f"'{segment.name}' is not in the label table ({verdict.because})"
        for segment, verdict in pairs
        if verdict.structure is None
    )


def taken_for(segments: Sequence[Segment], verdicts: Sequence[Verdict]) -> dict[str, Structure | None]:
    """What each segment is, by its number and name."""
    pairs = zip(segments, verdicts, strict=True)
    return {f"{segment.number} {segment.name}".strip(): verdict.structure for segment, verdict in pairs}


def _as_users_say(segments: Sequence[Segment], scheme: LabelScheme, where: str) -> list[Verdict]:
    times = Counter(segment.number for segment in segments)
    verdicts = []
    for segment in segments:
        if scheme.knows(segment.name):
            structure = scheme.structure(segment.name)
        elif segment.number not in scheme.values:
            raise InputError(
                f"{where}: {scheme.name} says nothing about segment {segment.number} '{segment.name}'. "
                "Add a line for it, with null to leave it out."
            )
        elif times[segment.number] > 1:
            raise InputError(
                f"{where}: {times[segment.number]} segments have the value {segment.number}. "
                f"Say in {scheme.name} what they are by their names."
            )
        else:
            structure = scheme.values[segment.number]
        verdicts.append(Verdict(structure, "" if structure else f"{scheme.name} leaves it out"))
    return verdicts
