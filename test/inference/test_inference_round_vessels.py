# SPDX-License-Identifier: Apache-2.0
"""A round body among the vessels is a lesion; where vessels go on, meet, or leave the liver, it is none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation

from liver_seg_ros.evaluation.lesions import lesion_detection
from liver_seg_ros.geometry import Geometry
from liver_seg_ros.inference.segmenter import load_default_segmenter
from liver_seg_ros.inference.vessel_steps import refine_vessels
from liver_seg_ros.labels import BACKGROUND, LIVER, TUMOR, VESSEL
from liver_seg_ros.phantom import PhantomOptions, generate_phantom

Mask = NDArray[np.bool_]
MODELS = Path(__file__).parents[2] / "models"
SIZE_MM = np.array([70.0, 60.0, 80.0])  # along k, j, i
MIDDLE_MM = SIZE_MM / 2


class Scene:
    """A block of liver with vessels drawn into it, in mm along k, j, i."""

    def __init__(self, spacing_mm: tuple[float, float, float] = (0.8, 0.8, 1.0)) -> None:
        size = [round(length / s) for length, s in zip(SIZE_MM, spacing_mm[::-1], strict=True)]
        self.geometry = Geometry((size[2], size[1], size[0]), spacing_mm)
        self.places_mm = np.stack(np.indices(size), axis=-1) * np.array(spacing_mm[::-1])
        self.labels = np.zeros(size, np.uint8)
        self.labels[4:-4, 4:-4, 4:-4] = LIVER.value

    def ball(self, diameter_mm: float, at_mm: NDArray[np.float64] = MIDDLE_MM) -> Mask:
        inside: Mask = np.linalg.norm(self.places_mm - at_mm, axis=-1) <= diameter_mm / 2
        return inside

    def tube(self, diameter_mm: float, from_mm: NDArray[np.float64], to_mm: NDArray[np.float64]) -> Mask:
        along = to_mm - from_mm
        share = np.clip((self.places_mm - from_mm) @ along / (along @ along), 0, 1)
        near: Mask = np.linalg.norm(self.places_mm - from_mm - share[..., None] * along, axis=-1) <= diameter_mm / 2
        return near

    def found(self, *vessels: Mask, dark: Mask | None = None, contrast_hu: float = 0.0) -> Mask:
        """What is a tumor when these are vessels, brighter than the liver by so much but where they are `dark`."""
        labels = self.labels.copy()
        labels[np.logical_or.reduce(vessels)] = VESSEL.value
        hu = np.where(labels == BACKGROUND, 0.0, 100.0) + contrast_hu * (labels == VESSEL.value)
        if dark is not None:
            hu[dark] = 75.0
        hu = np.rint(hu + np.random.default_rng(0).normal(0, 12, hu.shape)).astype(np.int16)
        before = labels.copy(), hu.copy()
        answer = refine_vessels(labels, hu, self.geometry, ["round_vessels"])
        np.testing.assert_array_equal(labels, before[0])
        np.testing.assert_array_equal(hu, before[1])
        new = answer != labels
        assert (labels[new] == VESSEL.value).all() and (answer[new] == TUMOR.value).all()
        assert new.any() or answer is labels
        return new


def dice(a: Mask, b: Mask) -> float:
    return 2 * np.count_nonzero(a & b) / (np.count_nonzero(a) + np.count_nonzero(b))


@settings(max_examples=15, deadline=None)
@given(
    st.tuples(st.floats(0.6, 1.5), st.floats(0.6, 1.5), st.floats(0.8, 2.5)),
    st.floats(12.0, 24.0),
    st.floats(1.5, 3.0),
    st.integers(0, 2),
)
def test_a_ball_that_a_branch_enters(
    spacing_mm: tuple[float, float, float], diameter_mm: float, branch_mm: float, axis: int
) -> None:
    scene = Scene(spacing_mm)
    ball = scene.ball(diameter_mm)
    end_mm = MIDDLE_MM.copy()
    end_mm[axis] = SIZE_MM[axis] - 6
    branch = scene.tube(branch_mm, MIDDLE_MM, end_mm)
    found = scene.found(ball, branch)
    assert dice(found, ball) > 0.93
    beyond_mm = np.abs(scene.places_mm[..., axis] - MIDDLE_MM[axis]) > diameter_mm / 2 + 3.0
    assert not (found & beyond_mm).any()  # the branch stays a vessel


@pytest.mark.parametrize(("branches", "least", "most", "is_lesion"), [(18, 0.15, 0.28, True), (48, 0.45, 0.7, False)])
def test_a_ball_that_branches_leave_all_over_is_where_vessels_meet(
    branches: int, least: float, most: float, is_lesion: bool
) -> None:
    """What counts is the share of the ball's own surface, not of what a box around it has."""
    scene, numbers = Scene(), np.arange(branches) + 0.5
    down, around = 1 - 2 * numbers / branches, np.pi * (1 + 5**0.5) * numbers  # evenly over a sphere
    across = np.sqrt(1 - down**2)
    ways = np.stack([down, across * np.cos(around), across * np.sin(around)], axis=-1)
    ball, rods = scene.ball(14.0), [scene.tube(3.0, MIDDLE_MM, MIDDLE_MM + 22.0 * way) for way in ways]
    beside = binary_dilation(ball) & ~ball
    assert least < np.logical_or.reduce(rods)[beside].mean() < most
    assert scene.found(ball, *rods).any() == is_lesion


