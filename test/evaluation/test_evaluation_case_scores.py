# SPDX-License-Identifier: Apache-2.0
"""Cases and their summary, on label volumes small enough to count by hand."""

from __future__ import annotations

from math import inf, isnan, nan

import numpy as np
import pytest

from liver_seg_ros.errors import InputError
from liver_seg_ros.evaluation.case_scores import (
    ALL,
    CaseScores,
    Definitions,
    score_case,
    summarize,
)
from liver_seg_ros.geometry import Geometry
from liver_seg_ros.labels import LIVER, SEGMENTED, TUMOR, VESSEL
from liver_seg_ros.volume import LabelVolume

GEOMETRY = Geometry((6, 1, 2), (1.0, 2.0, 3.0))


def volume(*rows: list[int]) -> LabelVolume:
    """Two slices of one row of six voxels."""
    return LabelVolume(np.array(rows, np.uint8).reshape(2, 1, 6), GEOMETRY)


TRUTH = volume([0, 1, 1, 2, 2, 3], [0, 0, 1, 1, 0, 0])
FOUND = volume([1, 1, 1, 2, 1, 3], [0, 0, 1, 0, 0, 3])


def test_each_structure_is_scored_by_the_definition_asked_for() -> None:
    scores = score_case("a", FOUND, TRUTH, SEGMENTED, Definitions()).scores
    # Organ: 7 voxels in the truth, 8 found, 6 shared. Tumor: 2, 1, 1. Vessel: 1, 2, 1.
    assert scores["liver"]["dice"] == pytest.approx(12 / 15)
    assert scores["tumor"]["dice"] == pytest.approx(2 / 3)
    assert scores["vessel"]["dice"] == pytest.approx(2 / 3)
    # The label liver by itself: truth 4, found 5, shared 3, so 3 / 6.
    assert scores[ALL]["mean_iou"] == pytest.approx((3 / 6 + 1 / 2 + 1 / 2) / 3)

    alone = score_case("a", FOUND, TRUTH, SEGMENTED, Definitions(organ=False, background_in_mean=True)).scores
    assert alone["liver"]["dice"] == pytest.approx(6 / 9)
    # Background: truth 5, found 4, shared 3, so 3 / 6.
    assert alone[ALL]["mean_iou"] == pytest.approx((3 / 6 + 3 / 6 + 1 / 2 + 1 / 2) / 4)


def test_a_truth_of_liver_and_vessels_says_nothing_about_tumors() -> None:
    truth = volume([0, 1, 1, 1, 1, 3], [0, 0, 1, 1, 0, 0])
    scores = score_case("a", FOUND, truth, (LIVER, VESSEL), Definitions()).scores
    assert set(scores) == {"liver", "vessel", ALL}
    assert scores["liver"]["dice"] == pytest.approx(12 / 15)  # the tumor found is a part of the organ
    assert scores["vessel"]["dice"] == pytest.approx(2 / 3)


def test_a_false_tumor_counts_where_other_cases_have_one() -> None:
    healthy = volume([0, 1, 1, 1, 1, 1], [0, 0, 1, 1, 0, 0])
    scores = score_case("a", FOUND, healthy, (LIVER, TUMOR), Definitions()).scores
    assert scores["tumor"]["dice"] == 0
    assert scores["tumor"]["lesion_precision"] == 0


def test_labels_in_another_order_of_axes_are_the_same_labels() -> None:
    turned = Geometry((2, 1, 6), (3.0, 2.0, 1.0), (5.0, 0.0, 0.0), np.array([[0, 0, -1], [0, 1, 0], [1, 0, 0]], float))
    found = LabelVolume(np.ascontiguousarray(FOUND.array.transpose(2, 1, 0)[::-1]), turned)
    assert score_case("a", found, TRUTH, SEGMENTED, Definitions()) == score_case(
        "a", FOUND, TRUTH, SEGMENTED, Definitions()
    )


def test_another_grid_is_refused_saying_what_differs() -> None:
    elsewhere = LabelVolume(FOUND.array, Geometry((6, 1, 2), (1.0, 2.0, 3.5)))
    with pytest.raises(InputError, match=r"case 7.*spacing 1x2x3\.5 instead of 1x2x3 mm"):
        score_case("case 7", elsewhere, TRUTH, SEGMENTED, Definitions())


def test_a_summary_leaves_out_cases_without_a_value_and_names_the_worst() -> None:
    cases = [
        CaseScores("a", {"tumor": {"dice": 0.5, "hd95_mm": 3.0}}),
        CaseScores("b", {"tumor": {"dice": 0.9, "hd95_mm": 5.0}}),
        CaseScores("c", {"tumor": {"dice": nan, "hd95_mm": nan}}),
        CaseScores("d", {"tumor": {"dice": 0.7, "hd95_mm": 1.0}}),
    ]
    summary = summarize(cases)["tumor"]
    assert (summary["dice"].cases, summary["dice"].worst) == (3, "a")
    assert summary["dice"].mean == pytest.approx(0.7)
    assert summary["dice"].deviation == pytest.approx(0.2)  # sqrt((0.04 + 0.04) / 2)
    assert summary["hd95_mm"].worst == "b"


def test_a_missed_structure_makes_the_mean_distance_infinite_and_none_gives_no_value() -> None:
    missed = CaseScores("a", {"tumor": {"hd95_mm": inf}})
    found = CaseScores("b", {"tumor": {"hd95_mm": 2.0}})
    summary = summarize([missed, found])["tumor"]["hd95_mm"]
    assert summary.mean == inf
    assert summary.worst == "a"
    assert isnan(summary.deviation)
    nothing = summarize([CaseScores("a", {"tumor": {"dice": nan}})])["tumor"]["dice"]
    assert nothing.cases == 0
    assert isnan(nothing.mean)
    assert nothing.worst == ""
