# SPDX-License-Identifier: Apache-2.0
"""Couinaud's segments against plane arithmetic written down here, on livers whose trees are drawn by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from pydicom.sr.codedict import codes
from scipy.spatial.transform import Rotation

from liver_seg_ros.errors import InputError
from liver_seg_ros.geometry import Geometry
from liver_seg_ros.labels import HEPATIC_VEIN, LIVER, PORTAL_VEIN, TUMOR, VENA_CAVA
from liver_seg_ros.planning.couinaud import divide_into_segments, resect_segments
from liver_seg_ros.planning.couinaud_landmarks import CouinaudLandmarks, find_landmarks
from liver_seg_ros.planning.couinaud_parts import possible_names
from liver_seg_ros.planning.couinaud_table import SEGMENTS
from liver_seg_ros.reconstruction.vessels.branches import Forest, build_tree
from liver_seg_ros.vessel_tree import VesselTree
from liver_seg_ros.volume import LabelVolume

CAVA, BIFURCATION = np.array([-10.0, 25.0, 55.0]), np.array([-12.0, -5.0, 5.0])
KNOWN = CouinaudLandmarks(tuple(CAVA), 20.0, 75.0, 125.0, tuple(BIFURCATION), "hepatic vein")
ANGLES = np.radians((20, 75, 125))
GRID = Geometry((62, 56, 48), (3.0, 3.0, 3.0), (-110.0, -80.0, -60.0))


def _liver(geometry: Geometry) -> LabelVolume:
    """An ellipsoid about (-20, 0, 5), a tumor at its right lower end, and the vena cava behind."""
    points = geometry.index_to_lps(np.indices(geometry.shape)[::-1].transpose(1, 2, 3, 0))
    array = np.zeros(geometry.shape, np.uint8)
    array[np.linalg.norm((points - (-20, 0, 5)) / (80, 60, 60), axis=-1) < 1] = LIVER.value
    array[np.linalg.norm(points - (-75, 0, -10), axis=-1) < 12] = TUMOR.value
    array[np.linalg.norm((points - CAVA)[..., :2], axis=-1) < 9] = VENA_CAVA.value
    return LabelVolume(array, geometry)


def _expected(points: np.ndarray) -> np.ndarray:
    """Sides of half-planes by cross products, not by angles; nothing of segment 1."""
    x, y, _ = (points - CAVA).T

    def beyond(degrees: float) -> np.ndarray:
        """Further to the left than the half-plane; behind the cava, left is what is left of it."""
        a, b = -np.cos(np.radians(degrees)), -np.sin(np.radians(degrees))
        left = a * y - b * x
        return np.where(a * x + b * y > 0, left > 0, x > 0) if 60 < degrees < 120 else _wide(degrees, x, y, left)

    def _wide(degrees: float, x: np.ndarray, y: np.ndarray, left: np.ndarray) -> np.ndarray:
        return (left > 0) | (x > 0) & (y > 0) if degrees < 90 else (left > 0) & ~((x < 0) & (y > 0))

    count = sum(beyond(degrees).astype(int) for degrees in (20.0, 75.0, 125.0))
    upper = points[:, 2] > BIFURCATION[2]
    return np.where(upper, np.array([7, 8, 4, 2])[count], np.array([6, 5, 4, 3])[count])


@pytest.fixture(scope="module")
def labels() -> LabelVolume:
    return _liver(GRID)


def test_every_voxel_lies_in_the_segment_that_planes_say(labels: LabelVolume) -> None:
    divided = divide_into_segments(labels, KNOWN)
    organ = np.isin(labels.array, (LIVER.value, TUMOR.value))
    assert np.array_equal(divided.array > 0, organ)
    assert [part.segments for part in divided.parts] == [(n,) for n in range(1, 9)] and not divided.unknown
    points = GRID.index_to_lps(np.argwhere(organ)[:, ::-1])
    found, expected = divided.array[organ], _expected(points)
    caudate = found == 1
    assert np.array_equal(found[~caudate], expected[~caudate])
    x, _, z = (points[caudate] - CAVA).T
    assert (abs(x) < 32).all() and (z < 0).all() and (points[caudate][:, 1] > BIFURCATION[1] - 3).all()
    between = np.linalg.norm(points - (CAVA + BIFURCATION) / 2, axis=1) < 5
    assert between.any() and (found[between] == 1).all()


def test_volumes_add_up_and_a_resection_leaves_the_others(labels: LabelVolume) -> None:
    divided = divide_into_segments(labels, KNOWN)
    ml = GRID.voxel_volume_ml
    for part in divided.parts:
        assert part.volume_ml == pytest.approx(np.count_nonzero(divided.array == part.value) * ml)
    organ_ml = np.count_nonzero(divided.array) * ml
    tumor = labels.array == TUMOR.value
    assert divided.tumor_ml == pytest.approx(np.count_nonzero(tumor) * ml)
    left = resect_segments(divided, (6, 7))
    taken = np.isin(divided.array, (6, 7))
    assert left.resected_ml == pytest.approx(np.count_nonzero(taken) * ml)
    assert left.tumor_left_ml == pytest.approx(np.count_nonzero(tumor & ~taken) * ml)
    remnant_ml = np.count_nonzero((divided.array > 0) & ~taken & ~tumor) * ml
    assert left.remnant_ml == pytest.approx(remnant_ml)
    assert left.remnant_percent == pytest.approx(100 * remnant_ml / (organ_ml - divided.tumor_ml))
    with pytest.raises(InputError, match="segment 9 is not there"):
        resect_segments(divided, (9,))


@pytest.mark.parametrize(
    ("missing", "parts"),
    [
        ({"right_deg": None}, {(1,), (2,), (3,), (4,), (5, 6), (7, 8)}),
        ({"middle_deg": None}, {(1,), (2,), (3,), (4, 5, 8), (6,), (7,)}),
        ({"left_deg": None}, {(1,), (2, 3, 4), (5,), (6,), (7,), (8,)}),
        ({"bifurcation_mm": None}, {(2, 3), (4,), (5, 8), (6, 7)}),
        ({"cava_mm": None}, {(1, 2, 3, 4, 5, 6, 7, 8)}),
    ],
)
def test_without_a_landmark_what_it_would_part_is_one(labels: LabelVolume, missing: dict, parts: set) -> None:
    divided = divide_into_segments(labels, replace(KNOWN, **missing))
    assert {part.segments for part in divided.parts} == parts
    assert np.array_equal(divided.array > 0, np.isin(labels.array, (LIVER.value, TUMOR.value)))
    assert len(divided.unknown) == 1
    assert {part.row.name for part in divided.parts} <= {*possible_names()}
    several = [part.segments for part in divided.parts if len(part.segments) > 1]
    with pytest.raises(InputError, match="not parted"):
        resect_segments(divided, several[0][:1])


def test_turned_and_finer_grids_have_the_same_segments() -> None:
    middle = GRID.index_to_lps((np.array(GRID.size) - 1) / 2)
    turn = Rotation.from_euler("zyx", (25, -10, 15), degrees=True).as_matrix()
    volumes: list[dict[int, float]] = []
    for spacing, direction in (((2.0, 2.0, 2.0), np.eye(3)), ((2.0, 2.0, 2.0), turn), ((1.6, 1.6, 2.4), np.eye(3))):
        size = tuple(int(200 / s) for s in spacing)
        origin = middle - direction @ ((np.array(size) - 1) / 2 * spacing)
        liver = _liver(Geometry(size, spacing, tuple(origin), direction.tolist()))
        volumes.append({part.value: part.volume_ml for part in divide_into_segments(liver, KNOWN).parts})
    for other in volumes[1:]:
        assert other == pytest.approx(volumes[0], rel=0.02)


def _straight(start: np.ndarray, end: np.ndarray, radius: float) -> tuple[np.ndarray, np.ndarray]:
    return start + (end - start) * np.linspace(0, 1, 12)[:, None], np.full(12, radius)


@pytest.fixture(scope="module")
def drawn() -> VesselTree:
    """Three hepatic veins from the cava in 20, 75 and 125 degrees; a portal trunk that forks at the bifurcation."""
    forests = []
    for structure, lines in (
        (HEPATIC_VEIN, [(CAVA, CAVA + 70 * np.array([-np.cos(a), -np.sin(a), -0.3]), 4.0) for a in ANGLES]),
        (PORTAL_VEIN, [((20.0, 0, -30), BIFURCATION, 6.0)]),
    ):  # fmt: skip
        points, radius, parent = [], [], []
        for start, end, r in lines:
            at, width = _straight(np.asarray(start), np.asarray(end), r)
            parent += [-1, *range(len(radius), len(radius) + 11)]
            points += [*at]
            radius += [*width]
        if structure == PORTAL_VEIN:
            for end in ((-60.0, -10, 10), (40.0, -30, 20)):
                at, width = _straight(BIFURCATION, np.array(end), 4.0)
                parent += [11, *range(len(radius), len(radius) + 10)]
                points += [*at[1:]]
                radius += [*width[1:]]
        forests.append(Forest(structure, np.array(points), np.array(radius), np.array(parent)))
    return build_tree(forests)


def test_landmarks_are_found_where_they_were_drawn(labels: LabelVolume, drawn: VesselTree) -> None:
    found = find_landmarks(labels, drawn)
    assert found.cava_mm is not None and found.cava_mm[:2] == pytest.approx(CAVA[:2], abs=2)
    angles = (found.right_deg, found.middle_deg, found.left_deg)
    assert angles == pytest.approx((20, 75, 125), abs=4) and found.middle_by == "hepatic vein"
    assert found.bifurcation_mm == pytest.approx(tuple(BIFURCATION), abs=1e-6)


def test_two_veins_are_not_taken_for_three_and_no_cava_is_said(labels: LabelVolume, drawn: VesselTree) -> None:
    two = [branch.number for branch in drawn.branches if branch.structure == HEPATIC_VEIN][:2]
    kept = np.isin(drawn.branch, [*two, *(b.number for b in drawn.branches if b.structure == PORTAL_VEIN)])
    number = np.cumsum(kept) - 1
    names = {b.number: n for n, b in enumerate(b for b in drawn.branches if kept[drawn.branch == b.number].all())}
    branches = tuple(replace(b, number=names[b.number]) for b in drawn.branches if b.number in names)
    parent = np.where(drawn.parent >= 0, number[drawn.parent], -1)[kept]
    branch = np.array([names[n] for n in drawn.branch[kept].tolist()])
    tree = VesselTree(drawn.points_mm[kept], drawn.radius_mm[kept], parent, branch, branches)
    found = find_landmarks(labels, tree)
    assert (found.right_deg, found.middle_deg, found.left_deg) == (None, None, None)
    assert len(found.unknown) == 3
    bare = LabelVolume(np.where(labels.array == VENA_CAVA.value, 0, labels.array).astype(np.uint8), GRID)
    assert find_landmarks(bare, drawn).cava_mm is None


def test_codes_are_those_of_dicom() -> None:
    for row, numeral in zip(SEGMENTS, ("I", "II", "III", "IV", "V", "VI", "VII", "VIII"), strict=True):
        assert row.snomed_code == getattr(codes.SCT, f"CouinaudHepaticSegment{numeral}").value
