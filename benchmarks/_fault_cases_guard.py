# SPDX-License-Identifier: Apache-2.0
"""Faults of TF and of clocks: what `faults.py` does to the needle's guard. No STOP may be missed."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from _fault_cases import Bench
from _fault_harness import needle
from _fault_tries import Tries, expect
from geometry_msgs.msg import TransformStamped
from rosgraph_msgs.msg import Clock
from tf2_msgs.msg import TFMessage

from liver_seg_interfaces.msg import GuardReading

TIMEOUT_S = 0.3
#: On top of the timeout: how long a reading may take from the guard to here, on a machine that has other work.
SLACK_S = 0.5
AWAY_M = -0.05
OK, STOP = GuardReading.LEVEL_OK, GuardReading.LEVEL_STOP


class Guarding:
    """A guard under test, beside a ball that the needle is clear of."""

    def __init__(self, ros: Any, **parameters: object) -> None:
        self.needle = needle.Needle(ros)
        self.ros = ros
        self.parameters = {"tf_timeout_s": TIMEOUT_S, "max_speed_m_s": 1.0, **parameters}
        self.process = self.start()

    def start(self) -> Any:
        process = self.ros.start(
            "needle_guard", needle_radius_m=needle.NEEDLE_M, needle_length_m=0.1, **self.parameters
        )
        self.needle.show_ball()
        return process

    def until_ok(self) -> None:
        self.needle.until(lambda reading: reading.level == OK, AWAY_M)

    def expect_only_stop(self, tell: Callable[[int], None], lasting_s: float = 1.0, from_s: float = SLACK_S) -> None:
        """While `tell` goes on with the fault, what is read after `from_s` is STOP, and something is read."""
        began, number = time.monotonic(), 0
        while (passed_s := time.monotonic() - began) < from_s + lasting_s:
            if passed_s < from_s:
                self.needle.readings.clear()
            tell(number)
            number += 1
            self.ros.spin_for(0.01)
        missed = [reading for reading in self.needle.readings if reading.level != STOP]
        expect(not missed, f"{len(missed)} STOP were missed, the first: {missed[0] if missed else ''}")
        assert self.needle.readings, "no reading came"


def _case(tell: Callable[[Guarding, int], None], from_s: float = SLACK_S) -> Callable[[Bench, Any, Tries], None]:
    """A fault that lasts while `tell` goes on; after it the guard is to say OK again."""

    def case(bench: Bench, ros: Any, tries: Tries) -> None:
        guarding = Guarding(ros)
        for _ in tries.numbers():
            guarding.until_ok()
            with tries.one():
                guarding.expect_only_stop(lambda number: tell(guarding, number), from_s=from_s)
                guarding.until_ok()

    return case


def _circle(guarding: Guarding, number: int) -> None:
    """needle_tip in a in needle_tip: nobody knows where both are."""
    _tell_tf(guarding, "a", "needle_tip")
    _tell_tf(guarding, "needle_tip", "a")


def _tell_tf(guarding: Guarding, parent: str, child: str, x_m: float = 0.0, stamp_ns: int | None = None) -> None:
    told = TransformStamped(child_frame_id=child)
    told.header.frame_id = parent
    stamp_ns = guarding.ros.node.get_clock().now().nanoseconds if stamp_ns is None else stamp_ns
    told.header.stamp.sec, told.header.stamp.nanosec = divmod(stamp_ns, 1_000_000_000)
    told.transform.translation.x = x_m
    # z of the tip's frame onto x of its parent.
    told.transform.rotation.y = told.transform.rotation.w = 0.5**0.5
    guarding.needle._tf.publish(TFMessage(transforms=[told]))


def clock_jumps(bench: Bench, ros: Any, tries: Tries) -> None:
    """/clock of a simulation goes back and forth by 100 s; TF follows half a second later."""
    guarding = Guarding(ros, use_sim_time=True)
    clock = ros.node.create_publisher(Clock, "/clock", 10)
    now_s = 1000.0

    def tell(tf: bool = True) -> None:
        nonlocal now_s
        now_s += 0.01
        message = Clock()
        message.clock.sec, message.clock.nanosec = divmod(round(now_s * 1e9), 1_000_000_000)
        clock.publish(message)
        if tf:
            _tell_tf(guarding, "ct_lps", "needle_tip", AWAY_M, round(now_s * 1e9))

    def until_ok() -> None:
        guarding.needle.readings.clear()

        def said() -> bool:
            tell()
            return any(reading.level == OK for reading in guarding.needle.readings)

        ros.spin_until(said)

    for number in tries.numbers():
        until_ok()
        with tries.one():
            now_s += 100.0 if number % 2 else -100.0
            guarding.expect_only_stop(lambda _: tell(tf=False))
            until_ok()


def killed_guard(bench: Bench, ros: Any, tries: Tries) -> None:
    """SIGKILL while it says OK: silence, and from the new process STOP until all is known again."""
    guarding = Guarding(ros)
    for _ in tries.numbers():
        guarding.until_ok()
        guarding.process.kill()
        guarding.process.wait()
        with tries.one():
            ros.spin_for(SLACK_S)
            guarding.needle.readings.clear()
            ros.spin_for(SLACK_S)
            expect(not guarding.needle.readings, "a dead guard said something")
            guarding.process = guarding.start()
            first = guarding.needle.until(lambda _: True)
            expect(first.level == STOP, f"the first reading of the new process is {first}")
            guarding.until_ok()


GUARD_CASES: dict[str, Callable[[Bench, Any, Tries], None]] = {
    "guard: killed": killed_guard,
    "guard: TF lost": _case(lambda guarding, number: None, TIMEOUT_S + SLACK_S),
    "guard: TF stale": _case(lambda guarding, number: guarding.needle.move(AWAY_M, age_s=1.0), TIMEOUT_S + SLACK_S),
    "guard: TF from the future": _case(lambda guarding, number: guarding.needle.move(AWAY_M, age_s=-3600.0)),
    "guard: TF repeats one stamp": _case(
        lambda guarding, number: _tell_tf(guarding, "map", "needle_tip", 0.1, 10**18), TIMEOUT_S + SLACK_S
    ),
    "guard: TF jumps": _case(lambda guarding, number: guarding.needle.move(AWAY_M - number % 2 * 10.0)),
    "guard: TF in a circle": _case(_circle),
    "guard: TF not a number": _case(lambda guarding, number: guarding.needle.move(float("nan")), TIMEOUT_S + SLACK_S),
    "guard: /clock back and forth": clock_jumps,
}
