# SPDX-License-Identifier: Apache-2.0
"""Looking further: no liver ends only because the localizer saw too little of it, and another organ is not followed."""

from __future__ import annotations

from collections.abc import Callable
from math import floor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from liver_seg_ros.geometry import Box, Geometry
from liver_seg_ros.inference.bundle import ModelBundle, Postprocessing
from liver_seg_ros.inference.liver_place import place_of
from liver_seg_ros.inference.region import Region
from liver_seg_ros.inference.segmenter import Segmenter
from liver_seg_ros.volume import Volume

MakeBundle = Callable[..., ModelBundle]

GEOMETRY = Geometry((110, 52, 40), (2.0, 2.5, 3.0), (-70.0, -40.0, 900.0))


def voxels_of(region: Region) -> NDArray[np.bool_]:
    """`(K, J, I)` of the CT."""
    voxels = np.zeros(region.geometry.shape, bool)
    voxels[region.box.slices] = np.stack(list(region.slices()))
    return voxels


def ct_with(half_width_mm: Callable[[NDArray[np.float64]], NDArray[np.float64]]) -> tuple[Volume, NDArray[np.bool_]]:
    """A ball of liver that the localizer sees, and a darker part to its left that only the fine network sees.

    `half_width_mm` is that of the darker part, over the distance in mm from the ball's surface.
    """
    k, j, i = (axis * s for axis, s in zip(np.ogrid[:40, :52, :110], (3.0, 2.5, 2.0), strict=True))
    ball = (i - 56) ** 2 + (j - 64) ** 2 + (k - 60) ** 2 <= 36**2
    along = np.maximum(i - 92, 0.0)
    rest = (np.maximum(np.abs(j - 64), np.abs(k - 60)) <= half_width_mm(along)) & (i >= 56) & ~ball
    hu = np.full(GEOMETRY.shape, -100.0)
    hu[rest], hu[ball] = 20, 80
    hu += np.random.default_rng(0).normal(0, 3, hu.shape)
    return Volume(np.round(hu).astype(np.int16), GEOMETRY, "test-ct"), ball | rest


@pytest.fixture
def segmenter(make_bundle: MakeBundle, make_segmenter_bundle: MakeBundle) -> Segmenter:
    sees_the_ball = make_bundle("localize", [(45.0, 125.0)], postprocessing=Postprocessing({"liver": 20_000.0}, 36.0))
    return Segmenter(sees_the_ball, make_segmenter_bundle())


def test_the_tip_of_a_lobe_is_followed_to_its_end(segmenter: Segmenter) -> None:
    volume, liver = ct_with(lambda along: 18 - along / 2.5)
    stages: list[str] = []
    result = segmenter.segment(volume, lambda stage, _: stages.append(stage))
    found = result.labels.array > 0
    assert np.count_nonzero(liver & ~found) < 0.01 * np.count_nonzero(liver)
    assert not found[:, :, :8].any() and result.further_mm >= 18 and not result.cut_off
    assert f"so {result.further_mm:.0f} mm further was looked" in result.message
    assert "further" in stages and "further" in result.seconds
    assert result.liver_box is not None and Box.around(found).stop[0] <= result.liver_box.stop[0]  # type: ignore[union-attr]


def test_another_organ_that_goes_on_is_not_followed(segmenter: Segmenter) -> None:
    """What widens is taken for another organ, and the report says that the edge cuts it."""
    volume, _ = ct_with(lambda along: 6 + along / 2)
    result = segmenter.segment(volume)
    assert result.cut_off and "still ends only where that ended" in result.message
    assert result.further_mm == 18  # the first round cannot be compared with one before it
    assert not result.labels.array[:, :, 80:].any()


def test_a_long_organ_of_even_width_is_left_at_last(segmenter: Segmenter) -> None:
    volume, _ = ct_with(lambda along: np.full_like(along, 12.0))
    result = segmenter.segment(volume)
    assert result.cut_off and result.further_mm == 72  # four rounds


def test_nothing_is_looked_at_twice_where_nothing_touches(segmenter: Segmenter) -> None:
    volume, liver = ct_with(lambda along: np.full_like(along, -1.0))
    stages: list[str] = []
    result = segmenter.segment(volume, lambda stage, _: stages.append(stage))
    assert "further" not in stages and "further" not in result.seconds and "further" not in result.message
    assert result.further_mm == 0 and not result.cut_off
    assert stages.count("postprocess") == 2  # begun and done, once
    assert np.mean((result.labels.array > 0) == liver) > 0.995


