# SPDX-License-Identifier: Apache-2.0
"""Slabs of a volume that was handed out: late doubles, or the volume once more."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from liver_seg_ros.nodes.messages.slab import Slab

#: How many completed volumes are remembered.
_REMEMBERED = 64


@dataclass(eq=False)
class _Done:
    stamp_ns: int  # the latest of its slabs
    fed_s: float  # when the last of its slabs or their doubles came
    came_again: NDArray[np.bool_]  # (K,) slices of which doubles came
    reported: bool = field(default=False)


class LateDoubles:
    """Remembers the volumes that were completed last.

    DDS may deliver a slab twice and a sender may repeat some: those are ignored. A bag that is played twice has the
    same stamps, after a clock was set back they are earlier: the volume begins once more where it had been quiet.

    Args:
        quiet_s: a volume of which nothing came for so long is not repeated by doubles, but sent again.
    """

    def __init__(self, quiet_s: float) -> None:
        self._quiet_s = quiet_s
        self._done: OrderedDict[str, _Done] = OrderedDict()  # the one completed longest ago first
        self._warnings: list[str] = []

    def completed(self, slab: Slab, stamp_ns: int, now_s: float) -> None:
        """The volume of this slab was handed out; `stamp_ns` is the latest of all of its slabs."""
        came_again = np.zeros(slab.geometry.shape[0], bool)
        self._done[slab.uid] = _Done(stamp_ns, now_s, came_again, reported=slab.is_copy)
        self._done.move_to_end(slab.uid)
        if len(self._done) > _REMEMBERED:
            self._done.popitem(last=False)

    def expect(self, now_s: float) -> None:
        """Doubles that come now are of no interest, however long nothing came."""
        for done in self._done.values():
            done.fed_s, done.reported = now_s, True

    def has(self, slab: Slab, open_stamp_ns: int | None, now_s: float) -> bool:
        """True where the slab is a late double.

        Args:
            slab: the slab that came.
            open_stamp_ns: the latest stamp of the edition of its volume that is being collected; None where none is.
            now_s: when it came.
        """
        done = self._done.get(slab.uid)
        if done is None or slab.stamp_ns > done.stamp_ns:
            return False
        if open_stamp_ns is not None:
            return open_stamp_ns > done.stamp_ns
        if now_s - done.fed_s > self._quiet_s:
            return False
        done.fed_s = now_s
        if slab.is_copy:
            return True
        done.came_again[slab.slices] = True
        if done.came_again.all() and not done.reported:
            done.reported = True
            self._warnings.append(
                f"volume {slab.uid} came again within {self._quiet_s:g} s and not stamped later, and was ignored;"
                " give it a later header.stamp, or wait longer"
            )
        return True

    def __contains__(self, uid: str) -> bool:
        """Whether the volume was completed, not too many volumes ago."""
        return uid in self._done

    def take_warnings(self) -> list[str]:
        """One line per volume that came again whole and was ignored; each is said once."""
        warnings, self._warnings = self._warnings, []
        return warnings
