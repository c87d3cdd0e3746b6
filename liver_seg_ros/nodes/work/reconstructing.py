# SPDX-License-Identifier: Apache-2.0
"""The work of the node `reconstruction`: from labels to messages that are ready to be published.

In two steps, since how sure the network was of the lesions is known only after their labels (`lesion_reports`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from builtin_interfaces.msg import Time
from rclpy.serialization import serialize_message

from liver_seg_ros.errors import InputError
from liver_seg_ros.files.checks import check_labels
from liver_seg_ros.known_lesions import KnownLesion, with_known
from liver_seg_ros.labels import STRUCTURES, TUMOR
from liver_seg_ros.measurement import StructureMeasurement
from liver_seg_ros.nodes.messages.clouds import clearance_to_message, cloud_to_message
from liver_seg_ros.nodes.messages.meshes import meshes_to_array, meshes_to_markers
from liver_seg_ros.nodes.messages.placing import placed
from liver_seg_ros.nodes.messages.vessels import tree_to_markers, tree_to_message
from liver_seg_ros.nodes.work.saving import Saved, Where, save_reconstruction
from liver_seg_ros.open3d_library import import_open3d
from liver_seg_ros.plausibility.judgment import PlausibilityWarning, plausibility_warnings
from liver_seg_ros.progress import Cancelled, Progress
from liver_seg_ros.reconstruction.meshes.clearance_cloud import clearance_cloud
from liver_seg_ros.reconstruction.pipeline import Reconstruction, ReconstructionOptions, reconstruct
from liver_seg_ros.volume import LabelVolume


@dataclass(frozen=True)
class Headers:
    """What stands in the header of all messages: the frame, and the stamp of the labels that they were made of."""

    frame_id: str
    stamp_ns: int


@dataclass(frozen=True)
class Reconstructed:
    """What there is to say of a label volume.

    Attributes:
        messages: by topic, serialized: to make them of Python's objects takes a second of all of Python's time.
        structures: names of those that have a mesh.
        measurements: of every structure.
        seconds: per stage.
        warnings: why to doubt the labels.
    """

    messages: Mapping[str, bytes]
    structures: Sequence[str]
    measurements: Sequence[StructureMeasurement]
    seconds: Mapping[str, float]
    warnings: Sequence[PlausibilityWarning]


class Reconstructing:
    """Has what reconstruction needs imported before the first volume comes."""

    def __init__(self, progress: Progress, cancelled: Cancelled) -> None:
        import_open3d()  # seconds; `meshes.surface_queries` would do so with the first volume
        self._last: tuple[LabelVolume, Reconstruction] | None = None
        self._told: tuple[str, Reconstruction, Sequence[PlausibilityWarning]] | None = None  # with its volume's uid

    def save(self, where: Where, progress: Progress, cancelled: Cancelled) -> Iterator[Saved]:
        """What was reconstructed last; nothing where there is none. See `save_reconstruction`."""
        if self._told is not None:
            yield save_reconstruction(where, *self._told)

    def reconstruct(
        self, labels: LabelVolume, options: ReconstructionOptions, progress: Progress, cancelled: Cancelled
    ) -> Iterator[None]:
        """No answer: `tell` has it. Raises `InputError` for what are no labels, and whatever `reconstruct` does."""
        _check_values(labels)
        check_labels(labels, f"volume {labels.uid}")
        self._last = labels, reconstruct(labels, options, progress, cancelled)
        yield from ()

    def tell(
        self, headers: Headers, lesions: Sequence[KnownLesion], progress: Progress, cancelled: Cancelled
    ) -> Iterator[Reconstructed]:
        """One answer, about what was reconstructed last; `lesions`: those whose confidence the network told."""
        if self._last is None:
            return
        (labels, result), self._last = self._last, None
        result = replace(result, measurements=with_known(result.measurements, lesions))
        uid, (seconds, nanoseconds) = labels.uid, divmod(headers.stamp_ns, 10**9)
        stamp = Time(sec=seconds, nanosec=nanoseconds)
        tumor = next((mesh for mesh in result.meshes if mesh.structure == TUMOR), None)
        found = [part for m in result.measurements if m.structure == TUMOR for part in m.parts]
        messages = {
            "meshes": meshes_to_array(result.meshes, result.measurements, uid, stamp),
            "collision_meshes": meshes_to_array(result.collision_meshes, result.measurements, uid, stamp),
            "markers": meshes_to_markers(result.meshes, stamp, found),
            "cloud": cloud_to_message(result.cloud, stamp),
            "clearance_cloud": clearance_to_message(clearance_cloud(result.cloud, tumor), stamp),
            "vessel_tree": tree_to_message(result.tree, uid, stamp),
            "vessel_tree_markers": tree_to_markers(result.tree, stamp),
        }
        warnings = plausibility_warnings(labels, result.measurements)
        self._told = uid, result, warnings
        yield Reconstructed(
            {topic: serialize_message(placed(message, headers.frame_id)) for topic, message in messages.items()},
            [mesh.structure.name for mesh in result.meshes],
            result.measurements,
            result.seconds,
            warnings,
        )


def _check_values(labels: LabelVolume) -> None:
    largest, known = int(labels.array.max()), max(structure.value for structure in STRUCTURES)
    if largest > known:
        raise InputError(
            f"volume {labels.uid} holds the value {largest}; labels go up to {known} (liver_seg_ros/labels.py)"
        )
