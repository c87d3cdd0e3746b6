# SPDX-License-Identifier: Apache-2.0
"""What a reconstruction will need is said before it is taken."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from liver_seg_ros import memory
from liver_seg_ros.errors import InputError
from liver_seg_ros.geometry import Geometry
from liver_seg_ros.labels import LIVER, TUMOR, VESSEL
from liver_seg_ros.reconstruction import memory_needed
from liver_seg_ros.reconstruction.memory_needed import BYTES_PER_VESSEL_VOXEL, BYTES_PER_VOXEL, bytes_needed
from liver_seg_ros.reconstruction.pipeline import reconstruct
from liver_seg_ros.reconstruction.vessels.extraction import vessel_tree
from liver_seg_ros.volume import LabelVolume


def labels(*values, size=(30, 30, 20), spacing_mm=(1.0, 1.0, 1.0)):
    """A box of each value inside the one before, one voxel thinner on every side."""
    array = np.zeros(size[::-1], np.uint8)
    for depth, value in enumerate(values, start=1):
        array[(slice(depth, -depth),) * 3] = value
    return LabelVolume(array, Geometry(size, spacing_mm), "boxes")


def test_boxes_are_counted_after_slices_were_divided():
    assert bytes_needed(labels()) == 0
    assert bytes_needed(labels(LIVER.value)) == BYTES_PER_VOXEL * 28 * 28 * 18
    assert bytes_needed(labels(LIVER.value, spacing_mm=(1.0, 1.0, 5.0))) == 5 * BYTES_PER_VOXEL * 28 * 28 * 18
    assert bytes_needed(labels(LIVER.value, spacing_mm=(1.0, 1.0, 5.0)), interpolate=False) == 40 * 28 * 28 * 18
    assert bytes_needed(labels(VESSEL.value)) == BYTES_PER_VESSEL_VOXEL * 28 * 28 * 18


def test_a_tumor_beside_the_liver_belongs_to_the_organ_s_box():
    array = np.zeros((4, 4, 50), np.uint8)
    array[1:3, 1:3, 2:4], array[1:3, 1:3, 45:48] = LIVER.value, TUMOR.value
    assert bytes_needed(LabelVolume(array, Geometry((50, 4, 4)))) == BYTES_PER_VOXEL * 46 * 2 * 2


def test_a_vessel_that_fills_a_box_takes_no_more_than_was_said():
    block = labels(VESSEL.value, size=(42, 42, 42))
    tracemalloc.start()
    try:
        vessel_tree(block)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < bytes_needed(block) < 5 * peak


def test_what_does_not_fit_is_refused_before_any_work(monkeypatch, tmp_path):
    (tmp_path / "meminfo").write_text("MemAvailable:     100 kB\n")
    monkeypatch.setattr(memory, "MEMORY", tmp_path / "meminfo")
    monkeypatch.setattr("liver_seg_ros.reconstruction.pipeline.extract_surface", lambda *_, **__: pytest.fail("begun"))
    with pytest.raises(InputError, match=r"volume boxes: surfaces and vessels of .* GiB of memory are free; crop") as e:
        reconstruct(labels(LIVER.value))
    assert "\n" not in str(e.value)
    assert memory_needed.free_memory_bytes() == 102400
