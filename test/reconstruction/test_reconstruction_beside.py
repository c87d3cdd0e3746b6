# SPDX-License-Identifier: Apache-2.0
"""Structures made beside each other: masks that are made once, one progress for several threads, memory for two."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import numpy as np
import pytest

from liver_seg_ros.errors import CancelledError, InputError
from liver_seg_ros.geometry import Geometry
from liver_seg_ros.labels import LIVER, SPLEEN, TUMOR, VESSEL
from liver_seg_ros.reconstruction import memory_needed, pipeline, structure_masks
from liver_seg_ros.reconstruction.masks import structure_mask
from liver_seg_ros.reconstruction.memory_needed import bytes_needed, jobs_at_once
from liver_seg_ros.reconstruction.parts import connected_parts
from liver_seg_ros.reconstruction.pipeline import ReconstructionOptions, reconstruct
from liver_seg_ros.reconstruction.structure_masks import StructureMasks
from liver_seg_ros.reconstruction.telling import Telling
from liver_seg_ros.volume import LabelVolume

COARSE = ReconstructionOptions(triangle_budget=500, collision_margin_mm=0, point_spacing_mm=5)


def labels() -> LabelVolume:
    array = np.zeros((30, 32, 34), np.uint8)
    array[5:25, 5:25, 5:25] = LIVER.value
    array[8:12, 8:12, 8:12], array[15, 15, 10:20] = TUMOR.value, VESSEL.value
    return LabelVolume(array, Geometry((34, 32, 30), (0.9, 1.0, 1.1), (5.0, 6.0, 7.0)))


def test_masks_and_parts_are_those_of_their_functions() -> None:
    masks = StructureMasks(labels())
    for structure in (LIVER, TUMOR, VESSEL):
        mine, theirs = masks.of(structure), structure_mask(labels(), structure)
        assert mine is not None and theirs is not None
        assert np.array_equal(mine.array, theirs.array)
        assert mine.geometry.origin_mm == pytest.approx(theirs.geometry.origin_mm)
        assert np.array_equal(masks.parts(structure).order, connected_parts(theirs).order)
    assert masks.of(SPLEEN) is None and masks.parts(SPLEEN) is None


def test_a_reconstruction_makes_each_mask_once(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []

    def counted(of: LabelVolume, structure: object) -> object:
        made.append(structure)
        return structure_mask(of, structure)

    monkeypatch.setattr(structure_masks, "structure_mask", counted)
    reconstruct(labels(), COARSE)
    assert sorted(structure.name for structure in made) == ["liver", "tumor", "vessel"]


def test_several_threads_tell_one_progress_that_never_falls() -> None:
    told: list[float] = []
    telling = Telling("surfaces", lambda _, fraction: told.append(fraction), lambda: False)
    begin = Barrier(4)

    def work(job: int) -> None:
        done = telling.share(job, job / 4, (job + 1) / 4)
        begin.wait()
        for step in range(51):
            done(step / 50)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    assert told == sorted(told) and told[-1] == pytest.approx(1.0) and len(told) == 4 * 51


def test_nobody_is_told_or_asked_after_the_answer_was_to_stop() -> None:
    told, asked = [], []
    telling = Telling("surfaces", lambda *what: told.append(what), lambda: bool(asked.append(1)) or len(asked) > 2)
    done = telling.share("job", 0, 1)
    done(0.1)
    done(0.2)
    for _ in range(3):
        with pytest.raises(CancelledError, match="surfaces"):
            done(0.3)
    assert len(told) == 2 and len(asked) == 3


def test_what_one_structure_raises_ends_the_work_on_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    real, begun = pipeline.extract_surface, []

    def fails(shape: object, counted: object) -> object:
        begun.append(shape.structure)
        if shape.structure == VESSEL:
            raise InputError("no vessel today")
        return real(shape, counted)

    monkeypatch.setattr(pipeline, "extract_surface", fails)
    with pytest.raises(InputError, match="no vessel today"):
        reconstruct(labels(), COARSE)
    assert VESSEL in begun


def test_two_are_worked_on_at_once_only_where_memory_holds_both(monkeypatch: pytest.MonkeyPatch) -> None:
    most = bytes_needed(labels())
    for free, threads in ((most, 1), (3 * most, 2)):
        monkeypatch.setattr(memory_needed, "free_memory_bytes", lambda free=free: free)
        assert jobs_at_once(labels()) == threads
