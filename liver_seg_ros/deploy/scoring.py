# SPDX-License-Identifier: Apache-2.0
"""How much a change of the weights costs: Dice on phantoms that nothing was trained on, of several weights at once."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np

from liver_seg_ros.atomic import scratch_folder
from liver_seg_ros.evaluation.dice import dice
from liver_seg_ros.evaluation.overlap import overlap
from liver_seg_ros.inference.bundle import ModelBundle
from liver_seg_ros.inference.bundle_writing import write_bundle
from liver_seg_ros.inference.network import Network
from liver_seg_ros.inference.resampling import resample_labels_to
from liver_seg_ros.inference.runtimes.choice import create_runtime
from liver_seg_ros.inference.segmenter import Segmenter
from liver_seg_ros.inference.surroundings import STAGE as SURROUND
from liver_seg_ros.inference.surroundings import SurroundingsMapper
from liver_seg_ros.labels import BACKGROUND, LIVER, TUMOR, VESSEL
from liver_seg_ros.orientation import to_canonical
from liver_seg_ros.phantom import Phantom, PhantomOptions, generate_phantom
from liver_seg_ros.progress import Stages, never_cancelled, no_progress
from liver_seg_ros.volume import LabelVolume

_log = logging.getLogger(__name__)

#: An abdomen at the resolution that the fine network works at, or a little better.
SCAN = PhantomOptions((320, 320, 180), (1.2, 1.2, 1.5), phase="portal_venous")


@dataclass(frozen=True)
class Weights:
    """What is scored: the weights of a bundle in some format, and the runtime that computes them."""

    onnx: bytes
    runtime: str


class Judge(Protocol):
    """A loaded network that tells its Dice on a phantom."""

    def __call__(self, phantom: Phantom) -> dict[str, float]: ...


def mean_dice(
    bundle: ModelBundle,
    localizer: ModelBundle | None,
    candidates: Mapping[str, Weights],
    seeds: Sequence[int],
    scan: PhantomOptions = SCAN,
) -> dict[str, dict[str, float]]:
    """Per candidate and structure, the mean over the phantoms. "liver" is the organ with all that lies in it.

    Stage "segment" is judged by the labels that the whole cascade gives on the CT's grid, stage "localize" by those on
    the coarse grid that it works on, and stage "surround" likewise, organ by organ. A structure that is neither in a
    phantom nor found counts as 1 there.

    Args:
        bundle: what the candidates are weights of.
        localizer: the other network of the cascade, as it is; None for stage "localize".
        candidates: by name.
        seeds: of the phantoms.
        scan: what they look like.
    """
    with scratch_folder() as folder:
        judges = {name: _judge(folder / name, bundle, localizer, weights) for name, weights in candidates.items()}
        rows: dict[str, list[dict[str, float]]] = {name: [] for name in judges}
        for seed in seeds:
            phantom = generate_phantom(seed, replace(scan, surroundings=bundle.spec.stage == SURROUND))
            for name, judge in judges.items():
                rows[name].append(judge(phantom))
                _log.info("phantom %d, %s: %s", seed, name, in_words(rows[name][-1]))
    structures = [name for name in bundle.spec.labels.values() if name != bundle.spec.labels[BACKGROUND]]
    return {
        name: {s: round(float(np.mean([row.get(s, 1.0) for row in scored])), 4) for s in structures}
        for name, scored in rows.items()
    }


def in_words(scores: Mapping[str, float]) -> str:
    """E.g. "liver 0.978, tumor 0.821"."""
    return ", ".join(f"{structure} {score:.4f}" for structure, score in scores.items())


def _judge(folder: Path, bundle: ModelBundle, localizer: ModelBundle | None, weights: Weights) -> Judge:
    """`folder` becomes a bundle whose only weights are `weights`, so that nothing else can be taken."""
    candidate = write_bundle(folder / "candidate", weights.onnx, bundle.spec)
    if bundle.spec.stage == SURROUND:
        return _MapJudge(SurroundingsMapper(candidate, weights.runtime))
    if localizer is None:
        return _CoarseJudge(Network(candidate, create_runtime(weights.runtime, candidate)))
    plain = write_bundle(folder / "localizer", localizer.weights, localizer.spec)
    return _CascadeJudge(Segmenter(plain, candidate, weights.runtime))


class _CascadeJudge:
    def __init__(self, segmenter: Segmenter) -> None:
        self._segmenter = segmenter

    def __call__(self, phantom: Phantom) -> dict[str, float]:
        return dice(self._segmenter.segment(phantom.ct).labels, phantom.labels)


class _MapJudge:
    def __init__(self, mapper: SurroundingsMapper) -> None:
        self._mapper = mapper

    def __call__(self, phantom: Phantom) -> dict[str, float]:
        assert phantom.surroundings is not None
        found = self._mapper.find(phantom.ct, spacing_mm=self._mapper.bundle.spec.input.spacing_mm[0]).labels
        reorientation = to_canonical(phantom.ct.geometry)
        values = phantom.surroundings.array
        whole = np.where(np.isin(values, (TUMOR.value, VESSEL.value)), LIVER.value, values).astype(np.uint8)
        geometry = reorientation.apply_to_geometry(phantom.ct.geometry)
        truth = resample_labels_to(reorientation.apply(whole), geometry, found.geometry)
        scores = {s: overlap(found.array == s.value, truth == s.value).dice for s in self._mapper.structures}
        return {structure.name: 1.0 if np.isnan(score) else score for structure, score in scores.items()}


class _CoarseJudge:
    def __init__(self, network: Network) -> None:
        self._network = network

    def __call__(self, phantom: Phantom) -> dict[str, float]:
        reorientation = to_canonical(phantom.ct.geometry)
        geometry = reorientation.apply_to_geometry(phantom.ct.geometry)
        stages = Stages(no_progress, never_cancelled)
        grid, slices = self._network.scores(reorientation.apply(phantom.ct.array), geometry, stages, "localize")
        labels = np.stack([scores.argmax(axis=0).astype(np.uint8) for scores in slices])
        organ = (reorientation.apply(phantom.labels.array) != BACKGROUND).astype(np.uint8)
        truth = LabelVolume(resample_labels_to(organ, geometry, grid), grid)
        return dice(LabelVolume(labels, grid), truth, [LIVER])
