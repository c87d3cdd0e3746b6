# SPDX-License-Identifier: Apache-2.0
"""The smooth closed surface of a structure: fill, isosurface, smooth, give the volume back.

Two ways to smooth, because what is right for an organ is wrong for a vessel:
- large organs as in the papers, y = G * argmax(o) (TransFusionNet, section on reconstruction): a Gaussian on the mask,
  then the isosurface at 0.5;
- everything else by a windowed sinc on the mesh (Taubin, Zhang and Golub 1996), after which what it took is given back
  where it was taken (as in Vollmer, Mencl and Mueller 1999). A Gaussian of 1 mm on the mask takes a third of a vessel
  tree away and breaks its branches apart.

The volume is that of the voxels: they count a volume without bias wherever the grid lies, and smooth surfaces are
always too small where they are convex.

No part is dropped, however small: a display may hide a speck, but a tumor must never be lost on the way. None is cut:
voxels that touch over an edge or a corner are one part here as in the measurements.
"""

from __future__ import annotations

from dataclasses import dataclass

import cc3d
import fill_voids
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, gaussian_filter1d
from scipy.special import ndtri
from vtkmodules.util.numpy_support import numpy_to_vtk, vtk_to_numpy
from vtkmodules.vtkCommonCore import VTK_ID_TYPE, vtkPoints
from vtkmodules.vtkCommonDataModel import vtkCellArray, vtkImageData, vtkPolyData
from vtkmodules.vtkFiltersCore import vtkFlyingEdges3D, vtkWindowedSincPolyDataFilter

from liver_seg_ros.geometry import Vector, to_vector
from liver_seg_ros.labels import COLON, HEART, KIDNEY, LIVER, LIVER_VESSELS, LUNG, SPLEEN, STOMACH
from liver_seg_ros.mesh import Mesh
from liver_seg_ros.reconstruction.masks import StructureMask
from liver_seg_ros.reconstruction.meshes.bridging import bridged
from liver_seg_ros.reconstruction.meshes.triangles import (
    neighbor_means,
    parts_of_vertices,
    restore_volume,
    signed_volumes,
    vertex_normals,
)
from liver_seg_ros.short_repr import short_repr

#: What is large and has no thin branches.
ORGANS = (LIVER, STOMACH, COLON, KIDNEY, SPLEEN, LUNG, HEART)

#: Gaussian of the organ's mask. On coarse axes it is at least `GAUSSIAN_VOXELS`, or thick slices would stay as steps.
GAUSSIAN_MM = 1.0
GAUSSIAN_VOXELS = 0.7

#: Of the smoothed organ so coarse a grid is enough, and values so near to 0 and 1 are not told from these.
COARSEST_MM = 1.55
EDGE = 1e-3

#: Iterations and pass band of the windowed sinc. Compact shapes: half the distance to spheres of known radius that the
#: usual 20, 0.1 leave. Vessels: the most that branches of a voxel's radius stand without going through themselves.
COMPACT_SINC = (40, 0.02)
VESSEL_SINC = (20, 0.03)

#: Over how many rings of triangles the shrinkage is averaged before it is given back; fewer bring the steps back.
RINGS = 10


@dataclass(frozen=True, eq=False)
class Surface:
    """A closed surface in mm along the axes of its mask's grid, with the center of voxel `(0, 0, 0)` at zero.

    Attributes:
        vertices_mm: `(V, 3)` float64.
        triangles: `(T, 3)` int32, counter-clockwise seen from outside.
    """

    vertices_mm: NDArray[np.float64]
    triangles: NDArray[np.int32]

    __repr__ = short_repr


