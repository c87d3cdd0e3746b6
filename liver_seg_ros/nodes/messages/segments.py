# SPDX-License-Identifier: Apache-2.0
"""A divided liver as the answer of `liver_seg_interfaces/srv/DivideLiver`, in metres and cubic metres."""

from __future__ import annotations

from collections.abc import Mapping

from builtin_interfaces.msg import Time

from liver_seg_interfaces.msg import LiverPart
from liver_seg_interfaces.msg import Volume as VolumeMessage
from liver_seg_interfaces.srv import DivideLiver
from liver_seg_ros.geometry import ML_PER_M3
from liver_seg_ros.mesh import Mesh
from liver_seg_ros.nodes.messages.label_tables import entry_of
from liver_seg_ros.nodes.messages.meshes import mesh_to_shape
from liver_seg_ros.nodes.messages.planning_answers import Placed
from liver_seg_ros.nodes.messages.slab import COMPRESSION_ZLIB
from liver_seg_ros.nodes.messages.volumes import volume_to_slabs
from liver_seg_ros.planning.couinaud_answer import SegmentsAnswer
from liver_seg_ros.planning.couinaud_parts import SegmentPart
from liver_seg_ros.reconstruction.meshes.triangles import is_watertight
from liver_seg_ros.volume import LabelVolume

NO_CAVA = "no vena cava is labelled or mapped: set the parameter surroundings of segmentation and of planner"
NO_NAMES = "no vein is named portal or hepatic: set the parameter veins of segmentation"


def fill_segments(
    response: DivideLiver.Response, answer: SegmentsAnswer, meshes: Mapping[int, Mesh], placed: Placed
) -> None:
    """The parts, with their surfaces where `meshes` has them by value, and what is left."""
    divided, found = answer.divided, answer.resection
    response.parts = [_part_to_message(part, meshes.get(part.value), placed) for part in divided.parts]
    response.unknown = list(divided.unknown)
    response.liver_m3 = sum(part.volume_ml for part in divided.parts) / ML_PER_M3
    response.tumor_m3 = divided.tumor_ml / ML_PER_M3
    if found is not None:
        response.resected_m3 = found.resected_ml / ML_PER_M3
        response.remnant_m3 = found.remnant_ml / ML_PER_M3
        response.tumor_left_m3 = found.tumor_left_ml / ML_PER_M3
        response.remnant_fraction = found.remnant_percent / 100


def voxels_to_message(answer: SegmentsAnswer, volume_uid: str, stamp: Time) -> VolumeMessage:
    """The parts' voxels in one slab."""
    voxels = LabelVolume(answer.divided.array, answer.divided.geometry, volume_uid)
    [slab] = volume_to_slabs(voxels, 1, stamp, COMPRESSION_ZLIB)
    return slab


def why_not_divided(answer: SegmentsAnswer) -> str:
    """One line that says why nothing is parted and what to switch on; empty where something is."""
    if not answer.message or not answer.divided.parts:
        return answer.message
    missing = [NO_CAVA] if answer.landmarks.cava_mm is None else []
    missing += [] if answer.has_vein_names else [NO_NAMES]
    return "; ".join(missing) or answer.message


def _part_to_message(part: SegmentPart, mesh: Mesh | None, placed: Placed) -> LiverPart:
    message = LiverPart(
        segments=part.segments,
        entry=entry_of(part.row),
        volume_m3=part.volume_ml / ML_PER_M3,
        tumor_m3=part.tumor_ml / ML_PER_M3,
        lesions=part.lesions,
    )
    if mesh is not None:
        message.mesh = mesh_to_shape(mesh, placed(mesh.vertices_mm))
        message.watertight = is_watertight(mesh.triangles, len(mesh.vertices_mm))
    return message
