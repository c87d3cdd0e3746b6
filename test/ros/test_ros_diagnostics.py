# SPDX-License-Identifier: Apache-2.0
"""What a node says of itself is true at any time, and safe to show."""

from __future__ import annotations

import os
import re
import socket
from pathlib import Path

import numpy as np
import pytest
from builtin_interfaces.msg import Time
from hypothesis import given
from hypothesis import strategies as st
from lifecycle_msgs.msg import Transition

from liver_seg_interfaces.msg import SegmentationReport
from liver_seg_ros.geometry import Geometry
from liver_seg_ros.nodes.messages.text import MOST_CHARACTERS, shown
from liver_seg_ros.nodes.messages.volumes import volume_to_slabs
from liver_seg_ros.volume import LabelVolume


def next_statuses(ros, node, count=3):
    """The next statuses of a node, one a second."""
    ros.statuses.clear()
    ros.spin_until(lambda: sum(status.name == node for status in ros.statuses) >= count)
    return [status for status in ros.statuses if status.name == node]


@given(text=st.text(max_size=50) | st.text(st.characters(categories=["Cc", "Cs", "Zl", "Cf"]), max_size=50))
def test_any_text_can_be_shown_on_one_line(text):
    line = shown(text)
    assert line.isprintable() and line.encode("utf-8").decode("utf-8") == line
    if text.isprintable():
        assert line == text


def test_a_text_without_end_has_one():
    assert len(shown("a" * 10**6)) < MOST_CHARACTERS + 50


def test_a_refused_transition_is_said_and_forgotten_and_deactivated_is_said(ros):
    ros.start("reconstruction")
    ros.wait_for_line("/reconstruction 0", "waiting for labels")
    assert not ros.change_state("reconstruction", 250)
    ros.wait_for_line("/reconstruction 1", "refused")
    assert {(s.level, s.message) for s in next_statuses(ros, "/reconstruction")} == {(b"\0", "waiting for labels")}
    assert ros.change_state("reconstruction", Transition.TRANSITION_DEACTIVATE)
    ros.wait_for_line("/reconstruction 0", "deactivated")
    assert ros.change_state("reconstruction", Transition.TRANSITION_CLEANUP)
    ros.wait_for_line("/reconstruction 0", "cleaned up")
    assert next_statuses(ros, "/reconstruction", 1)[0].hardware_id == socket.gethostname()


def test_a_simulation_s_clock_need_not_run(ros):
    """Missing slices and the state are said, though nobody publishes /clock."""
    ros.start("reconstruction", use_sim_time=True, slab_timeout_s=0.5)
    ros.wait_for_line("/reconstruction 0", "waiting for labels")
    [first, _] = volume_to_slabs(LabelVolume(np.ones((4, 5, 6), np.uint8), Geometry((6, 5, 4)), "half"), 2, Time())
    ros.publisher("labels").publish(first)
    ros.wait_for_line("/reconstruction 1", "volume half is incomplete: slices 2 to 3 of 4 are missing")
    assert len(next_statuses(ros, "/reconstruction")) >= 3


def test_nothing_that_a_terminal_obeys_gets_through(ros):
    ros.start("reconstruction")
    ros.wait_for_line("/reconstruction 0", "waiting for labels")
    publisher, evil = ros.publisher("labels"), "\x1b[2J\x07 \u202e"
    [slab] = volume_to_slabs(LabelVolume(np.ones((4, 5, 6), np.uint8), Geometry((6, 5, 4)), "x"), 1, Time())
    for field, value in (
        ("volume_uid", evil),
        ("volume_uid", "u" * 300),
        ("encoding", evil),
        ("compression", evil * 2000),
    ):
        before = getattr(slab, field)
        setattr(slab, field, value)
        publisher.publish(slab)
        ros.wait_for_line(
            "/reconstruction 2", {"volume_uid": "uid is", "encoding": "encoding '"}.get(field, "compression '")
        )
        setattr(slab, field, before)
    slab.header.frame_id = evil
    publisher.publish(slab)
    ros.wait_for_line("/reconstruction 2", "its frame is '\\x1b[2J\\x07 \\u202e'; send it in 'ct_lps'")
    [status, *_] = next_statuses(ros, "/reconstruction", 1)
    texts = [status.message, *(value.value for value in status.values)]
    assert all(text.isprintable() and len(text) < MOST_CHARACTERS + 50 for text in texts)
    assert "\x1b[2J" not in ros.log("reconstruction") and "\u202e" not in ros.log("reconstruction")


def test_speed_memory_and_models_are_values_that_the_page_explains(ros, models, ct):
    process = ros.start("segmentation", models_dir=str(models))
    ros.wait_for_line("/segmentation 0", "waiting for a CT")
    reports, publisher = ros.latched(SegmentationReport, "/segmentation/report"), ros.publisher("ct")
    for slab in volume_to_slabs(ct, 2, Time(sec=1)):
        publisher.publish(slab)
    ros.spin_until(lambda: bool(reports))
    [report] = reports

    def values():
        return {v.key: v.value for s in ros.statuses if s.name == "/segmentation" for v in s.values}

    ros.spin_until(lambda: values().get("volumes_done") == "1")
    [status] = next_statuses(ros, "/segmentation", 1)
    told = {value.key: value.value for value in status.values}
    stages = dict(zip(report.stages, report.stage_seconds, strict=True))
    assert {key: float(value) for key, value in told.items() if key.startswith("seconds ")} == pytest.approx(
        {f"seconds {stage}": seconds for stage, seconds in stages.items()}, abs=6e-4
    )
    assert float(told["seconds"]) == pytest.approx(sum(stages.values()), abs=6e-4)
    assert float(told["volumes_per_minute"]) > 0
    pages = int(Path(f"/proc/{process.pid}/statm").read_text().split()[1])
    [worker] = ros.workers(process)
    shares = re.findall(r"^Pss:\s+(\d+) kB", Path(f"/proc/{worker}/smaps_rollup").read_text(), re.MULTILINE)
    memory_mb = (pages * os.sysconf("SC_PAGE_SIZE") + 1024 * int(shares[0])) / 1e6
    # The worker's part is counted every few seconds.
    ros.spin_until(lambda: float(values()["memory_mb"]) == pytest.approx(memory_mb, rel=0.2))
    assert told["runtime"] == report.runtime
    assert told["models"] == ", ".join(f"{m.name} {m.version} {m.sha256}" for m in report.models)
    page = (Path(__file__).resolve().parents[2] / "docs/ros.md").read_text(encoding="utf-8")
    section = page.partition("\n## Diagnostics\n")[2].partition("\n## ")[0]
    explained = {
        key
        for line in section.splitlines()
        if line.startswith("| `")
        for key in re.findall(r"`([^`]+)`", line.split(" | ")[0])
    }
    said = {
        re.sub("^(seconds|warning) .*", lambda m: f"{m[1]} <{'stage' if m[1] == 'seconds' else 'code'}>", key)
        for key in told
    }
    assert said == explained - ({"warning <code>"} - said)
