# SPDX-License-Identifier: Apache-2.0
"""A folder of CTs and labels of one's own, described by one YAML file beside them, by default `pairs.yaml`:

    title: CTs of our hospital, 2026
    license: internal            # whoever passes on a model has to know
    images: patients             # patients, synthetic or mixed
    labels: lits                 # whose numbers they are, as --labels has it, or {1: liver, 2: tumor, 9: null}
    structures: [liver, tumor]   # what the labels speak about, found in a patient or not; else what they say themselves
    ct: "{case}/ct.nii.gz"       # where the files of a case lie; {case} stands for its name, without slashes
    truth: "{case}/labels.nii.gz"
    cases:                       # only where the two lines above do not say it; any of the fields may be left out
      p07: {ct: p07/dicom, truth: p07/seg.dcm, patient: smith, split: testing}

Files may be of any format that this package reads. Scans of one patient are never divided between the parts of a split.
Vessels that were drawn beyond the liver: call them `portal_vein` and `hepatic_vein`, of which only what the liver
encloses is learned as `vessel`; what is called `vessel` is taken for the organ's own, wherever it lies.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from liver_seg_ros.checked_fields import Text, Valid, check_fields, from_mapping, read_mapping
from liver_seg_ros.errors import InputError
from liver_seg_ros.files.label_scheme_files import find_scheme
from liver_seg_ros.files.label_schemes import CHOICES, LabelScheme
from liver_seg_ros.inference.bundle import TRAINING_DATA
from liver_seg_ros.labels import SEGMENTED, STRUCTURES, Structure, structure_by_name
from liver_seg_ros.training.sources.about import PAIRS, About
from liver_seg_ros.training.sources.reading import by_number, read_scan
from liver_seg_ros.training.sources.subject import PARTS, DataSet, Scan, Subject
from liver_seg_ros.truth import Truth

INDEX = "pairs.yaml"
CASE = "{case}"

_NAMES = {structure.name for structure in STRUCTURES}
_PATTERN = Valid(f"a path below the YAML's folder with {CASE} in it", lambda text: text is None or CASE in text)
_TEXT = Valid("text that is not empty")
_PART = Valid(f"one of {', '.join(PARTS)}", lambda part: part in (None, *PARTS))
_SPOKEN = Valid(
    f"a list of {', '.join(structure.name for structure in SEGMENTED)}",
    lambda names: names is None or {*names} <= {structure.name for structure in SEGMENTED},
)


def _is_labels(value: Any) -> bool:
    if isinstance(value, Mapping):
        return bool(value) and all(type(v) is int and v > 0 for v in value) and {*value.values()} <= {None, *_NAMES}
    return value is None or isinstance(value, str)


_LABELS = Valid(f"{CHOICES}, a mapping such as {{1: liver, 2: tumor}}, or null", _is_labels)


@dataclass(frozen=True)
class CasePlace:
    """Where one case lies; what is left out follows from the patterns.

    Attributes:
        ct, truth: a file or folder, relative to the YAML.
        patient: whose it is; the case's name where left out.
        split: one of `subject.PARTS`.
    """

    ct: Annotated[Text | None, _TEXT] = None
    truth: Annotated[Text | None, _TEXT] = None
    patient: Annotated[Text | None, _TEXT] = None
    split: Annotated[str | None, _PART] = None

    def __post_init__(self) -> None:
        check_fields(self)


@dataclass(frozen=True)
class Pairs:
    """What the YAML says; see the top of this file."""

    title: Annotated[Text, _TEXT]
    license: Annotated[Text, _TEXT]
    images: Annotated[str, Valid.one_of(TRAINING_DATA[1:])]
    labels: Annotated[Any, _LABELS] = None
    structures: Annotated[tuple[str, ...] | None, _SPOKEN] = None
    citation: Annotated[str, Valid("text")] = ""
    url: Annotated[str, Valid("text")] = ""
    ct: Annotated[Text | None, _PATTERN] = None
    truth: Annotated[Text | None, _PATTERN] = None
    cases: Mapping[str, CasePlace] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_fields(self)


def looks_like(folder: Path) -> bool:
    """Whether there is such a YAML."""
    return _index(folder).is_file()


def open_pairs(folder: Path) -> DataSet:
    """The data set that the YAML at `folder`, or in it, describes.

    Raises:
        InputError: it cannot be read, says something invalid, or a case is told neither by pattern nor by itself.
    """
    path = _index(folder)
    pairs = from_mapping(Pairs, read_mapping(path, "description of a data set"), str(path))
    scheme = _scheme(pairs.labels, path)
    about = About(
        PAIRS.name, pairs.title, PAIRS.layout, pairs.images, pairs.license, pairs.citation, pairs.url, scheme,
        tuple(map(structure_by_name, pairs.structures or ())),
    )  # fmt: skip
    names = sorted({*_named(path.parent, pairs.ct), *pairs.cases}, key=by_number)
    if not names:
        raise InputError(f"{path}: no case lies where it says; give 'ct' and 'truth' with {CASE} in them, or 'cases'")
    return DataSet(about, path.parent, tuple(_subject(path, pairs, name, scheme) for name in names))


def _index(folder: Path) -> Path:
    return folder / INDEX if folder.is_dir() else folder


def _scheme(labels: Any, path: Path) -> LabelScheme | None:
    if isinstance(labels, Mapping):
        values = {value: None if name is None else structure_by_name(name) for value, name in labels.items()}
        return LabelScheme(f"{path}: 'labels'", str(path), values, is_users=True)
    if labels is None:
        return None
    beside = path.parent / labels
    return find_scheme(str(beside) if beside.is_file() else labels)


def _named(folder: Path, pattern: str | None) -> list[str]:
    """The names that stand for `{case}` in the paths that there are."""
    if pattern is None:
        return []
    if Path(pattern).is_absolute() or ".." in Path(pattern).parts:
        raise InputError(f"'{pattern}': must be a path below {folder}")
    before, _, behind = pattern.partition(CASE)
    behind = re.escape(behind).replace(re.escape(CASE), r"\1")
    shape = re.compile(re.escape(before) + "([^/]+?)" + behind)
    glob = re.sub(r"([\[\]?*])", r"[\1]", pattern).replace(CASE, "*")
    places = (path.relative_to(folder).as_posix() for path in folder.glob(glob))
    return [match[1] for place in places if (match := shape.fullmatch(place)) and not match[1].startswith(".")]


def _subject(path: Path, pairs: Pairs, name: str, scheme: LabelScheme | None) -> Subject:
    own = pairs.cases.get(name, CasePlace())
    image = own.ct or (pairs.ct and pairs.ct.replace(CASE, name))
    truth = own.truth or (pairs.truth and pairs.truth.replace(CASE, name))
    if not image or not truth:
        raise InputError(f"{path}: case '{name}' needs '{'truth' if image else 'ct'}', or a pattern at the top")
    files = (path.parent / image, path.parent / truth)
    spoken = tuple(map(structure_by_name, pairs.structures)) if pairs.structures is not None else None
    return Subject(name, own.patient or name, files, partial(_read, *files, scheme, spoken), own.split)


def _read(image: Path, truth: Path, scheme: LabelScheme | None, spoken: tuple[Structure, ...] | None) -> Scan:
    scan = read_scan(image, truth, scheme)
    return scan if spoken is None else Scan(scan.ct, Truth(scan.truth.labels, spoken))
