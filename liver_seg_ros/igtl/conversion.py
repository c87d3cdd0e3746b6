# SPDX-License-Identifier: Apache-2.0
"""Volumes, surfaces and poses as OpenIGTLink messages, and poses back.

The protocol's world is RAS in millimetres (3D Slicer's), ours LPS (DICOM's): x and y change their sign. That is half a
turn about z, so nothing is mirrored, and a triangle that faced outwards still does.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pyigtl.messages import ImageMessage, MessageBase, PolyDataMessage, StringMessage, TransformMessage
from scipy.spatial.transform import Rotation

from liver_seg_ros.errors import InputError
from liver_seg_ros.igtl.devices import checked_name
from liver_seg_ros.mesh import Mesh
from liver_seg_ros.planning.transform import RigidTransform
from liver_seg_ros.volume import LabelVolume, Volume

#: From LPS to RAS and back.
LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
#: Largest side of an image: the protocol has 16 bits for it.
MOST_VOXELS = 65535
#: How far from a rotation a matrix of 32-bit numbers may be.
_TOLERANCE = 1e-3


def image_message(volume: Volume | LabelVolume, device: str, time_s: float) -> ImageMessage:
    """IMAGE: the voxels as they are, and where they are.

    Args:
        volume: int16 HU or uint8 labels, `(K, J, I)`.
        device: name that 3D Slicer shows; at most 20 bytes of ASCII.
        time_s: since 1970.

    Raises:
        InputError: a side of more than 65535 voxels, or a name that does not fit.
    """
    if max(volume.geometry.size) > MOST_VOXELS:
        raise InputError(f"volume {volume.uid} has {volume.geometry.in_words}: OpenIGTLink takes {MOST_VOXELS} a side")
    matrix = LPS_TO_RAS @ volume.geometry.affine
    # RAS said and meant: some receivers do not read which of the two is said.
    return ImageMessage(volume.array, matrix, "ras", timestamp=time_s, device_name=checked_name(device))


def mesh_message(mesh: Mesh, device: str, time_s: float) -> PolyDataMessage:
    """POLYDATA: triangles in RAS mm. Raises `InputError` where the name does not fit."""
    points = mesh.vertices_mm @ LPS_TO_RAS[:3, :3].T  # (V, 3)
    cells = np.insert(mesh.triangles.astype(np.uint32), 0, 3, axis=1)  # (T, 4): how many, and which
    return PolyDataMessage(
        points=points.astype(np.float32),
        polygons=cells.reshape(-1),
        timestamp=time_s,
        device_name=checked_name(device),
    )


def transform_message(pose: RigidTransform, device: str, time_s: float) -> TransformMessage:
    """TRANSFORM: from a tool's own axes to RAS, where `pose` leads from the tool's axes to LPS."""
    return TransformMessage(LPS_TO_RAS @ pose.matrix, timestamp=time_s, device_name=checked_name(device))


def text_message(text: str, device: str, time_s: float) -> StringMessage:
    """STRING, in ASCII: other letters are written as `?`."""
    plain = text.encode("ascii", "replace").decode()
    return StringMessage(plain, timestamp=time_s, device_name=checked_name(device))


def pose_of(message: TransformMessage) -> RigidTransform:
    """From a tool's own axes to LPS.

    Raises:
        InputError: the matrix does more than to turn and to shift.
    """
    matrix: NDArray[np.float64] = LPS_TO_RAS @ np.asarray(message.matrix, np.float64)
    turn = matrix[:3, :3]
    rigid = np.isfinite(matrix).all() and np.allclose(turn.T @ turn, np.eye(3), atol=_TOLERANCE)
    if not rigid or np.linalg.det(turn) < 0:
        raise InputError(f"the transform '{message.device_name}' is not rigid: it must turn and shift, nothing else")
    return RigidTransform.of(Rotation.from_matrix(turn).as_matrix(), matrix[:3, 3])


def packed(message: MessageBase) -> bytes:
    """The message as it goes over the wire: header, with its checksum, and body."""
    return bytes(message.pack())
