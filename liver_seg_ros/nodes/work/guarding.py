# SPDX-License-Identifier: Apache-2.0
"""The work of the node `needle_guard`: from surfaces as they come to distances that can be asked for at once."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from rclpy.serialization import deserialize_message

from liver_seg_interfaces.msg import StructureMeshArray
from liver_seg_ros.labels import Structure
from liver_seg_ros.nodes.messages.guard_readings import message_to_mesh
from liver_seg_ros.open3d_library import import_open3d
from liver_seg_ros.planning.clearance import DistanceField, distance_fields
from liver_seg_ros.planning.obstacles_by_map import find_by_map_around
from liver_seg_ros.progress import Cancelled, Progress
from liver_seg_ros.volume import LabelVolume


@dataclass(frozen=True, eq=False)
class Guarded:
    """What is to be guarded.

    Attributes:
        volume_uid, frame_id: as in the message; of no frame the CT's.
        fields: distances to what is an obstacle.
        why_not: one line where nothing can be guarded; else empty.
    """

    volume_uid: str
    frame_id: str
    fields: dict[Structure, DistanceField]
    why_not: str = ""


class Guarding:
    """Nothing is kept between two messages; open3d is imported before the first one comes."""

    def __init__(self, progress: Progress, cancelled: Cancelled) -> None:
        import_open3d()  # seconds

    def prepare(
        self,
        message: bytes,
        ct_frame: str,
        obstacles: Collection[Structure],
        wants_map: bool,
        surroundings: LabelVolume | None,
        progress: Progress,
        cancelled: Cancelled,
    ) -> Iterator[Guarded]:
        """Of a serialized `StructureMeshArray`: to make Python's objects of it takes a quarter of a second already.

        Args:
            message: the surfaces.
            ct_frame: what the CT's frame is called.
            obstacles: what is to be kept clear of.
            wants_map: whether organs around are among that.
            surroundings: the map of them that came last, of whatever volume.

        Raises `InputError` for surfaces that are none.
        """
        array = deserialize_message(message, StructureMeshArray)
        uid, frame_id = array.volume_uid, array.header.frame_id or ct_frame
        if wants_map and (surroundings is None or surroundings.uid != uid):
            yield Guarded(uid, frame_id, {}, f"no map of volume {uid} came yet on the topic surroundings")
            return
        meshes = [message_to_mesh(mesh) for mesh in array.meshes]
        around = find_by_map_around(surroundings, meshes).meshes if wants_map and surroundings is not None else ()
        fields = distance_fields([mesh for mesh in (*meshes, *around) if mesh.structure in obstacles])
        for field in fields.values():
            field.lattice.fill()  # a needle that moves waits for nothing
        yield Guarded(uid, frame_id, fields, "" if meshes else "the surfaces that came hold no structure")
