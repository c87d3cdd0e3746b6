# SPDX-License-Identifier: Apache-2.0
"""Metrics against MONAI's and SimpleITK's, on random masks and on empty, full and border-touching ones."""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Callable

import numpy as np
import pytest
import SimpleITK
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from monai.metrics import compute_average_surface_distance, compute_hausdorff_distance, compute_surface_dice
from monai.metrics.confusion_matrix import compute_confusion_matrix_metric, get_confusion_matrix
from monai.metrics.panoptic_quality import compute_panoptic_quality
from numpy.typing import NDArray
from scipy.ndimage import label

from liver_seg_ros.evaluation.lesions import LesionDetection, lesion_detection
from liver_seg_ros.evaluation.metrics import LABELS, DiceCounter, evaluate
from liver_seg_ros.evaluation.overlap import Overlap, overlap
from liver_seg_ros.evaluation.surface_distances import surface_distances

SPACING_MM = (0.7, 1.1, 2.5)  # (i, j, k)
SHAPE = (7, 9, 11)
MONAI_NAMES = {
    "dice": "f1 score",
    "iou": "threat score",
    "precision": "precision",
    "recall": "sensitivity",
    "sensitivity": "sensitivity",
    "specificity": "specificity",
    "accuracy": "accuracy",
    "mcc": "matthews correlation coefficient",
}


def box(*bounds: tuple[int, int]) -> NDArray[np.bool_]:
    mask = np.zeros(SHAPE, bool)
    mask[tuple(slice(*b) for b in bounds)] = True
    return mask


def cases() -> list[tuple[str, NDArray[np.bool_], NDArray[np.bool_]]]:
    """Name, answer, truth."""
    rng = np.random.default_rng(5)
    empty, full = np.zeros(SHAPE, bool), np.ones(SHAPE, bool)
    inside, border = box((2, 5), (3, 7), (2, 8)), box((0, 4), (5, 9), (0, 5))
    voxel, corner = box((3, 4), (4, 5), (5, 6)), box((0, 1), (0, 1), (0, 1))
    named = {"empty": empty, "full": full, "inside": inside, "border": border, "voxel": voxel, "corner": corner}
    pairs = [(f"{a}-{t}", named[a], named[t]) for a, t in itertools.product(named, named)]
    for density in (0.05, 0.3, 0.5, 0.9):
        pairs.append((f"random {density}", rng.random(SHAPE) < density, rng.random(SHAPE) < density))
    return pairs


CASES = [pytest.param(a, t, id=name) for name, a, t in cases()]
every_case = pytest.mark.parametrize(("answer", "truth"), CASES)


def tensor(mask: NDArray[np.bool_]) -> torch.Tensor:
    return torch.from_numpy(mask.astype(np.float32))[None, None]


def image(mask: NDArray[np.bool_]) -> SimpleITK.Image:
    result = SimpleITK.GetImageFromArray(mask.astype(np.uint8))
    result.SetSpacing(SPACING_MM)
    return result


@every_case
def test_overlap_agrees_with_monai(answer: NDArray[np.bool_], truth: NDArray[np.bool_]) -> None:
    counts = overlap(answer, truth)
    matrix = get_confusion_matrix(tensor(answer), tensor(truth)).double()
    assert (counts.tp, counts.fp, counts.tn, counts.fn) == tuple(int(n) for n in matrix[0, 0])
    for ours, theirs in MONAI_NAMES.items():
        expected = float(compute_confusion_matrix_metric(theirs, matrix)[0, 0])
        if ours == "mcc" and math.isnan(expected):
            continue  # 0/0, which is told apart here: see the test on constant masks
        assert getattr(counts, ours) == pytest.approx(expected, abs=1e-6, nan_ok=True), ours


