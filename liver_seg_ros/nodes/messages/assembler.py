# SPDX-License-Identifier: Apache-2.0
"""Puts slabs together into volumes: in any order, doubled, several volumes at once, in bounded memory.

Free of ROS and of the clock (the caller says what time it is), so that every case is tested in microseconds.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from liver_seg_ros.errors import InputError
from liver_seg_ros.geometry import Geometry
from liver_seg_ros.nodes.messages.given_up import GivenUp
from liver_seg_ros.nodes.messages.late_doubles import LateDoubles
from liver_seg_ros.nodes.messages.slab import ENCODING_FLOAT, ENCODING_HU, ENCODING_LABELS, Slab
from liver_seg_ros.short_repr import short_repr

#: Encodings that a volume of this type is made from. CT from elsewhere often comes as float32.
_ENCODINGS: dict[np.dtype, tuple[str, ...]] = {
    np.dtype(np.int16): (ENCODING_HU, ENCODING_FLOAT),
    np.dtype(np.uint8): (ENCODING_LABELS,),
}

#: How many volumes may be open at once, however small they are.
_MOST_OPEN = 64


@dataclass(frozen=True, eq=False)
class Assembled:
    """A complete volume: its uid, its grid, its voxels `(K, J, I)` in the assembler's type, and its latest stamp."""

    uid: str
    geometry: Geometry
    array: NDArray[Any]
    stamp_ns: int

    __repr__ = short_repr


@dataclass(eq=False)
class _Open:
    """A volume of which slices are still missing."""

    encoding: str
    geometry: Geometry
    array: NDArray[Any]  # (K, J, I)
    has_slice: NDArray[np.bool_]  # (K,)
    last_fed_s: float  # when slices came that had been missing
    latest_stamp_ns: int
    reported: bool = field(default=False)


