"""A model bundle: one folder that says all that the pipeline needs to run a network.

    models/<name>/model.onnx       weights; `model.yaml` names the file and its sha256
    models/<name>/model.yaml       the fields of `BundleSpec`
    models/<name>/MODEL_CARD.md    the same for people, made from the same fields

The network's contract: input `(B, 1, K, J, I)` float32 as `preprocessing.normalize` makes it, output `(B, C, K, J, I)`
float32 logits where class index = label value. K, J and I may be any multiple of `InputSpec.divisor`. Axes are in the
canonical order of `orientation`: i grows to the patient's left, j to the posterior, k to the superior.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml

from liver_seg_ros.errors import InputError
from liver_seg_ros.geometry import Vector
from liver_seg_ros.inference.bundle_fields import Fields
from liver_seg_ros.inference.model_card import model_card

WEIGHTS = "model.onnx"
DESCRIPTION = "model.yaml"
CARD = "MODEL_CARD.md"

STAGES = ("localize", "segment")
PRECISIONS = ("fp32",)
MAX_OVERLAP = 0.9


@dataclass(frozen=True)
class InputSpec:
    """How a CT becomes the network's input. Triples are in file order `(i, j, k)`.

    Attributes:
        spacing_mm: voxel spacing the network was trained at.
        hu_window: (low, high) in HU, see `preprocessing.normalize`.
        patch: largest window in voxels that is run at once, each a multiple of `divisor`; sets the peak memory.
        overlap: fraction of a window that neighbors share, 0 to 0.9.
        divisor: every side of the input must be a multiple of it.
    """

    spacing_mm: Vector
    hu_window: tuple[float, float]
    patch: tuple[int, int, int]
    overlap: float
    divisor: int


@dataclass(frozen=True)
class Postprocessing:
    """What of the network's answer is kept.

    Attributes:
        min_volume_mm3: per structure, the smallest component that counts. In stage "localize" the liver's entry is the
            smallest plausible liver: below it, no liver was found.
        margin_mm: in stage "localize", how far the box reaches beyond the liver found; in stage "segment", how far
            outside the liver a tumor or vessel may still reach.
    """

    min_volume_mm3: Mapping[str, float] = field(default_factory=dict)
    margin_mm: float = 0.0


@dataclass(frozen=True)
class BundleSpec:
    """Everything in `model.yaml` except the weights' file name and checksum.

    Attributes:
        name: the bundle's name, e.g. "liver-localizer".
        version: e.g. "1.0.0".
        stage: "localize" (whole CT, background/liver) or "segment" (inside the liver's box).
        input: see `InputSpec`.
        labels: {value: name} for class 0 = "background" upward without a gap, names and values as in
            `labels.STRUCTURES`.
        postprocessing: see `Postprocessing`.
        trained_on: what data, in words.
        scores: what was measured, by name; numbers or nested mappings of numbers.
        license: SPDX identifier of the weights.
        intended_use: what it is for and what it is not for.
        precision: number format of the weights, one of `PRECISIONS`.
    """

    name: str
    version: str
    stage: str
    input: InputSpec
    labels: Mapping[int, str]
    postprocessing: Postprocessing
    trained_on: str
    scores: Mapping[str, Any]
    license: str
    intended_use: str
    precision: str = "fp32"


@dataclass(frozen=True)
class ModelBundle:
    """A bundle on disk whose description is valid and whose weights match their checksum (see `load_bundle`)."""

    folder: Path
    weights: Path
    sha256: str
    spec: BundleSpec


def load_bundle(folder: Path) -> ModelBundle:
    """Read and check the bundle in `folder`.

    Raises:
        InputError: a file is missing, a field is missing or invalid (the message names the file, the field and what is
            valid), or the weights do not match their sha256.
    """
    folder = Path(folder)
    fields = Fields.read(folder / DESCRIPTION)
    spec = _parse_spec(fields)
    weights = folder / fields.file_name("weights")
    sha256 = fields.text("sha256")
    if not weights.is_file():
        raise InputError(f"{weights} is missing; {folder / DESCRIPTION} names it as the model's weights")
    found = _sha256(weights.read_bytes())
    if found != sha256:
        raise InputError(
            f"{weights} is damaged or not the file that {folder / DESCRIPTION} describes: "
            f"sha256 is {found[:12]}..., not {sha256[:12]}...; fetch or export the model again"
        )
    return ModelBundle(folder, weights, sha256, spec)


def write_bundle(folder: Path, onnx: bytes | Path, spec: BundleSpec) -> ModelBundle:
    """Write a bundle, replacing one that is already in `folder`; other files there are lost.

    The folder is filled beside its place and then renamed, so that no half-written bundle is ever found there.

    Args:
        folder: where, e.g. `models/localizer`.
        onnx: the serialized ONNX model, or the file that holds it. It must not use external data files.
        spec: all that `model.yaml` says.

    Raises:
        InputError: a field of `spec` is invalid, or the ONNX file cannot be read.
    """
    folder = Path(folder)
    weights = _read_weights(onnx)
    description = {"weights": WEIGHTS, "sha256": _sha256(weights), **asdict(spec)}
    text = yaml.safe_dump(description, sort_keys=False, allow_unicode=True, width=100)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as beside:
        new = Path(beside) / "new"
        new.mkdir()
        (new / WEIGHTS).write_bytes(weights)
        (new / DESCRIPTION).write_text(text, encoding="utf-8")
        (new / CARD).write_text(model_card(description), encoding="utf-8")
        _parse_spec(Fields.read(new / DESCRIPTION, shown_as=folder / DESCRIPTION))
        if folder.exists():
            folder.rename(Path(beside) / "replaced")
        new.rename(folder)
    return load_bundle(folder)


def _parse_spec(fields: Fields) -> BundleSpec:
    network_input = fields.section("input")
    postprocessing = fields.section("postprocessing")
    divisor = network_input.integer("divisor", least=1, most=128)
    return BundleSpec(
        name=fields.text("name"),
        version=fields.text("version"),
        stage=fields.choice("stage", STAGES),
        input=InputSpec(
            spacing_mm=network_input.lengths_mm("spacing_mm"),
            hu_window=network_input.window("hu_window"),
            patch=network_input.sizes("patch", multiple_of=divisor),
            overlap=network_input.number("overlap", least=0.0, most=MAX_OVERLAP),
            divisor=divisor,
        ),
        labels=fields.labels("labels"),
        postprocessing=Postprocessing(
            min_volume_mm3=postprocessing.per_structure("min_volume_mm3"),
            margin_mm=postprocessing.number("margin_mm", least=0.0, most=500.0),
        ),
        trained_on=fields.text("trained_on"),
        scores=fields.mapping("scores"),
        license=fields.text("license"),
        intended_use=fields.text("intended_use"),
        precision=fields.choice("precision", PRECISIONS),
    )


def _read_weights(onnx: bytes | Path) -> bytes:
    if isinstance(onnx, bytes):
        return onnx
    try:
        return Path(onnx).read_bytes()
    except OSError as error:
        raise InputError(f"cannot read the ONNX model {onnx}: {error.strerror}") from error


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
