# SPDX-License-Identifier: Apache-2.0
"""Find how far a network's probabilities can be believed, and write it into its bundle:

    python -m liver_seg_ros.deploy.confidence --bundle models/segmenter

Networks are surer than they are right. On phantoms that no recipe may train on, this finds the temperature that makes
up for it, and the confidence below which a lesion is to be doubted, so that a scan keeps one false lesion at most above
it. `liver-seg segment` and the ROS node say then how sure the network is of each lesion, and warn of the unsure ones.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path

import cc3d
import numpy as np
from numpy.typing import NDArray

from liver_seg_ros.errors import InputError
from liver_seg_ros.evaluation.confidence import (
    fit_temperature,
    least_confidence,
    lesion_confidences,
    probabilities,
    reliability,
)
from liver_seg_ros.inference.bundle import Calibration, ModelBundle, load_bundle
from liver_seg_ros.inference.bundle_writing import describe_anew
from liver_seg_ros.inference.network import Network
from liver_seg_ros.inference.resampling import resample_labels_to
from liver_seg_ros.inference.runtimes.choice import create_runtime
from liver_seg_ros.labels import TUMOR
from liver_seg_ros.outputs.folder import check_folder
from liver_seg_ros.phantom import PhantomOptions, generate_phantom
from liver_seg_ros.phantom.variation import VARIATIONS, Variation
from liver_seg_ros.progress import Stages, never_cancelled, no_progress
from liver_seg_ros.training.command import run_command

#: Of phantoms. Not `varied_hypodense`: with two kinds of six full of cysts, these alone would set the threshold.
KINDS: tuple[Variation, ...] = tuple(kind for kind in VARIATIONS if kind != "varied_hypodense")
#: Held-out phantoms: recipes end at 9000 (`training.data_recipe`). `benchmarks/confidence.py` judges on odd seeds.
FIRST_SEED = 14_000
SIZE, SPACING_MM = (190, 170, 130), (1.5, 1.5, 1.8)
#: Voxels of a phantom that temperature and reliability are taken from.
_SAMPLE = 100_000

_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class JudgedPhantom:
    """What the network says of one phantom, and the truth: a sample of voxels, and all for the lesions.

    Attributes:
        logits: `(C, N)`.
        truth: `(N,)` their true classes.
        scores: `(C, K, J, I)` float16.
        is_tumor: `(K, J, I)`.
        least_voxels: smaller lesions are dropped by postprocessing, and do not count.
    """

    logits: NDArray[np.float32]
    truth: NDArray[np.uint8]
    scores: NDArray[np.float16]
    is_tumor: NDArray[np.bool_]
    least_voxels: float

    def lesions(self, temperature: float) -> list[tuple[float, bool]]:
        """Confidence of each lesion found, and whether it touches a true one; the largest first."""
        found = self.scores.argmax(axis=0) == TUMOR.value
        parts = cc3d.connected_components(found, connectivity=26)
        sizes = np.bincount(parts.ravel())[1:]
        order = np.argsort(-sizes, kind="stable")
        right = np.isin(np.arange(1, len(sizes) + 1), parts[self.is_tumor])[order]
        sure = lesion_confidences(found, probabilities(self.scores, temperature)[TUMOR.value])
        counts = sizes[order] >= self.least_voxels
        return [(float(s), bool(r)) for s, r, counted in zip(sure, right, counts, strict=True) if counted]


def judged(bundle: ModelBundle, seeds: Iterable[int], variation: Variation) -> list[JudgedPhantom]:
    """What the plain weights of `bundle` say of phantoms, around the liver and at the network's own spacing."""
    network = Network(bundle, create_runtime("auto", bundle, "fp32"))
    return [_judged(network, seed, variation) for seed in seeds]


