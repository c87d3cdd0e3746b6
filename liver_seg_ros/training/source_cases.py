# SPDX-License-Identifier: Apache-2.0
"""Training cases of a data set, kept on disk: made once, gone on with after a kill, shared by runs.

A case is `<cache>/<source>-<stage>-<digest>/<subject>-<print>.npz`. The digest holds the source, its folder, what
decides over it in the recipe, and `VERSION`; the print holds names, sizes and times of the files that it was made from.
So neither another recipe nor a file that was replaced ever meets a case that is not its own. A case appears whole or
not at all (`atomic.written_beside`): two runs that make the same one write the same. Where a subject gives none, a file
`.left_out` in its place says why, and is asked no further.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from liver_seg_ros.atomic import written_beside
from liver_seg_ros.errors import InputError
from liver_seg_ros.labels import LIVER
from liver_seg_ros.training.cases import Case, case_of, digest_of, write_case
from liver_seg_ros.training.data_recipe import REFUSE
from liver_seg_ros.training.pictures import picture_case
from liver_seg_ros.training.recipe import Recipe
from liver_seg_ros.training.sources.catalog import Division, divided, open_source, without
from liver_seg_ros.training.sources.subject import TRAINING, VALIDATION, DataSet, Picture, Scan, Subject

#: Higher wherever the code makes another case of the same subject and recipe.
VERSION = 1

_LEFT_OUT = ".left_out"

_log = logging.getLogger(__name__)


class LeftOutError(InputError):
    """A scan that is whole and yet no case of this recipe; not refused, only counted."""


@dataclass(frozen=True)
class SourceCases:
    """The cases of a recipe's data set, made or not.

    Attributes:
        data_set: whose they are.
        division: which subject is used for what.
        folder: where they are kept.
        recipe: what they are made for.
    """

    data_set: DataSet
    division: Division
    folder: Path
    recipe: Recipe

    @property
    def subjects(self) -> tuple[Subject, ...]:
        """Those that a training needs, of validation first; those of testing become no cases."""
        return (*self.division.parts[VALIDATION], *self.division.parts[TRAINING])

    def path(self, subject: Subject) -> Path:
        """Where the case of `subject` is kept."""
        plain = re.sub(r"[^A-Za-z0-9._-]", "_", subject.name)
        return self.folder / f"{plain}-{digest_of([subject.name, _print_of(subject)])}.npz"

    def paths(self, part: str) -> Mapping[int, Path]:
        """Number of a subject in the data set -> where its case is, of those that are made, in `subject.PARTS` part."""
        wanted = {subject.name for subject in self.division.parts[part]}
        numbered = ((n, s) for n, s in enumerate(self.data_set.subjects) if s.name in wanted)
        return {number: path for number, subject in numbered if (path := self.path(subject)).is_file()}

    def left_out(self, part: str) -> dict[str, str]:
        """Subject -> why it gives no case, in a part of the split."""
        records = ((subject, self.path(subject).with_suffix(_LEFT_OUT)) for subject in self.division.parts[part])
        return {s.name: record.read_text(encoding="utf-8").strip() for s, record in records if record.is_file()}

    def make(self, subjects: Iterable[Subject]) -> None:
        """Make the cases that are not there yet.

        Raises:
            InputError: a subject cannot be read, or says nothing about what is to be learned, and the recipe has
                `bad_cases: refuse`; or the cache cannot be written.
        """
        for subject in subjects:
            path = self.path(subject)
            record = path.with_suffix(_LEFT_OUT)
            if path.exists() or record.exists():
                continue
            started = time.monotonic()
            try:
                case = self._case(subject)
            except InputError as error:
                if self.recipe.data.bad_cases == REFUSE and not isinstance(error, LeftOutError):
                    raise InputError(
                        f"{self.data_set.about.title}: {subject.name} is no case: {error}; mend it, or go on without "
                        "it: data.bad_cases: skip"
                    ) from error
                _log.warning("%s is left out: %s", subject.name, error)
                with written_beside(record) as beside:
                    beside.write_text(f"{error}\n", encoding="utf-8")
                continue
            write_case(path, case)
            _log.info("%s: %s voxels, %.1f s", path, case.image.shape, time.monotonic() - started)

    def _case(self, subject: Subject) -> Case:
        scan = subject.load()
        if isinstance(scan, Picture):
            return picture_case(scan, self.recipe)
        unsaid = [s.name for s in self.recipe.structures if s not in scan.truth.structures]
        if unsaid:
            raise InputError(f"its labels say nothing about {', '.join(unsaid)}")
        least = max(self.recipe.data.fewest_slices, self.division.fewest_slices)
        slices = _slices(scan)
        if slices < least:
            raise LeftOutError(f"it has {slices} slices, and {least} are the fewest")
        if self.recipe.data.margin_mm is not None and not scan.truth.labels.array.any():
            raise LeftOutError(f"it has no {LIVER.name}, around which data.margin_mm is kept")
        return case_of(scan.ct, scan.truth.labels, self.recipe)


def source_cases(recipe: Recipe, cache: Path) -> SourceCases:
    """The cases of a recipe's data set under `cache`; nothing is read yet but the list of its subjects.

    Raises:
        InputError: the data set is not where the recipe says, or cannot be divided as it says.
    """
    data = recipe.data
    data_set = without(open_source(data.source, Path(data.folder or "")), data.without)
    key = [
        VERSION, recipe.stage, data.source, str(data_set.folder.resolve()), data.spacing_mm, data.size, data.margin_mm,
        [structure.name for structure in recipe.structures],
    ]  # fmt: skip
    folder = cache / f"{data.source}-{recipe.stage}-{digest_of(key)}"
    return SourceCases(data_set, divided(data_set, data.split, data.split_seed), folder, recipe)


def _slices(scan: Scan) -> int:
    """Along the patient, whatever the order of axes."""
    geometry = scan.ct.geometry
    return geometry.size[int(abs(geometry.direction_matrix[2]).argmax())]


def _print_of(subject: Subject) -> list[tuple[str, int, int]]:
    """Name, size and time of each file that a subject is read from, those in its folders included."""
    found = []
    for path in subject.files:
        inside = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
        for file in inside:
            status = file.stat() if file.exists() else None
            found.append((file.name, status.st_size, status.st_mtime_ns) if status else (file.name, -1, -1))
    return found
