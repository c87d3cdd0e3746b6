# SPDX-License-Identifier: Apache-2.0
"""Finding the liver: when the coarse network is unsure, and that the fine one then searches the whole CT."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from liver_seg_ros.inference.bundle import ModelBundle, load_bundle
from liver_seg_ros.inference.localization import Finding
from liver_seg_ros.inference.model_folders import find_models_dir, model_folders
from liver_seg_ros.inference.segmenter import CoarseLiver, Segmenter
from liver_seg_ros.plausibility.evidence import Run
from liver_seg_ros.volume import Volume

MakeBundle = Callable[..., ModelBundle]
Truth = tuple[Volume, NDArray[np.uint8]]

LIVER_LIKE = (-20.0, 260.0)


def test_unsure_is_too_small_or_doubted_but_not_absent() -> None:
    place = object()
    for there, ml, probability, unsure in (
        (True, 1500, 0.97, False),
        (True, 1500, 0.80, True),
        (False, 19, 0.97, True),
        (False, 19, 0.60, True),
        (False, 1, 0.60, False),
        (False, 0, 0.0, False),
    ):
        finding = Finding(place if there else None, ml * 1000.0, probability, 20_000.0)  # type: ignore[arg-type]
        assert finding.unsure == unsure, (there, ml, probability)


@pytest.mark.parametrize(("band", "gain"), [(LIVER_LIKE, 1.0), ("vessel", 20.0)], ids=["doubts", "sees a part only"])
def test_the_fine_network_searches_where_the_coarse_one_is_unsure(
    make_bundle: MakeBundle,
    localizer: ModelBundle,
    make_segmenter_bundle: MakeBundle,
    liver_truth: Truth,
    band: str | tuple[float, float],
    gain: float,
) -> None:
    volume, _ = liver_truth
    unsure = make_bundle("localize", [band], gain=gain)
    stages: list[str] = []
    found = Segmenter(unsure, make_segmenter_bundle()).segment(volume, lambda stage, _: stages.append(stage))
    sure = Segmenter(localizer, make_segmenter_bundle()).segment(volume)
    assert found.searched and "search" in found.seconds and "search" in stages
    coarse, _ = Segmenter(unsure, make_segmenter_bundle()).steps(volume)
    assert isinstance(coarse, CoarseLiver)  # of the network that saw it well
    assert np.count_nonzero(coarse.labels.array) * coarse.labels.geometry.voxel_volume_mm3 == pytest.approx(
        np.count_nonzero(found.labels.array) * volume.geometry.voxel_volume_mm3, rel=0.1
    )
    assert "the whole CT was searched" in found.message
    assert not sure.searched and "search" not in sure.seconds and "searched" not in sure.message
    assert (found.labels.array == sure.labels.array).mean() > 0.999


def test_what_the_search_does_not_confirm_is_no_liver(
    make_bundle: MakeBundle, make_segmenter_bundle: MakeBundle, liver_truth: Truth
) -> None:
    """The localizer takes bone for liver, and has doubts."""
    volume, _ = liver_truth
    bone = np.where(volume.array > 0, 290, -500).astype(np.int16)
    unsure = make_bundle("localize", [(265, 315)], gain=2.0)
    result = Segmenter(unsure, make_segmenter_bundle()).segment(Volume(bone, volume.geometry, "bones"))
    assert result.searched and not result.liver_found
    assert result.message.endswith(" ml, below 20 ml")  # a rim where bone averages to the brightness of liver


@pytest.mark.parametrize(("output", "agreement"), [("softmax", 0.9999), ("argmax", 0.99)])
def test_probabilities_and_labels_are_as_good_as_logits(
    make_bundle: MakeBundle,
    localizer: ModelBundle,
    make_segmenter_bundle: MakeBundle,
    liver_truth: Truth,
    output: str,
    agreement: float,
) -> None:
    volume, _ = liver_truth
    coarse = make_bundle("localize", [LIVER_LIKE], output=output)
    fine = make_bundle("segment", ["liver", "tumor", "vessel"], output=output)
    found = Segmenter(coarse, fine).segment(volume)
    expected = Segmenter(localizer, make_segmenter_bundle()).segment(volume)
    assert not found.searched  # the localizer is as sure as with logits
    inside = expected.labels.array > 0
    assert (found.labels.array == expected.labels.array)[inside].mean() > agreement


def test_models_say_what_they_learned_from(
    localizer: ModelBundle, make_bundle: MakeBundle, make_segmenter_bundle: MakeBundle, liver_truth: Truth
) -> None:
    """By their description, whatever they are called; bundles from before the field say nothing."""
    volume, _ = liver_truth
    synthetic = {"training_data": "synthetic"}
    one = make_bundle("localize", [LIVER_LIKE], name="one", **synthetic)
    other = make_segmenter_bundle(name="other", **synthetic)
    assert Segmenter(one, other).segment(volume).run.synthetic_models == ("one", "other")
    patients = make_segmenter_bundle(name="synthetic", training_data="patients")
    assert Segmenter(localizer, patients).segment(volume).run == Run()


def test_the_shipped_models_were_trained_on_synthetic_data() -> None:
    bundles = [load_bundle(folder) for folder in model_folders(find_models_dir())]
    assert {bundle.spec.training_data for bundle in bundles} == {"synthetic"}
    assert all(bundle.spec.trained_on.startswith("Synthetic data only") for bundle in bundles)
