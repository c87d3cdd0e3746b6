# SPDX-License-Identifier: Apache-2.0
"""`reconstruct`: labels in, meshes, cloud and measurements out, one structure's box at a time."""

from __future__ import annotations

import logging
import math
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass, replace
from threading import Thread

import numpy as np

from liver_seg_ros.errors import InputError
from liver_seg_ros.labels import Structure, structure_by_name
from liver_seg_ros.measurement import CollisionMeshQuality, MeshQuality
from liver_seg_ros.mesh import Mesh, PointCloud
from liver_seg_ros.open3d_library import import_open3d
from liver_seg_ros.progress import (
    Cancelled,
    Done,
    Progress,
    StagesBeside,
    never_cancelled,
    no_progress,
    not_told,
    part_of,
)
from liver_seg_ros.reconstruction.masks import StructureMask
from liver_seg_ros.reconstruction.measuring.structures import (
    StructureMeasurement,
    measure_structure,
    measured_structures,
    with_gaps,
)
from liver_seg_ros.reconstruction.memory_needed import check_memory, jobs_at_once
from liver_seg_ros.reconstruction.meshes.cloud import sample_surfaces
from liver_seg_ros.reconstruction.meshes.collision import collision_mesh
from liver_seg_ros.reconstruction.meshes.decimation import decimate
from liver_seg_ros.reconstruction.meshes.interpolation import interpolated
from liver_seg_ros.reconstruction.meshes.quality import mesh_quality
from liver_seg_ros.reconstruction.meshes.self_intersections import without_self_intersections
from liver_seg_ros.reconstruction.meshes.surfaces import Surface, extract_surface, surface_to_mesh
from liver_seg_ros.reconstruction.noise import refuse_noise
from liver_seg_ros.reconstruction.structure_masks import StructureMasks
from liver_seg_ros.reconstruction.telling import Telling
from liver_seg_ros.reconstruction.vessels.extraction import vessel_tree
from liver_seg_ros.vessel_tree import VesselTree
from liver_seg_ros.volume import LabelVolume

_log = logging.getLogger(__name__)

_STAGES = ("masks", "surfaces", "decimation", "collision", "measurements", "cloud", "vessels")

#: Progress of the stage "surfaces": where its structures end and what lies between them begins; and of a structure's
#: share, which part is decimation and which the collision mesh. As it is on phantoms, roughly.
_STRUCTURES_END = 0.95
_DECIMATION, _COLLISION = (0.1, 0.4), (0.4, 1.0)


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
            Two stages that run at the same time share it, so that all add up to the time that it took.
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
        cancelled: asked between the steps of each structure, which take at most a few seconds. Two structures are
            worked on at a time, where memory allows it; neither this nor `progress` is called by two threads at once.

    Raises:
        CancelledError: `cancelled` said so.
        InputError: it would need more memory than the machine has free, or the labels are noise (`noise`).
    """
    options = options or ReconstructionOptions()
    clock = StagesBeside()
    clock.seconds.update(dict.fromkeys(_STAGES, 0.0))
    telling = Telling("surfaces", progress, cancelled)
    telling.ask()
    Thread(target=_import_beside, daemon=True).start()
    with clock.timed("masks"):
        masks = StructureMasks(labels)
        check_memory(masks.labels, options.interpolate)
        refuse_noise(masks.labels)
        shares = _shares(masks.labels)
        threads = jobs_at_once(masks.labels, options.interpolate)
    telling.share("begin", 0.0, 0.0)(0.0)
    structures = measured_structures(masks.labels)
    largest_first = sorted(structures, key=lambda s: shares[s][0] - shares[s][1] if s in shares else 0.0)
    with ThreadPoolExecutor(threads) as pool:
        jobs = {s: pool.submit(_structure, s, masks, options, clock, telling, shares.get(s)) for s in largest_first}
        growing = pool.submit(_tree, masks, clock, telling)
        try:
            for job in wait(jobs.values(), return_when=FIRST_EXCEPTION).done:
                job.result()  # raises what one of them has raised
            made = [jobs[structure].result() for structure in structures]
            with clock.timed("measurements"):
                measured = with_gaps(tuple(of.measurement for of in made), labels, masks)
            telling.share("end", _STRUCTURES_END, 1.0)(1.0)
            meshes = tuple(of.mesh for of in made if of.mesh is not None)
            progress("cloud", 0.0)
            with clock.timed("cloud"):
                cloud = sample_surfaces(meshes, options.point_spacing_mm)
            progress("cloud", 1.0)
            progress("vessels", 0.0)
            tree = growing.result()
        except BaseException:
            telling.stop()
            pool.shutdown(cancel_futures=True)
            raise
    progress("vessels", 1.0)
    return Reconstruction(
        meshes=meshes,
        collision_meshes=tuple(of.collision for of in made if of.collision is not None),
        cloud=cloud,
        measurements=measured,
        tree=tree,
        seconds=clock.seconds,
    )


@dataclass(frozen=True, eq=False)
class _Made:
    """What was made of one structure."""

    measurement: StructureMeasurement
    mesh: Mesh | None = None
    collision: Mesh | None = None


def _structure(
    structure: Structure,
    masks: StructureMasks,
    options: ReconstructionOptions,
    clock: StagesBeside,
    telling: Telling,
    share: tuple[float, float] | None,
) -> _Made:
    """The meshes and measurements of one structure; `share` is its part of the stage, None where it has no voxel."""
    telling.ask()
    with clock.timed("masks"):
        mask = masks.of(structure)
    if mask is None:
        return _Made(measure_structure(structure, masks))
    done = telling.share(structure, *share) if share is not None else not_told
    with clock.timed("surfaces"):
        shape = interpolated(mask) if options.interpolate else mask
        surface = extract_surface(shape, counted=mask)
    telling.ask()
    with clock.timed("decimation"):
        mesh = _decimated(surface, shape, options.triangle_budget, part_of(done, *_DECIMATION))
        quality = _checked(mesh, "mesh")
    telling.ask()
    found, collision_quality = None, None
    if options.collision_margin_mm > 0:
        with clock.timed("collision"):
            margin_mm, budget = options.collision_margin_mm, options.collision_triangle_budget
            found = collision_mesh(shape, mesh, margin_mm, budget, part_of(done, *_COLLISION))
            sound = _checked(found.mesh, "collision mesh")
            collision_quality = CollisionMeshQuality(sound, margin_mm, found.largest_distance_mm)
    telling.ask()
    with clock.timed("measurements"):
        measurement = measure_structure(structure, masks)
    done(1.0)
    measured = replace(measurement, mesh=quality, collision_mesh=collision_quality)
    return _Made(measured, mesh, None if found is None else found.mesh)


def _import_beside() -> None:
    """What the first mesh would wait for; who needs it learns where it is missing."""
    with suppress(ModuleNotFoundError):
        import_open3d()


def _tree(masks: StructureMasks, clock: StagesBeside, telling: Telling) -> VesselTree:
    telling.ask()
    with clock.timed("vessels"):
        return vessel_tree(masks.labels, masks)


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
