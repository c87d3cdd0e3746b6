# SPDX-License-Identifier: Apache-2.0
"""An hour of TF at 100 Hz in faster time, with a fault every ten seconds: does the guard's watch ever believe it?

    tools/setup/run.sh python benchmarks/needle_watch.py --hours 1

The parts of the node `needle_guard` that TF goes through (buffer and watch), on clocks of this program. A fault lasts
half a second: TF lost, old stamps, stamps an hour ahead, a tip that jumps, frames in a circle, numbers that are none,
a clock that is set back. Whether a moment belongs to a fault is known from the plan of the faults, not from the watch.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
from collections import Counter

import numpy as np
from _machine import machine

from liver_seg_ros.nodes.tip_watch import TipWatch
from liver_seg_ros.nodes.transform_buffer import TransformBuffer, TransformError
from liver_seg_ros.planning.guard import Reason

RATE_HZ = 100
TIMEOUT_S = 0.1
#: A fault begins every so many ticks, and lasts so many.
EVERY, LASTS = 10 * RATE_HZ, RATE_HZ // 2
FAULTS = ("lost", "old", "ahead", "jumps", "circle", "not a number", "clock set back")
#: After a fault the watch may go on to say STOP: a jump is told for 0.5 s, and a clock set back is one.
AFTER_S = 0.7
STILL = (0.0, 0.0, 0.0, 1.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hours", type=float, default=1.0, help="of simulated time (%(default)s)")
    options = parser.parse_args()
    began = time.monotonic()
    missed, late, faults, grown_mb = watched(round(options.hours * 3600 * RATE_HZ))
    sys.stdout.write(f"{machine()}.\n\n| fault | times | moments believed | not believed after it |\n")
    sys.stdout.write("| --- | ---: | ---: | ---: |\n")
    for name in FAULTS:
        sys.stdout.write(f"| {name} | {faults[name]} | {missed[name]} | {late[name]} |\n")
    seconds = time.monotonic() - began
    sys.stdout.write(
        f"\n{options.hours:g} h in {seconds:.0f} s; memory grew by {grown_mb:.1f} MB after the first tenth.\n"
    )


def watched(ticks: int) -> tuple[Counter[str], Counter[str], Counter[str], float]:
    """Per fault: moments at which it was believed, moments long after it at which nothing was, how often it came; and
    by how many MB the most memory grew after the first tenth."""
    buffer, watch = TransformBuffer(), TipWatch(TIMEOUT_S, 1000.0)
    buffer.add("map", "ct_lps", (0, 0, 0), STILL, 0, static=True)
    missed, late, faults = Counter[str](), Counter[str](), Counter[str]()
    offset_s, peak_kb = 1000.0, 0
    for tick in range(ticks):
        steady_s = tick / RATE_HZ
        fault, since = FAULTS[tick // EVERY % len(FAULTS)], tick % EVERY
        active = since < LASTS and tick >= EVERY
        if active and since == 0:
            faults[fault] += 1
            offset_s -= 100.0 if fault == "clock set back" else 0.0
        now_s = steady_s + offset_s
        x_mm = 5.0 * np.sin(steady_s)
        if active:
            _tell_wrong(buffer, fault, since, x_mm, now_s)
        else:
            _tell(buffer, "map", "needle_tip", x_mm, now_s)
        believed = _believed(buffer, watch, now_s, steady_s)
        # What is lost, or stamped as it was, may be believed until it is stale; the rest at once not.
        if active and believed and since > TIMEOUT_S * RATE_HZ:
            missed[fault] += 1
        if not active and not believed and since > LASTS + AFTER_S * RATE_HZ:
            late[fault] += 1
        if tick == ticks // 10:
            peak_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return missed, late, faults, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak_kb) / 1000


def _tell_wrong(buffer: TransformBuffer, fault: str, since: int, x_mm: float, now_s: float) -> None:
    if fault == "old":
        _tell(buffer, "map", "needle_tip", x_mm, now_s - 0.5)
    elif fault == "ahead":
        _tell(buffer, "map", "needle_tip", x_mm, now_s + 3600.0)
    elif fault == "jumps":
        _tell(buffer, "map", "needle_tip", x_mm + since % 2 * 300.0, now_s)
    elif fault == "circle":
        _tell(buffer, "hand", "needle_tip", 0.0, now_s)
        _tell(buffer, "needle_tip", "hand", 0.0, now_s)
    elif fault == "not a number":
        _tell(buffer, "map", "needle_tip", np.nan, now_s)


def _tell(buffer: TransformBuffer, parent: str, child: str, x_mm: float, stamp_s: float) -> None:
    try:
        buffer.add(parent, child, (x_mm, 0, 0), STILL, round(stamp_s * 1e9))
    except TransformError:
        return  # as the node does it: said in its log


def _believed(buffer: TransformBuffer, watch: TipWatch, now_s: float, steady_s: float) -> bool:
    try:
        found = buffer.lookup("ct_lps", "needle_tip")
    except TransformError:
        return False
    tip_mm = found.transform.apply(np.zeros(3))
    return watch.judge(found.stamp_ns, tip_mm, round(now_s * 1e9), steady_s)[0] == Reason.NONE


if __name__ == "__main__":
    main()
