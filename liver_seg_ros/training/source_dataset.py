# SPDX-License-Identifier: Apache-2.0
"""Scans of a data set as what a training draws from: the cases of a part of its split that are on disk."""

from __future__ import annotations

from liver_seg_ros.training.case_dataset import CaseDataset, Mistaken
from liver_seg_ros.training.cases import digest_of
from liver_seg_ros.training.provenance import Provenance
from liver_seg_ros.training.source_cases import SourceCases
from liver_seg_ros.training.sources.subject import PARTS, TESTING


class SourceDataset(CaseDataset):
    """The cases of one part of a split, and random patches of them.

    Args:
        cases: those of the recipe's data set.
        part: one of `subject.PARTS`.
        mistakes: see `CaseDataset`.
    """

    def __init__(self, cases: SourceCases, part: str, mistakes: Mistaken | None = None) -> None:
        missing = (
            f"no {part} case of {cases.data_set.about.title} in {cases.folder}; "
            "make some with: python -m liver_seg_ros.training.generate"
        )

        def provenance(count: int) -> Provenance:
            return of_source(cases, count)

        super().__init__(lambda: cases.paths(part), cases.recipe, provenance, missing, mistakes)


def of_source(cases: SourceCases, count: int) -> Provenance:
    """What is known of `count` scans that are trained on.

    Subjects are counted and not named: a model's card travels further than a hospital's names may. A digest tells
    whether a list of names is the one that was kept for the end.
    """
    about, parts = cases.data_set.about, cases.division.parts
    data = {
        "name": about.name,
        "title": about.title,
        "license": about.license,
        "citation": about.citation,
        "url": about.url,
        "split": cases.division.in_words,
        "scans": {"trained on": count, **{part: len(parts[part]) for part in PARTS}},
        "without": len(cases.recipe.data.without),
        "left_out": {part: len(cases.left_out(part)) for part in PARTS if part != TESTING},
        "testing_digest": digest_of(sorted(subject.name for subject in parts[TESTING])),
        "shares": about.shares,
    }
    known = {name: value for name, value in data.items() if value}
    scans = f"{count} {'scan' if count == 1 else 'scans'}"
    return Provenance(about.images, f"{scans} of {about.title} ({cases.division.in_words})", known)
