"""`reconstruct`: labels in, meshes, cloud and measurements out, one structure's box at a time."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from liver_seg_ros.labels import LIVER
from liver_seg_ros.mesh import Mesh, PointCloud
from liver_seg_ros.progress import Cancelled, Progress, never_cancelled, no_progress, raise_if_cancelled
from liver_seg_ros.reconstruction.cloud import sample_surfaces
from liver_seg_ros.reconstruction.decimation import decimate
from liver_seg_ros.reconstruction.masks import StructureMask, labelled_box, structure_mask
from liver_seg_ros.reconstruction.measurements import StructureMeasurement, measure_mask, measured_structures, with_gaps
from liver_seg_ros.reconstruction.surfaces import extract_surface, surface_to_mesh
from liver_seg_ros.reconstruction.vessels import vessel_tree
from liver_seg_ros.vessel_tree import VesselTree
from liver_seg_ros.volume import LabelVolume


@dataclass(frozen=True)
class ReconstructionOptions:
    """How fine the result is.

    Attributes:
        triangle_budget: triangles per structure; MoveIt's collision checks stall above 30 000 of an object.
        point_spacing_mm: smallest distance between two points of the cloud on a structure.

    Raises:
        ValueError: fewer than 100 triangles, or a spacing that is not positive.
    """

    triangle_budget: int = 30_000
    point_spacing_mm: float = 2.0

    def __post_init__(self) -> None:
        if self.triangle_budget < 100:
            raise ValueError(f"{self.triangle_budget} triangles are too few for a structure; give 100 or more")
        if not self.point_spacing_mm > 0:
            raise ValueError(f"a spacing of {self.point_spacing_mm} mm between points is not positive")


@dataclass(frozen=True, eq=False)
class Reconstruction:
    """What `reconstruct` returns.

    Attributes:
        meshes: one per structure that has voxels, in the order of the label table.
        cloud: points on all meshes; empty where there are none.
        measurements: one per structure of `LabelVolume.counts`, zeros where it has no voxel.
        tree: centerlines of the vessels, with radii; empty where there are none.
        seconds: per stage, over all structures: masks, surfaces, decimation, measurements, cloud, vessels.
    """

    meshes: tuple[Mesh, ...]
    cloud: PointCloud
    measurements: tuple[StructureMeasurement, ...]
    tree: VesselTree
    seconds: dict[str, float]


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
        progress: gets the stages "surfaces", "cloud" and "vessels".
        cancelled: asked between the steps of each structure, which take at most a few seconds.

    Raises:
        CancelledError: `cancelled` said so.
    """
    options = options or ReconstructionOptions()
    clock = _Clock(cancelled)
    whole = labels
    with clock.stage("masks"):
        labels = labelled_box(labels)
    meshes, measurements, organ = [], [], None
    structures = measured_structures(labels)
    for number, structure in enumerate(structures):
        progress("surfaces", number / len(structures))
        with clock.stage("masks"):
            mask = structure_mask(labels, structure)
        organ = mask if structure == LIVER else organ
        mesh = None if mask is None else _mesh(mask, options, clock)
        with clock.stage("measurements"):
            measurements.append(measure_mask(structure, mask, mesh))
        if mesh is not None:
            meshes.append(mesh)
    with clock.stage("measurements"):
        measured = with_gaps(tuple(measurements), whole, organ)
    progress("surfaces", 1.0)
    progress("cloud", 0.0)
    with clock.stage("cloud"):
        cloud = sample_surfaces(meshes, options.point_spacing_mm)
    progress("cloud", 1.0)
    progress("vessels", 0.0)
    with clock.stage("vessels"):
        tree = vessel_tree(labels)
    progress("vessels", 1.0)
    return Reconstruction(tuple(meshes), cloud, measured, tree, clock.seconds)


def _mesh(mask: StructureMask, options: ReconstructionOptions, clock: _Clock) -> Mesh:
    with clock.stage("surfaces"):
        surface = extract_surface(mask)
    with clock.stage("decimation"):
        return surface_to_mesh(decimate(surface, options.triangle_budget), mask)


class _Clock:
    """Adds up the seconds of each stage, and looks before each whether to go on."""

    def __init__(self, cancelled: Cancelled) -> None:
        self._cancelled = cancelled
        self.seconds = dict.fromkeys(("masks", "surfaces", "decimation", "measurements", "cloud", "vessels"), 0.0)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        raise_if_cancelled(self._cancelled, name)
        start = time.perf_counter()
        yield
        self.seconds[name] += time.perf_counter() - start
