# SPDX-License-Identifier: Apache-2.0
"""The warnings of a result. A warning is no error: the result is what was asked for, and here is what to know of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from liver_seg_ros.measurement import StructureMeasurement
from liver_seg_ros.plausibility.evidence import Run, gather
from liver_seg_ros.plausibility.rules import DOUBT, RULES
from liver_seg_ros.volume import LabelVolume, Volume


@dataclass(frozen=True)
class PlausibilityWarning:
    """A reason to doubt a result, or to keep something in mind with it.

    Attributes:
        code: stable, for programs; one of those of `rules.RULES`.
        level: `rules.DOUBT` or `rules.NOTE`.
        message: for people: what was found, with figures, and what to do.
        structure: the name of the structure that it is about; None where it is about the whole volume.
        lesions: numbers of the lesions that it is about, from 1, the largest.
    """

    code: str
    level: str
    message: str
    structure: str | None = None
    lesions: tuple[int, ...] = ()


def plausibility_warnings(
    labels: LabelVolume,
    measurements: Sequence[StructureMeasurement],
    ct: Volume | None = None,
    run: Run | None = None,
) -> tuple[PlausibilityWarning, ...]:
    """The reasons to doubt a result, doubts before notes, each in the order of `rules.RULES`.

    Args:
        labels: the result.
        measurements: of its structures, by `reconstruction.measuring`.
        ct: what it is a segmentation of, on the same grid; without it nothing is said of brightness.
        run: of the networks that made the labels; None for labels from elsewhere, of which nothing is said of models.

    Raises:
        InputError: the CT has another number of voxels.
    """
    evidence = gather(labels, measurements, ct, run)
    found = [(rule, finding) for rule in RULES if (finding := rule.find(evidence)) is not None]
    return tuple(
        PlausibilityWarning(
            rule.code,
            rule.level,
            f"{finding.sentence} {rule.advice}",
            None if finding.structure is None else finding.structure.name,
            finding.lesions,
        )
        for rule, finding in sorted(found, key=lambda pair: pair[0].level != DOUBT)
    )
