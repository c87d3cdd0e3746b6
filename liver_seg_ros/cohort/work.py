# SPDX-License-Identifier: Apache-2.0
"""What is done with one case, in whatever process: read, segment, measure, score, write. It always gives a row."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from time import perf_counter

from liver_seg_ros import __version__
from liver_seg_ros.cohort.listing import CohortCase
from liver_seg_ros.cohort.rows import FAILED, Row, failed_row, row_of, write_row
from liver_seg_ros.errors import InputError, WriteError, memory_message
from liver_seg_ros.files.phantom_case import known_synthetic
from liver_seg_ros.files.volumes import read_volume, write_labels
from liver_seg_ros.inference.segmenter import Segmenter, load_default_segmenter
from liver_seg_ros.plausibility.judgment import plausibility_warnings
from liver_seg_ros.progress import Stages, no_progress
from liver_seg_ros.reconstruction.measuring.structures import measure
from liver_seg_ros.report import ModelReport, build_report, write_report
from liver_seg_ros.truth import read_truth_of, score

LABELS, REPORT, ROW = "labels.nii.gz", "report.json", "row.json"


@dataclass(frozen=True)
class Options:
    """What is the same for all cases.

    Attributes:
        models: folder of model bundles; None for those shipped.
        runtime, precision: see `inference.runtimes.choice`.
        whose: which tool made the truths; None for what the files say.
    """

    models: str | None = None
    runtime: str = "auto"
    precision: str = "auto"
    whose: str | None = None


def prepare(options: Options) -> None:
    """Have what cases need in this process: libraries and networks."""
    _segmenter(options)


def bytes_of(case: CohortCase) -> int:
    """Of the CT; 0 where there is none."""
    return _traits(case.ct)[0]


def key_of(case: CohortCase, options: Options, identity: tuple[object, ...] | None = None) -> str:
    """What a row depends on: the files, the options, and this package's version.

    Args:
        case: whose files count by name, size and time.
        options: of the work.
        identity: counts instead of the files, where these are fetched first.
    """
    files = identity or [(str(path), *_traits(path)) for path in (case.ct, case.truth) if path is not None]
    told = json.dumps([files, asdict(options), __version__])
    return hashlib.sha256(told.encode()).hexdigest()


def work_on(case: CohortCase, folder: Path, key: str, options: Options) -> Row:
    """The row of a case. Its labels, its report and, last, the row itself are in `folder` then."""
    began = perf_counter()
    try:
        if case.trouble:
            raise InputError(case.trouble)
        row = _work(case, folder, options, began)
        write_row(folder / ROW, row, key)
    except (InputError, WriteError) as error:
        row = failed_row(case.name, case.source, str(error))
    except MemoryError as error:
        row = failed_row(case.name, case.source, memory_message(error))
    except Exception as error:  # noqa: BLE001  one CT ends no cohort; its row says what it was
        row = failed_row(case.name, case.source, " ".join(f"{type(error).__name__}: {error}".split()))
    if row["status"] == FAILED:
        row["seconds"] = round(perf_counter() - began, 2)
    return row


def _work(case: CohortCase, folder: Path, options: Options, began: float) -> Row:
    stages = Stages(no_progress)
    with stages.stage("read"):
        ct = read_volume(case.ct)
        truth = read_truth_of(ct, case.truth, options.whose) if case.truth else None
    with stages.stage("load"):
        segmenter = _segmenter(options)
    segmentation = segmenter.segment(ct)
    stages.seconds.update(segmentation.seconds)
    with stages.stage("measure"):
        sure = segmentation.tumor_probability
        measurements = measure(segmentation.labels, sure.at if sure else None)
        warnings = plausibility_warnings(segmentation.labels, measurements, ct, segmentation.run)
        dice = score(segmentation.labels, truth) if truth else None
    with stages.stage("write"):
        folder.mkdir(parents=True, exist_ok=True)
        write_labels(folder / LABELS, segmentation.labels)
    report = build_report(
        source=case.source,
        uid=ct.uid,
        geometry=ct.geometry,
        measurements=measurements,
        seconds=stages.seconds,
        message=segmentation.message,
        warnings=warnings,
        synthetic=known_synthetic(case.ct),
        dice=dice,
        runtime=segmenter.runtime_name,
        models=[ModelReport(b.spec.name, b.spec.version, b.sha256) for b in segmenter.bundles],
    )
    write_report(folder / REPORT, report)
    return row_of(case.name, report, perf_counter() - began)


@lru_cache(maxsize=1)
def _segmenter(options: Options) -> Segmenter:
    """Loaded once in each process."""
    models = None if options.models is None else Path(options.models)
    return load_default_segmenter(models, options.runtime, options.precision)


def _traits(path: Path) -> tuple[int, int]:
    """Bytes and the latest time (ns) of a file, or of all files in a folder; zeros where there is none."""
    files = [path] if path.is_file() else [entry for entry in path.rglob("*") if entry.is_file()]
    stats = [file.stat() for file in files]
    return sum(stat.st_size for stat in stats), max((stat.st_mtime_ns for stat in stats), default=0)
