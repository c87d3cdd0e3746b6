# SPDX-License-Identifier: Apache-2.0
"""The action `segment_volume` over real DDS: followed to its end, cancelled, queued, refused, replaced."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from action_msgs.msg import GoalStatus
from builtin_interfaces.msg import Time
from lifecycle_msgs.msg import Transition
from rcl_interfaces.msg import Parameter, ParameterType, ParameterValue
from rcl_interfaces.srv import SetParameters
from rclpy.action import ActionClient

from liver_seg_interfaces.action import SegmentVolume
from liver_seg_interfaces.msg import SegmentationReport
from liver_seg_ros.files.volumes import write_volume
from liver_seg_ros.geometry import Geometry
from liver_seg_ros.nodes.messages.volumes import volume_to_slabs
from liver_seg_ros.volume import Volume

FOUND, FAILED, CANCELLED = (
    SegmentationReport.STATUS_FOUND, SegmentationReport.STATUS_FAILED, SegmentationReport.STATUS_CANCELLED,
)  # fmt: skip


class Goal:
    """One goal and all that comes of it."""

    def __init__(self, ros: Any, client: ActionClient, **fields: Any) -> None:
        self._ros = ros
        self.progress: list[Any] = []
        sent = client.send_goal_async(
            SegmentVolume.Goal(**fields), feedback_callback=lambda m: self.progress.append(m.feedback.progress)
        )
        ros.spin_until(sent.done)
        self.handle = sent.result()
        self._result = self.handle.get_result_async() if self.handle.accepted else None

    def wait_for_stage(self, stage: str) -> None:
        self._ros.spin_until(lambda: any(p.stage == stage for p in self.progress))

    def cancel(self) -> float:
        """Cancel, and the seconds until the result is there."""
        began_s = time.monotonic()
        self.handle.cancel_goal_async()
        self.result()
        return time.monotonic() - began_s

    @property
    def ended(self) -> bool:
        return self._result.done()

    def result(self) -> tuple[int, SegmentationReport]:
        """The last state and the report."""
        self._ros.spin_until(self._result.done)
        return self._result.result().status, self._result.result().result.report


@pytest.fixture
def segmentation(ros: Any, models: Any) -> ActionClient:
    ros.start("segmentation", models_dir=str(models))
    ros.wait_for_line("/segmentation 0", "waiting for a CT")
    client = ActionClient(ros.node, SegmentVolume, "/segmentation/segment_volume")
    ros.spin_until(client.server_is_ready)
    ros.spin_for(0.2)  # the client is known to the server a moment later
    return client


@pytest.fixture(scope="module")
def large_file(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A liver that fills a large CT: seconds of work."""
    array = np.full((150, 240, 240), -100, np.int16)
    array[10:-10, 10:-10, 10:-10] = 60
    path = tmp_path_factory.mktemp("ct") / "large.mha"
    write_volume(path, Volume(array, Geometry((240, 240, 150), (2.0, 2.0, 2.0)), "large"))
    return str(path)


def set_when_busy(ros: Any, value: str) -> None:
    what = ParameterValue(type=ParameterType.PARAMETER_STRING, string_value=value)
    request = SetParameters.Request(parameters=[Parameter(name="when_busy", value=what)])
    assert ros.call(SetParameters, "/segmentation/set_parameters", request).results[0].successful


def test_a_goal_is_followed_to_its_end(ros, models, segmentation, ct, tmp_path):
    write_volume(tmp_path / "ct.nrrd", ct)
    labels = ros.volumes("labels", np.uint8)
    goal = Goal(ros, segmentation, path=str(tmp_path / "ct.nrrd"))
    status, report = goal.result()
    assert (status, report.status) == (GoalStatus.STATUS_SUCCEEDED, FOUND)
    assert report.structures and report.volume_uid and report.models
    fractions = [progress.overall_fraction for progress in goal.progress]
    assert fractions == sorted(fractions) and fractions[-1] == pytest.approx(1.0)
    assert {"read", "localize", "segment", "publish"} <= {progress.stage for progress in goal.progress}
    assert goal.progress[-1].seconds_left == pytest.approx(0.0, abs=1e-3)
    ros.spin_until(lambda: bool(labels))
    assert set(np.unique(labels[0].array)) == {0, 1, 2, 3}

    publisher = ros.publisher("ct")
    for slab in volume_to_slabs(ct, 2, Time(sec=1)):
        publisher.publish(slab)
    ros.wait_for_line("/segmentation", f"volume {ct.uid}")
    status, report = Goal(ros, segmentation, volume_uid=ct.uid, structures=["liver"], model=str(models)).result()
    assert (status, report.status, report.volume_uid) == (GoalStatus.STATUS_SUCCEEDED, FOUND, ct.uid)
    assert [entry.structure for entry in report.structures] == ["liver"]
    ros.spin_until(lambda: bool(labels) and set(np.unique(labels[-1].array)) == {0, 1})

    for fields, says in (
        ({}, "names no CT or two"),
        ({"path": "/nowhere.nrrd"}, "/nowhere.nrrd"),
        ({"volume_uid": "unheard-of"}, f"the last one is {ct.uid}"),
        ({"path": str(tmp_path / "ct.nrrd"), "structures": ["spline"]}, "unknown structure 'spline'"),
    ):
        status, report = Goal(ros, segmentation, **fields).result()
        assert (status, report.status) == (GoalStatus.STATUS_ABORTED, FAILED) and says in report.message


def test_goals_are_cancelled_queued_refused_and_replaced(ros, segmentation, ct, large_file, tmp_path):
    write_volume(tmp_path / "small.nrrd", replace(ct, uid="small"))
    small = str(tmp_path / "small.nrrd")
    for stage in ("read", "localize", "segment"):
        goal = Goal(ros, segmentation, path=large_file)
        goal.wait_for_stage(stage)
        seconds = goal.cancel()
        status, report = goal.result()
        assert (status, report.status) == (GoalStatus.STATUS_CANCELED, CANCELLED)
        assert "a client cancelled it" in report.message
        assert seconds < 2.5, f"cancelled in {stage} after {seconds:.2f} s"  # 0.5 s on a machine that does nothing else

    first = Goal(ros, segmentation, path=large_file)
    second, third = (Goal(ros, segmentation, path=small) for _ in range(2))
    assert third.cancel() < 2.5  # while it waits
    assert third.result()[0] == GoalStatus.STATUS_CANCELED and not first.ended and not second.progress
    assert second.result()[0] == GoalStatus.STATUS_SUCCEEDED and first.ended
    assert first.result()[0] == GoalStatus.STATUS_SUCCEEDED

    set_when_busy(ros, "refuse")
    first = Goal(ros, segmentation, path=large_file)
    assert not Goal(ros, segmentation, path=small).handle.accepted
    set_when_busy(ros, "replace")
    second = Goal(ros, segmentation, path=small)
    status, report = first.result()
    assert (status, report.status) == (GoalStatus.STATUS_ABORTED, CANCELLED) and "replaced" in report.message
    assert second.result()[0] == GoalStatus.STATUS_SUCCEEDED

    set_when_busy(ros, "queue")
    waiting = [Goal(ros, segmentation, path=large_file), Goal(ros, segmentation, path=small)]
    assert ros.change_state("segmentation", Transition.TRANSITION_DEACTIVATE)
    for goal in waiting:
        status, report = goal.result()
        assert (status, report.status) == (GoalStatus.STATUS_ABORTED, CANCELLED) and "activ" in report.message
    assert not Goal(ros, segmentation, path=small).handle.accepted
