# SPDX-License-Identifier: Apache-2.0
"""What `plain_subscriber.py` checks of the messages that arrived; it knows the message types and nothing else."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import PointCloud2, PointField

FRAME = "ct_lps"
LARGEST_LABEL = 3
LIVER = 1
LARGEST_ORGAN_M = 1.0

#: Name, whether it holds, what was found.
Check = tuple[str, bool, str]

_NUMPY_TYPES = {PointField.FLOAT32: "<f4", PointField.UINT32: "<u4", PointField.UINT8: "u1"}


def check_all(volumes: dict, messages: dict) -> tuple[list[Check], dict[str, NDArray], list[dict]]:
    """Every check; everything that arrived as arrays; and per structure what was measured.

    Args:
        volumes: "ct" and "labels", each with `array` (K, J, I) and `first_slab`.
        messages: the message per topic.
    """
    ct, labels = volumes["ct"], volumes["labels"]
    cloud = cloud_array(messages["cloud"])
    arrays = {"ct": ct.array, "labels": labels.array, **grid_arrays(labels.first_slab)}
    arrays |= {"cloud_points_m": columns(cloud, "x", "y", "z"), "cloud_labels": cloud["label"]}
    arrays["cloud_normals"] = columns(cloud, "normal_x", "normal_y", "normal_z")
    checks = [
        *check_labels(ct, labels),
        *check_frames(messages),
        *check_cloud(messages["cloud"], cloud, {m.measurement.label for m in messages["meshes"].meshes}),
    ]
    structures = [as_plain(measurement) for measurement in messages["reconstruction/report"].structures]
    for mesh in messages["meshes"].meshes:
        name = mesh.measurement.structure
        vertices_m = np.array([(p.x, p.y, p.z) for p in mesh.mesh.vertices])  # (V, 3)
        triangles = np.array([t.vertex_indices for t in mesh.mesh.triangles], dtype=np.int32)  # (T, 3)
        arrays |= {f"{name}_vertices_m": vertices_m, f"{name}_triangles": triangles}
        closed = is_watertight(triangles)
        checks += check_mesh(mesh, vertices_m, triangles, closed, labels)
    return checks, arrays, structures


def check_labels(ct, labels) -> list[Check]:
    """Labels on the CT's own grid, with values of the label table."""
    a, b = grid_arrays(ct.first_slab), grid_arrays(labels.first_slab)
    same = ct.array.shape == labels.array.shape and all(np.allclose(a[key], b[key], rtol=0, atol=1e-9) for key in a)
    largest = int(labels.array.max())
    return [
        ("labels lie on the grid of the CT", same, f"{labels.array.shape}"),
        ("label values are known", largest <= LARGEST_LABEL, f"0 to {largest}"),
    ]


def check_frames(messages: dict) -> list[Check]:
    """Everything in one frame, which hangs below another."""
    stamped = [messages["meshes"], messages["cloud"], *messages["meshes"].meshes, *messages["markers"].markers]
    frames = {message.header.frame_id for message in stamped}
    parents = [t.header.frame_id for t in messages["/tf_static"].transforms if t.child_frame_id == FRAME]
    drawn = {marker.ns for marker in messages["markers"].markers if marker.points}
    meshed = {mesh.measurement.structure for mesh in messages["meshes"].meshes}
    return [
        ("all messages are in the frame of the CT", frames == {FRAME}, ", ".join(sorted(frames))),
        ("TF says where that frame is", len(parents) == 1, f"below {', '.join(parents) or 'nothing'}"),
        ("every mesh has a marker", drawn == meshed, ", ".join(sorted(drawn)) or "none"),
    ]


def check_cloud(message: PointCloud2, cloud: NDArray, labels: set[int]) -> list[Check]:
    """Points, unit normals, and labels of the structures that have a mesh."""
    lengths = np.linalg.norm(columns(cloud, "normal_x", "normal_y", "normal_z"), axis=1)
    return [
        (
            "the cloud has its fields",
            {"x", "y", "z", "normal_x", "normal_y", "normal_z", "label"} <= set(cloud.dtype.names),
            ", ".join(cloud.dtype.names),
        ),
        ("the cloud's size is its data's", message.width * message.height == len(cloud), f"{len(cloud)} points"),
        ("the cloud's normals are unit vectors", bool(np.allclose(lengths, 1, atol=1e-2)), f"{len(lengths)} normals"),
        (
            "the cloud shows the structures of the meshes",
            set(np.unique(cloud["label"]).tolist()) == labels,
            f"{labels}",
        ),
    ]


