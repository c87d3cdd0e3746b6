# SPDX-License-Identifier: Apache-2.0
"""The weights folders of TotalSegmentator: nnU-Net v2's, for images that it turns to RAS first.

Its class map, `map_to_binary.py` (github.com/wasserth/TotalSegmentator), says what a number is; of the task total each
of five networks gives a run of its 117 classes, which `files/label_schemes.py` knows. It resamples and crops images
itself before nnU-Net sees them and brings labels back by the nearest voxel; here nnU-Net's own way is taken for both.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from liver_seg_ros.deploy.importing.class_names import BACKGROUND
from liver_seg_ros.deploy.importing.source import SourceModel
from liver_seg_ros.errors import InputError
from liver_seg_ros.files.label_schemes import TOTALSEGMENTATOR
from liver_seg_ros.labels import LIVER, TUMOR, VESSEL

KIND = "TotalSegmentator"


@dataclass(frozen=True)
class Task:
    """A task of TotalSegmentator.

    Attributes:
        names: of its classes, from 1 upward.
        structures: of the label table, for each.
    """

    names: tuple[str, ...]
    structures: tuple[str, ...]


_SEGMENTS = tuple(f"liver_segment_{n}" for n in range(1, 9))

#: Those that are about the liver; total is told by how many classes a network gives.
TASKS = {
    "liver_vessels": Task(("liver_vessels", "liver_tumor"), (VESSEL.name, TUMOR.name)),
    "liver_segments": Task(_SEGMENTS, (LIVER.name,) * len(_SEGMENTS)),
    "liver_lesions": Task(("liver_lesions",), (TUMOR.name,)),
}
TOTAL = "total"
CHOICES = (*TASKS, TOTAL)

#: By the number of a part's data set, which of total's classes it gives: the first and the last.
_PARTS = {291: (1, 24), 292: (25, 50), 293: (51, 68), 294: (69, 91), 295: (92, 117)}
_ALL = (1, 117)


def task_of(dataset_name: str) -> str | None:
    """The task that a data set's name tells, None for one that may be anybody's.

    The network of liver_vessels is called as everybody's on that data set: it has to be told.
    """
    number, name = _number(dataset_name), dataset_name.lower()
    if "totalsegmentator" in name and number is not None:
        return TOTAL
    return next((task for task in ("liver_segments", "liver_lesions") if task in name), None)


def as_task(source: SourceModel, task: str, dataset_name: str) -> SourceModel:
    """`source`, read as nnU-Net's, with what TotalSegmentator knows of it.

    Raises:
        InputError: no such task, or the network gives another number of classes.
    """
    if task not in CHOICES:
        raise InputError(f"'{task}' is none of TotalSegmentator's tasks that are known here: {', '.join(CHOICES)}")
    classes = source.classes[1:]
    if task == TOTAL:
        first, last = _PARTS.get(_number(dataset_name) or 0, _ALL)
        values = [TOTALSEGMENTATOR.values[value] for value in range(first, last + 1)]
        names, structures = classes, tuple(BACKGROUND if row is None else row.name for row in values)
    else:
        names, structures = TASKS[task].names, TASKS[task].structures
    if len(structures) != len(classes):
        raise InputError(
            f"TotalSegmentator's task {task} has {len(structures)} classes in '{dataset_name}', and the network in "
            f"{source.folder} gives {len(classes)}: {', '.join(classes)}"
        )
    return replace(
        source,
        kind=KIND,
        name=f"totalsegmentator-{task.replace('_', '-')}",
        classes=("background", *names),
        known=dict(zip(names, structures, strict=True)),
        whole=False,  # it crops to the liver, and so does the localizer
        provenance={**source.provenance, "task": f"TotalSegmentator, {task}"},
    )


def _number(dataset_name: str) -> int | None:
    found = re.match(r"Dataset(\d+)_", dataset_name)
    return None if found is None else int(found[1])