@every_case
def test_overlap_agrees_with_simpleitk(answer: NDArray[np.bool_], truth: NDArray[np.bool_]) -> None:
    if not answer.any() and not truth.any():
        return  # SimpleITK has no value for two empty masks
    filter_ = SimpleITK.LabelOverlapMeasuresImageFilter()
    filter_.Execute(image(answer), image(truth))  # source, target
    counts = overlap(answer, truth)
    assert counts.dice == pytest.approx(filter_.GetDiceCoefficient())
    assert counts.iou == pytest.approx(filter_.GetJaccardCoefficient())
    assert counts.volume_overlap_error == pytest.approx(1 - filter_.GetJaccardCoefficient())
    assert counts.volume_similarity == pytest.approx(filter_.GetVolumeSimilarity())
    if truth.any():
        assert counts.recall == pytest.approx(1 - filter_.GetFalseNegativeError())


def test_paper_1_prints_other_equations_under_the_usual_names() -> None:
    counts = Overlap(tp=30, fp=20, fn=10, tn=40)
    assert counts.volume_similarity == pytest.approx(2 * (50 - 40) / (50 + 40))  # equation 14
    assert counts.volume_overlap_error == pytest.approx(1 - 30 / 60)
    assert counts.specificity == pytest.approx((100 - 60) / (100 - 40))  # equation 15
    assert counts.precision == pytest.approx(30 / 50)


def test_overlap_of_empty_and_full_masks_is_defined() -> None:
    empty, full, some = np.zeros(SHAPE, bool), np.ones(SHAPE, bool), box((0, 2), (0, 2), (0, 2))
    for name in ("dice", "iou", "volume_overlap_error", "volume_similarity", "precision", "recall", "mcc"):
        assert math.isnan(getattr(overlap(empty, empty), name)), name
    for one, other, similarity in ((empty, some, -2), (some, empty, 2)):
        counts = overlap(one, other)
        assert (counts.dice, counts.iou, counts.volume_overlap_error, counts.mcc) == (0, 0, 1, 0)
        assert counts.volume_similarity == similarity
    assert math.isnan(overlap(empty, some).precision)
    assert math.isnan(overlap(some, empty).recall)
    assert math.isnan(overlap(some, full).specificity)
    assert overlap(full, some).mcc == 0
    assert overlap(full, empty).mcc == overlap(empty, full).mcc == -1
    assert math.isnan(overlap(full, full).mcc)


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_overlap_of_any_masks_keeps_its_identities(data: st.DataObject) -> None:
    shape = data.draw(array_shapes(min_dims=2, max_dims=3, max_side=6))
    answer, truth = (data.draw(arrays(bool, shape)) for _ in range(2))
    counts, swapped, inverted = overlap(answer, truth), overlap(truth, answer), overlap(~answer, ~truth)
    assert counts.tp + counts.fp + counts.fn + counts.tn == answer.size
    same = {"nan_ok": True, "abs": 1e-12}
    assert counts.dice == pytest.approx(2 * counts.iou / (1 + counts.iou), **same)
    assert counts.dice == pytest.approx(swapped.dice, **same)
    assert counts.precision == pytest.approx(swapped.recall, **same)
    assert counts.specificity == pytest.approx(inverted.recall, **same)
    assert counts.mcc == pytest.approx(inverted.mcc, **same)
    assert counts.mcc == pytest.approx(swapped.mcc, **same)
    assert math.isnan(counts.mcc) or -1 - 1e-12 <= counts.mcc <= 1 + 1e-12


@every_case
def test_surfaces_agree_with_monai(answer: NDArray[np.bool_], truth: NDArray[np.bool_]) -> None:
    distances = surface_distances(answer, truth, SPACING_MM)
    pair = {"include_background": True, "spacing": SPACING_MM[::-1]}
    masks = tensor(answer), tensor(truth)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of empty masks
        theirs = compute_surface_dice(*masks, class_thresholds=[1.2], **pair).item()
        assert distances.surface_dice(1.2) == pytest.approx(theirs, nan_ok=True)
        if answer.any() == truth.any():  # where one is empty MONAI gives NaN for some metrics
            assd = compute_average_surface_distance(*masks, symmetric=True, **pair).item()
            assert distances.assd == pytest.approx(assd, nan_ok=True, abs=1e-5)
            for percentile in (50, 95, 100):
                hausdorff = compute_hausdorff_distance(*masks, percentile=percentile, **pair).item()
                assert distances.hausdorff(percentile) == pytest.approx(hausdorff, nan_ok=True, abs=1e-5)
            assert distances.hd95 == pytest.approx(distances.hausdorff(95), nan_ok=True)


