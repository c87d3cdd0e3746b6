# SPDX-License-Identifier: Apache-2.0
"""The skin in a CT: the places where a needle may enter, and the surface that it must not leave again."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import cKDTree

from liver_seg_ros.geometry import Geometry
from liver_seg_ros.labels import Structure
from liver_seg_ros.mesh import Mesh, PointCloud
from liver_seg_ros.planning.body import THIN_MM, Body, find_body
from liver_seg_ros.planning.field_of_view import BODY_HU, cut_places
from liver_seg_ros.reconstruction.masks import StructureMask
from liver_seg_ros.reconstruction.meshes.cloud import sample_surfaces
from liver_seg_ros.reconstruction.meshes.surface_queries import SurfaceQueries, checked_points, directions
from liver_seg_ros.reconstruction.meshes.surfaces import extract_surface, surface_to_mesh
from liver_seg_ros.short_repr import short_repr
from liver_seg_ros.volume import Volume

#: No row of the label table: it is found in the CT and never a voxel's value. Color of 3D Slicer's general anatomy.
SKIN = Structure(0, "skin", (177, 122, 101), 0.2, "39937001", "Skin")

#: Points of the skin, and how steeply a needle may meet it there, from its inward normal.
POINT_SPACING_MM = 5.0
MAX_SKIN_ANGLE_DEG = 70.0

#: No point of the skin is so near to where the body is cut: the surface is rounded there, and what lies beyond unknown.
FROM_CUT_MM = 10.0

#: A point of the skin has at least so many beside it, within some times their spacing; what is left of a cut has not.
COMPANY, COMPANY_SPACINGS = 4, 2.5

#: A cut faces sideways where its normal is at least so far from the body's axis: it is none of the CT's first and last
#: slices.
SIDEWAYS = np.cos(np.radians(45))


@dataclass(frozen=True, eq=False)
class Skin:
    """The body's surface.

    Attributes:
        mesh: closed; where the CT or its field of view ends it goes across the body.
        points: on the skin alone, evenly spread, with outward normals; their label is 0. None where only cuts are seen.
        surface: `mesh`, ready to be asked.
        cut: the part, 0 to 1, of the body's sides that is no skin, but where the CT or its field of view cuts the body.
    """

    mesh: Mesh
    points: PointCloud
    surface: SurfaceQueries
    cut: float = 0.0

    __repr__ = short_repr

    def entries_to(self, target_mm: ArrayLike, max_angle_deg: float = MAX_SKIN_ANGLE_DEG) -> NDArray[np.float64]:
        """`(E, 3)` LPS points of the skin that face a target: those from which a needle gets there.

        It meets the skin at no more than `max_angle_deg` from the normal and does not leave the body in between.

        Raises:
            InputError: a target that is not three finite coordinates.
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


def find_skin(ct: Volume, point_spacing_mm: float = POINT_SPACING_MM, body: Body | None = None) -> Skin:
    """The surface of the largest body in a CT, without the table; see `find_body`.

    Where the field of view, a crop or the end of the CT cuts the body there are no points.

    Args:
        ct: the CT.
        point_spacing_mm: least distance of points.
        body: what `find_body` found in this CT; found here where None.

    Raises:
        InputError: no body of at least a liter.
        InputError: a spacing that is not positive.
    """
    body = find_body(ct) if body is None else body
    mask = StructureMask.padded(SKIN, body.inside, body.geometry)
    mesh = surface_to_mesh(extract_surface(mask), mask)
    cloud = sample_surfaces([mesh], point_spacing_mm)
    points_mm, normals = cloud.points_mm.astype(np.float64), cloud.normals.astype(np.float64)
    cut = cut_places(ct, body.view, points_mm, normals)
    hollow = body.inside & (body.hu <= BODY_HU)  # under the skin is no lung, but where one is cut
    for suspect, away_mm in ((body.unsure, (1.0, 3.0, 5.0)), (hollow, (-3.0,))):
        cut |= _beside(suspect, body.geometry, points_mm, normals, away_mm)
    on_skin = ~cut
    if cut.any():
        on_skin &= cKDTree(points_mm[cut]).query(points_mm)[0] > FROM_CUT_MM
    on_skin[on_skin] = _in_company(points_mm[on_skin], point_spacing_mm)
    sideways = np.abs(normals[:, 2]) < SIDEWAYS
    share = float(cut[sideways].mean()) if sideways.any() else 0.0
    points = PointCloud(cloud.points_mm[on_skin], cloud.normals[on_skin], cloud.labels[on_skin])
    return Skin(mesh, points, SurfaceQueries(mesh), share)


def _beside(
    mask: NDArray[np.bool_],
    geometry: Geometry,
    points_mm: NDArray[np.float64],
    normals: NDArray[np.float64],
    away_mm: tuple[float, ...],
) -> NDArray[np.bool_]:
    """`(N,)` which points have voxels of `mask` at one of these distances along their normals."""
    found = np.zeros(len(points_mm), bool)
    for mm in away_mm:
        index = np.rint(geometry.lps_to_index(points_mm + mm * normals)).astype(np.intp)
        i, j, k = index.clip(0, np.array(geometry.size) - 1).T
        found |= mask[k, j, i]
    return found


def _in_company(points_mm: NDArray[np.float64], spacing_mm: float) -> NDArray[np.bool_]:
    """`(N,)` which points have `COMPANY`."""
    if len(points_mm) <= COMPANY:
        return np.zeros(len(points_mm), bool)
    away_mm, _ = cKDTree(points_mm).query(points_mm, k=COMPANY + 1)  # the first is the point itself
    return np.asarray(away_mm[:, -1] <= COMPANY_SPACINGS * spacing_mm)
