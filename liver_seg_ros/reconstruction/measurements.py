"""What a surgeon asks of each structure first: how large, how far across, how many, how near to what.

Volumes, diameters and distances come from the voxels, not from the mesh, so that they do not depend on how it was
smoothed. Each has the uncertainty that the resolution gives; `diameters` and `lesion_gaps` say how those come about.
A volume's is half the volume of the voxels just outside the surface: any of them may be filled by as much as a half,
and those just inside, which are fewer, be empty by as much. Uncertainties are limits for bodies at least three voxels
wide, not standard deviations: a volume's errors mostly cancel out, to a twentieth of the limit for ellipsoids.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import cc3d
import numpy as np
from numpy.typing import NDArray

from liver_seg_ros.geometry import MM3_PER_ML, Box, to_vector
from liver_seg_ros.labels import LIVER, TUMOR, Structure, structure_by_name
from liver_seg_ros.measurement import AxialDiameter, PartMeasurement, StructureMeasurement
from liver_seg_ros.mesh import Mesh
from liver_seg_ros.reconstruction.diameters import axial_diameter, diameter_uncertainty_mm, largest_diameter_mm
from liver_seg_ros.reconstruction.lesion_gaps import lesion_gaps
from liver_seg_ros.reconstruction.masks import StructureMask, labelled_box, structure_mask
from liver_seg_ros.reconstruction.parts import connected_parts
from liver_seg_ros.reconstruction.triangles import is_watertight
from liver_seg_ros.volume import LabelVolume

__all__ = ["PartMeasurement", "StructureMeasurement", "measure", "measure_mask", "measured_structures", "with_gaps"]


def measure(labels: LabelVolume, meshes: Iterable[Mesh] = ()) -> tuple[StructureMeasurement, ...]:
    """One measurement per structure of `LabelVolume.counts`, with zeros where it has no voxel."""
    box = labelled_box(labels)
    mesh_of = {mesh.structure: mesh for mesh in meshes}
    organ = structure_mask(box, LIVER)
    measured = (
        measure_mask(s, organ if s == LIVER else structure_mask(box, s), mesh_of.get(s))
        for s in measured_structures(box)
    )
    return with_gaps(tuple(measured), labels, organ)


def measured_structures(labels: LabelVolume) -> tuple[Structure, ...]:
    """What this package segments, found or not, and what else is labelled."""
    return tuple(structure_by_name(name) for name in labels.counts())


def measure_mask(structure: Structure, mask: StructureMask | None, mesh: Mesh | None = None) -> StructureMeasurement:
    """The measurement of one structure from its voxels and its mesh, where it has them.

    What a lesion is near to is not in it, since that takes the other structures: see `with_gaps`.
    """
    triangles = None if mesh is None else len(mesh.triangles)
    watertight = None if mesh is None else is_watertight(mesh.triangles, len(mesh.vertices_mm))
    if mask is None:
        return StructureMeasurement(structure, 0.0, 0.0, 0, triangles, watertight)
    spacing_mm = mask.geometry.spacing_mm
    lesions: tuple[PartMeasurement, ...] = ()
    if structure == TUMOR:
        lesions = tuple(_measure_part(part) for part in connected_parts(mask))
        count = len(lesions)
        diameter_mm = max(lesion.largest_diameter_mm for lesion in lesions)
        axial = max((lesion.axial for lesion in lesions if lesion.axial), key=lambda axial: axial.long_mm)
    else:
        parts, count = cc3d.connected_components(mask.array, connectivity=26, return_N=True)
        diameter_mm, axial = _largest_diameters(parts, mask)
    return StructureMeasurement(
        structure,
        _volume_ml(mask),
        diameter_mm,
        int(count),
        triangles,
        watertight,
        lesions,
        _volume_uncertainty_ml(mask),
        diameter_uncertainty_mm(spacing_mm),
        axial,
    )


def with_gaps(
    measured: tuple[StructureMeasurement, ...], labels: LabelVolume, organ: StructureMask | None = None
) -> tuple[StructureMeasurement, ...]:
    """The same measurements with what each lesion is near to, and whether the scan's border cuts it.

    `labels` and `organ` are those of `lesion_gaps.lesion_gaps`.
    """
    gaps = lesion_gaps(labels, organ)

    def filled(measurement: StructureMeasurement) -> StructureMeasurement:
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
    center = part.geometry.index_to_lps(np.argwhere(part.array).mean(axis=0)[::-1])
    return PartMeasurement(
        _volume_ml(part),
        largest_diameter_mm(part.array, spacing_mm),
        to_vector(center),
        _volume_uncertainty_ml(part),
        diameter_uncertainty_mm(spacing_mm),
        axial_diameter(part.array, part.geometry),
    )


def _volume_ml(mask: StructureMask) -> float:
    return float(np.count_nonzero(mask.array) * mask.geometry.voxel_volume_mm3 / MM3_PER_ML)


def _volume_uncertainty_ml(mask: StructureMask) -> float:
    """Half the volume of those voxels outside that share a face with one inside."""
    grown = mask.array.copy()
    for axis in range(3):
        array, wider = np.moveaxis(mask.array, axis, 0), np.moveaxis(grown, axis, 0)
        wider[1:] |= array[:-1]
        wider[:-1] |= array[1:]
    around = np.count_nonzero(grown) - np.count_nonzero(mask.array)
    return float(around / 2 * mask.geometry.voxel_volume_mm3 / MM3_PER_ML)


def _largest_diameters(parts: NDArray[np.unsignedinteger], mask: StructureMask) -> tuple[float, AxialDiameter]:
    """The largest diameters of any part, in space and axial.

    Parts whose box is smaller than what was found are not looked at: a segmentation may have thousands of specks.
    """
    corners = cc3d.statistics(parts)["bounding_boxes"][1:]
    boxes = [Box((i.start, j.start, k.start), (i.stop, j.stop, k.stop)) for k, j, i in corners]
    sizes_mm = np.array([box.size for box in boxes]) * mask.geometry.spacing_mm  # (P, 3)
    in_slice = np.arange(3) != np.abs(mask.geometry.direction_matrix[2]).argmax()

    def cut(part: int) -> NDArray[np.bool_]:
        return parts[boxes[part].slices] == part + 1

    diameter_mm, axial = 0.0, None
    diagonals_mm = np.linalg.norm(sizes_mm, axis=1)
    for part in np.argsort(diagonals_mm)[::-1]:
        if diagonals_mm[part] <= diameter_mm:
            break
        diameter_mm = max(diameter_mm, largest_diameter_mm(cut(part), mask.geometry.spacing_mm))
    diagonals_mm = np.linalg.norm(sizes_mm[:, in_slice], axis=1)
    for part in np.argsort(diagonals_mm)[::-1]:
        if axial is not None and diagonals_mm[part] <= axial.long_mm:
            break
        found = axial_diameter(cut(part), mask.geometry.crop(boxes[part]))
        axial = found if axial is None or found.long_mm > axial.long_mm else axial
    assert axial is not None  # a mask has a voxel
    return diameter_mm, axial