@every_case
def test_surfaces_agree_with_simpleitk(answer: NDArray[np.bool_], truth: NDArray[np.bool_]) -> None:
    if not answer.any() or not truth.any():
        return  # SimpleITK has no distance to an empty mask
    contours = [
        SimpleITK.LabelContour(SimpleITK.ConstantPad(image(mask), [1] * 3, [1] * 3)) for mask in (answer, truth)
    ]
    maps = [
        SimpleITK.Abs(SimpleITK.SignedMaurerDistanceMap(c, squaredDistance=False, useImageSpacing=True))
        for c in contours
    ]
    arrays_ = [SimpleITK.GetArrayFromImage(x) for x in (*contours, *maps)]
    to_truth, to_answer = arrays_[3][arrays_[0] == 1], arrays_[2][arrays_[1] == 1]
    distances = surface_distances(answer, truth, SPACING_MM)
    assert distances.assd == pytest.approx(np.concatenate([to_truth, to_answer]).mean(), abs=1e-5)
    hausdorff = SimpleITK.HausdorffDistanceImageFilter()
    hausdorff.Execute(*contours)
    assert distances.hausdorff() == pytest.approx(hausdorff.GetHausdorffDistance(), abs=1e-5)


def test_a_missed_structure_is_infinitely_far_and_no_structure_is_no_number() -> None:
    empty, some = np.zeros(SHAPE, bool), box((0, 2), (0, 2), (0, 2))
    for answer, truth in ((empty, some), (some, empty)):
        distances = surface_distances(answer, truth, SPACING_MM)
        assert (distances.assd, distances.hd95, distances.surface_dice(5)) == (math.inf, math.inf, 0)
    nothing = surface_distances(empty, empty, SPACING_MM)
    assert all(math.isnan(x) for x in (nothing.assd, nothing.hd95, nothing.surface_dice(5)))


def test_spacing_is_in_file_order() -> None:
    a, t = box((3, 4), (4, 5), (1, 2)), box((3, 4), (4, 5), (4, 5))  # 3 voxels apart along i
    assert surface_distances(a, t, (0.5, 10, 100)).hausdorff() == pytest.approx(1.5)
    assert surface_distances(a[3], t[3], (0.5, 10)).assd == pytest.approx(1.5)


def test_half_a_voxel_of_percentile_is_interpolated() -> None:
    distances = surface_distances(box((0, 1), (0, 1), (0, 11)), box((0, 1), (0, 1), (0, 1)), (1, 1, 1))
    assert distances.hd95 == pytest.approx(9.5)  # of 0, 1, ..., 10


@pytest.mark.parametrize("merge", [True, False])
def test_separate_lesions_agree_with_monais_recognition_quality(merge: bool) -> None:
    rng = np.random.default_rng(0)
    found = 0
    for _ in range(8):
        answer, truth = np.zeros((2, 12, 40, 40), bool)
        for k, j, i in itertools.product((0,), (2, 15, 28), (2, 15, 28)):  # far apart: nothing to merge
            for mask in (answer, truth):
                if rng.random() < 0.8:
                    start, size = np.add((k, j, i), rng.integers(0, 3, 3)), rng.integers(5, 9, 3)
                    mask[tuple(slice(s, s + n) for s, n in zip(start, size, strict=True))] = True
        parts = [torch.from_numpy(label(mask)[0]) for mask in (answer, truth)]
        tp, fp, fn, _ = compute_panoptic_quality(*parts, output_confusion_matrix=True).tolist()
        ours = lesion_detection(answer, truth, merge=merge)
        assert ours == LesionDetection(int(tp + fn), int(tp + fp), int(tp), int(tp))
        assert ours.f1 == pytest.approx(compute_panoptic_quality(*parts, metric_name="rq").item(), abs=1e-5)
        found += ours.found
    assert found > 5