def check_mesh(mesh, vertices_m: NDArray, triangles: NDArray, closed: bool, labels) -> list[Check]:
    """A closed surface, wound outward, in metres, where the volume is, and about as large as what was labelled."""
    name, measurement = mesh.measurement.structure, mesh.measurement
    grid = grid_arrays(labels.first_slab)
    index = (vertices_m - grid["origin_m"]) @ grid["direction"] / grid["spacing_m"]
    inside = index.min() >= -1.0 and (index.max(axis=0) <= np.array(labels.array.shape[::-1])).all()
    size_m = float(np.ptp(vertices_m, axis=0).max())
    enclosed_m3 = enclosed_volume_m3(vertices_m, triangles)
    # Smoothing and decimation take a share of what is thin, and of what is a few voxels large.
    allowed_m3 = (0.05 if measurement.label == LIVER else 0.25) * measurement.volume_m3 + 1e-6
    own_m3, all_m3 = (
        np.count_nonzero(voxels) * float(np.prod(grid["spacing_m"]))
        for voxels in (labels.array == measurement.label, labels.array > 0)
    )
    # The organ holds its tumors and vessels; of the others only their own voxels count.
    largest_m3 = all_m3 if measurement.label == LIVER else own_m3
    return [
        (f"{name}: every edge joins two triangles", closed and mesh.watertight, f"{len(triangles)} triangles"),
        (
            f"{name}: is as sound as the report says",
            measurement.mesh[0].watertight == closed and measurement.mesh[0].triangles == len(triangles),
            f"{measurement.mesh[0].self_intersections} pairs of triangles go through each other",
        ),
        (
            f"{name}: lies inside the volume",
            bool(inside),
            f"{index.min(axis=0).round()} to {index.max(axis=0).round()}",
        ),
        (f"{name}: is in metres", 0.001 < size_m < LARGEST_ORGAN_M, f"{size_m:.3f} m"),
        (
            f"{name}: was measured as it is labelled",
            own_m3 * 0.999 <= measurement.volume_m3 <= largest_m3 * 1.001,
            f"{measurement.volume_m3 * 1e6:.1f} ml, own voxels {own_m3 * 1e6:.1f} ml",
        ),
        (
            f"{name}: the surface encloses what was measured",
            abs(enclosed_m3 - measurement.volume_m3) < allowed_m3,
            f"{enclosed_m3 * 1e6:.1f} and {measurement.volume_m3 * 1e6:.1f} ml",
        ),
    ]


def is_watertight(triangles: NDArray) -> bool:
    """True where each directed edge occurs once and its opposite once: closed, and wound consistently."""
    edges = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]]).astype(np.int64)
    base = edges.max(initial=0) + 1
    forward, backward = edges[:, 0] * base + edges[:, 1], edges[:, 1] * base + edges[:, 0]
    return len(np.unique(forward)) == len(forward) and np.array_equal(np.sort(forward), np.sort(backward))


def enclosed_volume_m3(vertices_m: NDArray, triangles: NDArray) -> float:
    """Signed: positive where triangles are counter-clockwise seen from outside."""
    a, b, c = (vertices_m[triangles[:, corner]] for corner in range(3))
    return float(np.einsum("ij,ij->i", a, np.cross(b, c)).sum() / 6)


def grid_arrays(slab) -> dict[str, NDArray]:
    """Spacing (3,) and origin (3,) in metres, and direction (3, 3) whose columns are the axes i, j, k."""
    position, q = slab.pose.position, slab.pose.orientation
    x, y, z, w = q.x, q.y, q.z, q.w
    direction = np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )
    origin_m = np.array([position.x, position.y, position.z])
    return {"spacing_m": np.array(slab.spacing_m), "origin_m": origin_m, "direction": direction}


def cloud_array(message: PointCloud2) -> NDArray:
    """The points as a structured array, one field per field of the message."""
    fields = message.fields
    layout = {
        "names": [field.name for field in fields],
        "formats": [_NUMPY_TYPES[field.datatype] for field in fields],
        "offsets": [field.offset for field in fields],
        "itemsize": message.point_step,
    }
    return np.frombuffer(message.data, dtype=np.dtype(layout))


def columns(cloud: NDArray, *names: str) -> NDArray:
    """(N, len(names)) of some fields."""
    return np.stack([cloud[name] for name in names], axis=1)


def as_plain(message):
    """A message as dicts, lists and numbers, whatever is in it."""
    if hasattr(message, "get_fields_and_field_types"):
        return {name: as_plain(getattr(message, name)) for name in message.get_fields_and_field_types()}
    if isinstance(message, (str, bool, int, float)):
        return message
    return [as_plain(item) for item in message]
