# SPDX-License-Identifier: Apache-2.0
"""Other tools' ways to resample, to cut windows and to orient, against these tools' own functions or by hand."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage

from liver_seg_ros.geometry import Box, Geometry
from liver_seg_ros.inference.bundle import ModelBundle
from liver_seg_ros.inference.cascade import class_slices
from liver_seg_ros.inference.conventions import (
    ALIKE,
    MONAI,
    NNUNET,
    RAS,
    image_weights,
    linear_weights,
    network_grid,
    score_weights,
)
from liver_seg_ros.inference.network import load_network
from liver_seg_ros.inference.resampling import resampled_slices
from liver_seg_ros.inference.windows import monai_windows, nnunet_windows
from liver_seg_ros.progress import Stages, never_cancelled, no_progress
from liver_seg_ros.volume import Volume

CT = Geometry((23, 19, 14), (1.1, 1.3, 2.0), (5.0, -7.0, 30.0))
VALUES = np.random.default_rng(1).normal(0, 100, CT.shape).astype(np.float32)


def resampled(weights: Callable[..., object], target: Geometry, source: Geometry = CT) -> NDArray[np.float32]:
    planes = resampled_slices(lambda k: VALUES[k], source, target, weights)  # type: ignore[arg-type]
    return np.stack(list(planes))


@pytest.mark.parametrize("spacing", [(1.9, 0.7, 1.5), (1.1, 1.3, 2.0), (0.8, 2.2, 2.4)])
def test_images_are_interpolated_as_skimages_resize_does(spacing: tuple[float, float, float]) -> None:
    target = network_grid(CT, spacing, NNUNET)
    assert target.size == tuple(round(n * a / b) for n, a, b in zip(CT.size, CT.spacing_mm, spacing, strict=True))
    np.testing.assert_allclose(target.extent_mm, CT.extent_mm)
    # What `skimage.transform.resize(order=3, mode="edge", anti_aliasing=False)` calls.
    factors = [new / old for new, old in zip(target.shape, CT.shape, strict=True)]
    expected = ndimage.zoom(VALUES.astype(float), factors, order=3, mode="nearest", grid_mode=True)
    np.testing.assert_allclose(resampled(image_weights, target), expected, atol=2e-3)


def test_along_long_voxels_the_nearest_is_taken() -> None:
    long = Geometry(CT.size, (1.0, 1.0, 3.5), CT.origin_mm)
    target = network_grid(long, (1.0, 1.0, 1.0), NNUNET)
    assert target.size == (23, 19, 49)
    chosen = np.floor((np.arange(49) + 0.5) * 14 / 49).astype(int)  # whose slice the middle lies in
    np.testing.assert_array_equal(resampled(image_weights, target, long), VALUES[chosen])
    np.testing.assert_array_equal(resampled(score_weights, target, long), VALUES[chosen])
    both = Geometry(CT.size, (1.0, 3.5, 3.5), CT.origin_mm)  # two long axes are no reason
    assert np.abs(resampled(score_weights, network_grid(both, (1.0, 1.0, 1.0), NNUNET), both) - VALUES.mean()).max() > 1


def test_scores_of_a_part_are_those_of_the_whole() -> None:
    whole = network_grid(CT, (0.7, 0.9, 1.3), MONAI)
    part = Box((5, 4, 3), (17, 12, 9))
    for weights in (linear_weights, score_weights):
        expected = resampled(weights, whole)[part.slices]
        np.testing.assert_allclose(resampled(weights, whole.crop(part)), expected, atol=1e-3)


def test_monais_grid_begins_on_the_cts_first_voxel_and_is_linear_in_between() -> None:
    target = network_grid(CT, (0.55, 1.3, 2.0), MONAI)
    assert target.size == (45, 19, 14)
    assert target.origin_mm == CT.origin_mm
    found = resampled(linear_weights, target)
    np.testing.assert_allclose(found[..., ::2], VALUES, atol=1e-4)
    np.testing.assert_allclose(found[..., 1::2], (VALUES[..., 1:] + VALUES[..., :-1]) / 2, atol=1e-4)


@given(length=st.integers(1, 400), size=st.integers(2, 128), overlap=st.sampled_from([0.0, 0.25, 0.5, 0.75]))
def test_foreign_windows_cover_everything(length: int, size: int, overlap: float) -> None:
    for windows in (nnunet_windows(length, size, overlap), monai_windows(length, size, overlap)):
        covered = np.zeros(windows.length, bool)
        for start in windows.starts:
            covered[start : start + size] = True
        assert covered.all()
        assert windows.starts[-1] + size == windows.length == max(length, size)
        assert (np.diff(windows.starts) <= np.ceil(size * (1 - overlap))).all()


def test_windows_lie_where_the_tools_put_them() -> None:
    assert nnunet_windows(110, 64, 0.5).starts == (0, 23, 46)  # nnU-Net's own example
    assert nnunet_windows(65, 64, 0.5).starts == (0, 1)
    assert monai_windows(110, 64, 0.25).starts == (0, 46)
    assert monai_windows(150, 64, 0.25).starts == (0, 48, 86)
    bell = nnunet_windows(110, 64, 0.5).weights
    assert bell.argmax() == 32
    np.testing.assert_allclose(bell[32 - 8], np.exp(-0.5), rtol=1e-6)
    assert (monai_windows(110, 64, 0.25, ALIKE).weights == 1).all()


def test_of_classes_that_meet_halfway_the_nearest_is_taken() -> None:
    coarse = Geometry((6, 1, 1), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0))
    grid = network_grid(coarse, (2.0, 1.0, 1.0), NNUNET)
    # Of two voxels, whose middle is as far from both, the nearest is the one behind.
    for row, expected in (((0, 1, 2, 1, 1, 1), (1, 1, 1)), ((3, 0, 1, 2, 0, 0), (0, 2, 0))):
        found = np.array(row, np.uint8).reshape(1, 1, 6)
        assert [plane.tolist() for plane in class_slices(found, coarse, grid)] == [[list(expected)]]
    # A third of each: 1 and 1 outweigh 2.
    third = network_grid(coarse, (3.0, 1.0, 1.0), NNUNET)
    found = np.array((2, 1, 1, 0, 2, 0), np.uint8).reshape(1, 1, 6)
    assert [plane.tolist() for plane in class_slices(found, coarse, third)] == [[[1.0, 2.0]]]


def test_a_network_of_another_orientation_sees_the_ct_turned_and_its_answer_is_turned_back(
    make_segmenter_bundle: Callable[..., ModelBundle],
    liver_truth: tuple[Volume, NDArray[np.uint8]],
    asymmetric_kernel: NDArray[np.float32],
) -> None:
    """A filter without symmetry, turned, sees of the CT what the filter itself sees of the CT turned."""
    ct, _ = liver_truth

    def classes(kernel: NDArray[np.float32], **changes: object) -> NDArray[np.uint8]:
        plain = make_segmenter_bundle(kernel)
        spec = dataclasses.replace(plain.spec, input=dataclasses.replace(plain.spec.input, **changes))  # type: ignore[arg-type]
        network = load_network(dataclasses.replace(plain, spec=spec), "onnxruntime")
        return network.classes(ct.array, ct.geometry, Stages(no_progress, never_cancelled), "segment", None, (0, 1))

    turned = np.ascontiguousarray(asymmetric_kernel[:, ::-1, ::-1])
    as_is = classes(turned)
    np.testing.assert_array_equal(classes(asymmetric_kernel, orientation=RAS), as_is)
    assert (classes(asymmetric_kernel) != as_is).any()


def test_beyond_the_ct_a_window_sees_what_the_bundle_says(
    make_segmenter_bundle: Callable[..., ModelBundle], liver_truth: tuple[Volume, NDArray[np.uint8]]
) -> None:
    """A filter that looks two voxels to the left finds outside of the CT the HU given, or the border's again."""
    ct, _ = liver_truth
    kernel = np.zeros((1, 1, 5), np.float32)
    kernel[0, 0, 0] = 1
    hu = np.full(ct.array.shape, 30, np.int16)  # liver

    def first_column(beyond: float | None) -> int:
        plain = make_segmenter_bundle(kernel)
        changes = {"fixed_window": True, "patch": (96, 96, 96), "beyond": beyond}
        spec = dataclasses.replace(plain.spec, input=dataclasses.replace(plain.spec.input, **changes))  # type: ignore[arg-type]
        network = load_network(dataclasses.replace(plain, spec=spec), "onnxruntime")
        found = network.classes(hu, ct.geometry, Stages(no_progress, never_cancelled), "segment", None, (0, 1))
        assert (found[:, :, 5:] == 1).all()
        return int(found[5, 5, 0])

    assert first_column(None) == 1
    vessel = (220 - 50) * 2 / 500  # as `normalize` makes of it
    assert first_column(vessel) == 3
