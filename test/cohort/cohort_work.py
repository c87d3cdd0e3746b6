# SPDX-License-Identifier: Apache-2.0
"""What the tests have worker processes do; a module, as these import what they run."""

from __future__ import annotations

import os
import resource

from distributed import get_worker

from liver_seg_ros.memory import resident_bytes


def cores_or_death(number):
    """The cores that this process may use; where `number` is 0 it ends."""
    if number == 0:
        os._exit(1)
    return len(os.sched_getaffinity(0))


def pages_and_resident(mega_bytes):
    """Take memory and free it: pages that the system had to give for it, MB before, MB afterwards, stacks looked at."""
    before_mb = resident_bytes() / 1e6
    faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    taken = b"x" * (mega_bytes * 1_000_000)
    del taken
    faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - faults
    return faults, before_mb, resident_bytes() / 1e6, get_worker().profile_recent["count"]
