# SPDX-License-Identifier: Apache-2.0
"""What a needle may by default is promised in numbers; and what is no limit is refused."""

from __future__ import annotations

from collections.abc import Callable
from inspect import signature
from math import inf, nan

import pytest

from liver_seg_ros.errors import InputError
from liver_seg_ros.labels import structure_by_name
from liver_seg_ros.planning import ablation, clearance, feeding, ranking, skin, trajectory
from liver_seg_ros.planning.limits import Limits, least_clearance
from liver_seg_ros.planning.trajectory_values import Clearance, Trajectory, TrajectoryEvaluation


def test_defaults_are_what_is_promised() -> None:
    limits = Limits()
    assert (limits.needle_radius_mm, limits.max_length_mm, limits.max_entry_angle_deg) == (0.75, 150, 70)
    assert {structure.name: mm for structure, mm in limits.least_clearance_mm.items()} == {
        "vessel": 0, "portal_vein": 0, "hepatic_vein": 0, "hepatic_artery": 0, "bile_duct": 0,
        "bone": 1,
        "vena_cava": 3, "aorta": 3, "gallbladder": 3, "pancreas": 3, "kidney": 3, "spleen": 3, "lung": 3,
        "stomach": 5, "duodenum": 5, "colon": 5, "small_bowel": 5, "heart": 5, "gas": 5,
    }  # fmt: skip


def test_what_planning_promises_is_a_number() -> None:
    """Those of `docs/` and of docstrings, so that a changed one is seen."""
    assert (ranking.APART_MM, clearance.TOLERANCE_MM, trajectory.LEAST_VESSEL_RADIUS_MM) == (30, 0.1, 1.5)
    assert (skin.FROM_CUT_MM, skin.MAX_SKIN_ANGLE_DEG, skin.POINT_SPACING_MM) == (10, 70, 5)
    assert (ablation.REACH_MM, default(feeding.feeding_vessels, "within_mm")) == (20, 10)
    assert default(ranking.rank_trajectories, "count") == 20


def default(function: Callable[..., object], name: str) -> object:
    return signature(function).parameters[name].default


def test_defaults_of_one_are_not_those_of_another() -> None:
    one = Limits()
    one.least_clearance_mm.clear()  # type: ignore[attr-defined]
    assert len(Limits().least_clearance_mm) == 19


@pytest.mark.parametrize(
    ("name", "taken", "refused"),
    [
        ("needle_radius_mm", (0, 1e-9, 1e9), (-1e-9, inf, nan)),
        ("max_length_mm", (1e-9, inf), (0, -1, nan)),
        ("max_entry_angle_deg", (1e-9, 0.5, 180), (0, 180.001, -1, nan)),
    ],
)
def test_the_edge_of_what_is_a_limit(name: str, taken: tuple[float, ...], refused: tuple[float, ...]) -> None:
    for value in taken:
        assert getattr(Limits(**{name: value}), name) == value
    for value in refused:
        with pytest.raises(InputError, match="give"):
            Limits(**{name: value})


@pytest.mark.parametrize("radius_mm", [-1e-9, inf, nan])
def test_a_needle_without_a_radius_is_refused(radius_mm: float) -> None:
    with pytest.raises(InputError, match="a needle's radius"):
        Trajectory((0, 0, 0), (1, 0, 0), radius_mm)
    assert Trajectory((0, 0, 0), (1, 0, 0), 0).radius_mm == 0


def test_the_least_clearance_is_to_what_the_limits_name() -> None:
    names = ("tumor", "spleen", "colon", "bone")
    clearances = tuple(
        Clearance(structure_by_name(name), mm, (0.0, 0.0, 0.0)) for name, mm in zip(names, (-3, 7, 5, 2), strict=True)
    )
    met = TrajectoryEvaluation(Trajectory((0, 0, 0), (9, 0, 0)), 9.0, 0.0, clearances, (), 0, None)

    def least(**limits_mm: float) -> Clearance | None:
        named = {structure_by_name(name): mm for name, mm in limits_mm.items()}
        return least_clearance(met, Limits(least_clearance_mm=named))

    assert least_clearance(met, Limits()) == clearances[2]
    assert least(spleen=0.0) == clearances[1]
    assert least(heart=0.0) is None
    # Bone is in the way and not in danger: it counts where the needle is nearer than it may be.
    assert (least(bone=2.0), least(bone=2.1)) == (None, clearances[3])
    assert (least(bone=2.0, spleen=0.0), least(bone=2.1, spleen=0.0)) == (clearances[1], clearances[3])
