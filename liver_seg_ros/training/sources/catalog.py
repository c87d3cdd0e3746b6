# SPDX-License-Identifier: Apache-2.0
"""The sources that there are, by name: opened, told by their layout, and divided."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from liver_seg_ros.errors import InputError
from liver_seg_ros.training.sources import case_folders, decathlon, ircadb, kvasir, lits, pairs, totalsegmentator
from liver_seg_ros.training.sources.about import (
    ABOUT,
    IRCADB01,
    KVASIR_SEG,
    LITS17,
    LTBV_ARTERIAL,
    LTBV_PORTAL,
    LTVS,
    MSD_TASK03,
    MSD_TASK08,
    PAIRS,
    TOTALSEGMENTATOR_DATA,
)
from liver_seg_ros.training.sources.names import ON_DISK
from liver_seg_ros.training.sources.splits import DEFAULT, OWN_SPLIT, Plan, divide, is_ratio, ratio
from liver_seg_ros.training.sources.subject import PARTS, TRAINING, DataSet, Subject


@dataclass(frozen=True)
class Layout:
    """How a data set is told and listed.

    Attributes:
        looks_like: whether a folder has it.
        subjects: what it holds; nothing is read yet.
    """

    looks_like: Callable[[Path], bool]
    subjects: Callable[[Path], tuple[Subject, ...]]


#: Layouts by the name of their source, in the order in which a folder is asked for them.
LAYOUTS: dict[str, Layout] = {
    LITS17.name: Layout(lits.looks_like, lits.subjects),
    **{
        about.name: Layout(partial(decathlon.looks_like, about), partial(decathlon.subjects, about))
        for about in (MSD_TASK03, MSD_TASK08)
    },
    IRCADB01.name: Layout(ircadb.looks_like, ircadb.subjects),
    TOTALSEGMENTATOR_DATA.name: Layout(totalsegmentator.looks_like, totalsegmentator.subjects),
    KVASIR_SEG.name: Layout(kvasir.looks_like, kvasir.subjects),
    **{
        about.name: Layout(partial(case_folders.looks_like, about), partial(case_folders.subjects, about))
        for about in (LTBV_PORTAL, LTBV_ARTERIAL, LTVS)
    },
}


def open_source(name: str, folder: Path) -> DataSet:
    """The data set `name` in `folder`; its subjects are listed, and nothing else is read.

    Args:
        name: one of `ON_DISK`.
        folder: where it lies; of `pairs` the YAML, or the folder that holds it.

    Raises:
        InputError: no such source, no such folder, or nothing of the data set in it.
    """
    folder = folder.expanduser()
    if name not in ON_DISK:
        raise InputError(f"unknown data set '{name}'; there are {', '.join(ON_DISK)}")
    if not folder.exists():
        raise InputError(f"{folder}: no such folder; give the one that {ABOUT[name].title} lies in")
    if name == PAIRS.name:
        return pairs.open_pairs(folder)
    if not folder.is_dir():
        raise InputError(f"{folder}: is no folder; give the one that {ABOUT[name].title} was unpacked into")
    data_set = DataSet(ABOUT[name], folder, LAYOUTS[name].subjects(folder))
    if not data_set.subjects:
        raise InputError(f"{folder}: holds nothing of {ABOUT[name].title} ({ABOUT[name].layout})")
    return data_set


def sources_in(folder: Path) -> tuple[str, ...]:
    """The sources whose layout the folder has; paper 1's data are two. Raises `InputError` where there is none."""
    folder = folder.expanduser()
    if not folder.exists():
        raise InputError(f"{folder}: no such folder")
    if pairs.looks_like(folder):
        return (PAIRS.name,)
    found = tuple(name for name, layout in LAYOUTS.items() if folder.is_dir() and layout.looks_like(folder))
    if not found:
        layouts = "; ".join(f"{name}: {ABOUT[name].layout}" for name in ON_DISK)
        raise InputError(f"{folder}: has the layout of no data set that is known ({layouts})")
    first = found[0]
    return tuple(name for name in found if name == first or {name, first} == {LTBV_PORTAL.name, LTBV_ARTERIAL.name})


def without(data_set: DataSet, names: Collection[str]) -> DataSet:
    """The data set without the subjects named. Raises `InputError` where it has none of such a name."""
    unknown = sorted({*names} - {subject.name for subject in data_set.subjects})
    if unknown:
        first = data_set.subjects[0].name
        raise InputError(f"{data_set.folder}: has no scan '{unknown[0]}' to leave out; they are called like '{first}'")
    return replace(data_set, subjects=tuple(s for s in data_set.subjects if s.name not in names))


@dataclass(frozen=True)
class Division:
    """Which subject is used for what.

    Attributes:
        parts: `subject.PARTS` -> subjects, in the data set's order.
        fewest_slices: scans of fewer are left out.
        in_words: how it was divided, for a model card.
    """

    parts: dict[str, tuple[Subject, ...]]
    fewest_slices: int
    in_words: str


def divided(data_set: DataSet, split: str | None = None, seed: int = 0) -> Division:
    """The subjects of a data set by the parts of a split.

    Args:
        data_set: an opened one.
        split: the name of one of `About.splits`, a ratio such as "8:1:1", or "given" for the data set's own; where
            None, its own where it has one, else `splits.DEFAULT`.
        seed: of the drawing, where patients are drawn.

    Raises:
        InputError: no such split, fewer patients than it counts, none to train on, or a patient in two parts.
    """
    subjects, about = data_set.subjects, data_set.about
    is_given = any(subject.given for subject in subjects)
    split = split or (OWN_SPLIT if is_given else DEFAULT)
    if split == OWN_SPLIT:
        if not is_given:
            raise InputError(f"{data_set.folder}: says nothing about a split; give one of {_choices(data_set)}")
        part_of = {subject.name: subject.given for subject in subjects}
        _check_patients(data_set)
        plan, words = Plan((0, 0, 0)), "as the data set gives it"
    else:
        plan = ratio(split) if is_ratio(split) else _plan(data_set, split)
        patients = divide([subject.patient for subject in subjects], plan, seed)
        part_of_patient = {patient: part for part, some in zip(PARTS, patients, strict=True) for patient in some}
        part_of = {subject.name: part_of_patient.get(subject.patient) for subject in subjects}
        named = f"{split}: {plan.in_words}" if split in about.splits else plan.in_words
        words = f"{named} of {len({s.patient for s in subjects})}, drawn with seed {seed}"
    parts = {part: tuple(s for s in subjects if part_of[s.name] == part) for part in PARTS}
    if not parts[TRAINING]:
        raise InputError(f"{data_set.folder}: the split {split} leaves none of {len(subjects)} scans to train on")
    return Division(parts, plan.fewest_slices, words)


def _plan(data_set: DataSet, split: str) -> Plan:
    if split not in data_set.about.splits:
        raise InputError(f"{data_set.about.title} has no split '{split}'; give one of {_choices(data_set)}")
    return data_set.about.splits[split]


def _choices(data_set: DataSet) -> str:
    return ", ".join((*data_set.about.splits, f"a ratio such as {DEFAULT}"))


def _check_patients(data_set: DataSet) -> None:
    parts: dict[str, str] = {}
    for subject in data_set.subjects:
        if subject.given and parts.setdefault(subject.patient, subject.given) != subject.given:
            raise InputError(f"{data_set.folder}: patient {subject.patient} is in two parts of the split given with it")
