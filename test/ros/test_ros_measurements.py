# SPDX-License-Identifier: Apache-2.0
"""What is measured arrives: sizes with uncertainties, gaps and meshes as a planner gets them from a real process.

The values are compared with ones computed here from labels and meshes in another way.
"""

from __future__ import annotations

import numpy as np
import pytest
import pyvista
import trimesh
from scipy.ndimage import generate_binary_structure
from scipy.spatial.distance import cdist, pdist

from liver_seg_interfaces.msg import SegmentationReport, StructureMeshArray
from liver_seg_ros.labels import PORTAL_VEIN
from liver_seg_ros.nodes.messages.volumes import volume_to_slabs
from liver_seg_ros.volume import LabelVolume

MARGIN_M = 0.0005


@pytest.fixture(scope="module")
def labels(ct):
    """The liver of conftest.py with a lesion in it, and a thin vein that passes it."""
    k, j, i = np.ogrid[: ct.array.shape[0], : ct.array.shape[1], : ct.array.shape[2]]
    i, j, k = i * 2.0, j * 2.5, k * 3.0
    array = np.where(ct.array > 0, 1, 0).astype(np.uint8)
    array[((i - 44) / 12) ** 2 + ((j - 60) / 9) ** 2 + ((k - 62) / 10) ** 2 <= 1] = 2
    array[(np.abs(i - 65) <= 2) & (np.abs(k - 66) <= 3) & (np.abs(j - 60) < 22)] = PORTAL_VEIN.value
    return LabelVolume(array, ct.geometry, ct.uid)


def faces_mm(mask, geometry):
    """`(N, 3)` LPS: the centers of the voxel faces between inside and outside."""
    padded = np.pad(mask, 1)
    found = []
    for axis in range(3):
        for step in (-1, 1):
            place = np.argwhere(padded & ~np.roll(padded, -step, axis)) - 1.0
            place[:, axis] += step / 2
            found.append(place[:, ::-1])
    return geometry.index_to_lps(np.concatenate(found))


def axial_diameter_mm(mask, geometry):
    """The longest distance within a slice between centers of pixel edges."""
    spacing = np.array(geometry.spacing_mm[1::-1])  # (j, i)
    longest = 0.0
    for image in mask:
        if image.any():
            pixels = np.argwhere(image)
            edges = np.array([[0.5, 0], [-0.5, 0], [0, 0.5], [0, -0.5]])
            longest = max(longest, pdist((pixels[:, None] + edges).reshape(-1, 2) * spacing).max())
    return longest


def surface(mesh):
    vertices = np.array([(p.x, p.y, p.z) for p in mesh.mesh.vertices])
    return trimesh.Trimesh(vertices, [t.vertex_indices for t in mesh.mesh.triangles], process=False)


