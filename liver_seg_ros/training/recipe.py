"""A training recipe: all that decides what a network becomes, read from `config/training/*.yaml`.

Triples are in file order `(i, j, k)`. What a field may hold is checked here, once, so that a training does not stop an
hour later.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from liver_seg_ros.checked_fields import Number, Valid, Whole, check_fields, from_mapping, read_mapping
from liver_seg_ros.errors import InputError
from liver_seg_ros.inference.bundle import SPACING, STAGES, WINDOW
from liver_seg_ros.labels import LIVER, SEGMENTED
from liver_seg_ros.phantom.variation import VARIATIONS

#: What a training may compute in, by PyTorch's names; what comes of it is always stored in float32.
DTYPES = ("float32", "bfloat16")
PHASES = ("none", "arterial", "portal_venous")
#: Seeds from here on are kept for tests and benchmarks; no recipe may name them.
FIRST_HELD_OUT_SEED = 9000


def _shares_of(names: Collection[str]) -> Valid:
    words = f"a positive share for some of {', '.join(names)}"
    return Valid(words, lambda shares: set(shares) <= set(names) and min(shares.values(), default=0) > 0)


_STRUCTURES = tuple(structure.name for structure in SEGMENTED)
_UPWARD = Valid("a number from 0 upward", lambda value: value >= 0)
_ONE_OR_MORE = Valid("a whole number from 1 upward", lambda value: value >= 1)
_FRACTION = Valid.between(0, 1, "a fraction")
_PART = Valid("a fraction above 0, at most 1", lambda value: 0 < value <= 1)
_BELOW_ONE = Valid("a fraction from 0 to below 1", lambda value: 0 <= value < 1)
_MARGIN = Valid("a length in mm or null", lambda mm: mm is None or mm >= 0)
_SIZES = Valid("three positive sizes in voxels, [i, j, k]", lambda sizes: min(sizes) > 0)
_SEEDS = Valid(
    f"[first, one behind the last], from 0 to at most {FIRST_HELD_OUT_SEED}",
    lambda seeds: 0 <= seeds[0] < seeds[1] <= FIRST_HELD_OUT_SEED,
)
_COUNT = Valid(
    "[fewest, most], from 0 to at most 50, or null", lambda count: count is None or 0 <= count[0] <= count[1] <= 50
)
_FOCUS = Valid(
    f"shares, together at most 1, of some of {', '.join(_STRUCTURES)}",
    lambda focus: not focus or (_shares_of(_STRUCTURES).check(focus) and sum(focus.values()) <= 1),
)
_NAMED = Valid("a mapping with a 'name'", lambda options: "name" in options)


@dataclass(frozen=True)
class DataRecipe:
    """Which phantoms, and how they become a network's input.

    Attributes:
        spacing_mm: voxel spacing of the network's input.
        hu_window: (low, high) in HU, see `inference.preprocessing.normalize`.
        margin_mm: how much around the liver a case keeps; None keeps the whole field of view.
        phases: share of the cases per contrast phase.
        training_seeds: first and one behind the last seed of the phantoms trained on.
        validation_seeds: the same of those that the log's Dice is measured on.
        tumor_count: fewest and most tumors that a phantom is asked for; null leaves it to the phantom.
        variations: share of the cases per `phantom.PhantomOptions.variation`.
    """

    spacing_mm: Annotated[tuple[Number, Number, Number], SPACING]
    hu_window: Annotated[tuple[Number, Number], WINDOW]
    margin_mm: Annotated[Number | None, _MARGIN]
    phases: Annotated[dict[str, Number], _shares_of(PHASES)]
    training_seeds: Annotated[tuple[Whole, Whole], _SEEDS]
    validation_seeds: Annotated[tuple[Whole, Whole], _SEEDS]
    tumor_count: Annotated[tuple[Whole, Whole] | None, _COUNT] = None
    variations: Annotated[dict[str, Number], _shares_of(VARIATIONS)] = field(default_factory=lambda: {"plain": 1.0})

    def __post_init__(self) -> None:
        check_fields(self)
        (a, b), (c, d) = self.training_seeds, self.validation_seeds
        if c < b and a < d:
            raise InputError("training_seeds and validation_seeds overlap")


@dataclass(frozen=True)
class AugmentationRecipe:
    """How strongly a patch is changed before the network sees it; see `augmentation.augment`.

    Attributes:
        field_of_view: smallest fraction of each axis of `patch` that a batch may have; 1 keeps all.
        flip: probability of mirroring each axis.
        shift_hu: largest shift of all intensities.
        scale: largest relative change of contrast about 0 HU.
        structure_shift_hu: largest shift of one structure against the others.
        tumor_mirror: probability of mirroring the tumors' intensities about the liver's, so that dark tumors are bright
            and bright ones dark.
        noise_hu: largest standard deviation of added noise.
        blur_voxels: largest standard deviation of an added Gaussian blur, per axis.
    """

    field_of_view: Annotated[Number, _PART] = 1.0
    flip: Annotated[Number, _FRACTION] = 0.0
    shift_hu: Annotated[Number, _UPWARD] = 0.0
    scale: Annotated[Number, _BELOW_ONE] = 0.0
    structure_shift_hu: Annotated[Number, _UPWARD] = 0.0
    tumor_mirror: Annotated[Number, _FRACTION] = 0.0
    noise_hu: Annotated[Number, _UPWARD] = 0.0
    blur_voxels: Annotated[Number, _UPWARD] = 0.0

    def __post_init__(self) -> None:
        check_fields(self)


@dataclass(frozen=True)
class OptimizationRecipe:
    """How the weights are found.

    Attributes:
        patch: size in voxels of what the network sees at once.
        batch: patches per step.
        steps: length of the training; `--max-minutes` ends it earlier, with the schedule shortened to fit.
        learning_rate: at the peak; it rises for the first 5 % and falls as a cosine to zero.
        weight_decay: of AdamW.
        precision: one of `DTYPES`: "bfloat16" halves the time where the CPU has it (avx512_bf16, amx) and multiplies
            it elsewhere.
        fixed_norm_from: share of the training after which batch norms keep their statistics. Few patches per batch
            let a network lean on the statistics of the batch it is in, which inference does not have; the rest of the
            training teaches it to do without.
        focus: share of the patches that are centered on a voxel of a structure; the rest lie anywhere.
        validate_every: steps between two measurements of Dice, each followed by a checkpoint.
        seed: of the weights and of the order of patches.
        deep_centers: share of those centers that are drawn in proportion to the square of their depth under the
            structure's surface. Thick vessels are few among the many thin ones, and their inside looks like what is
            outside the liver: a network that hardly sees it calls it background.
    """

    patch: Annotated[tuple[Whole, Whole, Whole], _SIZES]
    batch: Annotated[Whole, _ONE_OR_MORE]
    steps: Annotated[Whole, _ONE_OR_MORE]
    learning_rate: Annotated[Number, _UPWARD]
    weight_decay: Annotated[Number, _UPWARD] = 1e-4
    precision: Annotated[str, Valid.one_of(DTYPES)] = "float32"
    fixed_norm_from: Annotated[Number, _FRACTION] = 0.5
    focus: Annotated[dict[str, Number], _FOCUS] = field(default_factory=dict)
    validate_every: Annotated[Whole, _ONE_OR_MORE] = 250
    seed: Annotated[Whole, _UPWARD] = 0
    deep_centers: Annotated[Number, _FRACTION] = 0.0

    def __post_init__(self) -> None:
        check_fields(self)


@dataclass(frozen=True)
class Recipe:
    """One network's training.

    Attributes:
        stage: that of the bundle: "localize" (liver or not) or "segment" (all labels).
        network: `name`, a row of the networks' registry, and its options.
        loss: `name`, a row of `losses.LOSSES`, and its options.
        initial: folder of a model bundle whose weights the training begins with, relative to where it is started; null
            begins from random ones.
    """

    stage: Annotated[str, Valid.one_of(STAGES)]
    network: Annotated[dict[str, Any], _NAMED]
    data: DataRecipe
    optimization: OptimizationRecipe
    augmentation: AugmentationRecipe = field(default_factory=AugmentationRecipe)
    loss: Annotated[dict[str, Any], _NAMED] = field(default_factory=lambda: {"name": "dice_ce"})
    initial: Annotated[str | None, Valid("a bundle's folder or null")] = None

    def __post_init__(self) -> None:
        check_fields(self)
        if self.initial is not None and self.optimization.fixed_norm_from != 0:
            raise InputError(
                "with initial weights, whose norms are folded, optimization.fixed_norm_from must be 0, "
                f"not {self.optimization.fixed_norm_from}"
            )

    @property
    def labels(self) -> dict[int, str]:
        """Class index = label value -> name, background included."""
        structures = (LIVER,) if self.stage == "localize" else SEGMENTED
        return {0: "background", **{structure.value: structure.name for structure in structures}}


def read_recipe(path: Path) -> Recipe:
    """The recipe in the YAML file `path`. Raises `InputError` naming the file, the field and what it may hold."""
    return recipe_from_dict(read_mapping(Path(path), "recipe"), str(path))


def recipe_from_dict(values: Mapping[str, Any], where: str) -> Recipe:
    """The recipe that `values` describes; the reverse of `dataclasses.asdict`. Raises `InputError` (names `where`)."""
    return from_mapping(Recipe, values, where)
