# SPDX-License-Identifier: Apache-2.0
"""The tables of parameters are whole, and config/ and docs/ros.md are what they say."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="ROS 2's rclpy is not installed (make setup installs it)")

from liver_seg_ros.nodes.parameter_rules import Applies, finite
from liver_seg_ros.nodes.parameter_tables import ALL, TABLES
from liver_seg_ros.nodes.parameters import Row

ROOT = Path(__file__).resolve().parents[2]
UNITS = {"_m": "m", "_m_s": "m/s", "_s": "s", "_hz": "Hz", "_mb": "MB", "_gb": "GB", "_hu": "HU"}
ROWS = {f"{node}.{row.name}": row for node, rows in {"all": ALL, **TABLES}.items() for row in rows}


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS.keys())
def test_a_row_is_whole_and_its_default_is_good(row: Row) -> None:
    assert re.fullmatch(r"[A-Z][^\n|]+\.", row.description)
    is_number = type(row.default) in (int, float)
    assert is_number == (row.span is not None)
    assert not is_number or row.span[0] <= row.default <= row.span[1]
    for check in (finite, row.check or finite):
        check(row.default)
    suffix = re.search(r"(_m_s|_m|_s|_hz|_mb|_gb|_hu)?$", row.name).group()
    assert row.unit == ("" if isinstance(row.default, bool) else UNITS.get(suffix, ""))
    assert not row.read_only or row.applies is Applies.ANY_TIME


def test_a_node_has_a_name_once() -> None:
    for rows in TABLES.values():
        names = [row.name for row in (*ALL, *rows)]
        assert len(names) == len(set(names))


def test_a_descriptor_says_what_the_row_does() -> None:
    timeout = ROWS["segmentation.slab_timeout_s"].descriptor()
    assert timeout.additional_constraints == "in s; set: deactivate the node first"
    assert (timeout.floating_point_range[0].from_value, timeout.floating_point_range[0].to_value) == (0.1, 600.0)
    depth = ROWS["segmentation.subscriber_depth"].descriptor()
    assert (depth.integer_range[0].to_value, depth.read_only, depth.dynamic_typing) == (100_000, False, False)
    axis = ROWS["needle_guard.needle_axis"].descriptor()
    assert (axis.read_only, axis.dynamic_typing, axis.additional_constraints) == (True, True, "set: at start")


def test_files_and_reference_are_made_of_the_tables() -> None:
    command = [sys.executable, "tools/parameter_files.py", "--check"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, ""), f"run {' '.join(command[1:2])}: {done.stdout}{done.stderr}"
