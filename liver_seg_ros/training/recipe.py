# SPDX-License-Identifier: Apache-2.0
"""A training recipe: all that decides what a network becomes, read from `config/training/*.yaml`.

Triples are in file order `(i, j, k)`. What a field may hold is checked here, once, so that a training does not stop an
hour later.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Annotated, Any

from liver_seg_ros.checked_fields import Number, Valid, check_fields, from_mapping, read_mapping
from liver_seg_ros.errors import InputError
from liver_seg_ros.inference.bundle import STAGES
from liver_seg_ros.labels import LIVER, SEGMENTED, SURROUNDINGS, Structure
from liver_seg_ros.training.data_recipe import UPWARD, DataRecipe
from liver_seg_ros.training.optimization_recipe import MEAN
from liver_seg_ros.training.optimization_recipe import OptimizationRecipe as OptimizationRecipe
from liver_seg_ros.training.sources.about import ABOUT, PHANTOMS, POLYP

#: The stage that no bundle has: color pictures, which are trained on and judged and never come to a robot.
PICTURE = "picture"
#: What of `augmentation` a picture can have; the rest is in HU or along slices.
OF_PICTURES = ("field_of_view", "flip", "rotate_degrees", "zoom", "translate_voxels")
#: What the name of a checkpoint ends with.
CHECKPOINT_SUFFIX = ".pt"

_FRACTION = Valid.between(0, 1, "a fraction")
_PART = Valid("a fraction above 0, at most 1", lambda value: 0 < value <= 1)
_TURN = Valid.between(0, 180, "an angle in degrees")
_BELOW_ONE = Valid("a fraction from 0 to below 1", lambda value: 0 <= value < 1)
_TAUGHT = Valid("a mapping with a 'teacher', or null", lambda options: options is None or "teacher" in options)
_NAMED = Valid("a mapping with a 'name'", lambda options: "name" in options)


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
        rotate_degrees: largest turn within the slice; this and what follows are MONAI's, see `deformation`.
        zoom: largest relative change of size, per axis.
        translate_voxels: largest shift, per axis.
        low_resolution: smallest fraction of its voxels, per axis, that an image is brought down to and back; 1 keeps.
    """

    field_of_view: Annotated[Number, _PART] = 1.0
    flip: Annotated[Number, _FRACTION] = 0.0
    shift_hu: Annotated[Number, UPWARD] = 0.0
    scale: Annotated[Number, _BELOW_ONE] = 0.0
    structure_shift_hu: Annotated[Number, UPWARD] = 0.0
    tumor_mirror: Annotated[Number, _FRACTION] = 0.0
    noise_hu: Annotated[Number, UPWARD] = 0.0
    blur_voxels: Annotated[Number, UPWARD] = 0.0
    rotate_degrees: Annotated[Number, _TURN] = 0.0
    zoom: Annotated[Number, _BELOW_ONE] = 0.0
    translate_voxels: Annotated[Number, UPWARD] = 0.0
    low_resolution: Annotated[Number, _PART] = 1.0

    def __post_init__(self) -> None:
        check_fields(self)


