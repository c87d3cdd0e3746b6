# SPDX-License-Identifier: Apache-2.0
"""`Volume` and `LabelVolume` to and from `liver_seg_interfaces/msg/VolumeHandle`: one slab, of all slices."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from builtin_interfaces.msg import Time
from numpy.typing import NDArray

from liver_seg_interfaces.msg import VolumeHandle
from liver_seg_ros.nodes.messages.slab import WIRE_TYPES, Slab
from liver_seg_ros.nodes.messages.volumes import FRAME_ID, as_described, describe
from liver_seg_ros.nodes.shared_memory import Place, read
from liver_seg_ros.short_repr import short_repr
from liver_seg_ros.volume import LabelVolume, Volume


@dataclass(frozen=True, eq=False)
class SharedSlab(Slab):
    """All slices of a volume, which lie in shared memory and are mapped when `voxels` is asked for.

    Attributes:
        place: where.
    """

    place: Place = field(kw_only=True)

    __repr__ = short_repr

    @property
    def is_copy(self) -> bool:
        """They come in slabs, too, for subscribers elsewhere."""
        return True

    def voxels(self) -> NDArray[Any]:
        """`(K, J, I)`, read-only and no copy. Raises `InputError` for whatever `shared_memory.read` refuses."""
        return read(self.place, self.geometry.shape, WIRE_TYPES[self.encoding], f"volume {self.uid}")

    def _check_data(self) -> None:
        """There is none yet."""


def volume_to_handle(volume: Volume | LabelVolume, place: Place, stamp: Time) -> VolumeHandle:
    """A message that names the place where the volume's voxels lie."""
    message = VolumeHandle(
        segment=place.segment,
        segment_bytes=place.segment_bytes,
        data_offset_bytes=place.data_offset_bytes,
        generation=place.generation,
        publisher_pid=os.getpid(),
        boot_id=place.boot_id,
    )
    describe(message, volume, stamp)
    return message


def handle_to_slab(message: VolumeHandle, frame_id: str = FRAME_ID) -> SharedSlab:
    """The whole volume as one slab; nothing is read yet. Refuses what `message_to_slab` does."""
    place = Place(
        message.segment, message.segment_bytes, message.data_offset_bytes, message.generation, message.boot_id
    )
    whole = partial(SharedSlab, first_slice=0, slice_count=int(message.size[2]), data=b"", place=place)
    return as_described(message, frame_id, whole)
