# SPDX-License-Identifier: Apache-2.0
"""What is said over OpenIGTLink, read back by the protocol's own pages: bytes, axes, units, checksum."""

from __future__ import annotations

import struct

import numpy as np
import pytest

pytest.importorskip("pyigtl", reason="pyigtl is not installed (extra [igtl])")

from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from liver_seg_ros.errors import InputError
from liver_seg_ros.geometry import Geometry
from liver_seg_ros.igtl.conversion import (
    image_message,
    mesh_message,
    packed,
    pose_of,
    text_message,
    transform_message,
)
from liver_seg_ros.igtl.devices import taken_of
from liver_seg_ros.igtl.wire import read_message
from liver_seg_ros.labels import LIVER
from liver_seg_ros.mesh import Mesh
from liver_seg_ros.planning.transform import RigidTransform
from liver_seg_ros.volume import LabelVolume, Volume

TIME_S = 1_700_000_000.25
millimetres = st.floats(-500, 500)
points = st.tuples(millimetres, millimetres, millimetres)
turns = st.tuples(*[st.floats(-3, 3)] * 3).map(lambda v: Rotation.from_rotvec(v).as_matrix())


def crc64(data):
    """ECMA-182, bit by bit, as the protocol's page on the header has it."""
    crc = 0
    for byte in data:
        crc ^= byte << 56
        for _ in range(8):
            crc = ((crc << 1) ^ 0x42F0E1EBA9EA3693 if crc >> 63 else crc << 1) & (1 << 64) - 1
    return crc


def taken_apart(data):
    """Type, device, seconds and body of a message."""
    version, kind, device, whole, part, size, checksum = struct.unpack(">H12s20sIIQQ", data[:58])
    body = data[58:]
    assert (version, size, checksum) == (1, len(body), crc64(body))
    return kind.rstrip(b"\0").decode(), device.rstrip(b"\0").decode(), whole + part / 2**32, body


def mirrored(point):
    """From LPS to RAS or back, by what the letters say."""
    left, posterior, superior = point
    return np.array([-left, -posterior, superior])


@given(turns, points, st.tuples(*[st.floats(0.3, 5)] * 3), st.data())
def test_a_voxel_of_an_image_is_where_it_was(turn, origin, spacing, data):
    geometry = Geometry((2, 3, 4), spacing, origin, tuple(map(tuple, turn)))
    array = np.arange(24, dtype=np.int16).reshape(4, 3, 2) - 5
    kind, device, time_s, body = taken_apart(packed(image_message(Volume(array, geometry, "uid"), "CT", TIME_S)))
    assert (kind, device) == ("IMAGE", "CT") and time_s == pytest.approx(TIME_S, abs=1e-6)
    head = struct.unpack(">HBBBB3H12f6H", body[:72])
    assert head[:8] == (1, 1, 4, 2, 1, 2, 3, 4)  # scalar, int16, little-endian, RAS, size
    columns, center = np.reshape(head[8:17], (3, 3)).T, np.array(head[17:20])
    assert head[20:] == (0, 0, 0, 2, 3, 4)
    i, j, k = (data.draw(st.integers(0, n - 1)) for n in (2, 3, 4))
    place = center + columns @ (np.array([i, j, k]) - (np.array([2, 3, 4]) - 1) / 2)
    np.testing.assert_allclose(place, mirrored(geometry.index_to_lps([i, j, k])), atol=2e-3)
    assert np.frombuffer(body[72:], "<i2")[(k * 3 + j) * 2 + i] == array[k, j, i]


def test_labels_are_bytes():
    labels = LabelVolume(np.full((2, 2, 2), LIVER.value, np.uint8), Geometry((2, 2, 2)), "uid")
    *_, body = taken_apart(packed(image_message(labels, "Labels", TIME_S)))
    assert body[3] == 3 and body[72:] == bytes([LIVER.value]) * 8


def test_a_surface_keeps_its_place_and_its_outside():
    vertices = np.array([[1, 2, 3], [11, 2, 3], [1, 12, 3], [1, 2, 13]], np.float32)
    outwards = np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]])
    kind, device, _, body = taken_apart(
        packed(mesh_message(Mesh(LIVER, vertices, outwards, np.zeros_like(vertices)), "liver", TIME_S))
    )
    assert (kind, device) == ("POLYDATA", "liver")
    counts = struct.unpack(">10I", body[:40])
    assert counts == (4, 0, 0, 0, 0, 4, 4 * 16, 0, 0, 0)
    points = np.frombuffer(body[40:88], ">f4").reshape(4, 3)
    np.testing.assert_array_equal(points, [mirrored(vertex) for vertex in vertices])
    cells = np.frombuffer(body[88:], ">u4").reshape(4, 4)
    assert (cells[:, 0] == 3).all()
    corners = points[cells[:, 1:]].astype(float)
    volume = np.einsum("ij,ij->i", corners[:, 0], np.cross(corners[:, 1], corners[:, 2])).sum() / 6
    assert volume == pytest.approx(10**3 / 6)  # negative where the triangles face inwards