def test_what_is_measured_arrives(ros, labels):
    reports, meshes = (
        ros.latched(SegmentationReport, "reconstruction/report"),
        ros.latched(StructureMeshArray, "meshes"),
    )
    collisions = ros.latched(StructureMeshArray, "collision_meshes")
    ros.start("reconstruction", collision_margin_m=MARGIN_M)
    publisher = ros.publisher("labels")
    for slab in volume_to_slabs(labels, 4, ros.node.get_clock().now().to_msg()):
        publisher.publish(slab)
    ros.spin_until(lambda: reports and meshes and collisions)

    geometry, tumor = labels.geometry, labels.array == 2
    measured = {entry.structure: entry for entry in reports[0].structures}
    [lesion] = measured["tumor"].parts
    voxel_m3 = float(np.prod(geometry.spacing_mm)) / 1e9
    around = np.pad(tumor, 1)
    near = sum(np.roll(around, step, axis) for axis in range(3) for step in (-1, 1)) > 0
    assert generate_binary_structure(3, 1).sum() == 7  # the neighbors through faces, as rolled above
    for entry in (measured["tumor"], lesion):
        assert entry.volume_m3 == pytest.approx(tumor.sum() * voxel_m3)
        assert entry.volume_uncertainty_m3 == pytest.approx((near & ~around).sum() / 2 * voxel_m3)
        assert entry.largest_diameter_m == pytest.approx(pdist(faces_mm(tumor, geometry)).max() / 1000)
        assert entry.diameter_uncertainty_m == pytest.approx(np.linalg.norm(geometry.spacing_mm) / 1000)
        assert entry.axial[0].long_m == pytest.approx(axial_diameter_mm(tumor, geometry) / 1000)
        ends = np.array([(p.x, p.y, p.z) for p in entry.axial[0].long_ends])
        assert np.linalg.norm(ends[0] - ends[1]) == pytest.approx(entry.axial[0].long_m)
        assert 0 < entry.axial[0].short_m < entry.axial[0].long_m

    liver = labels.array > 0
    structures = {"liver": liver, "tumor": tumor, "portal_vein": labels.array == PORTAL_VEIN.value}
    for gaps, mask, structure in (
        (lesion.to_vessel, labels.array == PORTAL_VEIN.value, ("portal_vein", 4)),
        (lesion.to_capsule, liver, ("liver", 1)),
    ):
        [gap] = gaps
        assert (gap.structure, gap.label) == structure
        apart_m = cdist(faces_mm(tumor, geometry), faces_mm(mask, geometry)).min() / 1000
        assert gap.distance_m == pytest.approx(apart_m, abs=1e-9) and apart_m > 0.003
        assert gap.uncertainty_m == pytest.approx(np.linalg.norm(geometry.spacing_mm) / 1000)
        here, there = ([getattr(p, axis) for axis in "xyz"] for p in (gap.on_lesion, gap.on_structure))
        assert np.linalg.norm(np.subtract(here, there)) == pytest.approx(gap.distance_m)
    assert not lesion.touches_border

    warned = {warning.code: warning.text for warning in reports[0].warnings}
    assert [mesh.measurement.structure for mesh in meshes[0].meshes] == ["liver", "tumor", "portal_vein"]
    for mesh, collision in zip(meshes[0].meshes, collisions[0].meshes, strict=True):
        entry, inner, outer = measured[mesh.measurement.structure], surface(mesh), surface(collision)
        assert entry == mesh.measurement == collision.measurement
        [quality], [said] = entry.mesh, entry.collision_mesh
        for found, shape in ((quality, inner), (said.quality, outer)):
            assert found.triangles == len(shape.faces)
            assert found.watertight == found.manifold == shape.is_watertight is True
            assert found.outward == (shape.volume > 0) and found.self_intersections == 0
        assert said.margin_m == MARGIN_M
        # Of vertices, edges and faces the ends and middles; of VTK another search for the nearest point.
        on_outer = np.concatenate([outer.vertices, outer.vertices[outer.edges].mean(axis=1), outer.triangles_center])
        distances = pyvista.PolyData(on_outer).compute_implicit_distance(pyvista.wrap(inner))["implicit_distance"]
        # A voxel that the smoothed surface leaves out is the structure's all the same.
        voxels = geometry.index_to_lps(np.argwhere(structures[entry.structure])[:, ::-1].astype(float)) / 1000
        beyond = pyvista.PolyData(voxels).compute_implicit_distance(pyvista.wrap(inner))["implicit_distance"] > 0
        if beyond.any():
            distances = np.minimum(np.abs(distances), cdist(on_outer, voxels[beyond]).min(axis=1))
        assert np.abs(distances).max() == pytest.approx(said.largest_distance_m, abs=2e-5), entry.structure
        assert (f"{entry.structure.replace('_', ' ')} {said.largest_distance_m * 1000:.1f} mm instead of 0.5 mm" in
                warned["collision_beyond_margin"]) == (said.largest_distance_m > MARGIN_M)  # fmt: skip
    absent = measured["vessel"]
    assert (absent.count, list(absent.mesh), list(absent.collision_mesh), list(absent.axial)) == (0, [], [], [])
