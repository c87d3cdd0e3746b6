"""A training recipe: all that decides what a network becomes, read from `config/training/*.yaml`.

Triples are in file order `(i, j, k)`. What a field may hold is checked here, once, so that a training does not stop an
hour later.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

import yaml

from liver_seg_ros.errors import InputError
from liver_seg_ros.inference.bundle import STAGES
from liver_seg_ros.labels import LIVER, SEGMENTED
from liver_seg_ros.phantom.variation import VARIATIONS

#: What a training may compute in, by PyTorch's names; what comes of it is always stored in float32.
DTYPES = ("float32", "bfloat16")
PHASES = ("none", "arterial", "portal_venous")
#: Seeds from here on are kept for tests and benchmarks; no recipe may name them.
FIRST_HELD_OUT_SEED = 9000


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

    spacing_mm: tuple[float, float, float]
    hu_window: tuple[float, float]
    margin_mm: float | None
    phases: dict[str, float]
    training_seeds: tuple[int, int]
    validation_seeds: tuple[int, int]
    tumor_count: tuple[int, int] | None = None
    variations: dict[str, float] = field(default_factory=lambda: {"plain": 1.0})

    def __post_init__(self) -> None:
        _require(_numbers(self.spacing_mm, 3) and min(self.spacing_mm) > 0, "spacing_mm must be three lengths in mm")
        _require(_numbers(self.hu_window, 2) and self.hu_window[0] < self.hu_window[1], "hu_window must be [low, high]")
        margin_ok = self.margin_mm is None or (_numbers((self.margin_mm,), 1) and self.margin_mm >= 0)
        _require(margin_ok, "margin_mm must be a length in mm or null")
        _require(_shares(self.phases, PHASES), f"phases must give a positive share to some of {', '.join(PHASES)}")
        known = ", ".join(VARIATIONS)
        _require(_shares(self.variations, VARIATIONS), f"variations must give a positive share to some of {known}")
        for name in ("training_seeds", "validation_seeds"):
            seeds = getattr(self, name)
            valid = _integers(seeds, 2) and 0 <= seeds[0] < seeds[1] <= FIRST_HELD_OUT_SEED
            _require(valid, f"{name} must be [first, one behind the last], from 0 to at most {FIRST_HELD_OUT_SEED}")
        (a, b), (c, d) = self.training_seeds, self.validation_seeds
        _require(b <= c or d <= a, "training_seeds and validation_seeds overlap")
        count = self.tumor_count
        count_ok = count is None or (_integers(count, 2) and 0 <= count[0] <= count[1] <= 50)
        _require(count_ok, "tumor_count must be [fewest, most], from 0 to at most 50, or null")


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

    field_of_view: float = 1.0
    flip: float = 0.0
    shift_hu: float = 0.0
    scale: float = 0.0
    structure_shift_hu: float = 0.0
    tumor_mirror: float = 0.0
    noise_hu: float = 0.0
    blur_voxels: float = 0.0

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            _require(_numbers((value,), 1) and value >= 0, f"{name} must be a number from 0 upward")
        _require(0 < self.field_of_view <= 1, "field_of_view must be a fraction above 0, at most 1")
        _require(self.flip <= 1 and self.scale < 1, "flip and scale must be fractions from 0 to 1")
        _require(self.tumor_mirror <= 1, "tumor_mirror must be a fraction from 0 to 1")


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

    patch: tuple[int, int, int]
    batch: int
    steps: int
    learning_rate: float
    weight_decay: float = 1e-4
    precision: str = "float32"
    fixed_norm_from: float = 0.5
    focus: dict[str, float] = field(default_factory=dict)
    validate_every: int = 250
    seed: int = 0
    deep_centers: float = 0.0

    def __post_init__(self) -> None:
        _require(_integers(self.patch, 3) and min(self.patch) > 0, "patch must be three sizes in voxels")
        for name in ("batch", "steps", "validate_every"):
            _require(_integers((getattr(self, name),), 1) and getattr(self, name) > 0, f"{name} must be 1 or more")
        for name in ("learning_rate", "weight_decay"):
            _require(_numbers((getattr(self, name),), 1) and getattr(self, name) >= 0, f"{name} must be 0 or more")
        fixed = self.fixed_norm_from
        _require(_numbers((fixed,), 1) and 0 <= fixed <= 1, "fixed_norm_from must be a fraction from 0 to 1")
        deep = self.deep_centers
        _require(_numbers((deep,), 1) and 0 <= deep <= 1, "deep_centers must be a fraction from 0 to 1")
        _require(self.precision in DTYPES, f"precision must be one of {', '.join(DTYPES)}")
        names = tuple(structure.name for structure in SEGMENTED)
        focus_ok = not self.focus or (_shares(self.focus, names) and sum(self.focus.values()) <= 1)
        _require(focus_ok, f"focus must give shares, together at most 1, to some of {', '.join(names)}")
        _require(_integers((self.seed,), 1) and self.seed >= 0, "seed must be 0 or more")


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

    stage: str
    network: dict[str, Any]
    data: DataRecipe
    optimization: OptimizationRecipe
    augmentation: AugmentationRecipe = field(default_factory=AugmentationRecipe)
    loss: dict[str, Any] = field(default_factory=lambda: {"name": "dice_ce"})
    initial: str | None = None

    def __post_init__(self) -> None:
        _require(self.stage in STAGES, f"stage must be one of {', '.join(STAGES)}")
        _require(self.initial is None or isinstance(self.initial, str), "initial must be a bundle's folder or null")
        norms_fixed = self.initial is None or self.optimization.fixed_norm_from == 0
        _require(norms_fixed, "with initial weights, whose norms are folded, optimization.fixed_norm_from must be 0")
        for name in ("network", "loss"):
            section = getattr(self, name)
            _require(isinstance(section, dict) and "name" in section, f"{name} needs a 'name'")

    @property
    def labels(self) -> dict[int, str]:
        """Class index = label value -> name, background included."""
        structures = (LIVER,) if self.stage == "localize" else SEGMENTED
        return {0: "background", **{structure.value: structure.name for structure in structures}}


def read_recipe(path: Path) -> Recipe:
    """The recipe in the YAML file `path`. Raises `InputError` naming the file, the field and what it may hold."""
    try:
        values = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"cannot read the recipe {path}: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not valid YAML: {error}") from error
    return recipe_from_dict(values, str(path))


def recipe_from_dict(values: Any, where: str) -> Recipe:
    """The recipe that `values` describes; the reverse of `dataclasses.asdict`. Raises `InputError` (names `where`)."""
    sections = {"data": DataRecipe, "optimization": OptimizationRecipe, "augmentation": AugmentationRecipe}
    if isinstance(values, dict):
        values = {k: _build(sections[k], v, f"{where}: {k}") if k in sections else v for k, v in values.items()}
    return _build(Recipe, values, where)


Section = TypeVar("Section")


def _build(section: type[Section], values: Any, where: str) -> Section:
    if not isinstance(values, Mapping):
        raise InputError(f"{where} must hold a mapping of fields, not {values!r}")
    known = {f.name: f for f in fields(section)}  # type: ignore[arg-type]
    unknown = sorted(str(name) for name in set(values) - set(known))
    if unknown:
        raise InputError(f"{where} has unknown fields {', '.join(unknown)}; known are {', '.join(known)}")
    needed = {n for n, f in known.items() if f.default is MISSING and f.default_factory is MISSING}
    if needed - set(values):
        raise InputError(f"{where} lacks {', '.join(sorted(needed - set(values)))}")
    try:
        return section(**{name: tuple(v) if isinstance(v, list) else v for name, v in values.items()})
    except InputError as error:
        raise InputError(f"{where}: {error}") from error


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise InputError(message)


def _numbers(values: Any, count: int) -> bool:
    return _many(values, count) and all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in values)


def _integers(values: Any, count: int) -> bool:
    return _many(values, count) and all(isinstance(v, int) and not isinstance(v, bool) for v in values)


def _many(values: Any, count: int) -> bool:
    return isinstance(values, tuple) and len(values) == count


def _shares(values: Any, names: tuple[str, ...]) -> bool:
    return (
        isinstance(values, dict)
        and len(values) > 0
        and set(values) <= set(names)
        and _numbers(tuple(values.values()), len(values))
        and min(values.values()) > 0
    )
