# SPDX-License-Identifier: Apache-2.0
"""The CTs of a cohort from a PACS: fetched series by series into a spool, one ahead, and dropped once they are done."""

from __future__ import annotations

import fnmatch
import shutil
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from liver_seg_ros.cohort.listing import CohortCase
from liver_seg_ros.cohort.rows import Row
from liver_seg_ros.dicom_network.calling import Caller
from liver_seg_ros.dicom_network.limits import ReceiveLimits
from liver_seg_ros.dicom_network.query import FoundSeries, Wanted, find_series
from liver_seg_ros.dicom_network.receiver import Listening
from liver_seg_ros.dicom_network.retrieve import retrieve
from liver_seg_ros.dicom_network.spool import Spool
from liver_seg_ros.errors import InputError
from liver_seg_ros.files.volumes import read_volume
from liver_seg_ros.volume import Volume


def find(caller: Caller, wanted: Wanted, description: str = "") -> list[FoundSeries]:
    """The CT series of a cohort.

    Args:
        caller: whom to ask.
        wanted: which studies.
        description: what a series' description has to be like, with * and ?, upper and lower case alike; "" for any.

    Raises:
        InputError: the PACS cannot be asked, refuses, or has none of this kind.
    """
    found = find_series(caller, wanted)
    like = [one for one in found if fnmatch.fnmatch(one.description.lower(), description.lower() or "*")]
    if not like:
        others = sorted({one.description for one in found})
        has = f"; it has: {', '.join(others[:10])}" if others else ""
        raise InputError(f"{caller.peer.title} has no CT series of this kind{has}. See `liver-seg query`.")
    return like


class PacsCases:
    """The series of a PACS as cases of a cohort, each called by its UID.

    Of them no more are in the spool than are worked on, and two.

    Args:
        caller: whom to ask.
        series: from `find`.
        folder: of the spool; it is gone once the cohort has come to its end.
        limits: of the spool.
        listening: where the PACS is to send them (C-MOVE); None for C-GET.
    """

    def __init__(
        self,
        caller: Caller,
        series: Sequence[FoundSeries],
        folder: Path,
        limits: ReceiveLimits,
        listening: Listening | None = None,
    ) -> None:
        self._caller, self._limits, self._listening = caller, limits, listening
        self._series = {one.series_uid: one for one in series}
        self._spool = Spool(folder, limits)

    def cases(self) -> list[CohortCase]:
        """All of them, by name."""
        where = self._caller.peer.title
        return [
            CohortCase(uid, self._spool.complete / uid, told=f"{where}: study {one.study_uid}, series {uid}")
            for uid, one in sorted(self._series.items())
        ]

    def identity(self, case: CohortCase) -> tuple[object, ...]:
        """What its row depends on, as files do by their size and time."""
        one = self._series[case.name]
        return (self._caller.peer.title, one.study_uid, one.series_uid, one.objects)

    def study(self, name: str) -> str:
        """The study's UID of the case that is called so."""
        return self._series[name].study_uid

    def objects(self, case: CohortCase) -> int:
        """How many it has; 0 where the PACS does not say."""
        return self._series[case.name].objects or 0

    def fetched(self, cases: Iterable[CohortCase]) -> Iterator[CohortCase]:
        """`cases` once their series are in the spool, or with the reason why they are not."""
        wanted = list(cases)
        for uid in self._spool.series() - {case.name for case in wanted}:
            self._spool.forget(uid)  # of a cohort that was killed, and asked for otherwise now
        with ThreadPoolExecutor(1, "fetching") as thread:
            before: Future[CohortCase] | None = None
            for case in wanted:
                coming = thread.submit(self._fetch, case)
                if before is not None:
                    yield before.result()
                before = coming
            if before is not None:
                yield before.result()

    def done(self, case: CohortCase) -> None:
        """Its series is not needed any more."""
        self._spool.forget(case.name)

    def read(self, row: Row) -> Volume:
        """The CT of a row, fetched once more. Raises `InputError` where it cannot be had."""
        [case] = [case for case in self.cases() if case.name == row["case"]]
        try:
            return read_volume(self._retrieve(case))
        finally:
            self.done(case)

    def close(self) -> None:
        """Leave nothing of the spool."""
        self._spool.close()
        shutil.rmtree(self._spool.folder, ignore_errors=True)

    def _fetch(self, case: CohortCase) -> CohortCase:
        try:
            return replace(case, ct=self._retrieve(case))
        except InputError as error:
            return replace(case, trouble=str(error))
        except Exception as error:  # noqa: BLE001  one series ends no cohort; its row says what it was
            return replace(case, trouble=" ".join(f"{type(error).__name__}: {error}".split()))

    def _retrieve(self, case: CohortCase) -> Path:
        return retrieve(self._caller, self._series[case.name], self._spool, self._limits, self._listening)