class Assembler:
    """Collects slabs and hands out each volume once, when its last slice has come.

    Args:
        dtype: int16 for a CT, uint8 for labels.
        timeout_s: without a new slab for so long, a volume's missing slices are reported, and slabs of a completed
            one are no late doubles any more.
        max_bytes: of all volumes that are open; the one fed longest ago gives way. A larger volume is refused.
        give_up_after_s: without a new slab for so long, a volume is given up and its memory freed.
    """

    def __init__(
        self, dtype: type[np.generic], timeout_s: float, max_bytes: int, give_up_after_s: float = math.inf
    ) -> None:
        self._dtype = np.dtype(dtype)
        self._timeout_s = timeout_s
        self._give_up_after_s = give_up_after_s
        self._max_bytes = max_bytes
        self._open: OrderedDict[str, _Open] = OrderedDict()  # the one fed longest ago first
        self._late_doubles = LateDoubles(quiet_s=timeout_s)
        self._given_up = GivenUp()
        self._warnings: list[str] = []
        self._dropped: list[tuple[str, str]] = []

    def add(self, slab: Slab, now_s: float) -> Assembled | None:
        """Take in one slab; the volume where this slab completed it.

        A slab of a completed volume is a late double and ignored, unless its stamp is later or the volume was quiet
        for `timeout_s`: then it begins a new edition, whatever its stamp says (a bag played twice, a clock set back).
        Raises `InputError` for a slab that contradicts the earlier ones of its volume or cannot be used; what was
        collected before stays.
        """
        begun = self._open.get(slab.uid)
        if self._late_doubles.has(slab, None if begun is None else begun.latest_stamp_ns, now_s):
            return None
        self._check(slab)  # before it is inflated
        voxels = self._to_own_type(slab)
        entry = self._entry(slab, now_s)
        if slab.slice_count == len(entry.has_slice):
            entry.array = voxels.astype(self._dtype, copy=False)
        else:
            entry.array[slab.slices] = voxels
        if not entry.has_slice[slab.slices].all():
            entry.last_fed_s = now_s
        entry.has_slice[slab.slices] = True
        entry.latest_stamp_ns = max(entry.latest_stamp_ns, slab.stamp_ns)
        self._open.move_to_end(slab.uid)
        if not entry.has_slice.all():
            return None
        del self._open[slab.uid]
        self._given_up.completed(slab.uid)
        self._late_doubles.completed(slab, entry.latest_stamp_ns, now_s)
        return Assembled(slab.uid, entry.geometry, entry.array, entry.latest_stamp_ns)

    def take_warnings(self, now_s: float) -> list[str]:
        """One line per volume that lost its place, waits too long, was given up or came twice; each is said once."""
        for uid, entry in list(self._open.items()):
            if now_s - entry.last_fed_s > self._give_up_after_s:
                self._give_up(uid)
            elif not entry.reported and now_s - entry.last_fed_s > self._timeout_s:
                entry.reported = True
                self._warnings.append(f"volume {uid} is incomplete: {_missing(entry)}; send them again")
        warnings, self._warnings = self._warnings, []
        return warnings + self._given_up.take_warnings() + self._late_doubles.take_warnings()

    def take_dropped(self) -> list[tuple[str, str]]:
        """uid of each volume that lost its place or was given up since the last call, and why."""
        dropped, self._dropped = self._dropped, []
        return dropped

    def expect_doubles(self, now_s: float) -> None:
        """What was handed out may be delivered once more, without being sent again."""
        self._late_doubles.expect(now_s)

    def knows(self, uid: str) -> bool:
        """Whether slices of this volume are kept: it is incomplete, or was handed out a while ago."""
        return uid in self._open or uid in self._late_doubles

    @property
    def open_uids(self) -> list[str]:
        """The volumes that are not complete, the one fed longest ago first."""
        return list(self._open)

    @property
    def open_bytes(self) -> int:
        """Memory held by volumes that are not complete."""
        return sum(entry.array.nbytes for entry in self._open.values())

    def _check(self, slab: Slab) -> None:
        accepted = _ENCODINGS[self._dtype]
        if slab.encoding not in accepted:
            raise InputError(f"volume {slab.uid} is encoded {slab.encoding}; this topic takes {' or '.join(accepted)}")
        entry = self._open.get(slab.uid)
        if entry is not None and not _is_of(slab, entry) and not entry.reported:
            raise InputError(
                f"a slab of volume {slab.uid} says {_headline(slab)}, earlier ones {_headline(entry)};"
                " the slab is refused"
            )
        if (needed := self._bytes_needed(slab)) > self._max_bytes:
            raise InputError(
                f"volume {slab.uid} of {_times(slab.geometry.size)} voxels needs {needed / 1e6:.0f} MB,"
                f" more than the {self._max_bytes / 1e6:.0f} MB allowed; raise max_volume_mb"
            )

    def _bytes_needed(self, slab: Slab) -> int:
        return math.prod(slab.geometry.shape) * self._dtype.itemsize

    def _entry(self, slab: Slab, now_s: float) -> _Open:
        """The open volume that the slab belongs to, begun where there is none."""
        entry = self._open.get(slab.uid)
        if entry is not None and _is_of(slab, entry):
            return entry
        if entry is not None:  # what was collected is overdue anyway: the new slab is the better guess
            del self._open[slab.uid]
        needed = self._bytes_needed(slab)
        while self._open and (self.open_bytes + needed > self._max_bytes or len(self._open) >= _MOST_OPEN):
            uid, dropped = self._open.popitem(last=False)
            self._drop(uid, f"volume {uid} was dropped to make room for {slab.uid}: {_missing(dropped)}")
        entry = _Open(
            encoding=slab.encoding,
            geometry=slab.geometry,
            array=np.empty(slab.geometry.shape, dtype=self._dtype),
            has_slice=np.zeros(slab.geometry.shape[0], dtype=bool),
            last_fed_s=now_s,
            latest_stamp_ns=slab.stamp_ns,
            reported=self._given_up.is_late(slab),
        )
        self._open[slab.uid] = entry
        return entry

    def _give_up(self, uid: str) -> None:
        entry = self._open.pop(uid)
        if self._given_up.give_up(uid, entry.latest_stamp_ns, entry.has_slice):
            waited = f"nothing new came for {self._give_up_after_s:g} s"
            self._drop(uid, f"volume {uid} is given up, as {waited}: {_missing(entry)}; send it whole again")

    def _drop(self, uid: str, why: str) -> None:
        self._warnings.append(why)
        self._dropped.append((uid, why))

    def _to_own_type(self, slab: Slab) -> NDArray[np.generic]:
        voxels = slab.voxels()
        if slab.encoding != ENCODING_FLOAT:
            return voxels
        limits = np.iinfo(np.int16)
        # NaN fails both comparisons, infinity one of them.
        if not (voxels.min() >= limits.min and voxels.max() <= limits.max):
            raise InputError(f"volume {slab.uid} holds NaN or values beyond {limits.min} to {limits.max} HU")
        return np.rint(voxels)


def _is_of(slab: Slab, entry: _Open) -> bool:
    return slab.geometry.is_same_grid(entry.geometry) and slab.encoding == entry.encoding


def _headline(of: Slab | _Open) -> str:
    geometry = of.geometry
    origin = ", ".join(f"{o:g}" for o in geometry.origin_mm)
    return f"{of.encoding} {_times(geometry.size)} voxels of {_times(geometry.spacing_mm)} mm from ({origin}) mm"


def _times(numbers: Sequence[float]) -> str:
    return " x ".join(f"{number:g}" for number in numbers)


def _missing(entry: _Open) -> str:
    """For example "slices 3 to 7, 12 of 40 are missing"."""
    missing = np.flatnonzero(~entry.has_slice)
    runs = np.split(missing, np.flatnonzero(np.diff(missing) > 1) + 1)
    shown = [str(run[0]) if len(run) == 1 else f"{run[0]} to {run[-1]}" for run in runs[:8]]
    more = f" and {len(runs) - 8} more runs" if len(runs) > 8 else ""
    return f"slices {', '.join(shown)}{more} of {len(entry.has_slice)} are missing"
