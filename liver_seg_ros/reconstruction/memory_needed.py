# SPDX-License-Identifier: Apache-2.0
"""How much memory a reconstruction will take, said before it takes any: a label volume may come from anywhere."""

from __future__ import annotations

from math import prod

from liver_seg_ros.errors import InputError
from liver_seg_ros.labels import LIVER, LIVER_VESSELS, TUMOR, structure_by_name
from liver_seg_ros.memory import GIB, free_memory_bytes
from liver_seg_ros.reconstruction.meshes.interpolation import thin_slices
from liver_seg_ros.volume import LabelVolume

#: Of a structure's box, after thick slices were divided: masks, a smoothed field in float32, numbers of parts.
BYTES_PER_VOXEL = 40
#: Of a voxel of vessels: its 26 neighbors as a graph, several times while the paths through it are sought.
BYTES_PER_VESSEL_VOXEL = 2000


def bytes_needed(labels: LabelVolume, interpolate: bool = True) -> int:
    """About how much memory the structure that takes the most will take, in bytes."""
    return max(_of_each(labels, interpolate), default=0)


def jobs_at_once(labels: LabelVolume, interpolate: bool = True) -> int:
    """How many structures may be worked on at the same time: two, where free memory holds the two largest."""
    largest = sorted(_of_each(labels, interpolate))[-2:]
    return 2 if sum(largest) <= free_memory_bytes() else 1


def _of_each(labels: LabelVolume, interpolate: bool) -> list[int]:
    """Bytes that the surface of each structure will take, and the tree of each of its vessels."""
    division = thin_slices(labels.geometry.spacing_mm) if interpolate else 1
    needed = []
    for name, voxels in labels.counts().items():
        structure = structure_by_name(name)
        values = (LIVER.value, TUMOR.value) if structure == LIVER else (structure.value,)
        found = [box for value in values if (box := labels.boxes.get(value)) is not None]
        if not voxels or not found:
            continue
        around = prod(max(s.stop for s in axis) - min(s.start for s in axis) for axis in zip(*found, strict=True))
        needed.append(BYTES_PER_VOXEL * division * around)
        if structure in LIVER_VESSELS:
            needed.append(BYTES_PER_VESSEL_VOXEL * voxels)
    return needed


def check_memory(labels: LabelVolume, interpolate: bool = True) -> None:
    """Raise `InputError` where a reconstruction of `labels` needs more memory than the machine has free."""
    needed, free = bytes_needed(labels, interpolate), free_memory_bytes()
    if needed > free:
        raise InputError(
            f"volume {labels.uid}: surfaces and vessels of {labels.geometry.in_words} need about {needed / GIB:.1f}"
            f" GiB; {free / GIB:.1f} GiB of memory are free; crop or resample the labels"
        )
