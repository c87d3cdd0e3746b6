# SPDX-License-Identifier: Apache-2.0
"""`reconstruct` as a whole."""

from __future__ import annotations

import numpy as np
import pytest

from liver_seg_ros.errors import CancelledError
from liver_seg_ros.geometry import Geometry
from liver_seg_ros.labels import LIVER, TUMOR, VESSEL
from liver_seg_ros.reconstruction.meshes.quality import mesh_quality
from liver_seg_ros.reconstruction.meshes.surface_queries import SurfaceQueries
from liver_seg_ros.reconstruction.meshes.triangles import is_watertight, signed_volumes
from liver_seg_ros.reconstruction.pipeline import ReconstructionOptions, reconstruct
from liver_seg_ros.volume import LabelVolume


def ball(center, radius):
    return lambda points: np.linalg.norm(points - center, axis=-1) <= radius


@pytest.fixture(scope="module")
def labels(painted) -> LabelVolume:
    def tube(points):
        return (np.linalg.norm(points[..., :2] - [35, 40], axis=-1) <= 3) & (abs(points[..., 2] - 35) < 20)

    return painted(
        Geometry((80, 80, 70)),
        (LIVER.value, ball([40, 40, 35], 30)),
        (TUMOR.value, ball([52, 40, 35], 7)),
        (VESSEL.value, tube),
    )


def test_every_structure_comes_out_closed_within_its_budget_and_measured(labels):
    result = reconstruct(labels, ReconstructionOptions(triangle_budget=3000, point_spacing_mm=3.0))
    assert [mesh.structure for mesh in result.meshes] == [LIVER, TUMOR, VESSEL]
    for mesh, measurement in zip(result.meshes, result.measurements, strict=True):
        assert len(mesh.triangles) == measurement.triangles <= 3000
        assert measurement.watertight and is_watertight(mesh.triangles, len(mesh.vertices_mm))
        assert (mesh.vertices_mm.dtype, mesh.triangles.dtype, mesh.normals.dtype) == ("float32", "int32", "float32")
        volume_ml = signed_volumes(mesh.vertices_mm, mesh.triangles).sum() / 1000
        assert volume_ml == pytest.approx(measurement.volume_ml, rel=0.01)
    assert result.measurements[0].volume_ml == pytest.approx(4 / 3 * np.pi * 27, rel=0.01)
    assert set(result.cloud.labels) == {1, 2, 3}
    [branch] = result.tree.branches
    assert branch.structure == VESSEL and branch.radius_mm == pytest.approx(3.0, rel=0.03)
    assert list(result.seconds) == [
        "masks", "surfaces", "decimation", "collision", "measurements", "cloud", "vessels",
    ]  # fmt: skip
    assert all(seconds > 0 for seconds in result.seconds.values())


def test_the_same_labels_in_another_orientation_give_the_same_surfaces_in_the_patient(labels):
    # Rows and columns exchanged, slices from the other end: right-handed again, the same voxels at the same places.
    turned = LabelVolume(
        np.ascontiguousarray(labels.array.transpose(0, 2, 1)[::-1]), labels.geometry.permute((1, 0, 2)).flip(2)
    )
    for mesh, other in zip(reconstruct(labels).meshes, reconstruct(turned).meshes, strict=True):
        assert signed_volumes(other.vertices_mm, other.triangles).sum() > 0
        assert other.vertices_mm.min(axis=0) == pytest.approx(mesh.vertices_mm.min(axis=0), abs=0.1)
        assert other.vertices_mm.max(axis=0) == pytest.approx(mesh.vertices_mm.max(axis=0), abs=0.1)


def test_a_missing_structure_has_no_mesh_and_a_measurement_of_zero(painted):
    result = reconstruct(painted(Geometry((30, 30, 30)), (LIVER.value, ball([15, 15, 15], 8))))
    assert [mesh.structure for mesh in result.meshes] == [LIVER]
    assert [m.structure.name for m in result.measurements] == ["liver", "tumor", "vessel"]
    assert (result.measurements[1].volume_ml, result.measurements[1].triangles) == (0.0, None)