@given(turns, points, points)
def test_a_pose_leads_to_the_same_point_and_back(turn, shift, point):
    pose = RigidTransform.of(turn, shift)
    data = packed(transform_message(pose, "NeedleTip", TIME_S))
    *_, body = taken_apart(data)
    numbers = np.array(struct.unpack(">12f", body))
    there = np.reshape(numbers[:9], (3, 3)).T @ point + numbers[9:]
    np.testing.assert_allclose(there, mirrored(pose.apply(point)), atol=1e-2)
    header, message = read_message(reader(data))
    assert (header.device, header.time_s) == ("NeedleTip", pytest.approx(TIME_S, abs=1e-6))
    np.testing.assert_allclose(pose_of(message).apply(point), pose.apply(point), atol=1e-2)


def test_text_is_ascii():
    *_, body = taken_apart(packed(text_message("STOP: 1 µm", "NeedleGuard", TIME_S)))
    assert body == struct.pack(">HH", 3, 10) + b"STOP: 1 ?m"


@pytest.mark.parametrize(
    "matrix", [np.diag([2.0, 1, 1, 1]), np.diag([-1.0, 1, 1, 1]), np.full((4, 4), np.nan), np.diag([0.0, 0, 0, 1])]
)
def test_what_is_no_pose_is_refused(matrix):
    message = transform_message(RigidTransform(np.eye(4)), "Probe", TIME_S)
    message.matrix = matrix
    with pytest.raises(InputError, match="'Probe' is not rigid"):
        pose_of(message)


def reader(data):
    """A peer that says `data` and leaves."""
    left = [data]

    def receive(count):
        part, left[0] = left[0][:count], left[0][count:]
        if len(part) < count:
            raise EOFError
        return part

    return receive


GOOD = packed(transform_message(RigidTransform(np.eye(4)), "Probe", TIME_S))


def with_body(body, version=1, kind=b"TRANSFORM"):
    return struct.pack(">H12s20sIIQQ", version, kind, b"Probe", 5, 0, len(body), crc64(body)) + body


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (GOOD[:-1] + b"?", "the checksum of TRANSFORM 'Probe' is wrong"),
        (b"GET / HTTP/1.1\r\n" + bytes(60), "version 18245 is none"),
        (GOOD[:42] + struct.pack(">Q", 1 << 40) + GOOD[50:], "a TRANSFORM of 1099511627776 bytes; 65536 are taken"),
        (with_body(bytes(10)), "not what its type says"),
        (with_body(bytes(4), version=2), "shorter than its own header"),
        (with_body(struct.pack(">HHII", 12, 8, 1 << 30, 0) + bytes(48), version=2), "larger than it is"),
        (with_body(b"", kind=b"TRANS\7FORM"), "cannot be printed"),
    ],
)
def test_what_is_damaged_or_foreign_is_refused_in_one_line(data, says):
    with pytest.raises(InputError, match=says) as error:
        read_message(reader(data))
    assert "\n" not in str(error.value)


@given(st.binary(max_size=200))
def test_noise_is_refused_or_ends(noise):
    with pytest.raises((InputError, EOFError)):
        read_message(reader(noise))


def test_other_types_are_passed_over_and_metadata_is_read():
    assert read_message(reader(with_body(b"x", kind=b"STATUS")))[1] is None
    message = transform_message(RigidTransform.of(np.eye(3), [1, 2, 3]), "Probe", TIME_S)
    message.header_version, message.metadata = 2, {"status": "OK"}
    _, read = read_message(reader(packed(message)))
    assert read.metadata == {"status": "OK"}
    np.testing.assert_array_equal(pose_of(read).matrix[:3, 3], [1, 2, 3])


def test_the_poses_that_are_taken():
    assert taken_of("") == {}
    assert taken_of(" A=needle_tip, B = probe ") == {"A": "needle_tip", "B": "probe"}
    for wrong in ("A", "A=", "A=b c", "A=b,A=c", "A=b,C=b", "=b", "A" * 21 + "=b", "Ä=b"):
        with pytest.raises(InputError):
            taken_of(wrong)
