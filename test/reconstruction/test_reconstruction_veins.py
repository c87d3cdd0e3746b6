# SPDX-License-Identifier: Apache-2.0
"""Portal and hepatic veins told apart: trees drawn by hand that cross and touch, and a phantom's."""

from __future__ import annotations

import numpy as np
import pytest

from liver_seg_ros.evaluation.vein_scores import score_veins
from liver_seg_ros.geometry import Geometry
from liver_seg_ros.labels import HEPATIC_VEIN, LIVER, PORTAL_VEIN, VENA_CAVA, VESSEL
from liver_seg_ros.orientation import Reorientation
from liver_seg_ros.phantom import Phantom, PhantomOptions, generate_phantom
from liver_seg_ros.phantom.vessel_graph import VesselGraph
from liver_seg_ros.reconstruction.vessels.vein_places import vein_places
from liver_seg_ros.reconstruction.vessels.veins import SeparatedVeins, separate_veins
from liver_seg_ros.vessel_tree import Branch, VesselTree
from liver_seg_ros.volume import LabelVolume

GRID = Geometry((80, 80, 80), (2.0, 2.0, 2.0), (-80.0, -80.0, -80.0))
#: From, to, radius in mm: the portal vein comes in in the middle and forks; a hepatic vein comes down from the cava
#: behind and above and crosses a portal branch.
PORTAL = (
    ((0, 0, -10), (20, -10, 0), 5.0), ((20, -10, 0), (60, -20, -10), 3.5), ((20, -10, 0), (20, -50, 10), 3.0),
    ((0, 0, -10), (-40, -20, -20), 4.0), ((-40, -20, -20), (-60, -40, 0), 2.5), ((-40, -20, -20), (-50, 20, -30), 2.5),
)  # fmt: skip
HEPATIC = (
    ((8, 0, 50), (40, -16, 8), 4.5), ((40, -16, 8), (44, -20, -40), 3.0), ((8, 0, 50), (-44, 24, 12), 4.0),
    ((-44, 24, 12), (-40, 44, -34), 2.5),
)  # fmt: skip


def _inside(points: np.ndarray, vessels: tuple) -> np.ndarray:
    near = np.full(points.shape[:-1], False)
    for start, end, radius in vessels:
        along = np.subtract(end, start)
        part = (((points - start) @ along) / (along @ along)).clip(0, 1)
        near |= np.linalg.norm(points - start - part[..., None] * along, axis=-1) <= radius
    return near


@pytest.fixture(scope="module")
def drawn() -> tuple[LabelVolume, np.ndarray]:
    """A ball of a liver with both trees as vessels, and which voxels are portal (4) and hepatic (5); both: either."""
    points = GRID.index_to_lps(np.indices(GRID.shape)[::-1].transpose(1, 2, 3, 0))
    portal, hepatic = _inside(points, PORTAL), _inside(points, HEPATIC)
    array = np.where(np.linalg.norm(points, axis=-1) < 72, LIVER.value, 0).astype(np.uint8)
    array[portal | hepatic] = VESSEL.value
    truth = np.where(portal, PORTAL_VEIN.value, 0) + np.where(hepatic, HEPATIC_VEIN.value, 0)
    return LabelVolume(array, GRID), truth


def test_trees_that_cross_and_touch_come_apart(drawn: tuple[LabelVolume, np.ndarray]) -> None:
    labels, truth = drawn
    found = separate_veins(labels)
    for vein in (PORTAL_VEIN, HEPATIC_VEIN):
        there = truth == vein.value  # of one tree only
        assert (found.labels.array[there] == vein.value).mean() > 0.9
        for start, end, _ in PORTAL if vein == PORTAL_VEIN else HEPATIC:
            middle = np.add(start, end) / 2
            node = int(np.argmin(np.linalg.norm(found.tree.points_mm - middle, axis=1)))
            assert found.tree.branches[found.tree.branch[node]].structure == vein
    assert not found.message and (found.confidence >= 0.5).all()
    outside = labels.array != VESSEL.value
    assert np.array_equal(found.labels.array[outside], labels.array[outside])


