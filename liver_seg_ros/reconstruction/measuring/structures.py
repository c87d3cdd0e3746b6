# SPDX-License-Identifier: Apache-2.0
"""Measurements of each structure: volume, diameters, number of parts, distances.

Volumes, diameters and distances come from the voxels, not from the mesh, so that they do not depend on how it was
smoothed. Each has the uncertainty that the resolution gives; `diameters` and `lesion_gaps` say how those come about.
A volume's is half the volume of the voxels just outside the surface: any of them may be filled by as much as a half,
and those just inside, which are fewer, be empty by as much. Uncertainties are limits for bodies at least three voxels
wide, not standard deviations: a volume's errors mostly cancel out, to a twentieth of the limit for ellipsoids.

What is labelled may be noise: thousands of lesions, or parts that reach through the whole CT. Volumes and numbers of
parts are exact nevertheless. Lesions are measured one by one up to `MOST_LESIONS`, and of parts that compete for the
largest diameter as many are looked at as is affordable; what another could have more is added to the uncertainty.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from itertools import islice
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from liver_seg_ros.geometry import to_vector
from liver_seg_ros.labels import TUMOR, Structure, structure_by_name
from liver_seg_ros.measurement import AxialDiameter, PartMeasurement, StructureMeasurement
from liver_seg_ros.reconstruction.components import affordable
from liver_seg_ros.reconstruction.masks import StructureMask
from liver_seg_ros.reconstruction.measuring.diameters import (
    axial_diameter,
    diameter_uncertainty_mm,
    largest_diameter,
)
from liver_seg_ros.reconstruction.measuring.lesion_confidence import ProbabilityAt, with_confidence
from liver_seg_ros.reconstruction.measuring.lesion_gaps import lesion_gaps
from liver_seg_ros.reconstruction.parts import Parts
from liver_seg_ros.reconstruction.structure_masks import StructureMasks
from liver_seg_ros.volume import LabelVolume

__all__ = [
    "MOST_LESIONS",
    "PartMeasurement",
    "StructureMeasurement",
    "measure",
    "measure_structure",
    "measured_structures",
    "with_gaps",
]

#: Lesions that are measured one by one, the largest; a patient has some dozens at most, and a person reads no more.
MOST_LESIONS = 200

#: Parts are cut out one by one while their boxes hold at most so many times the voxels of the structure's box.
_MOST_BOXES = 4

Found = TypeVar("Found")

_log = logging.getLogger(__name__)


def measure(labels: LabelVolume, probability_at: ProbabilityAt | None = None) -> tuple[StructureMeasurement, ...]:
    """One measurement per structure of `LabelVolume.counts`, with zeros where it has no voxel; of no mesh.

    `probability_at` says how probable tumor is where, for the confidence in each lesion; None where nobody knows.
    """
    masks = StructureMasks(labels)
    measured = tuple(measure_structure(structure, masks) for structure in measured_structures(masks.labels))
    found = with_gaps(measured, labels, masks)
    return found if probability_at is None else with_confidence(found, labels, probability_at)


def measured_structures(labels: LabelVolume) -> tuple[Structure, ...]:
    """What this package segments, found or not, and what else is labelled."""
    return tuple(structure_by_name(name) for name in labels.counts())


def measure_structure(structure: Structure, masks: StructureMasks) -> StructureMeasurement:
    """The measurement of one structure from its voxels, where it has any.

    What a lesion is near to is not in it, since that takes the other structures: see `with_gaps`.
    """
    mask, parts = masks.of(structure), masks.parts(structure)
    if mask is None or parts is None:
        return StructureMeasurement(structure, 0.0, 0.0, 0)
    lesions: tuple[PartMeasurement, ...] = ()
    if structure == TUMOR:
        one_by_one = max(1, affordable(parts.sizes, MOST_LESIONS, _MOST_BOXES * mask.array.size))
        lesions = tuple(_measure_part(part) for part in islice(parts, one_by_one))
    diameter_mm, more_mm, axial = _largest_diameters(parts)
    return StructureMeasurement(
        structure,
        _volume_ml(mask),
        diameter_mm,
        len(parts),
        lesions,
        _volume_uncertainty_ml(mask),
        diameter_uncertainty_mm(mask.geometry.spacing_mm) + more_mm,
        axial,
    )


def with_gaps(
    measured: tuple[StructureMeasurement, ...], labels: LabelVolume, masks: StructureMasks | None = None
) -> tuple[StructureMeasurement, ...]:
    """The same measurements with what each lesion is near to, and whether the scan's border cuts it.

    `labels` and `masks` are those of `lesion_gaps.lesion_gaps`.
    """

    def filled(measurement: StructureMeasurement) -> StructureMeasurement:
        gaps = lesion_gaps(labels, masks, len(measurement.parts))
        parts = zip(measurement.parts, gaps, strict=True)
        return replace(
            measurement,
            parts=tuple(
                replace(part, to_vessel=gap.to_vessel, to_capsule=gap.to_capsule, touches_border=gap.touches_border)
                for part, gap in parts
            ),
        )

    return tuple(filled(m) if m.structure == TUMOR else m for m in measured)


def _measure_part(part: StructureMask) -> PartMeasurement:
    spacing_mm = part.geometry.spacing_mm
    # The mean index along each axis from the number of voxels in each plane across it: noise has too many to list.
    planes = (np.moveaxis(part.array, axis, 0).sum(axis=(1, 2)) for axis in (2, 1, 0))
    diameter_mm, more_mm = largest_diameter(part.array, spacing_mm)
    center = part.geometry.index_to_lps([np.average(np.arange(len(voxels)), weights=voxels) for voxels in planes])
    return PartMeasurement(
        _volume_ml(part),
        diameter_mm,
        to_vector(center),
        _volume_uncertainty_ml(part),
        diameter_uncertainty_mm(spacing_mm) + more_mm,
        axial_diameter(part.array, part.geometry),
    )


def _volume_ml(mask: StructureMask) -> float:
    return float(np.count_nonzero(mask.array) * mask.geometry.voxel_volume_ml)


def _volume_uncertainty_ml(mask: StructureMask) -> float:
    """Half the volume of those voxels outside that share a face with one inside."""
    grown = mask.array.copy()
    for axis in range(3):
        array, wider = np.moveaxis(mask.array, axis, 0), np.moveaxis(grown, axis, 0)
        wider[1:] |= array[:-1]
        wider[:-1] |= array[1:]
    around = np.count_nonzero(grown) - np.count_nonzero(mask.array)
    return float(around / 2 * mask.geometry.voxel_volume_ml)


def _largest_diameters(parts: Parts) -> tuple[float, float, AxialDiameter]:
    """The largest diameter of any part in space, what another part may have more, and the largest axial diameter."""
    spacing_mm = parts.mask.geometry.spacing_mm
    in_slice = np.arange(3) != np.abs(parts.mask.geometry.direction_matrix[2]).argmax()
    boxes_mm = parts.sizes * spacing_mm  # (P, 3)

    def in_space(place: int) -> tuple[float, tuple[float, float]]:
        found = largest_diameter(parts[place].array, spacing_mm)
        return found[0], found

    def in_slices(place: int) -> tuple[float, AxialDiameter]:
        part = parts[place]
        axial = axial_diameter(part.array, part.geometry)
        return axial.long_mm, axial

    (diameter_mm, of_it_mm), more_mm = _largest(parts, np.linalg.norm(boxes_mm, axis=1), in_space)
    axial, more_axial_mm = _largest(parts, np.linalg.norm(boxes_mm[:, in_slice], axis=1), in_slices)
    more_mm = max(more_mm, of_it_mm)
    if more_mm > 0:
        _log.warning(
            "%s: the largest diameter is %.1f mm or up to %.1f mm more; its labels are noise or no usual body",
            parts.mask.structure.title, diameter_mm, more_mm,
        )  # fmt: skip
    return diameter_mm, more_mm, replace(axial, uncertainty_mm=axial.uncertainty_mm + more_axial_mm)


def _largest(
    parts: Parts, most_mm: NDArray[np.float64], measure_part: Callable[[int], tuple[float, Found]]
) -> tuple[Found, float]:
    """What `measure_part(place)` finds at the part where it is longest, and what another part may have more.

    Parts are taken by the diagonals of their boxes, `most_mm`, until no other can be longer. A segmentation may have
    thousands of specks that can, but hardly are: then no more are looked at than is affordable.
    """
    order = np.argsort(-most_mm, kind="stable")
    enough = affordable(parts.sizes[order], MOST_LESIONS, _MOST_BOXES * parts.mask.array.size)
    length_mm, found = measure_part(int(order[0]))
    for number, place in enumerate(order[1:].tolist(), start=1):
        if most_mm[place] <= length_mm:
            break
        if number >= enough:
            return found, float(most_mm[place] - length_mm)
        other_mm, other = measure_part(place)
        if other_mm > length_mm:
            length_mm, found = other_mm, other
    return found, 0.0
