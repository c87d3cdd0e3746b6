# SPDX-License-Identifier: Apache-2.0
"""What becomes of the ROS graph when a part of it fails: real processes over real DDS, each fault tried several times.

    tools/setup/run.sh python benchmarks/faults.py                       every fault, ten times
    tools/setup/run.sh python benchmarks/faults.py --tries 3 --only tf   those with "tf" in their name

Prints Markdown: of each fault how often it was tried, how often the graph gave no answer afterwards (lost) or a wrong
one (wrong), and the slowest answer. Right is: the volume after the fault is done in the same graph, voxel for voxel; a
guard that says STOP as long as the fault lasts and OK after it; a process that ends with exit code 0 and no traceback.
Processes are started as in the tests (test/ros/conftest.py), with networks that go by HU: what is right is known.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

from _fault_tries import Tries
from _machine import machine


def main() -> int:
    from _fault_cases import CASES, Bench
    from _fault_cases_guard import GUARD_CASES
    from _fault_cases_planner import PLANNER_CASES
    from _fault_harness import conftest

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tries", type=int, default=10, help="of each fault (%(default)s)")
    parser.add_argument("--only", default="", help="faults whose names hold this")
    options = parser.parse_args()
    os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
    sys.stdout.write(
        f"{machine()}.\n\n| fault | tries | lost | wrong | slowest, s |\n| --- | ---: | ---: | ---: | ---: |\n"
    )
    all_said: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder))
        for number, (name, case) in enumerate({**CASES, **PLANNER_CASES, **GUARD_CASES}.items()):
            if options.only not in name:
                continue
            logs = Path(folder) / str(number)
            logs.mkdir()
            tries = Tries(options.tries)
            with conftest.domain_of_its_own() as domain:
                ros = conftest.Ros(logs, domain)
                try:
                    case(bench, ros, tries)
                finally:
                    ros.close()
            row = f"{name} | {tries.done} | {tries.lost} | {tries.wrong} | {tries.slowest_s:.1f}"
            sys.stdout.write(f"| {row} |\n")
            sys.stdout.flush()
            all_said += [f"{name}: {line}" for line in tries.said]
    sys.stdout.write("".join(f"\n{line}" for line in all_said))
    return int(bool(all_said))


if __name__ == "__main__":
    sys.exit(main())
