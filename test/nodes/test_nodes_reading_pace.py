# SPDX-License-Identifier: Apache-2.0
"""When the guard reads: no transform waits for the next tick, and readings are neither too few nor too many."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from liver_seg_ros.nodes.reading_pace import ReadingPace

RATE_HZ = 100.0
SECONDS = 2.0


def readings(moved_s: np.ndarray, phase_s: float) -> list[tuple[float, bool]]:
    """When there was a reading, and whether for a transform, with ticks at the rate from `phase_s` on."""
    ticks_s = np.arange(phase_s, SECONDS, 1 / RATE_HZ)
    events = sorted([(float(s), True) for s in moved_s] + [(float(s), False) for s in ticks_s])
    pace = ReadingPace(RATE_HZ)
    return [(s, moved) for s, moved in events if (pace.moved(s) if moved else pace.ticked(s))]


@given(st.floats(0, 0.0099), st.integers(0, 100))
def test_a_tracker_at_the_guards_rate_is_read_at_once_whatever_the_phase(phase_s: float, seed: int) -> None:
    jitter_s = np.random.default_rng(seed).uniform(-0.002, 0.002, int(SECONDS * RATE_HZ) - 1)
    moved_s = (np.arange(len(jitter_s)) + 0.5) / RATE_HZ + jitter_s
    made = readings(moved_s, phase_s)
    assert {s for s, moved in made if moved} == set(moved_s.tolist())
    assert len(made) <= 2 * RATE_HZ * SECONDS + 2


@given(st.floats(0, 0.0099), st.floats(20, 2000))
def test_there_are_as_many_as_asked_for_and_not_many_more(phase_s: float, tracker_hz: float) -> None:
    made = [s for s, _ in readings(np.arange(0.0, SECONDS, 1 / tracker_hz), phase_s)]
    assert np.diff(made).max() <= 1.75 / RATE_HZ + 1e-9
    assert 0.9 * RATE_HZ * SECONDS <= len(made) <= 2 * RATE_HZ * SECONDS + 2