def test_the_names_do_not_hang_on_how_the_grid_lies(drawn: tuple[LabelVolume, np.ndarray]) -> None:
    labels, _ = drawn
    straight = separate_veins(labels).labels.array
    turn = Reorientation((1, 2, 0), (True, True, False))
    turned = LabelVolume(np.ascontiguousarray(turn.apply(labels.array)), turn.apply_to_geometry(GRID))
    back = turn.inverse().apply(separate_veins(turned).labels.array)
    vessel = labels.array == VESSEL.value
    assert (back == straight)[vessel].mean() > 0.97


def test_the_cava_says_where_the_hepatic_veins_leave(drawn: tuple[LabelVolume, np.ndarray]) -> None:
    labels, _ = drawn
    guessed = vein_places(labels)
    assert guessed is not None and not guessed.by_cava
    coarse = Geometry((20, 20, 20), (8.0, 8.0, 8.0), (-76.0, -76.0, -76.0))
    array = np.zeros(coarse.shape, np.uint8)
    array[:, 14:16, 10:12] = VENA_CAVA.value  # x 4 to 12, y 36 to 44
    found = vein_places(labels, LabelVolume(array, coarse))
    assert found is not None and found.by_cava
    assert found.confluence_mm == pytest.approx([8, 40, guessed.confluence_mm[2]])
    assert found.hilum_mm[1] == pytest.approx(40 - 25)


@pytest.mark.parametrize(
    ("kept", "why"), [(LIVER, "there is no vessel that is not named yet"), (VESSEL, "no liver is labelled")]
)
def test_nothing_to_name_is_said(drawn: tuple[LabelVolume, np.ndarray], kept: object, why: str) -> None:
    labels, _ = drawn
    alone = LabelVolume(np.where(labels.array == kept.value, labels.array, 0).astype(np.uint8), GRID)
    found = separate_veins(alone)
    assert found.message == why and found.labels is alone and not found.tree.branches


def test_what_has_a_name_keeps_it(drawn: tuple[LabelVolume, np.ndarray]) -> None:
    labels, truth = drawn
    array = np.where(truth == PORTAL_VEIN.value, HEPATIC_VEIN.value, labels.array).astype(np.uint8)
    found = separate_veins(LabelVolume(array, GRID)).labels.array
    assert (found[truth == PORTAL_VEIN.value] == HEPATIC_VEIN.value).all()


@pytest.fixture(scope="module")
def phantom() -> Phantom:
    return generate_phantom(14008, PhantomOptions((120, 120, 100), (2.2, 2.2, 2.2), surroundings=True))


def test_of_a_phantom_most_is_named_and_most_names_are_right(phantom: Phantom) -> None:
    found: SeparatedVeins = separate_veins(phantom.labels, phantom.surroundings)
    score = score_veins(found.labels, found.tree, phantom.portal, phantom.hepatic)
    assert found.by_cava
    assert score.voxels_named > 0.75 and score.voxels_right > 0.85
    assert score.line_named > 0.7 and score.line_right > 0.75


def test_a_score_counts_what_is_right() -> None:
    """Two straight vessels of which a quarter has no name, and a third of the others the wrong one."""

    def along(y: float, radius: float) -> VesselGraph:
        return VesselGraph(
            np.array([[0.0, y, 10.0], [47.0, y, 10.0]]), np.array([radius, radius]), np.array([-1, 0], np.int64)
        )

    portal, hepatic, grid = along(8.0, 3.0), along(20.0, 2.0), Geometry((48, 30, 20))
    points = grid.index_to_lps(np.indices(grid.shape)[::-1].transpose(1, 2, 3, 0))
    inside = {vein: _inside(points, (((0, y, 10), (47, y, 10), r),)) for vein, y, r in ((4, 8, 3), (5, 20, 2))}
    x, array = points[..., 0], np.zeros(grid.shape, np.uint8)
    for vein, voxels in inside.items():
        array[voxels] = np.where(x < 12, VESSEL.value, np.where(x < 24, 9 - vein, vein))[voxels]
    array[:, 0, :5] = PORTAL_VEIN.value  # what lies in no vessel counts for nothing
    trunk = Branch(0, -1, 0, 0, HEPATIC_VEIN, 47.0, 3.0)
    tree = VesselTree(portal.points_mm, portal.radius_mm, portal.parent, np.array([0, 0]), (trunk,))
    score = score_veins(LabelVolume(array, grid), tree, portal, hepatic)
    assert score.voxels_named == pytest.approx(0.75) and score.voxels_right == pytest.approx(2 / 3)
    assert (score.line_named, score.line_right) == (1.0, 0.0)
