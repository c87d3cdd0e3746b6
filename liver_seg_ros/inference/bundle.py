# SPDX-License-Identifier: Apache-2.0
"""A model bundle: one folder that says all that the pipeline needs to run a network.

    models/<name>/model.onnx            weights; `model.yaml` names the file and its sha256
    models/<name>/model_<variant>.onnx  the same network in other number formats, where there are any
    models/<name>/model.yaml            the fields of `BundleSpec`
    models/<name>/MODEL_CARD.md         the same for people, made from the same fields

The network's contract. Input `(B, 1, K, J, I)`: CT in HU with `values: hu`; what `preprocessing.normalize` makes of it
with `values: normalized`; or with `values: standardized` the HU less the mean of what it is shown, over their standard
deviation. K, J and I may be any multiple of `InputSpec.divisor`; with `fixed_window` they are the
patch's. Output, the classes being those of `BundleSpec.labels`:

    output: logits    (B, C, K, J, I) floating point
    output: softmax   (B, C, K, J, I) float16, 0 to 1
    output: argmax    (B, K, J, I) uint8

With `slices` the same without K, B being slices: `(B, 2 n + 1, J, I)`, each between its `neighbors` n on either side.
With `inputs: [image, edges]` the graph has these two by name, `edges` `(B, 1, J, I)` being the slice's Canny map.

The graph takes float32 or float16; a `Runtime` takes either and converts. Logits are float32, or float16 from a
variant. Axes are in the canonical order of `orientation`: i grows to the patient's left, j to the posterior, k to the
superior.

Reading is here, writing in `bundle_writing`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

from liver_seg_ros.checked_fields import REQUIRED, FieldError, Number, Text, Valid, Whole, from_mapping, read_mapping
from liver_seg_ros.errors import InputError
from liver_seg_ros.inference.input_spec import PREVIOUS
from liver_seg_ros.inference.input_spec import SPACING as SPACING
from liver_seg_ros.inference.input_spec import WINDOW as WINDOW
from liver_seg_ros.inference.input_spec import InputSpec as InputSpec
from liver_seg_ros.labels import BACKGROUND, SEGMENTED, STRUCTURES

WEIGHTS = "model.onnx"
DESCRIPTION = "model.yaml"
CARD = "MODEL_CARD.md"

STAGES = ("localize", "segment", "surround")
#: Number formats that a network can be run in.
PRECISIONS = ("fp32", "fp16", "int8")
#: That of a bundle's own weights, which its variants are made from.
FULL_PRECISION = "fp32"
HU, NORMALIZED, STANDARDIZED = VALUES = ("hu", "normalized", "standardized")
OUTPUTS = ("logits", "softmax", "argmax")
#: Whose images a network was trained on; "unsaid" in bundles from before this field.
TRAINING_DATA = ("unsaid", "synthetic", "mixed", "patients")

#: What `postprocessing.clean_labels` does, in this order; a bundle or a caller may leave some out.
CLEANING_STEPS = ("tumor_contact", "one_liver", "inside_liver", "fill_holes", "min_volume")
#: What is done with vessels after them, in this order, where a bundle says so: `round_vessels.lesions_among_vessels`
#: and `vessel_voxels.in_own_voxels`.
VESSEL_STEPS = ROUND_VESSELS, THIN_VESSELS, VESSEL_BORDERS = ("round_vessels", "thin_vessels", "vessel_borders")
POSTPROCESSING_STEPS = (*CLEANING_STEPS, *VESSEL_STEPS)

#: A wider Gaussian than this leaves no tumor.
MAX_GAUSSIAN_MM = 10.0

#: {name: value} of all that a class may be called.
LABEL_VALUES = {"background": BACKGROUND, **{structure.name: structure.value for structure in STRUCTURES}}


def _are_labels(names: Mapping[int, str]) -> bool:
    """From 0 upward, each name of the label table once."""
    values = list(names.values())
    in_order = list(names) == list(range(len(names))) and len(names) > 1 and values[0] == "background"
    return in_order and set(values) <= set(LABEL_VALUES) and len(set(values)) == len(values)


_STRUCTURES = tuple(structure.name for structure in STRUCTURES)
_TEXT = Valid("text that is not empty (quote a number, as in '1.0')")
_FILE = Valid("text, a file name without folders", lambda name: Path(name).name == name)
_SENTENCES = Valid("a list of sentences")
_NAMES = Valid("a list of names, at least one", bool)
_LABELS = Valid(
    f"{{0: background, 1: liver, ...}} without a gap, each of {', '.join(LABEL_VALUES)} at most once", _are_labels
)
_CLASSES = Valid(
    f"a list of {', '.join(LABEL_VALUES)}, the first of them background",
    lambda names: not names or (names[0] == "background" and set(names) <= set(LABEL_VALUES)),
)
_VOLUMES = Valid(
    f"numbers from 0 upward per structure ({', '.join(_STRUCTURES)})",
    lambda volumes: set(volumes) <= set(_STRUCTURES) and min(volumes.values(), default=0) >= 0,
)
_GAUSSIAN = Valid(
    f"lengths from 0 to {MAX_GAUSSIAN_MM:g} mm per structure ({', '.join(s.name for s in SEGMENTED)})",
    lambda lengths: (
        set(lengths) <= {s.name for s in SEGMENTED}
        and all(0 <= length <= MAX_GAUSSIAN_MM for length in lengths.values())
    ),
)
_STEPS = Valid(
    f"a list of {', '.join(POSTPROCESSING_STEPS)}, of those that are wanted",
    lambda steps: set(steps) <= set(POSTPROCESSING_STEPS),
)
_TEMPERATURE = Valid("a number above 0, or null", lambda temperature: temperature is None or temperature > 0)
_DICE = Valid("numbers from 0 to 1 per structure", lambda dice: all(0 <= value <= 1 for value in dice.values()))
_DICE_LOSS = Valid("numbers from -1 to 1 per structure", lambda dice: all(-1 <= value <= 1 for value in dice.values()))


@dataclass(frozen=True)
class Postprocessing:
    """What of the network's answer is kept.

    Attributes:
        min_volume_mm3: per structure, the smallest component that counts. In stage "localize" the liver's entry is the
            smallest plausible liver: below it, no liver was found.
        margin_mm: in stage "localize", how far the box reaches beyond the liver found; in stage "segment", how far
            outside the liver a tumor or vessel may still reach.
        steps: in stage "segment", which of `POSTPROCESSING_STEPS` are taken.
        gaussian_mm: in stage "segment", per structure the standard deviation of the Gaussian that smooths its labels
            (`smoothing.smooth_labels`); those that are not named stay as they are.
    """

    min_volume_mm3: Annotated[Mapping[str, Number], _VOLUMES, REQUIRED] = field(default_factory=dict)
    margin_mm: Annotated[Number, Valid.between(0, 500), REQUIRED] = 0.0
    steps: Annotated[tuple[str, ...], _STEPS] = CLEANING_STEPS
    gaussian_mm: Annotated[Mapping[str, Number], _GAUSSIAN] = field(default_factory=dict)


@dataclass(frozen=True)
class Variant:
    """The same network in another number format, in a file of its own.

    Attributes:
        weights: file name in the bundle's folder.
        sha256: of that file.
        precision: number format that most of it computes in, one of `PRECISIONS`.
        runtimes: names of the runtimes that it is made for.
        megabytes: size of the file, 10^6 bytes.
        scores: Dice per structure on the phantoms that `scored_on` names.
        dice_loss: per structure, the Dice of the plain weights on the same phantoms less that of this variant; negative
            where this one is better.
        scored_on: in words.
    """

    weights: Annotated[Text, _FILE]
    sha256: Annotated[Text, _TEXT]
    precision: Annotated[str, Valid.one_of(PRECISIONS)]
    runtimes: Annotated[tuple[Text, ...], _NAMES]
    megabytes: Annotated[Number, Valid.between(0, 1e6)]
    scores: Annotated[Mapping[str, Number], _DICE, REQUIRED] = field(default_factory=dict)
    dice_loss: Annotated[Mapping[str, Number], _DICE_LOSS, REQUIRED] = field(default_factory=dict)
    scored_on: Annotated[Text, _TEXT, REQUIRED] = "nothing"


@dataclass(frozen=True)
class Calibration:
    """How far a network's probabilities can be believed; see `deploy.confidence`.

    Attributes:
        temperature: what logits are divided by before the softmax; None where nobody has found it, and then nothing is
            said of how sure the network is.
        least_lesion: the confidence in a lesion, 0 to 1, below which it is to be doubted.
        error_before, error: expected calibration error without the temperature and with it, 0 to 1.
        found_on: in words.
    """

    temperature: Annotated[Number | None, _TEMPERATURE] = None
    least_lesion: Annotated[Number, Valid.between(0, 1)] = 0.0
    error_before: Annotated[Number, Valid.between(0, 1)] = 0.0
    error: Annotated[Number, Valid.between(0, 1)] = 0.0
    found_on: Annotated[Text, _TEXT] = "nothing"


@dataclass(frozen=True)
class StageBefore:
    """The first network of a cascade, whose answer the bundle's own is also given; it has the same classes.

    Attributes:
        weights: file name in the bundle's folder.
        sha256: of that file.
        input: see `InputSpec`.
    """

    weights: Annotated[Text, _FILE]
    sha256: Annotated[Text, _TEXT]
    input: InputSpec


@dataclass(frozen=True)
class BundleSpec:
    """Everything in `model.yaml` except the weights' file name and checksum.

    Attributes:
        name: the bundle's name, e.g. "liver-localizer".
        version: e.g. "1.0.0".
        stage: "localize" (whole CT, background/liver), "segment" (inside the liver's box) or "surround" (whole CT: what
            lies around the liver).
        input: see `InputSpec`.
        labels: {class index: name} from 0 = "background" upward without a gap, names as in `labels.STRUCTURES`.
        postprocessing: see `Postprocessing`.
        trained_on: what data, in words.
        scores: what was measured, by name; numbers or nested mappings of numbers.
        license: SPDX identifier of the weights.
        intended_use: what it is for and what it is not for.
        precision: number format of the weights, `FULL_PRECISION`.
        values: what the network takes, one of `VALUES`.
        output: what it gives, one of `OUTPUTS`.
        training_data: whose images it was trained on, one of `TRAINING_DATA`; `trained_on` says more.
        provenance: of the data it was trained on and how, by name: license, citation, split, protocol; empty where
            nobody wrote it down.
        calibration: see `Calibration`.
        failures: where it is known to fail, a sentence each.
        variants: by name, e.g. "fp16".
        classes: what each class that the network gives counts as, where these are other than `labels`: several may be
            one structure, or background; empty where they are the labels.
        before: of a cascade its first network, by name; empty for all others.

    Raises:
        InputError: fields that do not fit each other.
    """

    name: Annotated[Text, _TEXT]
    version: Annotated[Text, _TEXT]
    stage: Annotated[str, Valid.one_of(STAGES)]
    input: InputSpec
    labels: Annotated[Mapping[Whole, str], _LABELS]
    postprocessing: Postprocessing
    trained_on: Annotated[Text, _TEXT]
    scores: Annotated[Mapping[Any, Any], Valid("a mapping")]
    license: Annotated[Text, _TEXT]
    intended_use: Annotated[Text, _TEXT]
    precision: Annotated[str, Valid.one_of((FULL_PRECISION,)), REQUIRED] = FULL_PRECISION
    # Bundles from before these fields have none of them.
    values: Annotated[str, Valid.one_of(VALUES)] = "normalized"
    output: Annotated[str, Valid.one_of(OUTPUTS)] = "logits"
    training_data: Annotated[str, Valid.one_of(TRAINING_DATA)] = "unsaid"
    provenance: Annotated[Mapping[Any, Any], Valid("a mapping")] = field(default_factory=dict)
    calibration: Calibration = field(default_factory=Calibration)
    failures: Annotated[tuple[Text, ...], _SENTENCES] = ()
    variants: Mapping[str, Variant] = field(default_factory=dict)
    classes: Annotated[tuple[str, ...], _CLASSES] = ()
    before: Mapping[str, StageBefore] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.classes and set(self.classes) != set(self.labels.values()):
            words = f"each of labels ({', '.join(self.labels.values())}) at least once, and no other"
            raise FieldError("classes", list(self.classes), words)
        if len(self.before) != (PREVIOUS in self.input.inputs):
            needs = "of one network where input.inputs has 'previous', else empty"
            raise FieldError("before", list(self.before), needs)

    @property
    def class_names(self) -> tuple[str, ...]:
        """Per class that the network gives, the label that it counts as."""
        return self.classes or tuple(self.labels.values())

    @property
    def label_values(self) -> tuple[int, ...]:
        """Per class that the network gives, the value of its name in the label table."""
        return tuple(LABEL_VALUES[name] for name in self.class_names)


@dataclass(frozen=True)
class _Weights:
    """What else is in `model.yaml`: the file and its checksum."""

    weights: Annotated[Text, _FILE]
    sha256: Annotated[Text, _TEXT]


@dataclass(frozen=True)
class ModelBundle:
    """A bundle on disk whose description is valid and whose weights match their checksum (see `load_bundle`)."""

    folder: Path
    weights: Path
    sha256: str
    spec: BundleSpec

    def variant(self, name: str) -> Variant:
        """The variant called `name`. Raises `InputError` where there is none."""
        if name not in self.spec.variants:
            there = ", ".join(self.spec.variants) or "none"
            raise InputError(f"the model in {self.folder} has no variant '{name}'; there are: {there}")
        return self.spec.variants[name]

    def weights_of(self, variant: str | None) -> Path:
        """The file of a variant, or of the plain weights for None, checked against its checksum.

        Raises:
            InputError: no such variant, or its file is missing or damaged.
        """
        if variant is None:
            return self.weights
        described = self.variant(variant)
        return _checked(self.folder, described.weights, described.sha256)

    @property
    def before(self) -> ModelBundle | None:
        """Of a cascade its first network, as a bundle that gives the same classes; else None.

        Raises:
            InputError: its file is missing or damaged.
        """
        for name, stage in self.spec.before.items():
            spec = replace(self.spec, name=f"{self.spec.name} {name}", input=stage.input, variants={}, before={})
            spec = replace(spec, output="logits", precision=FULL_PRECISION)
            return ModelBundle(self.folder, _checked(self.folder, stage.weights, stage.sha256), stage.sha256, spec)
        return None

    def precision_of(self, variant: str | None) -> str:
        """The number format of a variant, or of the plain weights for None. Raises `InputError` where there is none."""
        return self.spec.precision if variant is None else self.variant(variant).precision


def load_bundle(folder: Path) -> ModelBundle:
    """Read and check the bundle in `folder`.

    Raises:
        InputError: a file is missing, a field is missing or invalid (the message names the file, the field and what is
            valid), or the weights do not match their sha256.
    """
    folder = Path(folder)
    path = folder / DESCRIPTION
    values = read_mapping(path, "model description")
    spec, file = parse_spec(values, path), from_mapping(_Weights, values, str(path), others=True)
    bundle = ModelBundle(folder, _checked(folder, file.weights, file.sha256), file.sha256, spec)
    _ = bundle.before  # is checked as its own weights are
    return bundle


def parse_spec(values: Mapping[str, Any], path: Path) -> BundleSpec:
    """What a `model.yaml` says. Raises `InputError` naming the field that is missing or invalid."""
    return from_mapping(BundleSpec, values, str(path), others=True)


def _checked(folder: Path, name: str, sha256: str) -> Path:
    """The file of weights `name` that `folder`'s description gives the checksum of."""
    weights = folder / name
    try:
        found = sha256_of(weights.read_bytes())
    except OSError as error:
        reason = "is missing" if isinstance(error, FileNotFoundError) else f"cannot be read ({error.strerror})"
        raise InputError(f"{weights} {reason}; {folder / DESCRIPTION} names it as the model's weights") from error
    if found != sha256:
        raise InputError(
            f"{weights} is damaged or not the file that {folder / DESCRIPTION} describes: "
            f"sha256 is {found[:12]}..., not {sha256[:12]}...; fetch or export the model again"
        )
    return weights


def sha256_of(data: bytes) -> str:
    """The checksum as `model.yaml` has it."""
    return hashlib.sha256(data).hexdigest()