def strip(*runs: tuple[int, int]) -> NDArray[np.bool_]:
    mask = np.zeros((1, 1, 100), bool)
    for first, end in runs:
        mask[..., first:end] = True
    return mask


@pytest.mark.parametrize(
    ("answer", "truth", "iou", "expected"),
    [
        # in truth, in answer, found, right
        (strip((0, 10)), strip((0, 20)), 0.5, (1, 1, 0, 0)),  # IoU is exactly 0.5: not above it
        (strip((0, 11)), strip((0, 20)), 0.5, (1, 1, 1, 1)),
        (strip((0, 9), (11, 20)), strip((0, 20)), 0.5, (1, 2, 1, 2)),  # split in the answer
        (strip((0, 20)), strip((0, 9), (11, 20)), 0.5, (2, 1, 2, 1)),  # run together in the answer
        (strip((0, 20), (50, 60)), strip((0, 20), (70, 80)), 0.5, (2, 2, 1, 1)),
        (strip((0, 20)), strip((15, 40)), 0.1, (1, 1, 1, 1)),  # 5 / 40
        (strip((0, 20)), strip((15, 40)), 0.2, (1, 1, 0, 0)),
        # The middle lesion of the truth goes to the answer that covers it best; both groups are found then.
        (strip((0, 24), (25, 50)), strip((0, 14), (16, 30), (31, 50)), 0.5, (3, 2, 3, 2)),
        (strip(), strip((0, 5)), 0.5, (1, 0, 0, 0)),
        (strip((0, 5)), strip(), 0.5, (0, 1, 0, 0)),
        (strip(), strip(), 0.5, (0, 0, 0, 0)),
        (strip((0, 100)), strip((0, 100)), 0.5, (1, 1, 1, 1)),
    ],
)
def test_lesions_are_matched_as_lits_does(
    answer: NDArray[np.bool_], truth: NDArray[np.bool_], iou: float, expected: tuple[int, int, int, int]
) -> None:
    assert lesion_detection(answer, truth, iou) == LesionDetection(*expected)


def test_without_merging_a_split_lesion_is_missed() -> None:
    split, whole = strip((0, 9), (11, 20)), strip((0, 20))
    assert lesion_detection(split, whole, merge=False) == LesionDetection(1, 2, 0, 0)
    assert lesion_detection(split[0], whole[0], merge=False) == LesionDetection(1, 2, 0, 0)  # in 2D as well
    with pytest.raises(ValueError, match=r"from 0\.5 to below 1"):
        lesion_detection(split, whole, 0.3, merge=False)
    with pytest.raises(ValueError, match=r"iou 1\.0 must be"):
        lesion_detection(split, whole, 1.0)


def test_lesions_that_meet_at_an_edge_are_two() -> None:
    mask = box((0, 2), (0, 2), (0, 2)) | box((2, 4), (2, 4), (0, 2))
    assert lesion_detection(mask, mask).in_truth == 2


def test_lesion_figures_where_there_is_none() -> None:
    assert (LesionDetection(4, 3, 3, 2) + LesionDetection(1, 1, 0, 0)) == LesionDetection(5, 4, 3, 2)
    both = LesionDetection(4, 2, 3, 1)
    assert (both.precision, both.recall, both.f1) == (0.5, 0.75, pytest.approx(0.6))
    assert math.isnan(LesionDetection(0, 0, 0, 0).f1)
    assert math.isnan(LesionDetection(0, 3, 0, 0).recall)
    assert math.isnan(LesionDetection(3, 0, 0, 0).precision)
    assert LesionDetection(0, 3, 0, 0).f1 == LesionDetection(3, 0, 0, 0).f1 == 0