def extract_surface(mask: StructureMask, counted: StructureMask | None = None) -> Surface:
    """The smoothed surface of a mask: closed, outward, and of the mask's volume with enclosed holes filled.

    Args:
        mask: the shape, with thin slices (`interpolation.interpolated`).
        counted: the mask as it was before; its voxels say the volume. None where that is `mask`.
    """
    spacing_mm = mask.geometry.spacing_mm
    filled = mask.filled
    is_organ = mask.structure in ORGANS
    if is_organ and (coarse := _coarse_surface(mask, counted or mask)) is not None:
        return coarse
    field = _smoothed_field(filled, spacing_mm) if is_organ else bridged(filled).view(np.uint8)
    closed_off = fill_voids.fill(field > 0.5)  # smoothing and bridging can close a cavity that was open
    field[closed_off & (field <= 0.5)] = 1
    vertices, triangles = isosurface(field, spacing_mm)
    # A Gaussian also moves voxels out of a thin mask: the parts of both, so that none of the volume is forgotten.
    parts = cc3d.connected_components(filled | (field > 0.5) if is_organ else filled, connectivity=26)
    group = _part_at(vertices, triangles, parts, spacing_mm)
    volume_mm3 = _volumes(parts, filled, mask, counted or mask)
    if not is_organ:
        smoothed = _smoothed(vertices, triangles, *VESSEL_SINC if mask.structure in LIVER_VESSELS else COMPACT_SINC)
        # Specks of a few voxels collapse under the filter; they stay as they are.
        enclosed = np.bincount(group[triangles[:, 0]], signed_volumes(smoothed, triangles), minlength=len(volume_mm3))
        vertices = np.where((enclosed > volume_mm3 / 2)[group, None], smoothed, vertices)
    restored = restore_volume(vertices, triangles, group, volume_mm3, min(spacing_mm) / 2)
    return Surface(restored, triangles.astype(np.int32))


