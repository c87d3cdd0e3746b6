# SPDX-License-Identifier: Apache-2.0
"""What modalities tell of their work (Modality Performed Procedure Step, PS3.4 F.7): how many objects a series got.

Of a step nothing is kept but its state and the number of CT objects of each series, so nothing of the patient.
"""

from __future__ import annotations

import json
import threading
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from pydicom import Dataset

from liver_seg_ros.atomic import written_beside
from liver_seg_ros.dicom_network.arrived import MOST_FRAMES, is_uid
from liver_seg_ros.dicom_network.statuses import (
    DUPLICATE,
    INVALID_VALUE,
    NO_MORE_CHANGES,
    NO_SUCH_INSTANCE,
    RESOURCE_LIMITATION,
    RefusedError,
)
from liver_seg_ros.files.dicom_file import CT_STORAGES

IN_PROGRESS, COMPLETED, DISCONTINUED = "IN PROGRESS", "COMPLETED", "DISCONTINUED"
#: Steps that are remembered, the last; series of one of them.
MOST_STEPS, MOST_SERIES = 2000, 1000


@dataclass(frozen=True)
class Step:
    """One step.

    Attributes:
        state: one of the three above.
        series: how many CT objects each series got, as far as it was told.
    """

    state: str = IN_PROGRESS
    series: dict[str, int] = field(default_factory=dict)


class PerformedSteps:
    """The steps that were told, in a folder, so that they survive the process. Safe from any thread.

    Args:
        folder: made where it is missing; a file for each step. What is damaged in it is forgotten.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        folder.mkdir(parents=True, exist_ok=True)
        files = sorted(folder.glob("*.json"), key=lambda path: path.stat().st_mtime_ns)
        read = ((path.stem, _read(path)) for path in files)
        self._steps: dict[str, Step] = {uid: step for uid, step in read if step is not None}

    def create(self, uid: str, told: Dataset) -> None:
        """A step has begun (N-CREATE). Raises `RefusedError`, or `OSError` where it cannot be kept."""
        with self._lock:
            if not is_uid(uid):
                raise RefusedError(INVALID_VALUE, "a procedure step without a usable UID")
            if uid in self._steps:
                raise RefusedError(DUPLICATE, f"procedure step {uid} is known already")
            if _state(told) != IN_PROGRESS:
                raise RefusedError(INVALID_VALUE, f"procedure step {uid} does not begin with {IN_PROGRESS}")
            self._keep(uid, _changed(Step(), told))
            for oldest in list(self._steps)[:-MOST_STEPS]:
                del self._steps[oldest]
                (self._folder / f"{oldest}.json").unlink(missing_ok=True)

    def change(self, uid: str, told: Dataset) -> Step:
        """More is known of a step (N-SET); the step as it is then. Raises as `create` does."""
        with self._lock:
            step = self._steps.get(uid)
            if step is None:
                raise RefusedError(NO_SUCH_INSTANCE, "a procedure step that is not known")
            if step.state != IN_PROGRESS:
                raise RefusedError(NO_MORE_CHANGES, f"procedure step {uid} has ended already")
            step = _changed(step, told)
            self._keep(uid, step)
            return step

    def objects(self, series_uid: str) -> int | None:
        """How many CT objects the series got, once the step that made it has ended; None where that is not known."""
        with self._lock:
            told = (step.series.get(series_uid) for step in self._steps.values() if step.state != IN_PROGRESS)
            return next((count for count in told if count), None)

    def _keep(self, uid: str, step: Step) -> None:
        with written_beside(self._folder / f"{uid}.json") as beside:
            beside.write_text(json.dumps(asdict(step)) + "\n", encoding="ascii")
        self._steps[uid] = step


def _changed(step: Step, told: Dataset) -> Step:
    state = _state(told) or step.state
    if state not in (IN_PROGRESS, COMPLETED, DISCONTINUED):
        raise RefusedError(INVALID_VALUE, "a procedure step in a state that there is not")
    if "PerformedSeriesSequence" not in told:
        return replace(step, state=state)
    parts = told.PerformedSeriesSequence or []
    if len(parts) > MOST_SERIES:
        raise RefusedError(RESOURCE_LIMITATION, f"a procedure step of more than {MOST_SERIES} series")
    return Step(state, {str(part.get("SeriesInstanceUID") or ""): _count(part) for part in parts})


def _state(told: Dataset) -> str:
    return str(told.get("PerformedProcedureStepStatus") or "")


def _count(series: Dataset) -> int:
    """Its CT objects, each once: others of the series are not sent here."""
    images = series.get("ReferencedImageSequence") or []
    if len(images) > MOST_FRAMES:
        raise RefusedError(RESOURCE_LIMITATION, f"a series of more than {MOST_FRAMES} objects")
    return len(
        {str(i.get("ReferencedSOPInstanceUID")) for i in images if i.get("ReferencedSOPClassUID") in CT_STORAGES}
    )


def _read(path: Path) -> Step | None:
    try:
        kept = json.loads(path.read_text(encoding="ascii"))
        return Step(str(kept["state"]), {str(uid): int(count) for uid, count in kept["series"].items()})
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None
