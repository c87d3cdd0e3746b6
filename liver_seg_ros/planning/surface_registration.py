# SPDX-License-Identifier: Apache-2.0
"""Refining a registration by the surface of an organ: iterative closest points (ICP), and whether to believe it.

Point-to-plane ICP (Chen and Medioni 1992) of Open3D, with a correspondence distance that starts at the error which the
registration by landmarks may have and is halved down to that of the points: the first steps reach far enough, the last
ones are not pulled by points that have no partner. Tukey's biweight lowers the weight of what does not fit.

ICP always gives an answer. It is taken only where it fits better than before, most points lie on the surface, and no
point moved further than twice the error that the initial transform may have.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial.transform import Rotation

from liver_seg_ros.errors import InputError
from liver_seg_ros.mesh import Mesh
from liver_seg_ros.open3d_library import import_open3d
from liver_seg_ros.plain import plain_fields
from liver_seg_ros.planning.transform import RigidTransform

#: Points per mm2 drawn on the surface, and how many at most.
POINTS_PER_MM2, MOST_POINTS = 1.0, 200_000
#: Fewer points of an organ's surface do not fix a pose.
FEWEST_POINTS = 30


@dataclass(frozen=True, eq=False)
class SurfaceRegistration:
    """What `refine_by_surface` found.

    Attributes:
        transform: from the source to the target frame: refined, or the initial one where that was refused.
        accepted: whether the refinement is to be believed.
        reason: why not, in one line; empty where accepted.
        fitness: of the refinement, the part of the points, 0 to 1, within `reach_mm` of the surface.
        residual_mm: of the refinement, root mean square distance of these points from the surface; `reach_mm` where
            there are none.
        initial_fitness, initial_residual_mm: of the initial transform.
        moved_mm: how far the refinement moved the point that it moved furthest.
        reach_mm: the last correspondence distance.
    """

    transform: RigidTransform
    accepted: bool
    reason: str
    fitness: float
    residual_mm: float
    initial_fitness: float
    initial_residual_mm: float
    moved_mm: float
    reach_mm: float

    to_dict = plain_fields


@dataclass(frozen=True)
class _Fit:
    fitness: float
    residual_mm: float  # of the points within reach
    truncated_mm: float  # of all, a point out of reach counted as at its end: what must become smaller


def refine_by_surface(
    points_mm: ArrayLike,
    surface: Mesh,
    initial: RigidTransform,
    capture_mm: float = 10.0,
    reach_mm: float = 2.5,
    least_fitness: float = 0.5,
    seed: int = 0,
) -> SurfaceRegistration:
    """The initial transform moved so that the points lie on the surface.

    The points may cover a part of the surface (what a tracked pointer or a camera saw), but not the other way round:
    give as points what was measured, as surface the whole organ of the CT, and take `transform.inverse()` for the way
    back.

    Args:
        points_mm: `(N, 3)` points measured on the surface, in the source frame.
        surface: the organ's closed surface, in the target frame.
        initial: from source to target, such as `register_landmarks` gives it.
        capture_mm: how far off the initial transform may be; the first correspondence distance.
        reach_mm: points further than this from the surface at the end count as not on it; the last one.
        least_fitness: the part of the points that must lie on it at the end.
        seed: of the points drawn on the surface.

    Raises:
        InputError: too few points, points not finite, a surface without triangles, or distances out of order.
    """
    points = np.asarray(points_mm, np.float64)
    if points.ndim != 2 or points.shape[1] != 3 or len(points) < FEWEST_POINTS:
        raise InputError(f"surface points of shape {points.shape}: give {FEWEST_POINTS} or more, (N, 3) in mm")
    if not np.isfinite(points).all():
        raise InputError(f"{int((~np.isfinite(points)).any(axis=1).sum())} surface points are not finite. Remove them.")
    if not len(surface.triangles):
        raise InputError(f"the surface of the {surface.structure.name} has no triangles. Register to another one.")
    if not 0 < reach_mm <= capture_mm < np.inf:
        raise InputError(f"the reach of {reach_mm} mm must be positive and at most the capture of {capture_mm} mm")
    # Both libraries below work with single precision or better about the origin, and scanner coordinates are large.
    center = surface.vertices_mm.mean(axis=0, dtype=np.float64)
    placed = initial.apply(points) - center
    step = _icp(placed, surface, center, capture_mm, reach_mm, seed)
    moved_mm = float(np.linalg.norm(step.apply(placed) - placed, axis=1).max())
    before, after = (_fit(where, surface, center, reach_mm) for where in (placed, step.apply(placed)))

    reason = ""
    if moved_mm > 2 * capture_mm:
        reason = f"a point moved {moved_mm:.1f} mm, further than the initial registration may be off"
    elif after.fitness < least_fitness:
        reason = f"only {after.fitness:.0%} of the points lie within {reach_mm:g} mm of the surface"
    elif after.truncated_mm >= before.truncated_mm:
        reason = f"the points lie {after.residual_mm:.2f} mm off the surface, no nearer than before"
    to_center, back = RigidTransform.of(np.eye(3), -center), RigidTransform.of(np.eye(3), center)
    refined = RigidTransform(back.matrix @ step.matrix @ to_center.matrix @ initial.matrix)
    return SurfaceRegistration(
        initial if reason else refined,
        not reason,
        reason,
        after.fitness,
        after.residual_mm,
        before.fitness,
        before.residual_mm,
        moved_mm,
        reach_mm,
    )


def _icp(
    placed: NDArray[np.float64],
    surface: Mesh,
    center: NDArray[np.float64],
    capture_mm: float,
    reach_mm: float,
    seed: int,
) -> RigidTransform:
    """The motion, about the surface's center, that ICP finds from the points as they are placed."""
    open3d = import_open3d()

    registration = open3d.pipelines.registration
    mesh = open3d.geometry.TriangleMesh(
        open3d.utility.Vector3dVector(surface.vertices_mm - center),
        open3d.utility.Vector3iVector(surface.triangles),
    )
    mesh.vertex_normals = open3d.utility.Vector3dVector(surface.normals.astype(np.float64))
    open3d.utility.random.seed(seed)
    count = int(np.clip(mesh.get_surface_area() * POINTS_PER_MM2, 1000, MOST_POINTS))
    target = mesh.sample_points_uniformly(count)
    source = open3d.geometry.PointCloud(open3d.utility.Vector3dVector(placed))
    motion = np.eye(4)
    distance_mm = capture_mm
    while True:
        motion = registration.registration_icp(
            source,
            target,
            distance_mm,
            motion,
            registration.TransformationEstimationPointToPlane(registration.TukeyLoss(k=distance_mm)),
            registration.ICPConvergenceCriteria(relative_fitness=1e-7, relative_rmse=1e-7, max_iteration=50),
        ).transformation
        if distance_mm <= reach_mm:
            break
        distance_mm = max(distance_mm / 2, reach_mm)
    turn = Rotation.from_matrix(motion[:3, :3]).as_matrix()  # of many steps multiplied, exactly a rotation again
    return RigidTransform.of(turn, motion[:3, 3])


def _fit(placed: NDArray[np.float64], surface: Mesh, center: NDArray[np.float64], reach_mm: float) -> _Fit:
    """How well the points lie on the surface, by exact distances to its triangles."""
    open3d = import_open3d()

    scene = open3d.t.geometry.RaycastingScene()
    scene.add_triangles(
        open3d.core.Tensor.from_numpy((surface.vertices_mm - center).astype(np.float32)),
        open3d.core.Tensor.from_numpy(surface.triangles.astype(np.uint32)),
    )
    query = open3d.core.Tensor.from_numpy(placed.astype(np.float32))
    distance_mm = scene.compute_distance(query).numpy().astype(np.float64)
    near = distance_mm <= reach_mm
    residual_mm = np.sqrt((distance_mm[near] ** 2).mean()) if near.any() else reach_mm
    truncated_mm = np.sqrt((distance_mm.clip(max=reach_mm) ** 2).mean())
    return _Fit(float(near.mean()), float(residual_mm), float(truncated_mm))
