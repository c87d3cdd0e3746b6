# SPDX-License-Identifier: Apache-2.0
"""`RegisterFrame`: its request as a question, an answer as its response. Messages are in metres, questions in mm."""

from __future__ import annotations

import math

import numpy as np

from liver_seg_interfaces.srv import RegisterFrame
from liver_seg_ros.geometry import MM_PER_M
from liver_seg_ros.nodes.messages.points import points_to_mm
from liver_seg_ros.nodes.messages.poses import fill_transform
from liver_seg_ros.planning.frame_registration import FrameAnswer, FrameQuestion
from liver_seg_ros.planning.transform import RigidTransform

#: Of rows and columns of a covariance in mm and rad, into m and rad.
_TO_M = np.array([1 / MM_PER_M] * 3 + [1.0] * 3)


def request_to_question(
    request: RegisterFrame.Request, to_parent: RigidTransform, default_max_fre_mm: float
) -> FrameQuestion:
    """The question in the parent frame.

    Args:
        to_parent: from the frame that was measured in.
        default_max_fre_mm: where the request leaves it to the node.
    """
    return FrameQuestion(
        landmarks_mm=to_parent.apply(points_to_mm(request.landmarks)),
        landmarks_in_ct_mm=points_to_mm(request.landmarks_in_ct),
        surface_points_mm=to_parent.apply(points_to_mm(request.surface_points)),
        targets_mm=points_to_mm(request.targets),
        max_fre_mm=MM_PER_M * request.max_fre_m or default_max_fre_mm,
    )


def fill_nothing_known(response: RegisterFrame.Response) -> None:
    """What an answer is that knows nothing: of a float 0 would be a good one."""
    response.covariance = np.full(36, math.nan)
    response.fre_m = response.fle_m = math.nan


def fill_registration(response: RegisterFrame.Response, answer: FrameAnswer) -> None:
    """All that is known, whether it is to be used or not; header, status and uid are the caller's."""
    fill_transform(response.transform.transform, answer.pose)
    response.notes = list(answer.notes)
    if answer.landmarks is not None and answer.covariance is not None and answer.tre_mm is not None:
        response.covariance = (answer.covariance * np.outer(_TO_M, _TO_M)).reshape(-1)
        response.residuals_m = (answer.landmarks.residual_mm / MM_PER_M).tolist()
        response.fre_m = answer.landmarks.fre_mm / MM_PER_M
        response.fle_m = answer.landmarks.fle_mm / MM_PER_M
        response.tre_m = (answer.tre_mm / MM_PER_M).tolist()
    if answer.surface is not None:
        response.surface_used = answer.surface.accepted
        response.surface_fraction = answer.surface.fitness
        response.surface_residual_m = answer.surface.residual_mm / MM_PER_M
