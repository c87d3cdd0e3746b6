# SPDX-License-Identifier: Apache-2.0
"""Runs a command and prints its seconds, peak memory and exit code as JSON.

A process of its own, small, since Linux counts what a parent held when it forked as memory of the child.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time


def main() -> None:
    started = time.perf_counter()
    code = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL).returncode
    seconds = time.perf_counter() - started
    peak_mb = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    json.dump({"seconds": seconds, "peak_mb": peak_mb, "code": code}, sys.stdout)


if __name__ == "__main__":
    main()
