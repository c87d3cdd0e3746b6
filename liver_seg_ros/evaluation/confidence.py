# SPDX-License-Identifier: Apache-2.0
"""How far a network's probabilities can be believed: temperature, reliability, entropy, and confidence per lesion.

Networks are surer than they are right. One number, the temperature that logits are divided by before the softmax, makes
up for most of that and changes no label (Guo et al. 2017, "On calibration of modern neural networks"); it is found on
cases that the network was not trained on, and judged on others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cc3d
import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import entr, log_softmax, softmax

from liver_seg_ros.errors import InputError
from liver_seg_ros.evaluation.mask_pairs import Mask

Floats = NDArray[np.floating[Any]]

_LOG_TEMPERATURES = (np.log(0.05), np.log(20.0))


@dataclass(frozen=True, eq=False)
class Reliability:
    """How often a network is right where it is how sure, in bins of equal width from 0 to 1.

    Attributes:
        voxels: `(N,)` voxels per bin.
        confidence: `(N,)` mean probability of the class that wins; NaN in an empty bin.
        accuracy: `(N,)` share of them where that class is the true one; NaN likewise.
    """

    voxels: NDArray[np.int64]
    confidence: NDArray[np.float64]
    accuracy: NDArray[np.float64]

    @property
    def expected_calibration_error(self) -> float:
        """Mean over the voxels of how far confidence and accuracy of their bin are apart."""
        apart = np.nan_to_num(np.abs(self.confidence - self.accuracy))
        return float((apart * self.voxels).sum() / self.voxels.sum())


def probabilities(logits: Floats, temperature: float = 1.0) -> NDArray[np.float64]:
    """Softmax over the first axis of `logits` `(C, ...)` divided by `temperature`."""
    return np.asarray(softmax(np.asarray(logits, np.float64) / _checked(temperature), axis=0))


def entropy(probability: Floats) -> NDArray[np.float64]:
    """`(...)`: the entropy of `probability` `(C, ...)`, 0 where one class is certain, 1 where all are alike."""
    return np.asarray(entr(probability).sum(axis=0) / np.log(len(probability)))


def fit_temperature(logits: Floats, truth: NDArray[np.integer[Any]]) -> float:
    """The temperature at which the true labels are likeliest.

    Args:
        logits: `(C, N)` of voxels; those near borders say the most, the sure ones far from any say little.
        truth: `(N,)` their true classes.

    Raises:
        InputError: other shapes, or a class that the logits do not have.
    """
    scores, classes = _checked_pair(logits, truth)

    def surprise(log_temperature: float) -> float:
        likelihood = log_softmax(scores / np.exp(log_temperature), axis=0)
        return -float(np.take_along_axis(likelihood, classes[None], axis=0).mean())

    return float(np.exp(minimize_scalar(surprise, bounds=_LOG_TEMPERATURES, method="bounded").x))


def reliability(
    logits: Floats, truth: NDArray[np.integer[Any]], temperature: float = 1.0, bins: int = 15
) -> Reliability:
    """How reliable `logits` `(C, N)` are at `temperature`, `truth` `(N,)` being the true classes.

    Raises:
        InputError: other shapes, a class that the logits do not have, a temperature that is not above 0, or no bin.
    """
    scores, classes = _checked_pair(logits, truth)
    if bins < 1:
        raise InputError(f"{bins} bins: give 1 or more")
    probability = probabilities(scores, temperature)
    sure, right = probability.max(axis=0), probability.argmax(axis=0) == classes
    bin_of = np.minimum((sure * bins).astype(int), bins - 1)
    voxels, sums, hits = (np.bincount(bin_of, weights, minlength=bins) for weights in (None, sure, right))
    with np.errstate(invalid="ignore"):
        return Reliability(voxels.astype(np.int64), sums / voxels, hits / voxels)


def lesion_confidences(tumor: Mask, probability: Floats) -> NDArray[np.float64]:
    """`(L,)`: mean probability of tumor in each connected part of `tumor`, both `(K, J, I)`; the largest first.

    Raises:
        InputError: another shape of the probabilities.
    """
    if tumor.shape != probability.shape:
        raise InputError(
            f"tumors of shape {tumor.shape} and probabilities of shape {probability.shape}: give one shape"
        )
    parts = cc3d.connected_components(np.ascontiguousarray(tumor), connectivity=26)
    inside = parts > 0
    sizes = np.bincount(parts[inside])[1:]
    sums = np.bincount(parts[inside], probability[inside])[1:]
    order = np.argsort(-sizes, kind="stable")
    return np.asarray((sums / np.maximum(sizes, 1))[order], np.float64)


def least_confidence(scans: Sequence[Sequence[tuple[float, bool]]], most_false: float = 1.0) -> float:
    """The lowest threshold at which, on average, a scan keeps `most_false` false lesions at most.

    Args:
        scans: per scan, of each lesion found its confidence and whether it is one.
        most_false: false lesions that a scan may have on average.

    Returns:
        A lesion counts where its confidence is at least this: 0 where none needs to go, and just above the surest
        false one where none may stay.

    Raises:
        InputError: no scan, or less than no false lesion allowed.
    """
    if not scans or not most_false >= 0:
        raise InputError(f"{len(scans)} scans and {most_false:g} false lesions a scan: give one or more, and 0 or more")
    false = np.sort([confidence for scan in scans for confidence, right in scan if not right])[::-1]
    allowed = int(np.floor(most_false * len(scans) + 1e-9))
    return 0.0 if len(false) <= allowed else float(np.nextafter(false[allowed], np.inf))


def _checked(temperature: float) -> float:
    if not temperature > 0:
        raise InputError(f"temperature {temperature:g}: give a number above 0")
    return temperature


def _checked_pair(logits: Floats, truth: NDArray[np.integer[Any]]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    if logits.ndim != 2 or truth.shape != logits.shape[1:] or truth.size == 0:
        raise InputError(f"logits of shape {logits.shape} and truth of shape {truth.shape}: give (C, N) and (N,)")
    if truth.min() < 0 or truth.max() >= len(logits):
        raise InputError(f"classes {truth.min()} to {truth.max()} of {len(logits)}: give those that the logits have")
    return np.asarray(logits, np.float64), np.asarray(truth, np.int64)
