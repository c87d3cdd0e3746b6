# SPDX-License-Identifier: Apache-2.0
"""What planning gives as JSON: names and order of the keys are what users' programs read, so they stay."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from liver_seg_ros.geometry import Geometry
from liver_seg_ros.labels import BONE, HEPATIC_VEIN, PORTAL_VEIN
from liver_seg_ros.planning.ablation import AblationCheck, StructureNearZone, TumorCoverage, VesselInZone
from liver_seg_ros.planning.ablation_zone import AblationZone
from liver_seg_ros.planning.feeding import FeedingVessel, LesionFeeding
from liver_seg_ros.planning.limits import Limits
from liver_seg_ros.planning.questions import Answers, Question
from liver_seg_ros.planning.ranking import RankedTrajectory, Ranking
from liver_seg_ros.planning.registration import LandmarkRegistration
from liver_seg_ros.planning.resection import CutBranch, Resection
from liver_seg_ros.planning.surface_registration import SurfaceRegistration
from liver_seg_ros.planning.territories import LiverTerritories, Territory
from liver_seg_ros.planning.trajectory_values import Clearance, Trajectory, TrajectoryEvaluation, VesselCrossing
from liver_seg_ros.planning.transform import RigidTransform

AT = (1.0, 2.0, 3.0)
NEEDLE = Trajectory((10.0, 2.0, 3.0), AT, 1.0)
BONE_NEAR, CROSSED = Clearance(BONE, 4.0, AT), VesselCrossing(3, HEPATIC_VEIN, 2.0, 5.0, AT)
EVALUATION = TrajectoryEvaluation(NEEDLE, 9.0, 7.0, (BONE_NEAR,), (CROSSED,), 1, None)
ZONE = AblationZone(AT, (0.0, 0.0, 1.0), 20.0, 15.0)
LIMITS = Limits(1.0, 150.0, 70.0, {BONE: 1.0})
RANKING = Ranking(AT, LIMITS, 2, 1, {"length": 1}, (RankedTrajectory(EVALUATION, np.inf, None, 0, 3),))
FEEDING = LesionFeeding(0, AT, (FeedingVessel(1, PORTAL_VEIN, 2, 3.0, 0.5, AT, 0.75),))
ABLATION = AblationCheck(
    ZONE, 5.0, TumorCoverage(0, 4.0, 1.0, 0.9, 4.5, AT, 0.9), 12.0, 1.0,
    (VesselInZone(1, PORTAL_VEIN, 2, 3.0, 8.0, True),), (StructureNearZone(BONE, 6.0, AT, 0.0),),
)  # fmt: skip
RESECTION = Resection(1500.0, 4.0, 500.0, 996.0, 66.5, 0.0, (CutBranch(1, PORTAL_VEIN, 0, 5.0, AT),))
SHIFT = RigidTransform.of(np.eye(3), AT)
TERRITORIES = LiverTerritories(
    np.zeros((1, 1, 1), np.int16), Geometry((1, 1, 1)), (Territory(2, PORTAL_VEIN, 1, 700.0, 3.0),), 10.0, 3.0
)

WHERE = [1.0, 2.0, 3.0]
NEEDLE_KEYS = {
    "entry_mm": [10.0, 2.0, 3.0], "target_mm": WHERE, "radius_mm": 1.0, "length_mm": 9.0, "length_in_liver_mm": 7.0,
    "clearances": [{"structure": "bone", "clearance_mm": 4.0, "at_mm": WHERE, "by_hu": False, "by_map": False}],
    "vessel_crossings": [
        {"branch": 3, "structure": "hepatic_vein", "radius_mm": 2.0, "along_mm": 5.0, "at_mm": WHERE}
    ],
    "capsule_crossings": 1, "entry_angle_deg": None,
}  # fmt: skip
LIMITS_KEYS = {
    "needle_radius_mm": 1.0, "max_length_mm": 150.0, "max_entry_angle_deg": 70.0, "least_clearance_mm": {"bone": 1.0},
}  # fmt: skip
RANKING_KEYS = {
    "target_mm": WHERE, "limits": LIMITS_KEYS, "candidates": 2, "accepted": 1, "rejected": {"length": 1},
    "trajectories": [
        {"clearance_mm": None, "nearest": None, "layer": 0, "on_front": True, "alike": 3, **NEEDLE_KEYS}
    ],
}  # fmt: skip
FEEDING_KEYS = {
    "lesion": 0, "center_mm": WHERE,
    "vessels": [
        {"branch": 1, "structure": "portal_vein", "generation": 2, "radius_mm": 3.0, "distance_mm": 0.5, "at_mm": WHERE,
         "share": 0.75},
    ],
}  # fmt: skip
ABLATION_KEYS = {
    "zone": {
        "center_mm": WHERE, "axis": [0.0, 0.0, 1.0], "along_mm": 20.0, "across_mm": 15.0, "volume_ml": ZONE.volume_ml,
    },
    "margin_mm": 5.0,
    "tumor": {
        "lesion": 0, "volume_ml": 4.0, "covered": 1.0, "covered_with_margin": 0.9, "smallest_margin_mm": 4.5,
        "smallest_at_mm": WHERE, "uncertainty_mm": 0.9,
    },
    "healthy_liver_ml": 12.0, "outside_liver_ml": 1.0,
    "vessels": [
        {"branch": 1, "structure": "portal_vein", "generation": 2, "radius_mm": 3.0, "length_mm": 8.0,
         "heat_sink": True},
    ],
    "others": [{"structure": "bone", "distance_mm": 6.0, "at_mm": WHERE, "inside_ml": 0.0}],
}  # fmt: skip
RESECTION_KEYS = {
    "liver_ml": 1500.0, "tumor_ml": 4.0, "resected_ml": 500.0, "remnant_ml": 996.0, "remnant_percent": 66.5,
    "tumor_left_ml": 0.0,
    "cut": [{"branch": 1, "structure": "portal_vein", "generation": 0, "radius_mm": 5.0, "at_mm": WHERE}],
}  # fmt: skip
MATRIX = [[1.0, 0.0, 0.0, 1.0], [0.0, 1.0, 0.0, 2.0], [0.0, 0.0, 1.0, 3.0], [0.0, 0.0, 0.0, 1.0]]
#: Of answers without a CT to look for bone in.
NO_MAP = {"found": [], "why_not": "no map was given"}
NO_CT = {"searched": [], "found": [], "why_not": "that was not asked for"}
ANSWERS_KEYS = {
    **RANKING_KEYS, "message": "", "skin_cut": 0.25, "by_hu": NO_CT, "by_map": NO_MAP, "unlabelled": "",
    "feeding": FEEDING_KEYS,
    "ablation": ABLATION_KEYS, "resection": RESECTION_KEYS,
}  # fmt: skip
TERRITORIES_KEYS = {
    "territories": [{"branch": 2, "structure": "portal_vein", "generation": 1, "volume_ml": 700.0, "tumor_ml": 3.0}],
    "unassigned_ml": 10.0, "tumor_ml": 3.0,
}  # fmt: skip
QUESTION = Question(lesion=1, limits=LIMITS, target_mm=AT)


@pytest.mark.parametrize(("result", "keys"), [
    (EVALUATION, NEEDLE_KEYS),
    (LIMITS, LIMITS_KEYS),
    (RANKING, RANKING_KEYS),
    (FEEDING, FEEDING_KEYS),
    (ABLATION, ABLATION_KEYS),
    (RESECTION, RESECTION_KEYS),
    (TERRITORIES, TERRITORIES_KEYS),
    (SHIFT, {"matrix": MATRIX}),
    (SurfaceRegistration(SHIFT, True, "", 1.0, 0.5, 0.9, 0.75, 2.0, 2.5), {
        "transform": {"matrix": MATRIX}, "accepted": True, "reason": "", "fitness": 1.0, "residual_mm": 0.5,
        "initial_fitness": 0.9, "initial_residual_mm": 0.75, "moved_mm": 2.0, "reach_mm": 2.5,
    }),
    (LandmarkRegistration(SHIFT, np.array([0.5]), 0.5, 0.75, np.eye(3)), {
        "matrix": MATRIX, "fre_mm": 0.5, "fle_mm": 0.75, "residual_mm": [0.5], "targets_mm": [],
        "predicted_tre_mm": [],
    }),
    (Answers(QUESTION, RANKING, (EVALUATION,), FEEDING, ABLATION, RESECTION, 0.25), {"lesion": 2, **ANSWERS_KEYS}),
    (Answers(QUESTION, None, (EVALUATION,), None, None, None), {
        "lesion": 2, "target_mm": WHERE, "limits": LIMITS_KEYS, "trajectories": [NEEDLE_KEYS], "message": "",
        "skin_cut": None, "by_hu": NO_CT, "by_map": NO_MAP, "unlabelled": "", "feeding": None,
        "ablation": None, "resection": None,
    }),
], ids=lambda value: type(value).__name__)  # fmt: skip
def test_keys_and_their_order_stay(result: Any, keys: dict[str, Any]) -> None:
    assert json.dumps(result.to_dict(), allow_nan=False) == json.dumps(keys)
