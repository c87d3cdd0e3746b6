# SPDX-License-Identifier: Apache-2.0
"""How sure a network is of a tumor: the softmax of what it gives at its temperature, at the places asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import softmax

from liver_seg_ros.geometry import Geometry
from liver_seg_ros.inference.bundle import Calibration, ModelBundle, load_bundle
from liver_seg_ros.inference.bundle_writing import add_variant, describe_anew
from liver_seg_ros.inference.segmenter import Segmenter
from liver_seg_ros.inference.tumor_probability import TumorProbability
from liver_seg_ros.labels import TUMOR
from liver_seg_ros.reconstruction.measuring.structures import measure
from liver_seg_ros.volume import Volume

Truth = tuple[Volume, NDArray[np.uint8]]
MakeBundle = Callable[..., ModelBundle]
TURNED = ((0.0, 1.0, 0.0), (-1.0, 0.0, 0.0), (0.0, 0.0, 1.0))


def scores_of(shape: tuple[int, int, int], seed: int) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(0, 4, (4, *shape)).astype(np.float32)


@pytest.fixture(scope="module")
def make_calibrated(make_segmenter_bundle: MakeBundle) -> MakeBundle:
    def make(temperature: float | None, **changes: object) -> ModelBundle:
        return make_segmenter_bundle(calibration=Calibration(temperature, 0.7), **changes)

    return make


def test_it_is_the_softmax_at_the_nearest_voxel_and_what_was_seen_first_counts(make_calibrated: MakeBundle) -> None:
    sure = TumorProbability(make_calibrated(2.5).spec)
    first = Geometry((5, 4, 3), (2.0, 2.0, 2.0), (10.0, -5.0, 100.0), TURNED)
    beside = replace(first, origin_mm=tuple(first.index_to_lps([3, 0, 0])))
    for seed, grid in enumerate((first, beside)):
        given = scores_of(grid.shape, seed)
        passed = list(sure.watch(grid, iter(given.swapaxes(0, 1))))
        np.testing.assert_array_equal(np.stack(passed, axis=1), given)
    index = np.array([[0.4, 2.6, 1.1], [4.0, 0.0, 2.0], [6.3, 1.0, 0.0], [30.0, 0.0, 0.0]])
    found = sure.at(first.index_to_lps(index))
    voxels = [(1, 3, 0), (2, 0, 4), (0, 1, 3)]  # k, j, i; the third is of the grid beside
    for got, seed, (k, j, i) in zip(found, (0, 0, 1), voxels, strict=False):
        scores = scores_of((3, 4, 5), seed)[:, k, j, i]
        expected = 0.0 if scores.argmax() == 0 else softmax(scores.astype(np.float64) / 2.5)[TUMOR.value]
        assert got == pytest.approx(expected, abs=1e-3)
    assert found[3] == 0.0


def test_a_lesion_has_the_mean_over_its_voxels(
    localizer: ModelBundle, make_calibrated: MakeBundle, liver_truth: Truth
) -> None:
    volume, _ = liver_truth
    lesions = {}
    for temperature in (0.01, 4.0, 1000.0):
        found = Segmenter(localizer, make_calibrated(temperature)).segment(volume)
        assert found.tumor_probability is not None and found.run.least_lesion == 0.7
        measured = measure(found.labels, found.tumor_probability.at)
        lesions[temperature] = next(m for m in measured if m.structure == TUMOR).parts
        assert all(not m.parts for m in measured if m.structure != TUMOR)
    [certain], [sure], [guessing] = (lesions[t] for t in (0.01, 4.0, 1000.0))
    assert certain.confidence == pytest.approx(1.0, abs=0.12)  # voxels at its border may belong to others
    assert guessing.confidence == pytest.approx(0.25, abs=0.01)
    assert guessing.confidence < sure.confidence < certain.confidence
    assert replace(certain, confidence=sure.confidence) == sure
    assert measure(found.labels)[1].parts[0].confidence is None


def test_networks_that_do_not_say_are_not_asked(
    localizer: ModelBundle, make_calibrated: MakeBundle, make_bundle: MakeBundle, liver_truth: Truth
) -> None:
    bands = ["liver", "tumor", "vessel"]
    votes = make_bundle("segment", bands, output="argmax", calibration=Calibration(1.5))
    for bundle in (make_calibrated(None), votes):
        found = Segmenter(localizer, bundle).segment(liver_truth[0])
        assert found.liver_found and found.tumor_probability is None and found.run.least_lesion is None


def test_probabilities_tell_as_logits_do(
    localizer: ModelBundle, make_calibrated: MakeBundle, make_bundle: MakeBundle, liver_truth: Truth
) -> None:
    told = make_bundle("segment", ["liver", "tumor", "vessel"], output="softmax", calibration=Calibration(1.5))
    found = [Segmenter(localizer, bundle).segment(liver_truth[0]) for bundle in (make_calibrated(1.5), told)]
    confidences = [measure(f.labels, f.tumor_probability.at)[1].parts[0].confidence for f in found]  # type: ignore[union-attr]
    assert confidences[0] == pytest.approx(confidences[1], abs=0.01)


def test_of_several_networks_the_one_that_tumors_come_from_is_asked(
    localizer: ModelBundle, make_bundle: MakeBundle, liver_truth: Truth
) -> None:
    liver = make_bundle("segment", [(-20.0, 260.0)], labels={0: "background", 1: "liver"})
    tumor = make_bundle(
        "segment", ["tumor"], labels={0: "background", 1: "tumor"}, calibration=Calibration(1000.0, 0.6)
    )
    found = Segmenter(localizer, [liver, tumor]).segment(liver_truth[0])
    assert found.tumor_probability is not None and found.run.least_lesion == 0.6
    [lesion] = measure(found.labels, found.tumor_probability.at)[1].parts
    assert lesion.confidence == pytest.approx(0.5, abs=0.05)  # of two classes, and background wins at its border


def test_a_calibration_is_kept_in_the_bundle_and_leaves_variants_alone(make_calibrated: MakeBundle) -> None:
    bundle = make_calibrated(None)
    bundle = add_variant(bundle, "fp16", bundle.weights.read_bytes(), "fp16", ("onnxruntime",))
    said = Calibration(1.25, 0.55, 0.03, 0.01, "eighteen phantoms")
    describe_anew(bundle, calibration=said)
    read = load_bundle(bundle.folder)
    assert read.spec.calibration == said and read.spec.variants == bundle.spec.variants
    assert read.weights_of("fp16").is_file()
    assert "temperature 1.25" in (bundle.folder / "MODEL_CARD.md").read_text()