def _coarse_surface(mask: StructureMask, counted: StructureMask) -> Surface | None:
    """The surface of an organ from every n-th value of the smoothed mask: a part of the triangles and of the time.

    The Gaussian leaves nothing finer, and across a flat surface its inverse makes the values linear, so that the
    surface is where it would be. None where voxels are too large for it, and where the organ has parts or anything so
    thin that another number of parts comes out.
    """
    spacing_mm = mask.geometry.spacing_mm
    steps = [max(1, int(COARSEST_MM / mm)) for mm in reversed(spacing_mm)]  # (k, j, i)
    if max(steps) == 1 or cc3d.connected_components(mask.array, connectivity=26, return_N=True)[1] != 1:
        return None
    field: NDArray[np.float32] = np.pad(mask.filled, [(step, 2 * step) for step in steps]).astype(np.float32)
    for axis, (sigma, step) in enumerate(zip(_sigma_voxels(spacing_mm), steps, strict=True)):
        field = gaussian_filter1d(field, sigma, axis, mode="constant", truncate=3.0)
        field = field[(slice(None),) * axis + (slice(None, None, step),)]
    field[fill_voids.fill(field > 0.5) & (field <= 0.5)] = 1  # smoothing can close a cavity that was open
    rises = (field > EDGE) & (field < 1 - EDGE)
    linear = np.where(field > 0.5, np.float32(ndtri(1 - EDGE)), np.float32(ndtri(EDGE)))
    linear[rises] = ndtri(field[rises])
    step_mm = np.multiply(steps, spacing_mm[::-1])[::-1]
    vertices, triangles = isosurface(linear, to_vector(step_mm), 0.0)
    if len(triangles) == 0 or parts_of_vertices(triangles, len(vertices))[0] != 1:
        return None
    one_group = np.zeros(len(vertices), np.intp)
    middle = len(mask.array) // len(counted.array)
    voxels = np.count_nonzero(mask.filled[middle // 2 :: middle])
    volume_mm3 = np.array([voxels * counted.geometry.voxel_volume_mm3])
    restored = restore_volume(vertices - step_mm, triangles, one_group, volume_mm3, min(spacing_mm) / 2)
    return Surface(restored, triangles.astype(np.int32))


def isosurface(
    field: NDArray[np.generic], spacing_mm: Vector, level: float = 0.5
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Vertices in mm and outward triangles where `field` `[k, j, i]` falls below `level`.

    Closed where the border of `field` is below, and free of voxels joined over edges or corners (`bridging`).
    """
    scalars = np.ascontiguousarray(field).reshape(-1)
    image = vtkImageData()
    image.SetDimensions(*field.shape[::-1])
    image.SetSpacing(*spacing_mm)
    image.GetPointData().SetScalars(numpy_to_vtk(scalars))
    contour = vtkFlyingEdges3D()
    contour.SetInputData(image)
    contour.SetValue(0, level)
    contour.ComputeNormalsOff()
    contour.ComputeScalarsOff()
    contour.Update()
    output = contour.GetOutput()
    triangles = vtk_to_numpy(output.GetPolys().GetConnectivityArray()).reshape(-1, 3)
    return vtk_to_numpy(output.GetPoints().GetData()), triangles


def surface_to_mesh(surface: Surface, mask: StructureMask) -> Mesh:
    """The surface at its place in the patient, LPS mm, with outward normals."""
    geometry = mask.geometry
    rotation = geometry.direction_matrix
    normals = vertex_normals(surface.vertices_mm, surface.triangles) @ rotation.T
    vertices_mm = surface.vertices_mm @ rotation.T + geometry.origin_mm
    return Mesh(mask.structure, vertices_mm.astype(np.float32), surface.triangles, normals.astype(np.float32))


def _smoothed_field(mask: NDArray[np.bool_], spacing_mm: Vector) -> NDArray[np.float32]:
    """`(K, J, I)` float32: the mask under a Gaussian, above 0.5 inside."""
    field = gaussian_filter(mask.astype(np.float32), _sigma_voxels(spacing_mm), mode="constant", truncate=3.0)
    # Islands of a few voxels stay below 0.5 everywhere; they are kept as they are.
    islands, count = cc3d.connected_components(mask, connectivity=26, return_N=True)
    lost = np.setdiff1d(np.arange(1, count + 1), islands[field > 0.5])
    if len(lost):
        field[np.isin(islands, lost)] = 1.0
    return field


def _sigma_voxels(spacing_mm: Vector) -> list[float]:
    """Of the Gaussian, along `(k, j, i)`."""
    return [max(GAUSSIAN_MM / mm, GAUSSIAN_VOXELS) for mm in reversed(spacing_mm)]


def _part_at(
    vertices: NDArray[np.float32], triangles: NDArray[np.int64], parts: NDArray[np.unsignedinteger], spacing_mm: Vector
) -> NDArray[np.int64]:
    """`(V,)` the part of the mask that each vertex of its isosurface belongs to.

    A vertex lies on a grid edge between a voxel inside and one outside. Rounding can put it on either end, so the
    whole connected surface around it decides.
    """
    index = vertices / np.array(spacing_mm, np.float32)
    lower, upper = np.floor(index + 1e-3).astype(np.intp), np.ceil(index - 1e-3).astype(np.intp)
    found = np.maximum(*(parts[corner[:, 2], corner[:, 1], corner[:, 0]] for corner in (lower, upper)))
    count, surface_part = parts_of_vertices(triangles, len(vertices))
    largest = np.zeros(count, np.int64)
    np.maximum.at(largest, surface_part, found)
    return largest[surface_part]


def _volumes(
    parts: NDArray[np.unsignedinteger], filled: NDArray[np.bool_], mask: StructureMask, counted: StructureMask
) -> NDArray[np.float64]:
    """`(P,)` mm^3 of each part: of the voxels of `counted`, whose slices are in the middle of those of `mask`."""
    count = len(mask.array) // len(counted.array)
    if count > 1:
        parts, filled = parts[count // 2 :: count], filled[count // 2 :: count]
    voxels = np.bincount(parts[filled], minlength=int(parts.max()) + 1)
    return voxels.astype(np.float64) * counted.geometry.voxel_volume_mm3


def _smoothed(
    vertices: NDArray[np.float32], triangles: NDArray[np.int64], iterations: int, pass_band: float
) -> NDArray[np.float64]:
    """Vertices after the windowed sinc, moved back along the normals by the shrinkage around them."""
    smooth = _windowed_sinc(vertices, triangles, iterations, pass_band).astype(np.float64)
    normals = vertex_normals(smooth, triangles)
    shrinkage_mm = np.einsum("vi,vi->v", vertices - smooth, normals)
    return smooth + neighbor_means(shrinkage_mm, triangles, RINGS)[:, None] * normals


def _windowed_sinc(
    vertices: NDArray[np.float32], triangles: NDArray[np.int64], iterations: int, pass_band: float
) -> NDArray[np.float32]:
    points, cells, mesh = vtkPoints(), vtkCellArray(), vtkPolyData()
    points.SetData(numpy_to_vtk(vertices))
    cells.SetData(3, numpy_to_vtk(triangles.reshape(-1), array_type=VTK_ID_TYPE))
    mesh.SetPoints(points)
    mesh.SetPolys(cells)
    smoother = vtkWindowedSincPolyDataFilter()
    smoother.SetInputData(mesh)
    smoother.SetNumberOfIterations(iterations)
    smoother.SetPassBand(pass_band)
    smoother.NormalizeCoordinatesOn()
    smoother.FeatureEdgeSmoothingOff()
    smoother.BoundarySmoothingOff()
    smoother.Update()
    return vtk_to_numpy(smoother.GetOutput().GetPoints().GetData())
