# SPDX-License-Identifier: Apache-2.0
"""Entropy: that of SciPy from the same softmax, on the CT's own grid in any orientation, for who asks."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import softmax
from scipy.stats import entropy

from liver_seg_ros.errors import InputError
from liver_seg_ros.geometry import Box, Geometry
from liver_seg_ros.inference.bundle import Calibration, ModelBundle
from liver_seg_ros.inference.entropy_map import EntropyMap
from liver_seg_ros.inference.region import Region
from liver_seg_ros.inference.segmenter import Segmenter
from liver_seg_ros.orientation import Reorientation
from liver_seg_ros.volume import Volume

Truth = tuple[Volume, NDArray[np.uint8]]
MakeBundle = Callable[..., ModelBundle]


def test_it_is_the_entropy_of_the_softmax_in_percent_where_it_was_looked(make_segmenter_bundle: MakeBundle) -> None:
    ct = Geometry((9, 8, 7), (2.0, 2.0, 2.0), (3.0, 4.0, 5.0))
    spec = make_segmenter_bundle(calibration=Calibration(2.0)).spec
    found = EntropyMap(spec, ct)
    expected = np.zeros(ct.shape, int)
    parts = [Box((1, 2, 3), (6, 6, 6)), Box((4, 0, 2), (9, 5, 6))]  # what both hold is of the first
    given = [
        np.random.default_rng(n).normal(0, 3, (4, *part.size[::-1])).astype(np.float32) for n, part in enumerate(parts)
    ]
    for part, scores in zip(parts, given, strict=True):
        grid = ct.crop(part)  # the network's spacing is that of the CT here, so nothing is interpolated
        region = Region(part, np.ones(ct.shape, bool), ct, ct)
        np.testing.assert_array_equal(np.stack(list(found.watch(grid, region, iter(scores.swapaxes(0, 1)))), 1), scores)
    for part, scores in reversed(list(zip(parts, given, strict=True))):
        expected[part.slices] = np.rint(100 * entropy(softmax(scores / 2.0, axis=0), base=4))
    assert np.abs(found.on_ct() - expected).max() <= 1
    assert not found.on_ct()[expected == 0].any()


def test_it_lies_where_labels_meet_on_a_ct_of_any_orientation(
    localizer: ModelBundle, make_segmenter_bundle: MakeBundle, liver_truth: Truth
) -> None:
    volume, _ = liver_truth
    segmenter = Segmenter(localizer, make_segmenter_bundle(calibration=Calibration(0.1)))
    upright = segmenter.segment(volume, entropy=True)
    assert upright.entropy is not None and upright.entropy.geometry == volume.geometry
    found = upright.entropy.array
    assert 15 < found.max() <= 100 and found.min() == 0
    outside = np.ones(found.shape, bool)
    outside[upright.liver_box.slices] = False  # type: ignore[union-attr]
    assert not found[outside].any()
    labels = upright.labels.array
    inner = np.zeros(labels.shape, bool)
    inner[1:-1, 1:-1, 1:-1] = True
    for axis in range(3):
        for step in (-1, 1):
            inner &= np.roll(labels, step, axis) == labels
    assert found[~inner & ~outside].mean() > 2 * found[inner & (labels > 0)].mean()
    turn = Reorientation((2, 0, 1), (True, False, True))
    turned = Volume(turn.apply(volume.array).copy(), turn.apply_to_geometry(volume.geometry), "turned")
    again = segmenter.segment(turned, entropy=True).entropy
    assert again is not None
    np.testing.assert_array_equal(again.array, turn.apply(found))
    assert segmenter.segment(volume).entropy is None


def test_labels_alone_have_none(localizer: ModelBundle, make_bundle: MakeBundle, liver_truth: Truth) -> None:
    votes = make_bundle("segment", ["liver", "tumor", "vessel"], output="argmax")
    with pytest.raises(InputError, match="gives labels alone"):
        Segmenter(localizer, votes).segment(liver_truth[0], entropy=True)
