"""The skin in a CT: the places where a needle may enter, and the surface that it must not leave again."""

from __future__ import annotations

from dataclasses import dataclass

import cc3d
import edt
import fill_voids
import numpy as np
from numpy.typing import ArrayLike, NDArray

from liver_seg_ros.errors import InputError
from liver_seg_ros.geometry import Geometry
from liver_seg_ros.labels import Structure
from liver_seg_ros.mesh import Mesh, PointCloud
from liver_seg_ros.reconstruction.cloud import sample_surfaces
from liver_seg_ros.reconstruction.masks import PAD, StructureMask
from liver_seg_ros.reconstruction.surface_queries import SurfaceQueries, checked_points, directions
from liver_seg_ros.reconstruction.surfaces import extract_surface, surface_to_mesh
from liver_seg_ros.short_repr import short_repr
from liver_seg_ros.volume import Volume

#: No row of the label table: it is found in the CT and never a voxel's value. Color of 3D Slicer's general anatomy.
SKIN = Structure(0, "skin", (177, 122, 101), 0.2, "39937001", "Skin")

#: Air and what lies on the table are darker, fat is brighter.
BODY_HU = -300

#: Grid on which the body is looked for.
GRID_MM = 3.0

#: What is thinner than twice this is not body: the table's shell, covers, tubes.
THIN_MM = 5.0

#: Air inside a slice's outline is lung or bowel where a disk of this radius fits; a gap between back and table is not.
LUNG_MM = 10.0

#: A body with less than this is none: a child's head has more.
LEAST_BODY_MM3 = 1e6

#: Points of the skin, and how steeply a needle may meet it there, from its inward normal.
POINT_SPACING_MM = 5.0
MAX_SKIN_ANGLE_DEG = 70.0


@dataclass(frozen=True, eq=False)
class Skin:
    """The body's surface.

    Attributes:
        mesh: closed; where the CT ends it goes across the body.
        points: on the skin alone, evenly spread, with outward normals; their label is 0.
        surface: `mesh`, ready to be asked.
    """

    mesh: Mesh
    points: PointCloud
    surface: SurfaceQueries

    __repr__ = short_repr

    def entries_to(self, target_mm: ArrayLike, max_angle_deg: float = MAX_SKIN_ANGLE_DEG) -> NDArray[np.float64]:
        """`(E, 3)` LPS points of the skin that face a target: those from which a needle gets there.

        It meets the skin at no more than `max_angle_deg` from the normal and does not leave the body on its way.

        Raises:
            ValueError: a target that is not three finite coordinates.
        """
        target = checked_points(np.reshape(target_mm, (1, -1)), "target")[0]
        entries = self.points.points_mm.astype(np.float64)
        direction, length_mm = directions(entries, np.broadcast_to(target, entries.shape))
        cosine = -np.einsum("ei,ei->e", direction, self.points.normals)
        facing = np.flatnonzero((cosine >= np.cos(np.radians(max_angle_deg))) & (length_mm > 0))
        # From just under the skin, so that the entry itself is no crossing.
        under = entries[facing] + np.minimum(THIN_MM, length_mm[facing] / 2)[:, None] * direction[facing]
        leaves = self.surface.crossings(under, np.broadcast_to(target, under.shape))
        free = leaves.starts_inside.copy()
        free[leaves.segment] = False
        return entries[facing[free]]


def find_skin(ct: Volume, point_spacing_mm: float = POINT_SPACING_MM) -> Skin:
    """The surface of the largest body in a CT, without the table, on a grid of about 3 mm.

    What is brighter than `BODY_HU`, lungs filled, is opened with a ball of `THIN_MM` (by distances, so that it is round
    on any grid), which cuts the table off; the largest connected part is the body, with all air inside it filled.

    Raises:
        InputError: no body of at least a liter.
        ValueError: a spacing that is not positive.
    """
    step = tuple(max(1, round(GRID_MM / s)) for s in ct.geometry.spacing_mm)
    geometry = _strided(ct.geometry, step)
    body = _body(ct.array[:: step[2], :: step[1], :: step[0]] > BODY_HU, geometry)
    if np.count_nonzero(body) * geometry.voxel_volume_mm3 < LEAST_BODY_MM3:
        raise InputError(f"the CT {ct.uid} shows no body: no connected liter above {BODY_HU} HU; give entry points")
    mask = StructureMask(SKIN, np.pad(body, PAD), _padded(geometry))
    mesh = surface_to_mesh(extract_surface(mask), mask)
    cloud = sample_surfaces([mesh], point_spacing_mm)
    index = geometry.lps_to_index(cloud.points_mm)
    on_skin = ((index > 0.5) & (index < np.array(geometry.size) - 1.5)).all(axis=1)  # not where the CT ends
    points = PointCloud(cloud.points_mm[on_skin], cloud.normals[on_skin], cloud.labels[on_skin])
    return Skin(mesh, points, SurfaceQueries(mesh))


def _body(bright: NDArray[np.bool_], geometry: Geometry) -> NDArray[np.bool_]:
    """`(K, J, I)` bool: the largest part of `bright` that is not thin, with its holes filled."""
    k_j_i_mm = geometry.spacing_mm[::-1]
    # Lungs first: a thin chest wall is no thin thing, and at the end of the volume they are open.
    air = _filled(bright) & ~bright
    lungs = np.stack([_opened(part, k_j_i_mm[1:], LUNG_MM) for part in air])
    opened = _opened(bright | lungs, k_j_i_mm, THIN_MM)
    if not opened.any():
        return np.zeros_like(bright)
    return fill_voids.fill(_filled(cc3d.largest_k(opened, k=1, connectivity=6).astype(bool)))


def _filled(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """`(K, J, I)` bool: `mask` with what it encloses in each axial slice by itself.

    Where the field of view cuts the body, what lies on its edge between parts of the body is inside too: a lung.
    """
    closed = mask.copy()
    for edge in (closed[:, 0], closed[:, -1], closed[:, :, 0], closed[:, :, -1]):
        after = np.logical_or.accumulate(edge, axis=1)
        before = np.logical_or.accumulate(edge[:, ::-1], axis=1)[:, ::-1]
        edge |= after & before
    return np.stack([fill_voids.fill(part) for part in closed])


def _opened(mask: NDArray[np.bool_], spacing_mm: tuple[float, ...], radius_mm: float) -> NDArray[np.bool_]:
    """What of `mask` a ball (in a slice: a disk) which fits into it reaches; beyond the border it goes on.

    `spacing_mm` is in the order of the array's axes.
    """
    core = edt.edt(mask, anisotropy=spacing_mm, black_border=False, parallel=2) > radius_mm
    if not core.any():
        return np.zeros_like(mask)
    return mask & (edt.edt(~core, anisotropy=spacing_mm, black_border=False, parallel=2) <= radius_mm)


def _strided(geometry: Geometry, step: tuple[int, ...]) -> Geometry:
    """The grid of every `step`-th voxel along `(i, j, k)`."""
    size = tuple(-(-n // s) for n, s in zip(geometry.size, step, strict=True))
    spacing_mm = tuple(mm * s for mm, s in zip(geometry.spacing_mm, step, strict=True))
    return Geometry(size, spacing_mm, geometry.origin_mm, geometry.direction)  # type: ignore[arg-type]


def _padded(geometry: Geometry) -> Geometry:
    i, j, k = (n + 2 * PAD for n in geometry.size)
    x, y, z = geometry.index_to_lps((-PAD, -PAD, -PAD))
    return Geometry((i, j, k), geometry.spacing_mm, (x, y, z), geometry.direction)
