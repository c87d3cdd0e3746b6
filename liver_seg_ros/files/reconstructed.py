# SPDX-License-Identifier: Apache-2.0
"""All that was reconstructed of a label volume, as files of one folder: meshes, cloud, vessel tree, measurements."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from liver_seg_ros.files.measurements import write_measurements
from liver_seg_ros.files.meshes import write_cloud, write_mesh
from liver_seg_ros.files.vessel_tree import write_vessel_tree
from liver_seg_ros.labels import STRUCTURES
from liver_seg_ros.measurement import StructureMeasurement
from liver_seg_ros.mesh import Mesh, PointCloud
from liver_seg_ros.plausibility.judgment import PlausibilityWarning
from liver_seg_ros.vessel_tree import VesselTree

CLOUD, MEASUREMENTS, TREE = "cloud.ply", "measurements", "vessel_tree"
FORMATS = (".ply", ".glb")


def reconstructed_names() -> Iterator[str]:
    """All that `write_reconstructed` may write."""
    for structure in STRUCTURES:
        for kind in ("", "_collision"):
            yield from (f"{structure.name}{kind}{suffix}" for suffix in FORMATS)
    yield from (CLOUD, f"{TREE}.vtp", f"{TREE}.json", f"{MEASUREMENTS}.json", f"{MEASUREMENTS}.csv")


def write_reconstructed(
    folder: Path,
    meshes: Iterable[Mesh],
    collision_meshes: Iterable[Mesh],
    cloud: PointCloud,
    tree: VesselTree,
    measurements: Iterable[StructureMeasurement],
    warnings: Iterable[PlausibilityWarning],
) -> None:
    """Write all of it, one file per thing and format; no vessel tree where there are no vessels.

    What is known of the confidence in lesions goes into the tumor's mesh and the measurements.
    """
    meshes, collision_meshes = list(meshes), list(collision_meshes)
    measurements, warnings = list(measurements), list(warnings)
    lesions = {measurement.structure: measurement.parts for measurement in measurements}
    for suffix in FORMATS:
        for mesh in meshes:
            write_mesh(folder / f"{mesh.structure.name}{suffix}", mesh, lesions.get(mesh.structure, ()))
        for mesh in collision_meshes:
            write_mesh(folder / f"{mesh.structure.name}_collision{suffix}", mesh)
    write_cloud(folder / CLOUD, cloud)
    if tree.branches:
        for suffix in (".vtp", ".json"):
            write_vessel_tree(folder / f"{TREE}{suffix}", tree)
    for suffix in (".json", ".csv"):
        write_measurements(folder / f"{MEASUREMENTS}{suffix}", measurements, warnings)
