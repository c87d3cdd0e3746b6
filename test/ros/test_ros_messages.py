# SPDX-License-Identifier: Apache-2.0
"""Conversions through the real serialiser, without a network."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from builtin_interfaces.msg import Time
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from rclpy.serialization import deserialize_message, serialize_message
from scipy.spatial.transform import Rotation
from sensor_msgs.msg import PointCloud2

from liver_seg_interfaces.msg import LabelTable
from liver_seg_interfaces.msg import StructureMeasurement as MeasurementMessage
from liver_seg_interfaces.msg import Volume as VolumeMessage
from liver_seg_ros.errors import InputError
from liver_seg_ros.geometry import Geometry
from liver_seg_ros.labels import LIVER, PORTAL_VEIN, STRUCTURES, TUMOR, VESSEL
from liver_seg_ros.measurement import (
    AxialDiameter,
    CollisionMeshQuality,
    Gap,
    MeshQuality,
    PartMeasurement,
    StructureMeasurement,
)
from liver_seg_ros.mesh import Mesh, PointCloud
from liver_seg_ros.nodes.messages import volumes
from liver_seg_ros.nodes.messages.assembler import Assembler
from liver_seg_ros.nodes.messages.clouds import clearance_to_message, cloud_to_message
from liver_seg_ros.nodes.messages.label_tables import label_table
from liver_seg_ros.nodes.messages.measurements import measurement_to_message, message_to_measurement
from liver_seg_ros.nodes.messages.meshes import mesh_to_shape, meshes_to_markers
from liver_seg_ros.nodes.messages.volumes import message_to_slab, volume_to_slabs
from liver_seg_ros.plain import plain
from liver_seg_ros.reconstruction.meshes.clearance_cloud import ClearanceCloud
from liver_seg_ros.volume import LabelVolume, Volume

TETRAHEDRON = Mesh(
    VESSEL,
    np.array([[0, 0, 0], [10, 0, 0], [0, 20, 0], [0, 0, 30]], np.float32),
    np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]], np.int32),
    np.full((4, 3), 3**-0.5, np.float32),
)


def through_the_wire(volume, slab_count, compression="none"):
    dtype = np.int16 if isinstance(volume, Volume) else np.uint8
    assembler, complete = Assembler(dtype, 1.0, 1 << 30), None
    for message in volume_to_slabs(volume, slab_count, Time(sec=3, nanosec=4), compression):
        message = deserialize_message(serialize_message(message), VolumeMessage)
        complete = assembler.add(message_to_slab(message), 0.0) or complete
    return complete


lengths = st.floats(0.1, 10.0)
coordinates = st.floats(-2000.0, 2000.0)


@settings(max_examples=60, deadline=None)
@given(
    array=arrays(np.int16, st.tuples(*[st.integers(1, 6)] * 3)),
    spacing=st.tuples(lengths, lengths, lengths),
    origin=st.tuples(coordinates, coordinates, coordinates),
    euler=st.tuples(*[st.floats(-180, 180)] * 3),
    slab_count=st.integers(1, 9),
    compression=st.sampled_from(["none", "zlib"]),
)
def test_any_volume_survives_the_journey(array, spacing, origin, euler, slab_count, compression):
    direction = Rotation.from_euler("xyz", euler, degrees=True).as_matrix()
    geometry = Geometry(array.shape[::-1], spacing, origin, direction)
    arrived = through_the_wire(Volume(array, geometry, "a"), slab_count, compression)
    np.testing.assert_array_equal(arrived.array, array)
    assert arrived.geometry.is_same_grid(geometry, tolerance_mm=1e-6)


@pytest.mark.parametrize("spacing", [(0.7, 0.703125, 5.0), (0.6835939884185791, 0.9, 1.25)])
def test_an_axis_aligned_grid_arrives_exactly(spacing):
    geometry = Geometry((3, 2, 4), spacing, (-180.25, 33.3, -1034.7), ((0, 1, 0), (0, 0, 1), (1, 0, 0)))
    labels = LabelVolume(np.arange(24, dtype=np.uint8).reshape(4, 2, 3), geometry)
    arrived = through_the_wire(labels, 2)
    assert arrived.geometry == geometry
    np.testing.assert_array_equal(arrived.array, labels.array)


def test_slabs_share_the_volumes_memory_and_are_of_nearly_equal_size():
    volume = Volume(np.zeros((10, 2, 3), np.int16), Geometry((3, 2, 10)))
    slabs = list(volume_to_slabs(volume, 4, Time()))
    assert [slab.slice_count for slab in slabs] == [2, 3, 3, 2]
    assert all(np.shares_memory(np.asarray(slab.data), volume.array) for slab in slabs)


def test_labels_are_compressed_to_a_twentieth_and_a_slab_too_large_to_inflate_goes_as_it_is(monkeypatch):
    k, j, i = np.ogrid[:40, :200, :200]
    ball = (np.hypot(np.hypot(i - 100, j - 90), 3 * (k - 20)) < 55).astype(np.uint8)
    labels = LabelVolume(ball, Geometry((200, 200, 40)))
    slabs = list(volume_to_slabs(labels, 4, Time(), "zlib"))
    assert {slab.compression for slab in slabs} == {"zlib"}
    assert sum(len(slab.data) for slab in slabs) * 20 < ball.nbytes
    monkeypatch.setattr(volumes, "MOST_INFLATED_BYTES", 10 * 200 * 200 - 1)
    slabs = list(volume_to_slabs(LabelVolume(ball[:39], Geometry((200, 200, 39))), 4, Time(), "zlib"))
    expected = [(10, "none"), (10, "none"), (9, "zlib"), (10, "none")]
    assert [(slab.slice_count, slab.compression) for slab in slabs] == expected


def test_a_message_without_a_sensible_geometry_is_refused_with_the_volumes_name():
    [message] = volume_to_slabs(Volume(np.zeros((2, 2, 2), np.int16), Geometry((2, 2, 2)), "odd"), 1, Time())
    message.spacing_m = np.array([0.0, 0.001, 0.001])
    with pytest.raises(InputError, match="volume odd: spacing"):
        message_to_slab(message)


def test_meshes_are_in_metres_with_the_same_winding():
    shape = mesh_to_shape(TETRAHEDRON)
    assert [(p.x, p.y, p.z) for p in shape.vertices][1:] == [(0.01, 0, 0), (0, 0.02, 0), (0, 0, 0.03)]
    np.testing.assert_array_equal([t.vertex_indices for t in shape.triangles], TETRAHEDRON.triangles)
    clear, opaque = meshes_to_markers(
        [Mesh(LIVER, TETRAHEDRON.vertices_mm, TETRAHEDRON.triangles, TETRAHEDRON.normals), TETRAHEDRON], Time()
    ).markers[:0:-1]
    assert (clear.ns, opaque.ns) == ("liver", "vessel")
    assert clear.color.a == pytest.approx(LIVER.opacity)
    points = [(p.x, p.y, p.z) for p in opaque.points]
    np.testing.assert_allclose(points, TETRAHEDRON.vertices_mm[TETRAHEDRON.triangles.ravel()] / 1000)


def test_the_label_table_says_what_every_value_means():
    table = deserialize_message(serialize_message(label_table(Time(sec=5))), LabelTable)
    assert [entry.value for entry in table.entries] == sorted({structure.value for structure in STRUCTURES})
    by_name = {entry.name: entry for entry in table.entries}
    tumor = by_name["tumor"]
    assert (tumor.value, tumor.snomed_code, tumor.snomed_meaning) == (2, "4147007", "Mass")
    color = (tumor.color.r, tumor.color.g, tumor.color.b, tumor.color.a)
    np.testing.assert_allclose(color, (144 / 255, 238 / 255, 144 / 255, 1), atol=1e-6)
    assert by_name.keys() == {structure.name for structure in STRUCTURES}


def test_a_cloud_carries_positions_normals_labels_and_colors():
    cloud = PointCloud(
        points_mm=np.array([[1, 2, 3], [4, 5, 6]], np.float32),
        normals=np.array([[0, 0, 1], [1, 0, 0]], np.float32),
        labels=np.array([TUMOR.value, VESSEL.value], np.uint8),
    )
    message = deserialize_message(serialize_message(cloud_to_message(cloud, Time())), PointCloud2)
    assert (message.width, message.height, message.row_step) == (2, 1, 2 * message.point_step)
    layout = {field.name: field.offset for field in message.fields}
    data = bytes(message.data)

    def column(name, dtype):
        return [np.frombuffer(data, dtype, 1, layout[name] + n * message.point_step)[0] for n in range(2)]

    np.testing.assert_allclose(column("y", "<f4"), [0.002, 0.005], rtol=1e-6)
    assert column("normal_x", "<f4") == [0, 1]
    assert column("label", "<u4") == [2, 3]
    red, green, blue = VESSEL.color_rgb
    assert column("rgb", "<u4")[1] == (red << 16) + (green << 8) + blue


def test_a_clearance_cloud_carries_metres_and_is_red_where_it_is_near():
    cloud = ClearanceCloud(
        TUMOR, np.array([[1, 2, 3], [4, 5, 6], [7, 8, 9]], np.float32), np.array([-1, 10, 50], np.float32)
    )
    message = deserialize_message(serialize_message(clearance_to_message(cloud, Time())), PointCloud2)
    points = np.frombuffer(bytes(message.data), [(field.name, "<f4") for field in message.fields])
    assert points.dtype.names == ("x", "y", "z", "rgb", "clearance")
    np.testing.assert_allclose(points["z"], [0.003, 0.006, 0.009], rtol=1e-6)
    np.testing.assert_allclose(points["clearance"], [-0.001, 0.01, 0.05], rtol=1e-6)
    rgb = points["rgb"].copy().view("<u4")
    assert [hex(color) for color in rgb] == ["0xe61e1e", "0xf0dc3c", "0x3caa50"]


lengths_mm = st.floats(0.0, 500.0)
places_mm = st.tuples(*[coordinates] * 3)
structures = st.sampled_from(STRUCTURES)
axials = st.builds(AxialDiameter, *[lengths_mm] * 3, *[st.tuples(places_mm, places_mm)] * 2)
gaps = st.builds(Gap, structures, lengths_mm, lengths_mm, places_mm, places_mm)
flags = [st.booleans()] * 3
qualities = st.builds(MeshQuality, st.integers(0, 10**6), *flags, st.integers(0, 9))
collisions = st.builds(CollisionMeshQuality, qualities, lengths_mm, lengths_mm)


def maybe(strategy):
    return st.none() | strategy


parts = st.builds(
    PartMeasurement, lengths_mm, lengths_mm, places_mm, lengths_mm, lengths_mm,
    maybe(axials), maybe(gaps), maybe(gaps), st.booleans(), maybe(st.floats(0.0, 1.0)),
)  # fmt: skip
measured = st.builds(
    StructureMeasurement, structures, lengths_mm, lengths_mm, st.integers(0, 10**6),
    st.lists(parts, max_size=3).map(tuple), lengths_mm, lengths_mm, maybe(axials), maybe(qualities), maybe(collisions),
)  # fmt: skip


def to_a_nanometre(measurement):
    return json.loads(json.dumps(plain(measurement)), parse_float=lambda figure: round(float(figure), 6))


@settings(max_examples=100, deadline=None)
@given(measured)
def test_all_that_was_measured_survives_the_journey(measurement):
    message = deserialize_message(serialize_message(measurement_to_message(measurement)), MeasurementMessage)
    assert to_a_nanometre(message_to_measurement(message)) == to_a_nanometre(measurement)


def test_lengths_are_in_metres_volumes_in_cubic_metres_and_what_was_not_measured_is_left_out():
    quality = MeshQuality(100, True, True, False, 2)
    axial = AxialDiameter(20.0, 15.0, 0.9, ((0.0, 0, 0), (20.0, 0, 0)), ((10.0, 0, 0), (10.0, 15, 0)))
    part = PartMeasurement(
        4.0, 22.0, (1.0, 2.0, 3.0), 0.4, 1.1, axial, Gap(PORTAL_VEIN, 3.0, 1.1, (1.0, 2, 3), (4.0, 2, 3)), None, True
    )
    around = CollisionMeshQuality(quality, 3.0, 4.5)
    message = measurement_to_message(
        StructureMeasurement(TUMOR, 4.0, 22.0, 1, (part,), 0.4, 1.1, axial, replace(quality, outward=True), around)
    )
    assert (message.structure, message.label, message.count) == ("tumor", 2, 1)
    assert (message.volume_m3, message.volume_uncertainty_m3) == pytest.approx((4e-6, 0.4e-6))
    assert (message.largest_diameter_m, message.diameter_uncertainty_m) == pytest.approx((0.022, 0.0011))
    [said] = message.axial
    assert (said.long_m, said.short_m, said.uncertainty_m) == pytest.approx((0.02, 0.015, 0.0009))
    assert [(p.x, p.y, p.z) for p in (*said.long_ends, *said.short_ends)] == [
        (0, 0, 0), (0.02, 0, 0), (0.01, 0, 0), (0.01, 0.015, 0),
    ]  # fmt: skip
    [lesion] = message.parts
    [gap] = lesion.to_vessel
    assert (gap.structure, gap.label) == ("portal_vein", 4)
    assert (gap.distance_m, gap.uncertainty_m) == pytest.approx((0.003, 0.0011))
    assert (gap.on_lesion.x, gap.on_structure.x) == (0.001, 0.004)
    assert len(lesion.to_capsule) == 0 and lesion.touches_border and lesion.axial[0] == said
    assert lesion.confidence == -1.0  # nobody said
    [sure] = measurement_to_message(StructureMeasurement(TUMOR, 4.0, 22.0, 1, (replace(part, confidence=0.75),))).parts
    assert sure.confidence == 0.75
    assert (message.mesh[0].outward, message.mesh[0].self_intersections) == (True, 2)
    [collision] = message.collision_mesh
    assert (collision.margin_m, collision.largest_distance_m) == (0.003, 0.0045)
    assert not collision.quality.outward and collision.quality.triangles == 100
    bare = measurement_to_message(StructureMeasurement(LIVER, 0.0, 0.0, 0))
    assert not bare.axial and not bare.mesh and not bare.collision_mesh and not bare.parts
