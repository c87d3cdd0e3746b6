# SPDX-License-Identifier: Apache-2.0
"""How far the fine network's probabilities can be believed, before and after calibration, and which lesions to doubt.

    .venv/bin/python benchmarks/confidence.py                       twelve phantoms of each kind
    .venv/bin/python benchmarks/confidence.py --models DIR --cases 4

Prints Markdown. Temperature and threshold are found on one half of the phantoms and judged on the other; no recipe may
train on either. Everything is at the network's own spacing, around the liver, before postprocessing.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

import cc3d
import numpy as np
from _machine import machine
from numpy.typing import NDArray

from liver_seg_ros.evaluation.confidence import (
    fit_temperature,
    least_confidence,
    lesion_confidences,
    probabilities,
    reliability,
)
from liver_seg_ros.inference.bundle import load_bundle
from liver_seg_ros.inference.model_folders import find_models_dir
from liver_seg_ros.inference.network import Network
from liver_seg_ros.inference.resampling import resample_labels_to
from liver_seg_ros.inference.runtimes.choice import create_runtime
from liver_seg_ros.labels import TUMOR
from liver_seg_ros.phantom import PhantomOptions, generate_phantom
from liver_seg_ros.phantom.variation import VARIATIONS
from liver_seg_ros.progress import Stages, never_cancelled, no_progress

FIRST_SEED = 14_000  # recipes end at 9000 (training/recipe.py)
SCAN = {"size": (190, 170, 130), "spacing_mm": (1.5, 1.5, 1.8), "phase": "portal_venous", "center_mm": (0.0, 0.0, 0.0)}
#: Voxels of a phantom that temperature and reliability are taken from.
SAMPLE = 100_000


@dataclass(frozen=True, eq=False)
class Case:
    """What the network says of one phantom, and the truth: a sample of voxels, and the lesions it found."""

    logits: NDArray[np.float32]  # (C, N)
    truth: NDArray[np.uint8]  # (N,)
    scores: NDArray[np.float32]  # (C, K, J, I)
    is_tumor: NDArray[np.bool_]  # (K, J, I)

    def lesions(self, temperature: float) -> list[tuple[float, bool]]:
        """Confidence of each lesion found, and whether it touches a true one; the largest first."""
        found = self.scores.argmax(axis=0) == TUMOR.value
        parts = cc3d.connected_components(found, connectivity=26)
        sizes = np.bincount(parts.ravel())[1:]
        order = np.argsort(-sizes, kind="stable")
        right = np.isin(np.arange(1, len(sizes) + 1), parts[self.is_tumor])[order]
        sure = lesion_confidences(found, probabilities(self.scores, temperature)[TUMOR.value])
        return list(zip(sure.tolist(), right.tolist(), strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=Path, help="folder of segmenter/; the shipped one if not given")
    parser.add_argument("--cases", type=int, default=12, help="phantoms of each kind (%(default)s)")
    options = parser.parse_args()
    bundle = load_bundle(find_models_dir(options.models) / "segmenter")
    network = Network(bundle, create_runtime("auto", bundle, "fp32"))
    kinds = {
        kind: [_case(network, seed, kind) for seed in range(FIRST_SEED, FIRST_SEED + options.cases)]
        for kind in VARIATIONS
    }
    fitted = [case for cases in kinds.values() for case in cases[::2]]
    temperature = fit_temperature(*_together(fitted))
    threshold = least_confidence([case.lesions(temperature) for case in fitted])
    sys.stdout.write(
        f"{bundle.spec.name} {bundle.spec.version}, {machine()}. Temperature {temperature:.2f}; for at most one false "
        f"tumor a scan a lesion needs a confidence of {threshold:.2f}.\n\n"
        "| phantoms judged | calibration error | calibrated | false tumors a scan | kept | true tumors found | kept |\n"
        f"| --- {'| ---: ' * 6}|\n"
    )
    for kind, cases in kinds.items():
        judged = cases[1::2]
        pair = _together(judged)
        errors = [reliability(*pair, t).expected_calibration_error for t in (1.0, temperature)]
        lesions = [case.lesions(temperature) for case in judged]
        cells = [f"{error:.4f}" for error in errors]
        for right in (False, True):
            for least in (0.0, threshold):
                kept = sum(is_one == right and sure >= least for scan in lesions for sure, is_one in scan)
                cells.append(f"{kept / len(judged):.1f}")
        sys.stdout.write(f"| {len(judged)} {kind} | {' | '.join(cells)} |\n")


def _case(network: Network, seed: int, kind: str) -> Case:
    phantom = generate_phantom(seed, PhantomOptions(**SCAN, variation=kind))  # type: ignore[arg-type]
    geometry = phantom.ct.geometry
    grid, slices = network.scores(phantom.ct.array, geometry, Stages(no_progress, never_cancelled), "segment")
    scores = np.stack([plane.copy() for plane in slices], axis=1)
    truth = resample_labels_to(phantom.labels.array, geometry, grid)
    some = np.random.default_rng(seed).permutation(truth.size)[:SAMPLE]
    logits = scores.reshape(len(scores), -1)[:, some]
    return Case(logits, truth.ravel()[some], scores.astype(np.float16), truth == TUMOR.value)


def _together(cases: list[Case]) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    return np.concatenate([case.logits for case in cases], axis=1), np.concatenate([case.truth for case in cases])


if __name__ == "__main__":
    main()
