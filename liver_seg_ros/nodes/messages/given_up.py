# SPDX-License-Identifier: Apache-2.0
"""Volumes that were given up: a slab that comes too late, or the whole volume once more."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from liver_seg_ros.nodes.messages.slab import Slab

#: How many volumes are remembered.
_REMEMBERED = 64


@dataclass(eq=False)
class _Lost:
    stamp_ns: int  # the latest of its slabs
    had_slice: NDArray[np.bool_]  # (K,) when it was given up
    reported: bool = field(default=False)


class GivenUp:
    """Remembers the volumes that were given up last, to tell what comes of them afterwards.

    A slab with a later stamp, or with slices that had come before, is of a volume that is sent again. One that has only
    slices that were missing is late: whether the others will follow is not known, so it is kept for the usual time, but
    nobody is told again where they do not.
    """

    def __init__(self) -> None:
        self._lost: OrderedDict[str, _Lost] = OrderedDict()  # the one given up longest ago first
        self._warnings: list[str] = []

    def give_up(self, uid: str, stamp_ns: int, has_slice: NDArray[np.bool_]) -> bool:
        """A volume is given up that has these slices; False where they are late slabs of one given up before."""
        before = self._lost.get(uid)
        if before is not None and _is_late(before, stamp_ns, has_slice):
            return False
        self._lost[uid] = _Lost(stamp_ns, has_slice)
        self._lost.move_to_end(uid)
        if len(self._lost) > _REMEMBERED:
            self._lost.popitem(last=False)
        return True

    def is_late(self, slab: Slab) -> bool:
        """True where a slab that begins a volume seems to be the end of one that was given up."""
        lost = self._lost.get(slab.uid)
        if lost is None:
            return False
        has_slice = np.zeros(slab.geometry.shape[0], bool)
        has_slice[slab.slices] = True
        if not _is_late(lost, slab.stamp_ns, has_slice):
            return False
        if not lost.reported:
            lost.reported = True
            self._warnings.append(
                f"volume {slab.uid} was given up before slice {slab.first_slice} came, which counts only if all others"
                " are sent again too"
            )
        return True

    def completed(self, uid: str) -> None:
        """The volume came whole after all."""
        self._lost.pop(uid, None)

    def take_warnings(self) -> list[str]:
        """One line per volume of which a slab came too late; each is said once."""
        warnings, self._warnings = self._warnings, []
        return warnings


def _is_late(lost: _Lost, stamp_ns: int, has_slice: NDArray[np.bool_]) -> bool:
    """Whether these slices are of the volume that was given up, and came too late."""
    if stamp_ns > lost.stamp_ns or len(has_slice) != len(lost.had_slice):
        return False
    return not (has_slice & lost.had_slice).any()
