# SPDX-License-Identifier: Apache-2.0
"""Territories and resections: every voxel to the nearest branch, volumes that add up, vessels that are cut."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from liver_seg_ros.errors import InputError
from liver_seg_ros.geometry import Geometry
from liver_seg_ros.labels import HEPATIC_VEIN, LIVER, PORTAL_VEIN, TUMOR
from liver_seg_ros.planning.nearest_vessel import Vessels, nearest_vessel
from liver_seg_ros.planning.resection import resect_by_plane, resect_territories
from liver_seg_ros.planning.territories import are_portal, portal_territories, portal_trees, stems_of_generation
from liver_seg_ros.vessel_tree import EMPTY_TREE

GRID = Geometry((70, 60, 60))
BALL_ML = 4 / 3 * np.pi * 28**3 / 1000


@pytest.fixture(scope="module")
def labels(painted):
    """A liver around the fork, symmetric to it, with a tumor on the side of the thicker branch."""
    return painted(GRID, (LIVER.value, (35, 30, 30), 28), (TUMOR.value, (45, 15, 30), 5))


def test_the_liver_falls_into_two_along_the_fork(labels, fork):
    stems = stems_of_generation(fork, 1)
    divided = portal_territories(labels, fork, stems)
    assert stems == (1, 2)
    assert [t.branch for t in divided.territories] == [1, 2]  # the thicker one reaches a little further
    volumes = [t.volume_ml for t in divided.territories]
    assert sum(volumes) == pytest.approx(BALL_ML, rel=0.005)
    inside = np.argwhere(divided.array >= 0)
    x, y, _ = divided.geometry.index_to_lps(inside[:, ::-1]).T
    beyond = (x > 40) & (abs(y - 30) > 3)  # the fork, and the middle that the thicker one shifts
    assert np.array_equal(divided.array[tuple(inside.T)][beyond], (y > 30)[beyond])
    assert [t.tumor_ml > 0 for t in divided.territories] == [True, False]
    assert (divided.unassigned_ml, divided.tumor_ml) == (0.0, divided.territories[0].tumor_ml)
    for number, territory in enumerate(divided.territories):
        assert np.count_nonzero(divided.array == number) / 1000 == pytest.approx(territory.volume_ml)
    assert len(portal_territories(labels, fork, stems_of_generation(fork, 0)).territories) == 1


@pytest.mark.parametrize("stems", [(3, 7, 20), None])
def test_no_voxel_is_given_to_a_branch_that_is_much_further_than_the_nearest(phantom, portal, stems):
    """By more than the diagonal of a block, which is one voxel here."""
    stems = stems_of_generation(portal, 4) if stems is None else stems
    divided = portal_territories(phantom.labels, portal, stems)
    vessels = Vessels.of(portal)
    below = {stem: [stem] for stem in stems}
    for branch in portal.branches:
        for stem in stems:
            if branch.parent in below[stem] and branch.number not in stems:
                below[stem].append(branch.number)
    some = np.random.default_rng(0).permutation(np.argwhere(divided.array >= 0))[:500]
    points = divided.geometry.index_to_lps(some[:, ::-1])
    given = divided.array[tuple(some.T)]
    all_mm = vessels.wall_distance_mm(points)
    to_stem = np.stack(
        [
            all_mm[:, np.isin(portal.branch[vessels.node], below[territory.branch])].min(axis=1)
            for territory in divided.territories
        ],
        axis=1,
    )
    assert to_stem[np.arange(len(some)), given] == pytest.approx(to_stem.min(axis=1))
    organ_ml = sum(t.volume_ml for t in divided.territories)
    assert organ_ml == pytest.approx(np.count_nonzero(divided.array >= 0) * 2.2 * 2.2 * 2.8 / 1000)


def test_fine_voxels_are_divided_in_blocks_and_the_error_is_what_the_text_says(painted, fork):
    fine = Geometry((120, 110, 50), (0.55, 0.6, 1.3), (2.0, 0.0, 0.0))
    labels = painted(fine, (LIVER.value, (35, 30, 30), 26))
    divided = portal_territories(labels, fork, (1, 2))
    inside = np.argwhere(divided.array >= 0)
    points = divided.geometry.index_to_lps(inside[:, ::-1])
    given = np.array([t.branch for t in divided.territories])[divided.array[tuple(inside.T)]]
    to_branch = np.stack([nearest_vessel(points, fork, [branch]).distance_mm for branch in (1, 2)], axis=1)
    excess = to_branch[np.arange(len(given)), given - 1] - to_branch.min(axis=1)
    assert 0 < excess.max() <= np.sqrt(3) * 2.0
    assert (excess > 0).mean() < 0.03
    assert len(inside) == np.count_nonzero(labels.array)


def test_stems_end_before_their_generation_or_come_from_portal_trees_alone(portal, fork):
    stems = stems_of_generation(portal, 5)
    rows = [portal.branches[stem] for stem in stems]
    parents = {branch.parent for branch in portal.branches}
    assert all(row.generation == 5 or (row.generation < 5 and row.number not in parents) for row in rows)
    assert stems_of_generation(EMPTY_TREE, 1) == ()
    veins = replace(fork, branches=tuple(replace(b, structure=HEPATIC_VEIN) for b in fork.branches))
    assert portal_trees(veins) == (0,)
    both = (*(replace(b, structure=HEPATIC_VEIN, tree=1) for b in fork.branches[:1]), *fork.branches[1:])
    both = tuple(replace(b, structure=PORTAL_VEIN) if b.number else b for b in both)
    assert portal_trees(replace(fork, branches=both)) == (0,)
    with pytest.raises(InputError, match="generation -1"):
        stems_of_generation(fork, -1)
    with pytest.raises(InputError, match="tree 1 is not there: the vessels make up 1"):
        stems_of_generation(fork, 1, [0, 1])
    assert are_portal(replace(fork, branches=both), (1, 2)) and not are_portal(replace(fork, branches=both), (0, 1))
    assert not are_portal(fork, (0,)) and not are_portal(fork, ())


def test_a_nested_stem_takes_its_part_out_of_the_other(labels, fork):
    divided = portal_territories(labels, fork, (0, 2))
    assert {t.branch for t in divided.territories} == {0, 2}
    alone = portal_territories(labels, fork, (0,)).territories[0]
    assert sum(t.volume_ml for t in divided.territories) == pytest.approx(alone.volume_ml)


def test_a_plane_leaves_the_remnant_of_the_functional_liver_and_cuts_vessels(labels, fork):
    resection = resect_by_plane(labels, fork, (0, 24.5, 0), (0, -3, 0))  # takes out y < 24.5, with the tumor
    height = 22.5  # of the cap that is taken
    cap_ml = np.pi * height**2 * (28 - height / 3) / 1000
    tumor_ml = 4 / 3 * np.pi * 5**3 / 1000
    assert resection.liver_ml == pytest.approx(BALL_ML, rel=0.005)
    assert resection.tumor_ml == pytest.approx(tumor_ml, rel=0.03) and resection.tumor_left_ml == 0.0
    assert resection.resected_ml == pytest.approx(cap_ml, rel=0.03)
    assert resection.remnant_ml == pytest.approx(BALL_ML - cap_ml, rel=0.03)
    assert resection.remnant_percent == pytest.approx(
        100 * resection.remnant_ml / (resection.liver_ml - resection.tumor_ml)
    )
    (cut,) = resection.cut
    assert (cut.branch, cut.radius_mm) == (1, 2.0) and cut.at_mm == pytest.approx((38.25, 24.5, 30))

    other_side = resect_by_plane(labels, fork, (0, 24.5, 0), (0, 1, 0))
    assert other_side.tumor_left_ml == other_side.tumor_ml
    assert other_side.remnant_ml == pytest.approx(resection.resected_ml - resection.tumor_ml)
    assert other_side.remnant_percent + resection.remnant_percent == pytest.approx(100)


def test_a_plane_cuts_only_vessels_inside_the_liver(labels, fork):
    assert resect_by_plane(labels, fork, (3, 0, 0), (1, 0, 0)).cut == ()  # the trunk, where it has not entered yet
    assert [cut.branch for cut in resect_by_plane(labels, fork, (20, 0, 0), (1, 0, 0)).cut] == [0]
    assert [cut.branch for cut in resect_by_plane(labels, fork, (45, 0, 0), (1, 0, 0)).cut] == [1, 2]


def test_territories_are_resected_where_their_branches_begin(labels, fork):
    divided = portal_territories(labels, fork, (1, 2))
    resection = resect_territories(divided, fork, [0])
    taken, left = divided.territories
    assert resection.resected_ml == taken.volume_ml and resection.remnant_ml == pytest.approx(left.volume_ml)
    assert resection.tumor_left_ml == 0.0
    assert resection.remnant_percent == pytest.approx(
        100 * left.volume_ml / (taken.volume_ml + left.volume_ml - taken.tumor_ml)
    )
    (cut,) = resection.cut
    assert cut.branch == 1 and cut.at_mm == pytest.approx((30, 30, 30))
    assert resect_territories(divided, fork, []).remnant_percent == pytest.approx(
        100 * (BALL_ML - taken.tumor_ml) / (BALL_ML - taken.tumor_ml)
    )
    assert resect_territories(divided, fork, [0, 1, 1]).remnant_ml == pytest.approx(0.0)
    with pytest.raises(InputError, match="territory 5 is not there"):
        resect_territories(divided, fork, [5])


@given(seed=st.integers(0, 2**32 - 1))
def test_every_voxel_of_the_organ_gets_one_territory_on_any_grid(painted, fork, seed):
    random = np.random.default_rng(seed)
    turn = Rotation.random(rng=random).as_matrix()
    size, spacing = random.integers(4, 30, 3), random.uniform(0.8, 5, 3)
    origin = (30, 30, 30) - turn @ (size / 2 * spacing)
    grid = Geometry(tuple(size.tolist()), tuple(spacing), tuple(origin), turn)
    labels = painted(grid, (LIVER.value, (30, 30, 30), 25), (TUMOR.value, tuple(random.uniform(20, 40, 3)), 6))
    stems = random.permutation(3)[: random.integers(1, 4)].tolist()
    divided = portal_territories(labels, fork, stems)
    values = divided.labels_on(grid)
    organ = labels.array > 0
    if not (labels.array == LIVER.value).any():
        organ[:] = False
    assert np.array_equal(values > 0, organ)
    counts = np.bincount(values[organ], minlength=len(divided.territories) + 1)[1:]
    volumes = [t.volume_ml for t in divided.territories]
    assert counts * grid.voxel_volume_mm3 / 1000 == pytest.approx(volumes) and volumes == sorted(volumes)[::-1]
    tumors = [np.count_nonzero((values == n) & (labels.array == TUMOR.value)) for n in range(1, len(volumes) + 1)]
    assert np.array(tumors) * grid.voxel_volume_mm3 / 1000 == pytest.approx([t.tumor_ml for t in divided.territories])


def test_more_territories_than_labels_are_refused(labels, fork):
    divided = portal_territories(labels, fork, (1, 2))
    many = replace(divided, territories=divided.territories * 128)
    with pytest.raises(InputError, match="256 territories are more than the 255 labels"):
        many.labels_on(GRID)


def test_no_liver_no_vessels_and_two_livers_have_an_answer(painted, labels, fork):
    nothing = painted(GRID)
    divided = portal_territories(nothing, EMPTY_TREE, ())
    assert divided.territories == () and divided.unassigned_ml == 0.0
    empty = resect_by_plane(nothing, fork, (0, 0, 0), (1, 0, 0))
    assert (empty.liver_ml, empty.remnant_ml, empty.remnant_percent, empty.cut) == (0, 0, 0, ())

    unassigned = portal_territories(labels, EMPTY_TREE, ())
    assert unassigned.territories == () and (unassigned.array == -1).all()
    assert unassigned.unassigned_ml == pytest.approx(BALL_ML, rel=0.005)
    whole = resect_territories(unassigned, EMPTY_TREE, [])
    assert whole.remnant_percent == pytest.approx(100.0)

    two = painted(GRID, (LIVER.value, (5, 30, 30), 8), (LIVER.value, (60, 30, 30), 8))  # one at the scan's border
    divided = portal_territories(two, fork, (0, 1, 2))
    assert sum(t.volume_ml for t in divided.territories) == pytest.approx(np.count_nonzero(two.array) / 1000)
    liver_voxel = painted(GRID, (LIVER.value, (0, 0, 0), 0.1))
    assert [t.volume_ml for t in portal_territories(liver_voxel, fork, (0,)).territories] == [0.001]
    one_voxel = painted(GRID, (TUMOR.value, (0, 0, 0), 0.1))  # tumors alone say nothing of the organ around them
    assert portal_territories(one_voxel, fork, (0,)).territories == ()
    assert resect_by_plane(one_voxel, fork, (-5, 0, 0), (-1, 0, 0)).remnant_percent == 0.0
    plain = json.loads(json.dumps([divided.to_dict(), empty.to_dict(), whole.to_dict()], allow_nan=False))
    assert plain[0]["territories"][0]["structure"] == "vessel"


def test_a_plane_or_a_branch_that_is_none_is_refused(labels, fork):
    with pytest.raises(InputError, match="a direction"):
        resect_by_plane(labels, fork, (0, 0, 0), (0, 0, 0))
    with pytest.raises(InputError, match="plane through"):
        resect_by_plane(labels, fork, (0, np.nan, 0), (0, 0, 1))
    with pytest.raises(InputError, match="branch 9 is not there"):
        portal_territories(labels, fork, (1, 9))
