# SPDX-License-Identifier: Apache-2.0
"""The series that are coming: what is known of each, and which of them are complete or never will be."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path

from liver_seg_ros.atomic import no_space_said
from liver_seg_ros.dicom_network.arrived import Arrived, judge_again
from liver_seg_ros.dicom_network.completeness import Patience, SeriesState, Verdict
from liver_seg_ros.dicom_network.limits import MB, ReceiveLimits
from liver_seg_ros.dicom_network.spool import Spool
from liver_seg_ros.dicom_network.statuses import RefusedError
from liver_seg_ros.errors import InputError, WriteError

#: How many objects the modality made of a series, by its UID; None where it has not said.
Made = Callable[[str], "int | None"]
#: Asks a PACS how many objects a series has, by its study and its own UID; None where it does not say.
Count = Callable[[str, str], "int | None"]

_LOOK_S = 0.1
_END_S = 1.0

_log = logging.getLogger(__name__)


class IncomingSeries:
    """Told of objects by the receiver's threads; watches them from a thread of its own.

    Args:
        spool: where they are. Series that an earlier process left unfinished go on.
        patience: how long is waited.
        limits: of objects, for those that are read again.
        deliver: is called with the folder of each complete series, on the watching thread.
        count: asks a PACS; None without one.
        made: what modalities told; None where nobody is told.
        around: makes what surrounds all that the watching thread does.
    """

    def __init__(
        self,
        spool: Spool,
        patience: Patience,
        limits: ReceiveLimits,
        deliver: Callable[[Path], None],
        count: Count | None = None,
        made: Made | None = None,
        around: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        self._made, self._around = made, around
        self._spool, self._patience, self._deliver, self._count = spool, patience, deliver, count
        self._states: dict[str, SeriesState] = {}
        self._named: set[str] = set()
        self._asked: set[str] = set()
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="series", daemon=True)
        for series_uid in spool.unfinished():
            self._resume(series_uid, limits)

    def start(self) -> None:
        """Begin to watch."""
        self._thread.start()

    def stop(self) -> None:
        """Watch no more; a PACS that is being asked just now is not waited for."""
        self._ended.set()
        self._thread.join(_END_S)

    def take(self, arrived: Arrived, data: bytes) -> None:
        """Put an object on disk, unless it is there; for good once this returns.

        Raises `OSError` or `WriteError` where that cannot be, or the spool has reached its limit.
        """
        if self._spool.has(arrived):
            return
        if not self._spool.has_room(len(data)):
            raise WriteError.of(self._spool.folder)
        with self._spool.staged(data) as staged, self._lock:
            if self._spool.place(staged, arrived):
                self._note(arrived)

    def _note(self, arrived: Arrived) -> None:
        state = self._states.get(arrived.series_uid)
        if state is None:  # of a series that was complete once, those that came then count too
            before = self._spool.count(self._spool.complete / arrived.series_uid)
            state = SeriesState(arrived.study_uid, arrived.series_uid, before, slices=before)
        self._states[arrived.series_uid] = state.with_object(arrived, time.monotonic())
        self._named.discard(arrived.series_uid)

    def states(self) -> tuple[SeriesState, ...]:
        """What is coming."""
        with self._lock:
            return tuple(self._states.values())

    def finish_now(self, series_uid: str) -> Path:
        """Take a series for complete, as whoever asked for it knows; its folder. For one that is not watched.

        Raises `WriteError` where it cannot be moved.
        """
        with self._lock, no_space_said(self._spool.complete):
            self._states.pop(series_uid, None)
            return self._spool.finish(series_uid)

    def _resume(self, series_uid: str, limits: ReceiveLimits) -> None:
        for path in self._spool.files_of(series_uid):
            data = path.read_bytes()
            try:
                arrived = judge_again(data, int(limits.unpacked_mb * MB))
            except RefusedError as refused:  # the disk's fault: it was whole when it was answered for
                _log.warning("%s: damaged since it came: %s", path, refused.reason)
                continue
            self._note(arrived)
        _log.info("series %s goes on", series_uid)

    def _watch(self) -> None:
        with self._around():
            while not self._ended.wait(_LOOK_S):
                for state in self.states():
                    self._look_at(state)

    def _look_at(self, state: SeriesState) -> None:
        quiet_s = time.monotonic() - state.last_s
        made = self._made(state.series_uid) if self._made is not None else None
        if made != state.from_modality:
            state = self._known(state, made, state.from_pacs)
        settled = quiet_s >= self._patience.settled_s
        if self._count is not None and made is None and state.series_uid not in self._asked and settled:
            self._asked.add(state.series_uid)
            state = self._known(state, None, self._count(state.study_uid, state.series_uid))
        if self._ended.is_set():
            return  # while a PACS was asked; the next process goes on
        verdict = state.judge(time.monotonic(), self._patience)
        if verdict is Verdict.COMPLETE:
            self._finish(state)
        elif verdict is Verdict.OVERDUE and state.series_uid not in self._named:
            self._named.add(state.series_uid)
            _log.warning(
                "series %s: %d of %d objects came and no more for %.0f s; it waits in the spool, send it again",
                state.series_uid, state.count, state.expected, self._patience.deadline_s,
            )  # fmt: skip

    def _known(self, state: SeriesState, from_modality: int | None, from_pacs: int | None) -> SeriesState:
        """The state as it is now, with these numbers of objects."""
        with self._lock:
            now = self._states[state.series_uid]
            current = replace(now, from_modality=from_modality, from_pacs=from_pacs)
            self._states[state.series_uid] = current
            return current

    def _finish(self, state: SeriesState) -> None:
        with self._lock:
            if self._states.get(state.series_uid) != state:
                return  # more came just now
            try:
                folder = self._spool.finish(state.series_uid)
            except OSError as error:
                if state.series_uid not in self._named:  # once, and tried again until there is room
                    self._named.add(state.series_uid)
                    _log.warning("series %s: cannot be moved (%s)", state.series_uid, error.strerror)
                return
            del self._states[state.series_uid]
            self._asked.discard(state.series_uid)
        if not state.slices:
            _log.warning("series %s: holds scouts only; nothing is made of it", state.series_uid)
            return
        _log.info("series %s is complete: %d objects", state.series_uid, state.count)
        try:
            self._deliver(folder)
        except InputError as error:
            _log.warning("series %s: %s", state.series_uid, error)
