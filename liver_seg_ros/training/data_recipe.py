# SPDX-License-Identifier: Apache-2.0
"""The part of a recipe that says whose images are learned from, and how they become a network's input."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Annotated

from liver_seg_ros.checked_fields import FieldError, Number, Text, Valid, Whole, check_fields
from liver_seg_ros.errors import InputError
from liver_seg_ros.inference.input_spec import SIZE, SPACING, WINDOW
from liver_seg_ros.labels import SEGMENTED
from liver_seg_ros.phantom.variation import VARIATIONS
from liver_seg_ros.training.sources.about import ABOUT, KVASIR_SEG, PHANTOMS
from liver_seg_ros.training.sources.splits import DEFAULT, OWN_SPLIT, is_ratio

PHASES = ("none", "arterial", "portal_venous")
#: Seeds from here on are kept for tests and benchmarks; no recipe may name them.
FIRST_HELD_OUT_SEED = 9000
#: What a channel of a picture may be.
COLORS = (0.0, 255.0)
#: What is done with a case that cannot be read: the run ends, or goes on without it and says so.
REFUSE, SKIP = BAD_CASES = ("refuse", "skip")

STRUCTURES = tuple(structure.name for structure in SEGMENTED)


def shares_of(names: Collection[str]) -> Valid:
    """Valid are positive shares of some of `names`."""
    words = f"a positive share for some of {', '.join(names)}"
    return Valid(words, lambda shares: set(shares) <= set(names) and min(shares.values(), default=0) > 0)


UPWARD = Valid("a number from 0 upward", lambda value: value >= 0)

_SHARES = shares_of(PHASES)
_PHASES = Valid(_SHARES.words, lambda shares: shares is None or _SHARES.check(shares))
_MARGIN = Valid("a length in mm or null", lambda mm: mm is None or mm >= 0)
_SPACING = Valid(f"{SPACING.words}, or null of pictures", lambda mm: mm is None or SPACING.check(mm))
_WINDOW = Valid(f"{WINDOW.words}, or null of pictures", lambda hu: hu is None or WINDOW.check(hu))
_SEEDS = Valid(
    f"[first, one behind the last], from 0 to at most {FIRST_HELD_OUT_SEED}",
    lambda seeds: seeds is None or 0 <= seeds[0] < seeds[1] <= FIRST_HELD_OUT_SEED,
)
_COUNT = Valid(
    "[fewest, most], from 0 to at most 50, or null", lambda count: count is None or 0 <= count[0] <= count[1] <= 50
)
_COARSE = Valid("a share, 0 to 1, or null", lambda share: share is None or 0 <= share <= 1)
_STRUCTURES = Valid(
    f"a list of some of {', '.join(STRUCTURES)}, each once",
    lambda names: names is None or (0 < len(names) == len({*names}) and {*names} <= {*STRUCTURES}),
)
_SPLIT = Valid(
    f"the name of a paper's split ({', '.join(sorted({split for row in ABOUT.values() for split in row.splits}))}), "
    f"'{OWN_SPLIT}', or a ratio in quotes such as '{DEFAULT}'",
    lambda split: split is None or split == OWN_SPLIT or is_ratio(split) or _is_named(split),
)


def _is_named(split: str) -> bool:
    return any(split in row.splits for row in ABOUT.values())


@dataclass(frozen=True)
class DataRecipe:
    """Whose images, and how they become a network's input.

    Attributes:
        spacing_mm: voxel spacing of the network's input, in training and on the robot; null of pictures.
        hu_window: (low, high) in HU, see `inference.preprocessing.normalize`; null of pictures.
        margin_mm: how much around the liver a case keeps; None keeps the whole field of view.
        source: a name of `sources.about.ABOUT`.
        structures: what the network learns; None for all that its stage has. A structure that is left out counts as
            liver where the liver is learned, since it lies in the organ, and as background elsewhere.
        size: voxels that each case is resampled to, `(i, j, k)`, whatever its spacing; None, or None for an axis, where
            `spacing_mm` decides. The robot's input has `spacing_mm`: give what comes nearest.
        neighbors: of a network of slices, how many slices on either side it sees as further channels.

    Of `phantoms`:
        phases: share of the cases per contrast phase.
        training_seeds: first and one behind the last seed of the phantoms trained on.
        validation_seeds: the same of those that the log's Dice is measured on.
        tumor_count: fewest and most tumors that a phantom is asked for; null leaves it to the phantom.
        variations: share of the cases per `phantom.PhantomOptions.variation`.
        coarse_scans: share of the cases whose voxels are 2 to 3.5 mm wide, as of scans that were resampled on the way
            or made in a hurry; null makes none. The others have 0.7 to 1 mm in plane and slices of up to 5 mm.

    Of data sets:
        folder: where it lies, relative to where a command is started; of `pairs` its YAML, or the folder that holds it.
        split: see `sources.catalog.divided`.
        split_seed: another one draws other patients.
        without: subjects that are in no part of the split, by name: those of another data set that is tested on, or
            whose headers know nothing of their spacing.
        fewest_slices: scans of fewer are left out; a paper's split may ask for more.
        bad_cases: one of `BAD_CASES`.
    """

    spacing_mm: Annotated[tuple[Number, Number, Number] | None, _SPACING]
    hu_window: Annotated[tuple[Number, Number] | None, _WINDOW]
    margin_mm: Annotated[Number | None, _MARGIN]
    phases: Annotated[dict[str, Number] | None, _PHASES] = None
    training_seeds: Annotated[tuple[Whole, Whole] | None, _SEEDS] = None
    validation_seeds: Annotated[tuple[Whole, Whole] | None, _SEEDS] = None
    tumor_count: Annotated[tuple[Whole, Whole] | None, _COUNT] = None
    variations: Annotated[dict[str, Number], shares_of(VARIATIONS)] = field(default_factory=lambda: {"plain": 1.0})
    source: Annotated[str, Valid.one_of(tuple(ABOUT))] = PHANTOMS.name
    folder: Annotated[Text | None, Valid("a folder or null")] = None
    split: Annotated[str | None, _SPLIT] = None
    split_seed: Annotated[Whole, UPWARD] = 0
    structures: Annotated[tuple[str, ...] | None, _STRUCTURES] = None
    size: Annotated[tuple[Whole | None, Whole | None, Whole | None] | None, SIZE] = None
    without: Annotated[tuple[Text, ...], Valid("a list of names of scans")] = ()
    fewest_slices: Annotated[Whole, UPWARD] = 0
    neighbors: Annotated[Whole, UPWARD] = 0
    bad_cases: Annotated[str, Valid.one_of(BAD_CASES)] = REFUSE
    coarse_scans: Annotated[Number | None, _COARSE] = None

    def __post_init__(self) -> None:
        check_fields(self)
        if self.is_of_pictures:
            self._check_pictures()
        else:
            for name, valid in {"spacing_mm": SPACING, "hu_window": WINDOW}.items():
                if getattr(self, name) is None:
                    raise FieldError(name, None, valid.words)
        if self.source == PHANTOMS.name:
            self._check_phantoms()
        else:
            self._check_data_set()

    @property
    def is_of_pictures(self) -> bool:
        """Whether the images are color pictures and no CTs."""
        return self.source == KVASIR_SEG.name

    @property
    def window(self) -> tuple[float, float]:
        """The values that become -1 and 1 of a network's input: in HU, or of colors."""
        return COLORS if self.hu_window is None else self.hu_window

    @property
    def grid_mm(self) -> tuple[float, float, float]:
        """`spacing_mm` of CTs. Raises `InputError` for pictures."""
        if self.spacing_mm is None:
            raise InputError(f"{ABOUT[self.source].title} has no millimetres, so that nothing is measured in them")
        return self.spacing_mm

    @property
    def seeds_of_phantoms(self) -> tuple[range, range]:
        """The seeds trained on and those validated on; of another source than `phantoms`, none."""
        if self.training_seeds is None or self.validation_seeds is None:
            return range(0), range(0)
        return range(*self.training_seeds), range(*self.validation_seeds)

    def _check_phantoms(self) -> None:
        needed = {"phases": _PHASES, "training_seeds": _SEEDS, "validation_seeds": _SEEDS}
        for name, valid in needed.items():
            if getattr(self, name) is None:
                raise FieldError(name, None, f"{valid.words}, for the source '{self.source}'")
        for name in ("folder", "split"):
            if getattr(self, name) is not None:
                raise InputError(f"{name} belongs to a data set, and the source is '{self.source}'; leave it out")
        training, validation = self.seeds_of_phantoms
        if validation.start < training.stop and training.start < validation.stop:
            raise InputError("training_seeds and validation_seeds overlap")

    def _check_pictures(self) -> None:
        for name in ("spacing_mm", "hu_window", "margin_mm", "structures"):
            if getattr(self, name) is not None:
                raise InputError(f"{name} belongs to CTs, and '{self.source}' holds color pictures; give null")
        for name in ("neighbors", "fewest_slices"):
            if getattr(self, name):
                raise InputError(f"{name} belongs to CTs, and '{self.source}' holds color pictures; leave it out")
        if self.size is None or None in self.size[:2] or self.size[2] is not None:
            raise FieldError("size", self.size, "[i, j, null] in pixels, to which every picture is brought")

    def _check_data_set(self) -> None:
        about = ABOUT[self.source]
        if self.folder is None:
            raise FieldError("folder", None, f"the folder that {about.title} lies in")
        for name in ("phases", "training_seeds", "validation_seeds", "tumor_count"):
            if getattr(self, name) is not None:
                raise InputError(f"{name} belongs to {PHANTOMS.name}, and the source is '{self.source}'; leave it out")
        if self.split is not None and self.split not in about.splits and _is_named(self.split):
            others = ", ".join((*about.splits, OWN_SPLIT, f"'{DEFAULT}'"))
            raise FieldError("split", self.split, f"one that {self.source} has ({others})")