@dataclass(frozen=True)
class Recipe:
    """One network's training.

    Attributes:
        stage: that of the bundle: "localize" (liver or not), "segment" (all labels) or "surround" (the organs of
            `labels.SURROUNDINGS`, of phantoms); or `PICTURE`.
        network: `name`, a row of the networks' registry, and its options.
        loss: `name`, a row of `losses.LOSSES`, and its options.
        initial: whose weights the training begins with, relative to where it is started: the folder of a model bundle,
            whose network must be the same, or a checkpoint (`.pt`), of which what fits is taken; null begins from
            random ones.
        distillation: `teacher`, the folder of a training whose network teaches this one, relative to where it is
            started, and options of `distillation.Distillation`; null learns from the labels alone.
    """

    stage: Annotated[str, Valid.one_of((*STAGES, PICTURE))]
    network: Annotated[dict[str, Any], _NAMED]
    data: DataRecipe
    optimization: OptimizationRecipe
    augmentation: AugmentationRecipe = field(default_factory=AugmentationRecipe)
    loss: Annotated[dict[str, Any], _NAMED] = field(default_factory=lambda: {"name": "dice_ce"})
    initial: Annotated[str | None, Valid("a bundle's folder, a checkpoint or null")] = None
    distillation: Annotated[dict[str, Any] | None, _TAUGHT] = None

    def __post_init__(self) -> None:
        check_fields(self)
        self._check_pictures()
        self._check_structures()
        if self.data.neighbors and self.optimization.patch[2] != 1:
            raise InputError("data.neighbors belongs to a network of slices, whose optimization.patch is [i, j, 1]")
        if self.optimization.mistakes and self.initial is None:
            raise InputError("optimization.mistakes are those of the weights that a training begins with; give initial")
        if self.begins_with_bundle and self.optimization.fixed_norm_from != 0:
            raise InputError(
                "with a bundle's initial weights, whose norms are folded, optimization.fixed_norm_from must be 0, "
                f"not {self.optimization.fixed_norm_from}"
            )

    @property
    def structures(self) -> tuple[Structure, ...]:
        """What the network learns, in the order of its classes behind the background."""
        if self.stage == "localize":
            return (LIVER,)
        if self.stage == "surround":
            return SURROUNDINGS
        if self.stage == PICTURE:
            return (POLYP,)
        chosen = self.data.structures
        return tuple(structure for structure in SEGMENTED if chosen is None or structure.name in chosen)

    @property
    def begins_with_bundle(self) -> bool:
        """Whether `initial` is a bundle and no checkpoint."""
        return self.initial is not None and not self.initial.endswith(CHECKPOINT_SUFFIX)

    @property
    def labels(self) -> dict[int, str]:
        """Class index -> name, background included; of all structures, the index is the label's value."""
        return {0: "background", **{index: s.name for index, s in enumerate(self.structures, 1)}}

    def _check_pictures(self) -> None:
        source, plan = self.data.source, self.optimization
        if self.data.is_of_pictures != (self.stage == PICTURE):
            what, wanted = ("color pictures", PICTURE) if self.data.is_of_pictures else ("CTs", "segment")
            raise InputError(f"the source '{source}' holds {what}; give stage: {wanted}")
        if self.stage != PICTURE:
            return
        if plan.patch[2] != 1:
            raise InputError(f"'{source}' holds pictures, which have no slices; give optimization.patch: [i, j, 1]")
        if plan.focus or plan.mistakes or plan.best_by != MEAN:
            raise InputError(
                f"optimization.focus, mistakes and best_by name structures of CTs; for '{source}' leave them out"
            )
        usual = AugmentationRecipe()
        for field_ in fields(usual):
            name = field_.name
            if name not in OF_PICTURES and getattr(self.augmentation, name) != getattr(usual, name):
                raise InputError(f"augmentation.{name} changes CTs; pictures have {', '.join(OF_PICTURES)}")

    def _check_structures(self) -> None:
        about, learned = ABOUT[self.data.source], [structure.name for structure in self.structures]
        if self.stage != "segment" and self.data.structures is not None:
            fixed = "the liver" if self.stage == "localize" else "all of labels.SURROUNDINGS"
            raise InputError(f"data.structures belongs to stage 'segment'; one of '{self.stage}' learns {fixed}")
        if self.stage == "surround" and self.data.source != PHANTOMS.name:
            raise InputError(f"stage 'surround' learns from phantoms, which know all organs; {about.title} does not")
        plan = self.optimization
        unlearned = [name for name in (*plan.focus, *plan.mistakes) if name not in learned]
        if unlearned and (self.stage == "segment" or plan.mistakes):
            raise InputError(
                f"optimization.focus and mistakes name {unlearned[0]}, which is none of data.structures {learned}"
            )
        # Of what surrounds the liver, phantoms know all; `about.structures` is what their usual labels hold.
        spoken = learned if self.stage == "surround" else [structure.name for structure in about.structures]
        unspoken = [name for name in learned if spoken and name not in spoken]
        if unspoken:
            raise InputError(
                f"{about.title} says nothing about {', '.join(unspoken)}, so the network would learn that there is "
                f"none; give data.structures: [{', '.join(spoken)}]"
            )
        if spoken and LIVER.name not in spoken and self.data.margin_mm is not None:
            raise InputError(f"{about.title} has no liver to keep data.margin_mm around; give null")


def read_recipe(path: Path) -> Recipe:
    """The recipe in the YAML file `path`. Raises `InputError` naming the file, the field and what it may hold."""
    return recipe_from_dict(read_mapping(Path(path), "recipe"), str(path))


def recipe_from_dict(values: Mapping[str, Any], where: str) -> Recipe:
    """The recipe that `values` describes; the reverse of `dataclasses.asdict`. Raises `InputError` (names `where`)."""
    return from_mapping(Recipe, values, where)
