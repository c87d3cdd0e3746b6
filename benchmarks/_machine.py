# SPDX-License-Identifier: Apache-2.0
"""Names the machine that a figure was measured on, for benchmarks: the package's `machine`, printed if asked."""

from __future__ import annotations

import sys

from liver_seg_ros.machine import machine as machine
from liver_seg_ros.machine import usable_cores as usable_cores

if __name__ == "__main__":
    sys.stdout.write(machine() + "\n")