def calibrate(phantoms: Sequence[JudgedPhantom], found_on: str) -> Calibration:
    """Temperature and threshold of a network by what it says of phantoms. Raises `InputError` where there is none."""
    if not phantoms:
        raise InputError("there is no phantom to calibrate on")
    pair = together(phantoms)
    temperature = round(fit_temperature(*pair), 4)
    before, after = (reliability(*pair, t).expected_calibration_error for t in (1.0, temperature))
    least = least_confidence([phantom.lesions(temperature) for phantom in phantoms])
    least = min(1.0, ceil(least * 1e4) / 1e4)  # up: the false lesion just below it is not to come back
    return Calibration(temperature, least, round(before, 4), round(after, 4), found_on)


def together(phantoms: Sequence[JudgedPhantom]) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Logits `(C, N)` and true classes `(N,)` of all."""
    logits = np.concatenate([phantom.logits for phantom in phantoms], axis=1)
    return logits, np.concatenate([phantom.truth for phantom in phantoms])


def in_words(seeds: Mapping[Variation, Sequence[int]]) -> str:
    """E.g. "phantoms, portal venous, 190x170x130 voxels of 1.5x1.5x1.8 mm: 6 plain (seeds 14000 to 14010)"."""
    size, spacing = ("x".join(f"{n:g}" for n in triple) for triple in (SIZE, SPACING_MM))
    kinds = ", ".join(f"{len(some)} {kind} (seeds {some[0]} to {some[-1]})" for kind, some in seeds.items())
    return f"phantoms, portal venous, {size} voxels of {spacing} mm: {kinds}"


def _judged(network: Network, seed: int, variation: Variation) -> JudgedPhantom:
    options = PhantomOptions(SIZE, SPACING_MM, "portal_venous", center_mm=(0.0, 0.0, 0.0), variation=variation)
    phantom = generate_phantom(seed, options)
    _log.info("phantom %d, %s", seed, variation)
    geometry = phantom.ct.geometry
    grid, slices = network.scores(phantom.ct.array, geometry, Stages(no_progress, never_cancelled), "segment")
    scores = np.stack([plane.copy() for plane in slices], axis=1)
    truth = resample_labels_to(phantom.labels.array, geometry, grid)
    some = np.random.default_rng(seed).permutation(truth.size)[:_SAMPLE]
    logits = scores.reshape(len(scores), -1)[:, some]
    least_mm3 = network.spec.postprocessing.min_volume_mm3.get(TUMOR.name, 0.0)
    return JudgedPhantom(
        logits, truth.ravel()[some], scores.astype(np.float16), truth == TUMOR.value, least_mm3 / grid.voxel_volume_mm3
    )


def main(arguments: list[str] | None = None) -> None:
    """The command. Raises `InputError` where the bundle is missing, damaged, or gives no logits of tumors."""
    parser = argparse.ArgumentParser(
        prog="python -m liver_seg_ros.deploy.confidence",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--bundle", type=Path, required=True, help="the model's folder, e.g. models/segmenter")
    parser.add_argument("--cases", type=int, default=6, help="phantoms of each kind (%(default)s)")
    options = parser.parse_args(arguments)
    bundle = load_bundle(options.bundle)
    check_folder(bundle.folder, "--bundle")
    if tuple(bundle.spec.label_values) != (0, 1, 2, 3) or bundle.spec.output != "logits":
        raise InputError(
            f"{bundle.folder} gives {bundle.spec.output} of {', '.join(bundle.spec.labels.values())}; only logits of "
            "background, liver, tumor and vessel can be calibrated on phantoms"
        )
    if options.cases < 1:
        raise InputError(f"--cases {options.cases}: give 1 phantom of each kind or more")
    seeds: dict[Variation, Sequence[int]] = {
        kind: range(FIRST_SEED, FIRST_SEED + 2 * options.cases, 2) for kind in KINDS
    }
    phantoms = [phantom for kind, some in seeds.items() for phantom in judged(bundle, some, kind)]
    calibration = calibrate(phantoms, in_words(seeds))
    describe_anew(bundle, calibration=calibration)
    _log.info(
        "temperature %.2f, calibration error %.4f before and %.4f after; lesions below %.2f are to be doubted",
        *(calibration.temperature, calibration.error_before, calibration.error, calibration.least_lesion),
    )


if __name__ == "__main__":
    sys.exit(run_command(main))