def test_no_labels_at_all_give_an_empty_reconstruction():
    result = reconstruct(LabelVolume(np.zeros((5, 6, 7), np.uint8), Geometry((7, 6, 5))))
    assert result.meshes == ()
    assert result.cloud.points_mm.shape == (0, 3)
    assert [m.volume_ml for m in result.measurements] == [0.0, 0.0, 0.0]


def test_one_voxel_is_reconstructed():
    array = np.zeros((5, 6, 7), np.uint8)
    array[0, 5, 3] = TUMOR.value  # in a corner of the volume
    result = reconstruct(LabelVolume(array, Geometry((7, 6, 5), (1.0, 1.0, 2.0), (10.0, 20.0, 30.0))))
    tumor = next(mesh for mesh in result.meshes if mesh.structure == TUMOR)
    assert tumor.vertices_mm.mean(axis=0) == pytest.approx([13, 25, 30], abs=1e-4)
    assert result.measurements[1].volume_ml == pytest.approx(0.002)
    assert result.measurements[1].watertight


def test_progress_goes_up_to_one_and_cancelling_stops_between_stages(labels):
    seen: list[tuple[str, float]] = []
    reconstruct(labels, progress=lambda stage, fraction: seen.append((stage, fraction)))
    stages = ["surfaces", "cloud", "vessels"]
    assert [stage for stage, _ in seen] == sorted((stage for stage, _ in seen), key=stages.index)
    assert ("surfaces", 1.0) in seen and ("cloud", 1.0) in seen and seen[-1] == ("vessels", 1.0)

    fractions = [fraction for stage, fraction in seen if stage == "surfaces"]
    assert fractions[0] == 0.0 and fractions == sorted(fractions)
    assert max(np.diff(fractions)) < 0.15  # meshes, collision meshes: nothing is a step of its own

    asked = []

    def cancel_at_the_third_question() -> bool:
        asked.append(True)
        return len(asked) == 3

    with pytest.raises(CancelledError):
        reconstruct(labels, cancelled=cancel_at_the_third_question)
    assert len(asked) == 3


def test_cancelling_stops_within_the_work_on_a_structure(labels):
    seen = []
    with pytest.raises(CancelledError, match="surfaces"):
        reconstruct(labels, progress=lambda *told: seen.append(told), cancelled=lambda: len(seen) >= 6)
    assert len(seen) == 6 and seen[-1][1] < 0.3  # within the first of three


def test_each_mesh_is_sound_and_within_its_collision_mesh(labels):
    options = ReconstructionOptions(collision_margin_mm=2.0, collision_triangle_budget=4000)
    result = reconstruct(labels, options)
    assert [mesh.structure for mesh in result.collision_meshes] == [mesh.structure for mesh in result.meshes]
    for mesh, collision, measured in zip(result.meshes, result.collision_meshes, result.measurements, strict=True):
        assert measured.mesh == mesh_quality(mesh) and measured.mesh.is_sound
        said = measured.collision_mesh
        assert said.quality == mesh_quality(collision) and said.quality.is_sound
        assert len(collision.triangles) <= 4000
        assert 0 < said.largest_distance_mm <= said.margin_mm == 2.0
        assert SurfaceQueries(collision).signed_distance(mesh.vertices_mm).max() <= 0


def test_a_margin_of_zero_makes_no_collision_meshes(labels):
    result = reconstruct(labels, ReconstructionOptions(collision_margin_mm=0.0))
    assert len(result.meshes) == 3
    assert result.collision_meshes == ()
    assert all(measured.mesh is not None and measured.collision_mesh is None for measured in result.measurements)


@pytest.mark.parametrize(
    "options",
    [{"triangle_budget": 10}, {"point_spacing_mm": 0.0}, {"collision_triangle_budget": 9}, {"collision_margin_mm": -1}],
)
def test_options_out_of_range_are_refused(options):
    with pytest.raises(ValueError, match=r"triangles|spacing|margin"):
        ReconstructionOptions(**options)
