# SPDX-License-Identifier: Apache-2.0
"""`Volume` and `LabelVolume` to and from `liver_seg_interfaces/msg/Volume`, slab by slab and without copies."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from itertools import pairwise
from typing import TypeVar

import numpy as np
from builtin_interfaces.msg import Time
from geometry_msgs.msg import Pose
from scipy.spatial.transform import Rotation

from liver_seg_interfaces.msg import Volume as VolumeMessage
from liver_seg_interfaces.msg import VolumeHandle
from liver_seg_ros.errors import InputError
from liver_seg_ros.geometry import MM_PER_M, Geometry, lps_to_ros, ros_to_lps
from liver_seg_ros.nodes.messages.slab import (
    COMPRESSION_NONE,
    COMPRESSION_ZLIB,
    ENCODING_HU,
    ENCODING_LABELS,
    MOST_INFLATED_BYTES,
    Slab,
    deflate,
)
from liver_seg_ros.volume import LabelVolume, Volume

Made = TypeVar("Made")

#: The frame of every message: the axes of DICOM's LPS, in metres. A node may call it otherwise (`StageNode.ct_frame`).
FRAME_ID = "ct_lps"

#: Of a uid; DICOM's have 64.
MOST_UID_CHARACTERS = 256


def volume_to_slabs(
    volume: Volume | LabelVolume, slab_count: int, stamp: Time, compression: str = COMPRESSION_NONE
) -> Iterator[VolumeMessage]:
    """The volume as at most `slab_count` messages of nearly equal size, each with the same header.

    Those that are not compressed share the volume's memory: publish or serialise each before the volume goes. A slab
    that is larger than a receiver inflates goes as it is, whatever `compression` says.
    """
    array = np.ascontiguousarray(volume.array)  # (K, J, I)
    slices = array.shape[0]
    borders = np.linspace(0, slices, min(slab_count, slices) + 1).round().astype(int)
    for first, stop in pairwise(borders):
        message = VolumeMessage()
        describe(message, volume, stamp)
        message.first_slice = int(first)
        message.slice_count = int(stop - first)
        voxels = array[first:stop].data.cast("B")
        compressed = compression == COMPRESSION_ZLIB and voxels.nbytes <= MOST_INFLATED_BYTES
        message.compression = COMPRESSION_ZLIB if compressed else COMPRESSION_NONE
        # The setter would copy and check byte by byte; the serialiser takes any buffer.
        message._data = deflate(voxels) if compressed else voxels
        yield message


def message_to_slab(message: VolumeMessage, frame_id: str = FRAME_ID) -> Slab:
    """The slab in a message, which shares the message's memory; nothing is inflated yet.

    `frame_id` is what the receiver calls the frame of the CT's axes; `ct_lps` and no name mean the same.

    Raises `InputError`, naming the volume, for another frame, a geometry that is none, and whatever `Slab` refuses.
    """
    return as_described(
        message,
        frame_id,
        partial(
            Slab,
            first_slice=message.first_slice,
            slice_count=message.slice_count,
            data=message.data,
            compression=message.compression,
        ),
    )


def as_described(message: VolumeMessage | VolumeHandle, frame_id: str, make: Callable[..., Made]) -> Made:
    """What `make` makes of the uid, stamp, encoding and geometry in a message; see `message_to_slab`."""
    stamp = message.header.stamp
    uid = message.volume_uid
    if not uid.isprintable() or len(uid) > MOST_UID_CHARACTERS:
        raise InputError(
            f"a volume's uid is {uid!r:.100}; send at most {MOST_UID_CHARACTERS} characters, all printable"
        )
    try:
        if message.header.frame_id not in (frame_id, FRAME_ID, ""):
            raise InputError(f"its frame is '{message.header.frame_id}'; send it in '{frame_id}'")
        stamp_ns = stamp.sec * 1_000_000_000 + stamp.nanosec
        return make(uid=uid, stamp_ns=stamp_ns, encoding=message.encoding, geometry=_geometry(message))
    except InputError as error:
        raise type(error)(f"volume {uid}: {error}") from error


def describe(message: VolumeMessage | VolumeHandle, volume: Volume | LabelVolume, stamp: Time) -> None:
    """Write into a message what `as_described` reads."""
    message.header.frame_id = FRAME_ID
    message.header.stamp = stamp
    message.volume_uid = volume.uid
    message.encoding = ENCODING_HU if isinstance(volume, Volume) else ENCODING_LABELS
    message.size = np.array(volume.geometry.size, dtype=np.uint32)
    message.spacing_m = np.array(volume.geometry.spacing_mm) / MM_PER_M
    message.pose = geometry_to_pose(volume.geometry)


def geometry_to_pose(geometry: Geometry) -> Pose:
    """The pose of voxel (0, 0, 0) in metres; its axes are the directions in which i, j and k grow."""
    pose = Pose()
    pose.position.x, pose.position.y, pose.position.z = lps_to_ros(geometry.origin_mm).tolist()
    quaternion = Rotation.from_matrix(geometry.direction_matrix).as_quat()  # x, y, z, w
    orientation = pose.orientation
    orientation.x, orientation.y, orientation.z, orientation.w = quaternion.tolist()
    return pose


def _geometry(message: VolumeMessage | VolumeHandle) -> Geometry:
    """Raises `InputError` where the message describes no grid."""
    position, orientation = message.pose.position, message.pose.orientation
    quaternion = np.array([orientation.x, orientation.y, orientation.z, orientation.w])
    if not abs(np.linalg.norm(quaternion) - 1.0) < 1e-3:  # also true of NaN
        raise InputError(f"its orientation {quaternion.tolist()} is no unit quaternion")
    # Rounding makes axis-aligned directions exact again, so that the grid after the journey equals the one before.
    direction = Rotation.from_quat(quaternion).as_matrix().round(12) + 0.0
    return Geometry(
        size=tuple(message.size),
        spacing_mm=tuple(np.asarray(message.spacing_m) * MM_PER_M),
        origin_mm=tuple(ros_to_lps([position.x, position.y, position.z])),
        direction=direction,
    )
