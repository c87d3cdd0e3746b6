# SPDX-License-Identifier: Apache-2.0
"""Rates of volumes on a clock that the test turns."""

from __future__ import annotations

import sys

import pytest

from liver_seg_ros.memory import resident_bytes
from liver_seg_ros.nodes.throughput import WINDOW_S, Throughput


def rate(throughput: Throughput, now_s: float) -> float:
    return float(throughput.values(now_s)["volumes_per_minute"])


def test_the_rate_is_that_of_the_last_ten_minutes_or_since_the_node_began() -> None:
    throughput = Throughput(1000.0)
    assert throughput.values(1000.0) == {"volumes_done": "0", "volumes_per_minute": "0"}
    for second in range(30, 1201, 30):
        throughput.done({}, 1000.0 + second)
        assert rate(throughput, 1000.0 + second) == pytest.approx(2.0, rel=0.06), second
    assert throughput.values(2200.0)["volumes_done"] == "40"
    assert rate(throughput, 2200.0 + WINDOW_S / 2) == pytest.approx(1.0, abs=0.11)  # a volume lies on the edge
    assert rate(throughput, 2200.0 + WINDOW_S + 1) == 0.0


def test_the_stages_are_those_of_the_last_volume() -> None:
    throughput = Throughput(0.0)
    throughput.done({"localize": 0.25, "segment": 1.5}, 2.0)
    throughput.done({"localize": 0.5}, 4.0)
    values = throughput.values(4.0)
    assert {key: value for key, value in values.items() if key.startswith("seconds")} == {
        "seconds": "0.500", "seconds localize": "0.500",
    }  # fmt: skip


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process's memory in /proc")
def test_memory_grows_with_what_is_held() -> None:
    before = resident_bytes()
    assert before is not None
    held = bytearray(b"x") * 100_000_000
    assert 90_000_000 < resident_bytes() - before < 200_000_000 and len(held) == 100_000_000
