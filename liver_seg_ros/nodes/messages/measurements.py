# SPDX-License-Identifier: Apache-2.0
"""What was measured, to and from `liver_seg_interfaces/msg/StructureMeasurement`; messages are in m and m3."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from liver_seg_interfaces.msg import AxialDiameter as AxialMessage
from liver_seg_interfaces.msg import CollisionMeshQuality as CollisionMessage
from liver_seg_interfaces.msg import Gap as GapMessage
from liver_seg_interfaces.msg import MeshQuality as QualityMessage
from liver_seg_interfaces.msg import PartMeasurement as PartMessage
from liver_seg_interfaces.msg import StructureMeasurement as MeasurementMessage
from liver_seg_ros.geometry import ML_PER_M3, MM_PER_M
from liver_seg_ros.labels import structure_by_name
from liver_seg_ros.measurement import (
    AxialDiameter,
    CollisionMeshQuality,
    Gap,
    MeshQuality,
    PartMeasurement,
    StructureMeasurement,
)
from liver_seg_ros.nodes.messages.points import mm_to_point, point_to_mm

#: Of a confidence that nobody knows: not NaN, with which no message would equal itself.
_UNKNOWN = -1.0

Given = TypeVar("Given")
Made = TypeVar("Made")


def measurement_to_message(measurement: StructureMeasurement) -> MeasurementMessage:
    """All that was measured of one structure."""
    return MeasurementMessage(
        structure=measurement.structure.name,
        label=measurement.structure.value,
        volume_m3=measurement.volume_ml / ML_PER_M3,
        volume_uncertainty_m3=measurement.volume_uncertainty_ml / ML_PER_M3,
        largest_diameter_m=measurement.largest_diameter_mm / MM_PER_M,
        diameter_uncertainty_m=measurement.diameter_uncertainty_mm / MM_PER_M,
        axial=_some(_axial_to_message, measurement.axial),
        count=measurement.count,
        parts=[_part_to_message(part) for part in measurement.parts],
        mesh=_some(_quality_to_message, measurement.mesh),
        collision_mesh=_some(_collision_to_message, measurement.collision_mesh),
    )


def message_to_measurement(message: MeasurementMessage) -> StructureMeasurement:
    """The reverse of `measurement_to_message`. Raises `ValueError` for a structure that the label table has not."""
    return StructureMeasurement(
        structure=structure_by_name(message.structure),
        volume_ml=message.volume_m3 * ML_PER_M3,
        volume_uncertainty_ml=message.volume_uncertainty_m3 * ML_PER_M3,
        largest_diameter_mm=message.largest_diameter_m * MM_PER_M,
        diameter_uncertainty_mm=message.diameter_uncertainty_m * MM_PER_M,
        axial=_one(_message_to_axial, message.axial),
        count=message.count,
        parts=tuple(map(_message_to_part, message.parts)),
        mesh=_one(_message_to_quality, message.mesh),
        collision_mesh=_one(_message_to_collision, message.collision_mesh),
    )


def _part_to_message(part: PartMeasurement) -> PartMessage:
    return PartMessage(
        center=mm_to_point(part.center_mm),
        volume_m3=part.volume_ml / ML_PER_M3,
        volume_uncertainty_m3=part.volume_uncertainty_ml / ML_PER_M3,
        largest_diameter_m=part.largest_diameter_mm / MM_PER_M,
        diameter_uncertainty_m=part.diameter_uncertainty_mm / MM_PER_M,
        axial=_some(_axial_to_message, part.axial),
        to_vessel=_some(_gap_to_message, part.to_vessel),
        to_capsule=_some(_gap_to_message, part.to_capsule),
        touches_border=bool(part.touches_border),  # nodes always look: it is never None there
        confidence=_UNKNOWN if part.confidence is None else part.confidence,
    )


def _message_to_part(message: PartMessage) -> PartMeasurement:
    return PartMeasurement(
        center_mm=point_to_mm(message.center),
        volume_ml=message.volume_m3 * ML_PER_M3,
        volume_uncertainty_ml=message.volume_uncertainty_m3 * ML_PER_M3,
        largest_diameter_mm=message.largest_diameter_m * MM_PER_M,
        diameter_uncertainty_mm=message.diameter_uncertainty_m * MM_PER_M,
        axial=_one(_message_to_axial, message.axial),
        to_vessel=_one(_message_to_gap, message.to_vessel),
        to_capsule=_one(_message_to_gap, message.to_capsule),
        touches_border=message.touches_border,
        confidence=None if message.confidence < 0 else message.confidence,
    )


def _axial_to_message(axial: AxialDiameter) -> AxialMessage:
    return AxialMessage(
        long_m=axial.long_mm / MM_PER_M,
        uncertainty_m=axial.uncertainty_mm / MM_PER_M,
        short_m=axial.short_mm / MM_PER_M,
        long_ends=[mm_to_point(end) for end in axial.long_ends_mm],
        short_ends=[mm_to_point(end) for end in axial.short_ends_mm],
    )


def _message_to_axial(message: AxialMessage) -> AxialDiameter:
    long_from, long_to = map(point_to_mm, message.long_ends)
    short_from, short_to = map(point_to_mm, message.short_ends)
    return AxialDiameter(
        long_mm=message.long_m * MM_PER_M,
        uncertainty_mm=message.uncertainty_m * MM_PER_M,
        short_mm=message.short_m * MM_PER_M,
        long_ends_mm=(long_from, long_to),
        short_ends_mm=(short_from, short_to),
    )


def _gap_to_message(gap: Gap) -> GapMessage:
    return GapMessage(
        structure=gap.structure.name,
        label=gap.structure.value,
        distance_m=gap.distance_mm / MM_PER_M,
        uncertainty_m=gap.uncertainty_mm / MM_PER_M,
        on_lesion=mm_to_point(gap.from_mm),
        on_structure=mm_to_point(gap.to_mm),
    )


def _message_to_gap(message: GapMessage) -> Gap:
    return Gap(
        structure=structure_by_name(message.structure),
        distance_mm=message.distance_m * MM_PER_M,
        uncertainty_mm=message.uncertainty_m * MM_PER_M,
        from_mm=point_to_mm(message.on_lesion),
        to_mm=point_to_mm(message.on_structure),
    )


def _quality_to_message(quality: MeshQuality) -> QualityMessage:
    return QualityMessage(**vars(quality))


def _message_to_quality(message: QualityMessage) -> MeshQuality:
    return MeshQuality(**{name: getattr(message, name) for name in MeshQuality.__dataclass_fields__})


def _collision_to_message(collision: CollisionMeshQuality) -> CollisionMessage:
    return CollisionMessage(
        quality=_quality_to_message(collision.quality),
        margin_m=collision.margin_mm / MM_PER_M,
        largest_distance_m=collision.largest_distance_mm / MM_PER_M,
    )


def _message_to_collision(message: CollisionMessage) -> CollisionMeshQuality:
    return CollisionMeshQuality(
        quality=_message_to_quality(message.quality),
        margin_mm=message.margin_m * MM_PER_M,
        largest_distance_mm=message.largest_distance_m * MM_PER_M,
    )


def _some(convert: Callable[[Given], Made], value: Given | None) -> list[Made]:
    """A sequence of one, or an empty one for None: ROS has no other way to leave a field out."""
    return [] if value is None else [convert(value)]


def _one(convert: Callable[[Given], Made], values: Sequence[Given]) -> Made | None:
    """The reverse of `_some`."""
    return convert(values[0]) if values else None
