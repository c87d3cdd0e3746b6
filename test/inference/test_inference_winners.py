# SPDX-License-Identifier: Apache-2.0
"""The classes that win on another grid: to the voxel those of interpolating everything."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from liver_seg_ros.geometry import Box, Geometry
from liver_seg_ros.inference import winners
from liver_seg_ros.inference.conventions import linear_weights, score_weights
from liver_seg_ros.inference.resampling import largest_share, resampled_slices

COARSE = Geometry((70, 61, 22), (1.5, 1.5, 1.5), (-3.0, 4.0, 100.0))


def scores_of_blobs(classes: int, seed: int = 1) -> np.ndarray:
    """`(K, C, J, I)`: smooth, with large regions in which one class wins and borders of all kinds."""
    noise = np.random.default_rng(seed).normal(size=(classes, *COARSE.shape)).astype(np.float32)
    return np.stack([ndimage.gaussian_filter(one, (4, 8, 8)) for one in noise], axis=1)


@pytest.mark.parametrize("classes", [1, 2, 4])
@pytest.mark.parametrize("spacing_mm", [(0.7, 0.8, 1.0), (1.5, 1.5, 1.5), (2.1, 0.6, 5.0), (1.9, 4.0, 0.4)])
@pytest.mark.parametrize("convention", ["own", "nnunet", "monai"])
def test_winners_are_those_of_interpolating_every_voxel(
    classes: int, spacing_mm: tuple[float, float, float], convention: str
) -> None:
    scores = scores_of_blobs(classes)
    whole = COARSE.resampled(spacing_mm)
    i, j, k = whole.size
    for target in (whole, whole.crop(Box((3, 2, 1), (i - 2, j, k - 1)))):
        weights = {"own": None, "nnunet": score_weights, "monai": linear_weights}[convention]
        everything = [
            planes.argmax(axis=0) for planes in resampled_slices(lambda k: scores[k], COARSE, target, weights)
        ]
        found = np.stack(list(largest_share(iter(scores), COARSE, target, weights)))
        assert found.dtype == np.uint8
        np.testing.assert_array_equal(found, everything)
    assert classes == 1 or len(np.unique(found)) == classes


def test_only_what_borders_on_another_class_is_interpolated(monkeypatch: pytest.MonkeyPatch) -> None:
    scores = np.zeros((22, 2, 61, 70), np.float32)
    scores[:, 0] = 1
    scores[:, 1, 25:35, 25:35] = 2
    target = COARSE.resampled((0.5, 0.5, 1.5))
    interpolated: list[int] = []
    of_tiles = winners._Source._interpolated

    def counted(source: winners._Source, row: int, first: int, last: int) -> np.ndarray:
        found = of_tiles(source, row, first, last)
        interpolated.append(found[:, 0].size)
        return found

    monkeypatch.setattr(winners._Source, "_interpolated", counted)
    labels = np.stack(list(largest_share(iter(scores), COARSE, target)))
    assert np.count_nonzero(labels) < sum(interpolated) < 0.4 * labels.size
    assert labels[:, 80:100, 80:100].all()
