# SPDX-License-Identifier: Apache-2.0
"""The cascade on real, small networks: labels on the CT's own grid for any orientation, extent and spacing."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import permutations, product
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from liver_seg_ros.errors import CancelledError, InputError
from liver_seg_ros.geometry import Box, Geometry
from liver_seg_ros.inference import model_folders
from liver_seg_ros.inference.bundle import ModelBundle, Postprocessing
from liver_seg_ros.inference.model_folders import find_models_dir
from liver_seg_ros.inference.segmenter import Segmentation, Segmenter, load_default_segmenter
from liver_seg_ros.orientation import Reorientation
from liver_seg_ros.volume import Volume, make_right_handed

Truth = tuple[Volume, NDArray[np.uint8]]
MakeBundle = Callable[..., ModelBundle]


@pytest.fixture(scope="module")
def segmenter(localizer: ModelBundle, make_segmenter_bundle: MakeBundle) -> Segmenter:
    return Segmenter(localizer, make_segmenter_bundle())


def dice(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    return 2 * np.count_nonzero(a & b) / (np.count_nonzero(a) + np.count_nonzero(b))


def test_finds_every_structure_on_the_grid_of_the_ct(segmenter: Segmenter, liver_truth: Truth) -> None:
    volume, truth = liver_truth
    result = segmenter.segment(volume)
    assert result.liver_found
    assert result.labels.geometry == volume.geometry
    assert result.labels.uid == volume.uid
    assert result.liver_box is not None
    for value, least in ((1, 0.95), (2, 0.9), (3, 0.85)):
        assert dice(result.labels.array == value, truth == value) > least
    liver_box = Box.around(truth > 0)
    assert liver_box is not None
    margin_mm = (np.array(liver_box.start) - result.liver_box.start) * volume.geometry.spacing_mm
    assert np.all(np.abs(margin_mm - 12) <= 6)  # the localizer's margin, give or take one of its voxels
    outside = np.ones(truth.shape, bool)
    outside[result.liver_box.slices] = False
    assert not result.labels.array[outside].any()
    assert set(result.seconds) == {"load", "localize", "resample", "segment", "upsample", "postprocess", "further"}


@pytest.mark.parametrize("runtime", ["openvino", "onnxruntime"])
def test_several_threads_may_ask_and_one_that_is_cancelled_gives_up_its_turn(
    localizer: ModelBundle, make_segmenter_bundle: MakeBundle, liver_truth: Truth, runtime: str
) -> None:
    volume, _ = liver_truth
    segmenter = Segmenter(localizer, make_segmenter_bundle(), runtime)
    alone = segmenter.segment(volume).labels.array
    mirrored = Volume(np.ascontiguousarray(volume.array[:, :, ::-1]), volume.geometry, "mirrored")
    mirrored_alone = segmenter.segment(mirrored).labels.array

    def ask(number: int) -> NDArray[np.uint8] | None:
        if number % 3 == 2:
            asked = iter(range(10**6))
            with pytest.raises(CancelledError):
                segmenter.segment(volume, cancelled=lambda: next(asked) > 3)
            return None
        return segmenter.segment(mirrored if number % 3 else volume).labels.array

    with ThreadPoolExecutor(4) as pool:
        for number, found in enumerate(pool.map(ask, range(12))):
            if found is not None:
                np.testing.assert_array_equal(found, mirrored_alone if number % 3 else alone)


def test_any_orientation_gives_the_same_labels_voxel_for_voxel(
    localizer: ModelBundle,
    make_segmenter_bundle: MakeBundle,
    asymmetric_kernel: NDArray[np.float32],
    liver_truth: Truth,
) -> None:
    """All 48 ways in which a file can hold the same tilted CT, against the one in canonical order."""
    segmenter = Segmenter(localizer, make_segmenter_bundle(asymmetric_kernel))
    upright, _ = liver_truth
    angle = np.deg2rad(7)
    tilt = np.array([[1, 0, 0], [0, np.cos(angle), -np.sin(angle)], [0, np.sin(angle), np.cos(angle)]])
    tilted = Geometry(upright.geometry.size, upright.geometry.spacing_mm, (1.0, 2.0, 3.0), tilt)  # type: ignore[arg-type]
    coarse, expected = segmenter.steps(Volume(upright.array, tilted))
    assert expected.liver_found and set(np.unique(expected.labels.array)) == {0, 1, 2, 3}
    for axes, flipped in product(permutations(range(3)), product((False, True), repeat=3)):
        stored = Reorientation(axes, flipped)  # type: ignore[arg-type]
        array, geometry = make_right_handed(stored.apply(upright.array), stored.apply_to_geometry(tilted))
        coarse_here, result = segmenter.steps(Volume(array, geometry))
        assert coarse_here.labels.geometry.is_same_grid(coarse.labels.geometry, tolerance_mm=1e-6)
        np.testing.assert_array_equal(coarse_here.labels.array, coarse.labels.array)
        labels, _ = make_right_handed(result.labels.array, result.labels.geometry)
        expected_here = stored.apply(expected.labels.array)
        if not stored.apply_to_geometry(tilted).is_right_handed:
            expected_here = expected_here[::-1]
        np.testing.assert_array_equal(labels, expected_here, err_msg=f"{axes} {flipped}")
        assert result.liver_box is not None
        assert result.labels.array[result.liver_box.slices].sum() == expected.labels.array.sum()


def test_says_so_where_there_is_no_liver(segmenter: Segmenter, liver_truth: Truth) -> None:
    volume, _ = liver_truth
    empty = Volume(np.full_like(volume.array, -500), volume.geometry, "lungs-only")
    result = segmenter.segment(empty)
    assert not result.liver_found
    assert result.liver_box is None
    assert not result.labels.array.any()
    assert result.labels.geometry == volume.geometry
    assert result.message == "no liver found: the localizer sees nothing like a liver"
    assert set(result.seconds) == {"load", "localize"}
    assert [type(step) for step in segmenter.steps(empty)] == [Segmentation]


def test_a_speck_is_no_liver(segmenter: Segmenter, liver_truth: Truth) -> None:
    volume, _ = liver_truth
    hu = np.full_like(volume.array, -500)
    hu[10:16, 10:17, 10:18] = 60  # 5 ml, below the 20 ml of the bundle
    result = segmenter.segment(Volume(hu, volume.geometry))
    assert not result.liver_found
    assert "below 20 ml" in result.message


def test_a_liver_that_only_the_localizer_sees_is_no_liver(
    localizer: ModelBundle, make_segmenter_bundle: MakeBundle, liver_truth: Truth
) -> None:
    volume, _ = liver_truth
    strict = make_segmenter_bundle(postprocessing=Postprocessing({"liver": 1e6}, 6.0))  # this liver has 0.25 liters
    result = Segmenter(localizer, strict).segment(volume)
    assert not result.liver_found and not result.labels.array.any()
    assert "does not confirm" in result.message


@pytest.mark.parametrize(
    ("slices", "spacing_k_mm"),
    [(slice(18, 21), 5.0), (slice(20, 22), 1.0), (slice(0, 22), 3.0), (slice(None, None, 3), 9.0)],
    ids=["three thick slices", "two thin slices", "upper half missing", "coarse slices"],
)
def test_thin_partial_and_coarse_volumes(
    segmenter: Segmenter, liver_truth: Truth, slices: slice, spacing_k_mm: float
) -> None:
    volume, truth = liver_truth
    array, i_mm, j_mm = volume.array[slices], *volume.geometry.spacing_mm[:2]
    geometry = Geometry((60, 52, array.shape[0]), (i_mm, j_mm, spacing_k_mm))
    result = segmenter.segment(Volume(array, geometry))
    if array.shape[0] * spacing_k_mm < 5:  # 2 mm of this liver are less than the smallest plausible one
        assert not result.liver_found
    else:
        assert dice(result.labels.array > 0, truth[slices] > 0) > 0.9


def test_cancels_between_windows(localizer: ModelBundle, make_segmenter_bundle: MakeBundle, liver_truth: Truth) -> None:
    volume, _ = liver_truth
    fractions: list[float] = []

    def progress(stage: str, fraction: float) -> None:
        if stage == "segment":
            fractions.append(fraction)

    segmenter = Segmenter(localizer, make_segmenter_bundle())
    with pytest.raises(CancelledError, match="segment"):
        segmenter.segment(volume, progress, cancelled=lambda: bool(fractions) and fractions[-1] >= 0.25)
    assert 0.25 <= max(fractions) < 1.0
    assert segmenter.segment(volume).liver_found  # a cancelled job leaves the segmenter usable


def test_refuses_a_bundle_of_the_wrong_stage(localizer: ModelBundle, make_segmenter_bundle: MakeBundle) -> None:
    with pytest.raises(InputError, match="for stage 'segment', not 'localize'"):
        Segmenter(make_segmenter_bundle(), localizer)


@pytest.fixture
def installed_models(
    tmp_path: Path, localizer: ModelBundle, make_segmenter_bundle: MakeBundle, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """Both models as a colcon workspace installs them, with no variable set and the package outside a checkout."""
    models = tmp_path / "install/share/liver_seg_ros/models"
    models.mkdir(parents=True)
    (models / "localizer").symlink_to(localizer.folder)
    (models / "segmenter").symlink_to(make_segmenter_bundle().folder)
    monkeypatch.setattr(model_folders, "__file__", str(tmp_path / "lib/liver_seg_ros/inference/model_folders.py"))
    monkeypatch.delenv("LIVER_SEG_MODELS", raising=False)
    monkeypatch.setenv("AMENT_PREFIX_PATH", "/opt/ros/none")
    return models


def test_default_models_are_found(
    installed_models: Path, localizer: ModelBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert load_default_segmenter(installed_models).bundles[0].sha256 == localizer.sha256
    monkeypatch.setenv("LIVER_SEG_MODELS", str(installed_models))
    assert find_models_dir() == installed_models
    monkeypatch.delenv("LIVER_SEG_MODELS")
    monkeypatch.setenv("AMENT_PREFIX_PATH", f"/opt/ros/none{os.pathsep}{installed_models.parents[2]}")
    assert find_models_dir() == installed_models


def test_missing_models_are_named(installed_models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="must hold the models localizer/ and segmenter/"):
        load_default_segmenter(tmp_path)
    monkeypatch.setattr("sys.prefix", str(tmp_path))
    with pytest.raises(InputError, match=r"no models found in .*none/share/.*; set LIVER_SEG_MODELS"):
        load_default_segmenter()
