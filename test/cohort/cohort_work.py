# SPDX-License-Identifier: Apache-2.0
"""What the tests have worker processes do; a module, as these import what they run."""

from __future__ import annotations

import os


def cores_or_death(number):
    """The cores that this process may use; where `number` is 0 it ends."""
    if number == 0:
        os._exit(1)
    return len(os.sched_getaffinity(0))
