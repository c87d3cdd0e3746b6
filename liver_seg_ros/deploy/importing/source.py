# SPDX-License-Identifier: Apache-2.0
"""A model that another tool trained, as far as its files say: what every kind of source comes to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from liver_seg_ros.geometry import Vector
from liver_seg_ros.short_repr import short_repr

#: What `Architecture.tool` names.
NNUNET, MONAI = "dynamic_network_architectures", "monai"

Weights = Mapping[str, Any]


@dataclass(frozen=True)
class Architecture:
    """How a network is built.

    Attributes:
        tool: whose class it is; MONAI's are here already.
        name: of the class, with its modules.
        options: of its constructor, names of classes as text.
        classes_among: which options are names of classes.
    """

    tool: str
    name: str
    options: Mapping[str, Any]
    classes_among: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class TrainedNetwork:
    """The network and what it is given. Axes of the network are its own: `transpose` says which of (k, j, i) each is.

    Attributes:
        architecture: how it is built.
        weights: of one network, or of several whose logits are averaged.
        channels: that it takes, the CT first.
        classes: logits that it gives.
        clip: HU below and above which all counts as the end; None where it is not given HU (`bundle.STANDARDIZED`).
        mean, deviation: of what it is given, that are 0 and 1 to it.
        window: `(k, j, i)` voxels that it is run on; without k for slices.
        multiples: that sides which it also takes are multiples of; None where only `window` is known to fit.
        transpose: see above; without k for slices.
        flips: axes (k, j, i) that it is also run flipped along, its answers being averaged.
        regions: where its outputs are no classes but regions that may overlap, the class of each, later ones lying over
            earlier ones; empty for classes.
    """

    architecture: Architecture
    weights: tuple[Weights, ...]
    channels: int
    classes: int
    clip: tuple[float, float] | None
    mean: float
    deviation: float
    window: tuple[int, ...]
    multiples: tuple[int, ...] | None
    transpose: tuple[int, ...]
    flips: tuple[int, ...] = ()
    regions: tuple[int, ...] = ()

    __repr__ = short_repr


@dataclass(frozen=True, eq=False)
class SourceModel:
    """A trained model, ready to become a bundle.

    Attributes:
        kind: what it is, for people.
        folder: where it is.
        name: of it, as the source has it.
        network: see `TrainedNetwork`.
        classes: the source's own name of each class, the background first.
        spacing_mm: `(i, j, k)` that it was trained at; of slices k is not used.
        overlap: what neighboring windows share.
        convention, blend: of `inference.conventions`.
        orientation: what its axes i, j, k grow to.
        license: as the source states it, None where it does not.
        trained_on: what the source says of that, in words.
        intended_use: the same; None where it does not say.
        known: `{class: structure or "background"}` that whoever made it wrote down.
        whole: whether it must be shown the CT and not the liver's box, as what it sees depends on all of it.
        provenance: what else it says, and what was taken.
        previous: for a cascade, the model that comes before.
    """

    kind: str
    folder: Path
    name: str
    network: TrainedNetwork
    classes: tuple[str, ...]
    spacing_mm: Vector
    overlap: float
    convention: str
    blend: str
    orientation: str
    license: str | None
    trained_on: str
    intended_use: str | None = None
    known: Mapping[str, str] = field(default_factory=dict)
    whole: bool = False
    provenance: Mapping[str, Any] = field(default_factory=dict)
    previous: SourceModel | None = None

    __repr__ = short_repr
