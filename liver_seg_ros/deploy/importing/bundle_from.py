# SPDX-License-Identifier: Apache-2.0
"""The bundle of a model that another tool trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import gcd
from pathlib import Path

from liver_seg_ros.deploy.importing.class_names import structures_of
from liver_seg_ros.deploy.importing.exported import exported
from liver_seg_ros.deploy.importing.source import SourceModel, TrainedNetwork
from liver_seg_ros.errors import InputError
from liver_seg_ros.inference.bundle import (
    CLEANING_STEPS,
    HU,
    STAGES,
    STANDARDIZED,
    BundleSpec,
    ModelBundle,
    Postprocessing,
    StageBefore,
    sha256_of,
)
from liver_seg_ros.inference.bundle_writing import WEIGHTS_BEFORE, write_bundle
from liver_seg_ros.inference.input_spec import CT_VIEW, IMAGE, LIVER_VIEW, PREVIOUS, InputSpec
from liver_seg_ros.labels import LIVER, STRUCTURES

_LIMITS = "Not a medical device, not for clinical use."

#: What a CT holds, for networks that are not given HU.
_ANY_HU = (-1024.0, 3071.0)

#: SPDX's word where nobody stated a license.
_UNSTATED = "NOASSERTION"
_LOCALIZE, _SEGMENT, _ = STAGES

#: A liver that is smaller than this, in mm^3, is none; around it so many mm are looked at.
_LEAST_LIVER_MM3, _MARGIN_MM = 30_000.0, 24.0
#: Slices are run so many at once, or fewer if that is more voxels.
_MOST_SLICES, _VOXELS_AT_ONCE = 16, 1 << 20
#: How far outside of the liver a tumor or vessel may reach, in mm, where our cleaning is asked for.
_REACH_MM = 3.0


@dataclass(frozen=True)
class Choices:
    """What the source does not say.

    Attributes:
        name: of the bundle; None for the source's.
        stage: one of `bundle.STAGES`.
        labels: `{class: structure or "background"}`, beyond what the names tell.
        others: what classes count as that no name tells; None to refuse them.
        license: of the weights, where the source states none.
        clean: whether our postprocessing is to follow; without it the labels are the source's.
        whole: whether it is always shown whole slices of the CT, as it was where it was trained, and not the liver's
            box alone.
    """

    name: str | None = None
    stage: str = _SEGMENT
    labels: Mapping[str, str] = field(default_factory=dict)
    others: str | None = None
    license: str | None = None
    clean: bool = False
    whole: bool = False


#: Only what the source says.
NOTHING_MORE = Choices()


def import_bundle(
    source: SourceModel, folder: Path, choices: Choices = NOTHING_MORE, overwrite: bool = False
) -> ModelBundle:
    """Write the bundle of `source` into `folder`.

    Raises:
        InputError: the source's classes do not fit, the network cannot be built, or a file is in the way.
        ExportError: the ONNX model does not compute what the network computes.
    """
    spec = spec_of(source, choices)  # before the minutes that the network takes
    return write_imported(source, exported(networks_in(source)), spec, folder, overwrite)


def networks_in(source: SourceModel) -> list[TrainedNetwork]:
    """The networks that make the bundle: the source's own, and of a cascade the first."""
    return [source.network, *([source.previous.network] if source.previous else [])]


def write_imported(
    source: SourceModel, models: Sequence[bytes], spec: BundleSpec, folder: Path, overwrite: bool = False
) -> ModelBundle:
    """Write a bundle of the `models` that `networks_in` became, and that `spec_of` describes."""
    if source.previous is None:
        return write_bundle(folder, models[0], spec, overwrite)
    first = StageBefore(WEIGHTS_BEFORE, sha256_of(models[1]), _input_of(source.previous))
    before = {str(source.previous.provenance.get("configuration", "first")): first}
    described = replace(spec, input=replace(spec.input, inputs=(IMAGE, PREVIOUS)), before=before)
    return write_bundle(folder, models[0], described, overwrite, models[1])


def spec_of(source: SourceModel, choices: Choices = NOTHING_MORE) -> BundleSpec:
    """All that the bundle says. Raises `InputError` as `import_bundle`."""
    if choices.stage not in STAGES:
        raise InputError(f"stage '{choices.stage}' must be one of {', '.join(STAGES)}")
    classes = structures_of(source.classes, {**source.known, **choices.labels}, choices.others)
    if choices.stage == _LOCALIZE:
        if LIVER.name not in classes:
            raise InputError(f"a localizer must give the liver; this model gives {', '.join(source.classes[1:])}")
        classes = tuple(name if name == LIVER.name else "background" for name in classes)
    names = ("background", *(s.name for s in STRUCTURES if s.name in classes))
    labels = dict(enumerate(names))
    steps = CLEANING_STEPS if choices.clean and choices.stage == _SEGMENT else ()
    localizes, whole = choices.stage == _LOCALIZE, choices.whole or source.whole
    if choices.license and source.license and choices.license != source.license:
        raise InputError(f"the source states its license as '{source.license}'; --license is for those that state none")
    return BundleSpec(
        name=choices.name or source.name,
        version="1.0.0",
        stage=choices.stage,
        input=replace(_input_of(source), view=CT_VIEW if whole and not localizes else LIVER_VIEW),
        labels=labels,
        postprocessing=Postprocessing(
            {LIVER.name: _LEAST_LIVER_MM3} if localizes else {}, _MARGIN_MM if localizes else _REACH_MM, steps
        ),
        trained_on=source.trained_on,
        scores={},
        license=source.license or choices.license or _UNSTATED,
        intended_use=f"{source.intended_use or 'Imported; its source does not say what it is for.'} {_LIMITS}",
        values=STANDARDIZED if source.network.clip is None else HU,
        provenance={
            **source.provenance,
            "license_stated_by": _who_states(source, choices),
            "classes": _merged(source, classes),
        },
        classes=() if classes == names else classes,
    )


def _input_of(source: SourceModel) -> InputSpec:
    network = source.network
    *deep, j, i = network.window
    k = deep[0] if deep else max(1, min(_MOST_SLICES, _VOXELS_AT_ONCE // (i * j)))
    return InputSpec(
        spacing_mm=source.spacing_mm,
        hu_window=network.clip or _ANY_HU,
        patch=(i, j, k),
        overlap=source.overlap,
        divisor=gcd(128, *(network.multiples or (1,))),
        slices=not deep,
        fixed_window=True,
        convention=source.convention,
        orientation=source.orientation,
        beyond=network.mean,
        blend=source.blend,
    )


def _who_states(source: SourceModel, choices: Choices) -> str:
    if source.license:
        return "the source"
    return "who imported it" if choices.license else "nobody"


def _merged(source: SourceModel, classes: tuple[str, ...]) -> dict[str, str]:
    """{the source's class: ours}."""
    return dict(zip(source.classes[1:], classes[1:], strict=True))
