# SPDX-License-Identifier: Apache-2.0
"""The report beside labels tells how sure the network was, of lesions that are still those it saw."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from liver_seg_ros.files.known_confidence import with_known_confidence
from liver_seg_ros.geometry import Geometry
from liver_seg_ros.measurement import StructureMeasurement
from liver_seg_ros.reconstruction.measuring.structures import measure
from liver_seg_ros.report import build_report, write_report
from liver_seg_ros.volume import LabelVolume

GRID = Geometry((30, 26, 22), (0.8123, 0.91, 1.37), (-101.7, 33.3, 1207.1))


def labels(*lesions: tuple[int, int, int, int]) -> LabelVolume:
    array = np.ones(GRID.shape, np.uint8)
    for k, j, i, edge in lesions:
        array[k : k + edge, j : j + edge, i : i + edge] = 2
    return LabelVolume(array, GRID, "ct")


def confidences(measured: tuple[StructureMeasurement, ...]) -> list[float | None]:
    return [part.confidence for part in measured[1].parts]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """With the report of three lesions, of which two are alike in size."""
    seen = measure(labels((2, 2, 2, 6), (12, 12, 12, 4), (12, 12, 22, 4)))
    sure = tuple(replace(p, confidence=c) for p, c in zip(seen[1].parts, (0.91, 0.42, 0.63), strict=True))
    told = (seen[0], replace(seen[1], parts=sure), *seen[2:])
    report = build_report(source="ct", uid="ct", geometry=GRID, measurements=told, seconds={})
    write_report(tmp_path / "report.json", report)
    return tmp_path


def test_lesions_that_are_as_they_were_are_known_whatever_their_number(folder: Path) -> None:
    path = folder / "labels.nii.gz"
    same = measure(labels((2, 2, 2, 6), (12, 12, 12, 4), (12, 12, 22, 4)))
    assert confidences(with_known_confidence(same, path)) == [0.91, 0.42, 0.63]
    # One is gone, one has grown by a voxel, one was drawn, and the last is as it was.
    edited = labels((2, 2, 2, 7), (12, 2, 2, 5), (12, 12, 22, 4))
    assert confidences(with_known_confidence(measure(edited), path)) == [None, None, 0.63]


@pytest.mark.parametrize("text", [None, "", "[]", '{"structures": {"tumor": {"parts": [{"volume_ml": 1}]}}}', "{"])
def test_without_a_report_nothing_is_known(folder: Path, text: str | None) -> None:
    report = folder / "report.json"
    report.unlink() if text is None else report.write_text(text)
    measured = measure(labels((2, 2, 2, 6)))
    assert with_known_confidence(measured, folder / "labels.nii.gz") == measured
