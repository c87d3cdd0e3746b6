"""What a surgeon asks of each structure first: how large, how far across, how many.

Volumes and diameters come from the voxels, not from the mesh, so that they do not depend on how it was smoothed.
Parts are connected through faces, edges and corners of voxels (26-neighborhood).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import cc3d
import numpy as np
from numpy.typing import NDArray
from scipy.spatial import ConvexHull
from scipy.spatial.distance import pdist

from liver_seg_ros.geometry import Vector
from liver_seg_ros.labels import TUMOR, Structure, structure_by_name
from liver_seg_ros.mesh import Mesh
from liver_seg_ros.reconstruction.masks import StructureMask, labelled_box, structure_mask
from liver_seg_ros.reconstruction.triangles import is_watertight
from liver_seg_ros.volume import LabelVolume

MM3_PER_ML = 1000.0


@dataclass(frozen=True)
class PartMeasurement:
    """One connected part of a structure: of the tumor, one lesion.

    Attributes:
        volume_ml: volume of its voxels.
        largest_diameter_mm: see `StructureMeasurement`.
        center_mm: LPS center of mass.
    """

    volume_ml: float
    largest_diameter_mm: float
    center_mm: Vector


@dataclass(frozen=True)
class StructureMeasurement:
    """One structure.

    Attributes:
        structure: the row of the label table.
        volume_ml: volume of its voxels; of the liver that of the organ, tumors and enclosed vessels included, as LiTS
            counts it (`masks.structure_mask`).
        largest_diameter_mm: the largest distance between two points of its surface (centers of voxel faces, the
            "maximum 3D diameter" of IBSI), of that part where it is largest.
        count: connected parts; of the tumor the number of lesions.
        triangles: of its mesh; None where none was made.
        watertight: whether the mesh is closed; None where none was made.
        parts: of the tumor one per lesion, largest volume first; empty for other structures, whose parts are not told
            apart.
    """

    structure: Structure
    volume_ml: float
    largest_diameter_mm: float
    count: int
    triangles: int | None = None
    watertight: bool | None = None
    parts: tuple[PartMeasurement, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; the structure by its name."""
        return {
            "structure": self.structure.name,
            "volume_ml": self.volume_ml,
            "largest_diameter_mm": self.largest_diameter_mm,
            "count": self.count,
            "triangles": self.triangles,
            "watertight": self.watertight,
            "parts": [dict(vars(part), center_mm=list(part.center_mm)) for part in self.parts],
        }


def measure(labels: LabelVolume, meshes: Iterable[Mesh] = ()) -> tuple[StructureMeasurement, ...]:
    """One measurement per structure of `LabelVolume.counts`, with zeros where it has no voxel."""
    labels = labelled_box(labels)
    mesh_of = {mesh.structure: mesh for mesh in meshes}
    return tuple(measure_mask(s, structure_mask(labels, s), mesh_of.get(s)) for s in measured_structures(labels))


def measured_structures(labels: LabelVolume) -> tuple[Structure, ...]:
    """What this package segments, found or not, and what else is labelled."""
    return tuple(structure_by_name(name) for name in labels.counts())


def measure_mask(structure: Structure, mask: StructureMask | None, mesh: Mesh | None = None) -> StructureMeasurement:
    """The measurement of one structure from its voxels and its mesh, where it has them."""
    triangles = None if mesh is None else len(mesh.triangles)
    watertight = None if mesh is None else is_watertight(mesh.triangles, len(mesh.vertices_mm))
    if mask is None:
        return StructureMeasurement(structure, 0.0, 0.0, 0, triangles, watertight)
    parts, count = cc3d.connected_components(mask.array, connectivity=26, return_N=True)
    statistics = cc3d.statistics(parts)
    voxels = statistics["voxel_counts"][1:]
    boxes = statistics["bounding_boxes"][1:]
    ml_per_voxel = mask.geometry.voxel_volume_mm3 / MM3_PER_ML
    lesions: tuple[PartMeasurement, ...] = ()
    if structure == TUMOR:
        diameters = [_diameter_mm(parts[box] == part, mask) for part, box in enumerate(boxes, start=1)]
        centers = mask.geometry.index_to_lps(statistics["centroids"][1:, ::-1])
        lesions = tuple(
            PartMeasurement(float(voxels[part] * ml_per_voxel), diameters[part], _vector(centers[part]))
            for part in np.argsort(-voxels.astype(np.int64), kind="stable")
        )
        diameter_mm = max(diameters)
    else:
        diameter_mm = _largest_part_diameter_mm(parts, boxes, mask)
    volume_ml = float(voxels.sum() * ml_per_voxel)
    return StructureMeasurement(structure, volume_ml, diameter_mm, int(count), triangles, watertight, lesions)


def _largest_part_diameter_mm(
    parts: NDArray[np.unsignedinteger], boxes: list[tuple[slice, slice, slice]], mask: StructureMask
) -> float:
    """The largest diameter of any part; parts whose box is smaller than what was found are not looked at."""
    spacing_kji = np.array(mask.geometry.spacing_mm[::-1])
    diagonals = [float(np.linalg.norm([s.stop - s.start for s in box] * spacing_kji)) for box in boxes]
    largest = 0.0
    for part in np.argsort(diagonals)[::-1]:
        if diagonals[part] <= largest:
            break
        largest = max(largest, _diameter_mm(parts[boxes[part]] == part + 1, mask))
    return largest


def _diameter_mm(part: NDArray[np.bool_], mask: StructureMask) -> float:
    """The exact largest distance between centers of voxel faces of a part `[k, j, i]` cut out of `mask`."""
    k, j = np.nonzero(part.any(axis=2))
    rows = part[k, j]  # (R, I): rows of voxels; only their two ends can be corners of the convex hull
    first = rows.argmax(axis=1)
    last = rows.shape[1] - 1 - rows[:, ::-1].argmax(axis=1)
    ends = np.concatenate([np.stack([first, j, k], axis=1), np.stack([last, j, k], axis=1)])
    if len(k) > 3 and min(np.ptp(ends, axis=0)) > 0:
        ends = ends[_hull_vertices(ends.astype(float))]
    faces = np.concatenate([np.eye(3), -np.eye(3)]) / 2
    points = (ends[:, None] + faces).reshape(-1, 3) * np.array(mask.geometry.spacing_mm)
    return float(pdist(points[_hull_vertices(points)]).max())


def _hull_vertices(points: NDArray[np.float64]) -> NDArray[np.int32]:
    """Indices of the corners of the convex hull; all points where they lie in one plane."""
    centered = points - points.mean(axis=0)
    if np.linalg.matrix_rank(centered[:: max(1, len(points) // 1000)]) < 3 and np.linalg.matrix_rank(centered) < 3:
        return np.arange(len(points), dtype=np.int32)
    return ConvexHull(points).vertices


def _vector(point: NDArray[np.float64]) -> Vector:
    x, y, z = (float(v) for v in point)
    return x, y, z