def test_the_border_of_the_ct_is_no_edge(segmenter: Segmenter) -> None:
    volume, _ = ct_with(lambda along: np.full_like(along, -1.0))
    cut = volume.crop(Box((0, 0, 0), (30, 52, 40)))  # through the middle of the liver
    result = segmenter.segment(cut)
    assert result.liver_found and result.further_mm == 0 and not result.cut_off
    assert (result.labels.array[:, :, -1] > 0).any()


@given(
    spacing=st.tuples(*[st.floats(0.8, 7.0)] * 3),
    seed=st.integers(0, 1000),
    margin_mm=st.floats(8, 24),
)
def test_all_that_is_near_is_seen_at_first_or_then(
    spacing: tuple[float, float, float], seed: int, margin_mm: float
) -> None:
    i, j, k = (max(2, round(60.0 / s)) for s in spacing)
    geometry = Geometry((i, j, k), spacing)
    coarse = geometry.resampled((4.0, 4.0, 4.0))
    rng = np.random.default_rng(seed)
    liver = np.zeros(coarse.shape, bool)
    liver[tuple(int(rng.integers(n)) for n in liver.shape)] = True
    place = place_of(liver, coarse, geometry, margin_mm)
    assert place is not None
    organ = rng.random(place.box.size[::-1]) < 0.02
    touched = place.touched_by(organ)
    wider = place.widened(touched)
    before, after, known = voxels_of(place.near), voxels_of(wider.near), voxels_of(place.seen)
    assert (after | before == after).all()
    assert touched.any() == bool((after & ~before).any()) or (place.coarse_near | wider.coarse_near).all()
    seen = np.zeros(geometry.shape, bool)
    unseen = wider.beyond(place)
    if unseen is not None:
        seen = voxels_of(unseen)
        assert all(a >= b for a, b in zip(unseen.box.start, wider.box.start, strict=True))
        assert all(a <= b for a, b in zip(unseen.box.stop, wider.box.stop, strict=True))
    assert not (seen & known).any()  # nothing twice
    assert not (before & ~known).any() and not (after & ~known & ~seen).any()
    np.testing.assert_array_equal(seen | known, voxels_of(wider.seen))
    for region in (place.seen, unseen) if unseen is not None else (place.seen,):
        # With so much of the CT around it; a voxel of the CT lies in the coarse one that holds its center.
        held = np.argwhere(voxels_of(region))[:, ::-1]
        for axis, s in enumerate(spacing if len(held) else ()):  # a voxel of the CT may be wider than a coarse one
            around = max(0, floor(margin_mm / 2 / s - 0.5))
            assert region.box.start[axis] <= max(0, held[:, axis].min() - around)
            assert region.box.stop[axis] >= min(geometry.size[axis], held[:, axis].max() + 1 + around)


def test_a_place_is_touched_where_the_organ_meets_what_is_not_near() -> None:
    geometry = Geometry((40, 40, 40), (1.5, 1.5, 1.5))
    coarse = geometry.resampled((4.0, 4.0, 4.0))
    liver = np.zeros(coarse.shape, bool)
    liver[6:8, 6:8, 6:8] = True
    place = place_of(liver, coarse, geometry, 12.0)
    assert place is not None
    column = voxels_of(place.near)[:, 18, 18]
    last = int(np.flatnonzero(column)[-1])
    for k, touches in ((18, False), (last, True), (last + 1, False)):  # what is not near does not count
        organ = np.zeros(geometry.shape, bool)
        organ[k, 18, 18] = True
        touched = place.touched_by(organ[place.box.slices])
        assert touched.any() == touches, k


def test_what_the_first_look_saw_is_not_computed_again() -> None:
    """Between two long lobes there is much that is not near, and was shown to the network with enough around it."""
    geometry = Geometry((60, 60, 20), (2.0, 2.0, 4.0))
    coarse = geometry.resampled((4.0, 4.0, 4.0))
    liver = np.zeros(coarse.shape, bool)
    liver[8:12, 2:28, 2:6], liver[8:12, 2:6, 2:28] = True, True
    place = place_of(liver, coarse, geometry, 12.0)
    assert place is not None
    for begin, beyond_the_box in ((6, False), (0, True)):
        organ = np.zeros(geometry.shape, bool)
        organ[9, 26, begin:] = True  # from within one lobe, along the other; or from its other side
        wider = place.widened(place.touched_by(organ[place.box.slices]))
        assert np.count_nonzero(wider.coarse_near) > np.count_nonzero(place.coarse_near)
        assert (wider.beyond(place) is not None) == beyond_the_box
        assert beyond_the_box or wider.box == place.box