@pytest.mark.parametrize("diameter_mm", [7.0, 10.0, 14.0])
def test_a_vessel_of_any_width_is_none(diameter_mm: float) -> None:
    scene = Scene()
    assert not scene.found(scene.tube(diameter_mm, MIDDLE_MM * (1, 1, 0.3), MIDDLE_MM * (1, 1, 1.7))).any()


def test_where_vessels_meet_is_none() -> None:
    scene = Scene()
    ends_mm = [MIDDLE_MM + np.array(direction) * 25.0 for direction in ((1, 0, 0), (-0.5, 0.8, 0), (-0.5, -0.8, 0))]
    assert not scene.found(*(scene.tube(8.0, MIDDLE_MM, end_mm) for end_mm in ends_mm), scene.ball(11.0)).any()


def test_where_a_vessel_widens_is_none() -> None:
    scene = Scene()
    assert not scene.found(scene.ball(13.0), scene.tube(7.0, MIDDLE_MM * (1, 1, 0.3), MIDDLE_MM * (1, 1, 1.7))).any()


@pytest.mark.parametrize(("diameter_mm", "is_lesion"), [(8.5, False), (11.5, True), (24.0, True), (27.0, False)])
def test_a_smaller_or_larger_ball_may_be_a_vessel(diameter_mm: float, is_lesion: bool) -> None:
    scene = Scene()
    assert scene.found(scene.ball(diameter_mm)).any() == is_lesion


def test_at_the_livers_surface_it_is_none() -> None:
    """As the vena cava's ends are, and what a network takes for a vessel in another organ."""
    scene = Scene()
    at_mm = MIDDLE_MM.copy()
    at_mm[2] = 4.0
    assert not scene.found(scene.ball(14.0, at_mm)).any()
    at_mm[2] = 15.0
    assert scene.found(scene.ball(14.0, at_mm)).any()


def test_beside_a_tumor_it_is_its_rim() -> None:
    scene = Scene()
    beside_mm = MIDDLE_MM + np.array([0.0, 0.0, 13.0])
    scene.labels[scene.ball(18.0, beside_mm)] = TUMOR.value
    assert not scene.found(scene.ball(12.0) & (scene.labels == LIVER.value)).any()


@pytest.mark.parametrize("diameter_mm", [9.0, 15.0])
def test_what_is_darker_than_the_liver_is_no_vessel(diameter_mm: float) -> None:
    """Beside bright vessels, and where one that is half as wide touches it, which shape alone would not tell."""
    scene = Scene()
    tree = scene.tube(12.0, MIDDLE_MM * (1, 0.4, 0.3), MIDDLE_MM * (1, 0.4, 1.7))
    branch, ball = scene.tube(diameter_mm / 2, MIDDLE_MM * (1, 0.4, 1), MIDDLE_MM), scene.ball(diameter_mm)
    found = scene.found(tree, branch, ball, dark=ball, contrast_hu=60.0)
    assert dice(found, ball) > 0.85
    assert not scene.found(tree, branch, ball, contrast_hu=60.0).any()  # an aneurysm, perhaps


def test_where_all_vessels_are_dark_shape_alone_tells() -> None:
    scene = Scene()
    ball, elsewhere = scene.ball(9.0), scene.tube(6.0, MIDDLE_MM * (1, 0.5, 0.3), MIDDLE_MM * (1, 0.5, 1.7))
    assert not scene.found(ball, elsewhere, dark=ball | elsewhere).any()
    assert scene.found(ball, elsewhere, dark=ball, contrast_hu=60.0).any()


def test_a_dark_vessel_is_no_lesion() -> None:
    """As a bile duct is, or a vein that the contrast has not reached."""
    scene = Scene()
    vein = scene.tube(8.0, MIDDLE_MM * (1, 1, 0.3), MIDDLE_MM * (1, 1, 1.7))
    tree = scene.tube(12.0, MIDDLE_MM * (1, 0.4, 0.3), MIDDLE_MM * (1, 0.4, 1.7))
    assert not scene.found(vein, tree, dark=vein, contrast_hu=60.0).any()


def test_of_few_large_voxels_no_shape_is_told() -> None:
    scene = Scene((9.0, 9.0, 9.0))
    scene.labels[...] = LIVER.value
    voxel = np.zeros(scene.labels.shape, bool)
    voxel[3, 3, 4] = True
    assert not scene.found(voxel).any()


def test_nothing_without_vessels() -> None:
    assert not Scene().found(np.zeros(Scene().labels.shape, bool)).any()


def test_a_bright_lesion_of_a_phantom_is_found_with_it_alone() -> None:
    """Phantom 14523's lesion of 14 mm is as bright as its vessels; the shipped network takes it for one."""
    phantom = generate_phantom(14_523, PhantomOptions((256, 256, 130), (1.5, 1.5, 2.0), "portal_venous"))
    truth = phantom.labels.array == TUMOR.value
    found = [
        lesion_detection(
            load_default_segmenter(MODELS, precision="fp32", skip=skip).segment(phantom.ct).labels.array == TUMOR.value,
            truth,
            iou=0.1,
        ).found
        for skip in ((), ("round_vessels",))
    ]
    assert found == [3, 2]