def measure_all(answer: NDArray[np.integer], truth: NDArray[np.integer]) -> list[Callable[[], object]]:
    return [
        lambda: overlap(answer, truth),
        lambda: surface_distances(answer, truth, SPACING_MM),
        lambda: lesion_detection(answer, truth),
    ]


def test_masks_that_do_not_fit_are_named() -> None:
    good = box((1, 3), (1, 3), (1, 3))
    for measure in measure_all(good, good[1:]):
        with pytest.raises(ValueError, match="do not lie on one grid"):
            measure()
    for measure in measure_all(2 * good.astype(np.uint8), good):
        with pytest.raises(ValueError, match="`answer` holds other values than 0 and 1"):
            measure()
    for measure in measure_all(good, np.where(good, np.nan, 0.0)):
        with pytest.raises(ValueError, match="`truth` holds other values than 0 and 1"):
            measure()
    for spacing in ((1, 1), (1, 1, 0)):
        with pytest.raises(ValueError, match="3 positive lengths"):
            surface_distances(good, good, spacing)
    with pytest.raises(ValueError, match="negative"):
        surface_distances(good, good, SPACING_MM).surface_dice(-1)


def test_every_metric_of_a_case() -> None:
    truth = np.zeros((10, 20, 20), np.uint8)
    truth[1:9, 2:18, 2:18] = 1
    truth[3:6, 4:8, 4:8] = 2
    truth[2:8, 12:14, 12:14] = 3
    perfect = evaluate(truth, truth, SPACING_MM)
    assert list(perfect) == ["liver", "tumor", "vessel"]
    for name, scores in perfect.items():
        zero = {"volume_overlap_error", "volume_similarity", "assd_mm", "hd95_mm"}
        assert all(value == (0 if metric in zero else 1) for metric, value in scores.items()), name
        assert {type(value) for value in scores.values()} == {float}
    assert {"lesion_precision", "lesion_recall", "lesion_f1"} <= set(perfect["tumor"])
    assert "cl_dice" in perfect["vessel"]
    assert "cl_dice" not in perfect["liver"]

    answer = np.where(truth == 2, 1, truth)  # no tumor found; the organ is the same
    missed = evaluate(answer, truth, SPACING_MM)
    assert missed["liver"] == perfect["liver"]
    assert (missed["tumor"]["dice"], missed["tumor"]["hd95_mm"], missed["tumor"]["lesion_f1"]) == (0, math.inf, 0)


def test_labels_outside_the_table_are_named() -> None:
    good, high, low = np.zeros(SHAPE, np.int64), np.full(SHAPE, 4), np.full(SHAPE, -1)
    counter = DiceCounter(LABELS)
    for answer, truth, wrong in ((high, good, 4), (good, high, 4), (low, good, -1), (good, low, -1)):
        for use in (lambda a, t: evaluate(a, t, SPACING_MM), counter.add):
            with pytest.raises(ValueError, match=f"label {wrong} is not in the table, whose labels are 0 to 3"):
                use(answer, truth)
    assert counter.scores() == {}


def test_a_counter_takes_for_the_organ_what_lies_in_it_whatever_the_other_classes_are() -> None:
    truth, answer = (np.random.default_rng(seed).integers(0, 3, 500) for seed in (1, 2))
    for labels, organ in (
        ({0: "background", 1: "tumor", 2: "vessel"}, None),
        ({0: "background", 1: "liver", 2: "stomach"}, (1,)),
        ({0: "background", 1: "liver", 2: "tumor"}, (1, 2)),
    ):
        counter = DiceCounter(labels)
        counter.add(answer, truth)
        masks = {name: ((value,) if name != "liver" else organ) for value, name in labels.items() if value}
        for name, values in masks.items():
            a, t = np.isin(answer, values), np.isin(truth, values)
            assert counter.scores()[name] == pytest.approx(2 * np.sum(a & t) / (a.sum() + t.sum())), (labels, name)
