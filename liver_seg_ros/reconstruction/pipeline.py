# SPDX-License-Identifier: Apache-2.0
"""`reconstruct`: labels in, meshes, cloud and measurements out, one structure's box at a time."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass, replace

import numpy as np

from liver_seg_ros.errors import InputError
from liver_seg_ros.labels import LIVER, Structure, structure_by_name
from liver_seg_ros.measurement import CollisionMeshQuality, MeshQuality
from liver_seg_ros.mesh import Mesh, PointCloud
from liver_seg_ros.progress import (
    Cancelled,
    Done,
    Progress,
    Stages,
    never_cancelled,
    no_progress,
    part_of,
    raise_if_cancelled,
)
from liver_seg_ros.reconstruction.masks import StructureMask
from liver_seg_ros.reconstruction.measuring.structures import (
    StructureMeasurement,
    measure_structure,
    measured_structures,
    with_gaps,
)
from liver_seg_ros.reconstruction.memory_needed import check_memory
from liver_seg_ros.reconstruction.meshes.cloud import sample_surfaces
from liver_seg_ros.reconstruction.meshes.collision import collision_mesh
from liver_seg_ros.reconstruction.meshes.decimation import decimate
from liver_seg_ros.reconstruction.meshes.interpolation import interpolated
from liver_seg_ros.reconstruction.meshes.quality import mesh_quality
from liver_seg_ros.reconstruction.meshes.self_intersections import without_self_intersections
from liver_seg_ros.reconstruction.meshes.surfaces import Surface, extract_surface, surface_to_mesh
from liver_seg_ros.reconstruction.noise import refuse_noise
from liver_seg_ros.reconstruction.structure_masks import StructureMasks
from liver_seg_ros.reconstruction.vessels.extraction import vessel_tree
from liver_seg_ros.vessel_tree import VesselTree
from liver_seg_ros.volume import LabelVolume

_log = logging.getLogger(__name__)

_STAGES = ("masks", "surfaces", "decimation", "collision", "measurements", "cloud", "vessels")

#: Progress of the stage "surfaces": where its structures end and what lies between them begins; and of a structure's
#: share, which part is decimation and which the collision mesh. As it is on phantoms, roughly.
_STRUCTURES_END = 0.95
_DECIMATION, _COLLISION = (0.1, 0.35), (0.35, 1.0)


@dataclass(frozen=True)
class ReconstructionOptions:
    """How fine the result is.

    Attributes:
        triangle_budget: triangles per structure; MoveIt's collision checks stall above 30 000 of an object.
        point_spacing_mm: smallest distance between two points of the cloud on a structure.
        collision_margin_mm: how far a collision mesh may be outside of its structure; 0 makes no collision meshes.
        collision_triangle_budget: triangles per collision mesh at most; those that need fewer have fewer.
        interpolate: whether thick slices are interpolated before surfaces are made of them (`interpolation`).

    Raises:
        InputError: fewer than 100 triangles, a spacing that is not positive, or a negative margin.
    """

    triangle_budget: int = 30_000
    point_spacing_mm: float = 2.0
    collision_margin_mm: float = 3.0
    collision_triangle_budget: int = 20_000
    interpolate: bool = True

    def __post_init__(self) -> None:
        for budget in (self.triangle_budget, self.collision_triangle_budget):
            if budget < 100:
                raise InputError(f"{budget} triangles are too few for a structure; give 100 or more")
        if not 0 <= self.collision_margin_mm < np.inf:
            raise InputError(f"a collision margin of {self.collision_margin_mm} mm; give 0 (no meshes) or more")
        if not self.point_spacing_mm > 0:
            raise InputError(f"a spacing of {self.point_spacing_mm} mm between points is not positive")


@dataclass(frozen=True, eq=False)
class Reconstruction:
    """What `reconstruct` returns.

    Attributes:
        meshes: one per structure that has voxels, in the order of the label table; to be shown and measured.
        collision_meshes: of the same structures, each enclosing its mesh and voxels within the margin; to be kept
            clear of. Empty where the options ask for none.
        cloud: points on all meshes; empty where there are none.
        measurements: one per structure of `LabelVolume.counts`, zeros where it has no voxel; of its meshes too.
        tree: centerlines of the vessels, with radii; empty where there are none.
        seconds: per stage, over all structures: masks, surfaces, decimation, collision, measurements, cloud, vessels.
    """

    meshes: tuple[Mesh, ...]
    collision_meshes: tuple[Mesh, ...]
    cloud: PointCloud
    measurements: tuple[StructureMeasurement, ...]
    tree: VesselTree
    seconds: dict[str, float]

    def __repr__(self) -> str:
        meshes = ", ".join(f"{mesh.structure.name} {len(mesh.triangles)} triangles" for mesh in self.meshes)
        return f"Reconstruction({meshes or 'no meshes'}; {self.tree})"


def reconstruct(
    labels: LabelVolume,
    options: ReconstructionOptions | None = None,
    progress: Progress = no_progress,
    cancelled: Cancelled = never_cancelled,
) -> Reconstruction:
    """The surfaces, points and measurements of every structure in `labels`, in LPS mm.

    Args:
        labels: a segmentation on any right-handed grid, oblique or anisotropic. Without a labelled voxel the result
            has no meshes, an empty cloud and measurements of zero.
        options: the defaults where None.
        progress: gets the stages "surfaces" (all that is made structure by structure), "cloud" and "vessels".
        cancelled: asked between the steps of each structure, which take at most a few seconds.

    Raises:
        CancelledError: `cancelled` said so.
        InputError: it would need more memory than the machine has free, or the labels are noise (`noise`).
    """
    options = options or ReconstructionOptions()
    clock = Stages(cancelled=cancelled)
    clock.seconds.update(dict.fromkeys(_STAGES, 0.0))

    def surfaces(fraction: float) -> None:
        raise_if_cancelled(cancelled, "surfaces")
        progress("surfaces", fraction)

    whole = labels
    with clock.stage("masks"):
        masks = StructureMasks(labels)
        labels = masks.labels
        check_memory(labels, options.interpolate)
        refuse_noise(labels)
    meshes: list[Mesh] = []
    collisions: list[Mesh] = []
    measurements = []
    shares = _shares(labels)
    surfaces(0.0)
    for structure in measured_structures(labels):
        with clock.stage("masks"):
            mask = masks.of(structure)
        quality, collision_quality = None, None
        if mask is not None:
            share = part_of(surfaces, *shares[structure])
            with clock.stage("surfaces"):
                shape = interpolated(mask) if options.interpolate else mask
                surface = extract_surface(shape, counted=mask)
            with clock.stage("decimation"):
                mesh = _decimated(surface, shape, options.triangle_budget, part_of(share, *_DECIMATION))
                meshes.append(mesh)
                quality = _checked(mesh, "mesh")
            if options.collision_margin_mm > 0:
                with clock.stage("collision"):
                    margin_mm, budget = options.collision_margin_mm, options.collision_triangle_budget
                    collision = collision_mesh(shape, mesh, margin_mm, budget, part_of(share, *_COLLISION))
                    collisions.append(collision.mesh)
                    sound = _checked(collision.mesh, "collision mesh")
                    collision_quality = CollisionMeshQuality(sound, margin_mm, collision.largest_distance_mm)
            share(1.0)
        with clock.stage("measurements"):
            measurement = measure_structure(structure, masks)
            measurements.append(replace(measurement, mesh=quality, collision_mesh=collision_quality))
    with clock.stage("measurements"):
        measured = with_gaps(tuple(measurements), whole, masks)
    surfaces(1.0)
    progress("cloud", 0.0)
    with clock.stage("cloud"):
        cloud = sample_surfaces(meshes, options.point_spacing_mm)
    progress("cloud", 1.0)
    progress("vessels", 0.0)
    with clock.stage("vessels"):
        tree = vessel_tree(labels, masks)
    progress("vessels", 1.0)
    return Reconstruction(
        meshes=tuple(meshes),
        collision_meshes=tuple(collisions),
        cloud=cloud,
        measurements=measured,
        tree=tree,
        seconds=clock.seconds,
    )


def _shares(labels: LabelVolume) -> dict[Structure, tuple[float, float]]:
    """Where in the stage "surfaces" the work on each structure begins and ends.

    Thin structures take longer than their voxels tell and large ones less: the logarithm comes near.
    """
    weights = {name: math.log1p(voxels) for name, voxels in labels.counts().items() if voxels}
    whole, begin, found = sum(weights.values()), 0.0, {}
    for name, weight in weights.items():
        end = begin + _STRUCTURES_END * weight / whole
        found[structure_by_name(name)] = (begin, end)
        begin = end
    return found


def _decimated(surface: Surface, shape: StructureMask, triangle_budget: int, done: Done) -> Mesh:
    """The mesh of a surface within the budget, put right where it goes through itself."""
    smaller = decimate(surface, triangle_budget, done)
    vertices_mm, _ = without_self_intersections(smaller.vertices_mm, smaller.triangles)
    return surface_to_mesh(Surface(vertices_mm, smaller.triangles), shape)


def _checked(mesh: Mesh, what: str) -> MeshQuality:
    quality = mesh_quality(mesh)
    if not quality.is_sound:
        _log.warning(
            "%s of %s: %s. Do not trust volumes and collisions there; raise the triangle budget, or smooth the labels",
            what, mesh.structure.title, quality.defects,
        )  # fmt: skip
    return quality
