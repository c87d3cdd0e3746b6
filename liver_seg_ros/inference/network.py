# SPDX-License-Identifier: Apache-2.0
"""A loaded network, asked about a CT: from HU on any grid to scores at the network's spacing, slice by slice."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from liver_seg_ros.geometry import Geometry, Vector
from liver_seg_ros.inference.bundle import NORMALIZED, STANDARDIZED, BundleSpec, ModelBundle
from liver_seg_ros.inference.cascade import class_slices
from liver_seg_ros.inference.conventions import (
    IMAGE_WEIGHTS,
    NNUNET,
    SCORE_WEIGHTS,
    flips_of,
    image_weights,
    network_grid,
)
from liver_seg_ros.inference.preprocessing import mean_and_deviation, normalize
from liver_seg_ros.inference.resampling import largest_share, resampled_slices
from liver_seg_ros.inference.runtimes.base import DEFAULTS, LoadOptions, Runtime
from liver_seg_ros.inference.runtimes.choice import AUTO, create_runtime
from liver_seg_ros.inference.sliding import ToScores, as_float, score_slices
from liver_seg_ros.inference.stacks import score_stacks
from liver_seg_ros.progress import Stages, raise_if_cancelled

#: The smallest number above zero that float16 has: what a probability of zero may have been.
_LEAST_PROBABILITY = np.float32(np.finfo(np.float16).smallest_subnormal)


class Network:
    """A bundle in a runtime. Several threads may ask it: one waits until the other has all of its scores."""

    def __init__(self, bundle: ModelBundle, runtime: Runtime, before: Network | None = None) -> None:
        """`before`: of a cascade its first network (`ModelBundle.before`)."""
        self.bundle = bundle
        self.runtime = runtime
        self.before = before
        self._turn = threading.RLock()  # a runtime's answer lies where its next one will

    @property
    def spec(self) -> BundleSpec:
        """What the bundle says."""
        return self.bundle.spec

    def scores(
        self,
        hu: NDArray[np.int16],
        geometry: Geometry,
        stages: Stages,
        stage: str,
        resampling: str | None = None,
        shares: tuple[float, float] = (0.0, 1.0),
        spacing_mm: Vector | None = None,
    ) -> tuple[Geometry, Iterator[NDArray[np.float32]]]:
        """The network's scores per class, of which the largest wins.

        Args:
            hu: `(K, J, I)` on `geometry`, in canonical orientation.
            geometry: its grid.
            stages: is told how long the work takes, and asked before each run of the network whether to go on.
            stage: what the work is called.
            resampling: what the resampling of the CT is called, where it is a stage of its own.
            shares: of `stage`, as progress tells it: where this work begins and where it ends.
            spacing_mm: that the network sees, where the bundle's `input.size` is one of more than `hu`.

        Returns:
            The grid at the network's spacing, and its slices `(C, J, I)` float32, computed as they are taken.
        """
        spec = self.spec
        spacing_mm = spacing_mm or spec.input.spacing_for(geometry)
        grid = network_grid(geometry, spacing_mm, spec.input.convention, spec.input.orientation)
        slices = fed_slices(spec, hu, geometry, grid)

        def before_batch(done: float) -> None:
            raise_if_cancelled(stages.cancelled, stage)
            stages.progress(stage, shares[0] + done * (shares[1] - shares[0]))

        if self.before is not None:
            begin, end = shares
            shares = (begin + (end - begin) / 2, end)
            found = self.before.classes(hu, geometry, stages, stage, resampling, (begin, shares[0]))
            masks = class_slices(found, geometry, grid)
            slices = (np.stack(planes) for planes in zip(slices, masks, strict=True))
        turn = flips_of(spec.input.orientation)
        taken = stages.timed_each(resampling or stage, (plane[(..., *turn)] for plane in slices))
        if spec.input.slices:
            scores = score_stacks(self.runtime, taken, grid.shape, spec, to_scores(spec), before_batch)
        else:
            scores = score_slices(self.runtime, taken, grid.shape, spec.input, to_scores(spec), before_batch)
        return grid, self._in_turn(stages.timed_each(stage, (planes[(slice(None), *turn)] for planes in scores)))

    def classes(
        self,
        hu: NDArray[np.int16],
        geometry: Geometry,
        stages: Stages,
        stage: str,
        resampling: str | None,
        shares: tuple[float, float],
    ) -> NDArray[np.uint8]:
        """The number of the likeliest class of each voxel, `(K, J, I)` on `geometry`; arguments as of `scores`."""
        grid, scores = self.scores(hu, geometry, stages, stage, resampling, shares)
        found = np.empty(geometry.shape, np.uint8)
        for k, winners in enumerate(self.winners(scores, grid, geometry)):
            found[k] = winners
        self.release_memory()
        return found

    def winners(
        self, scores: Iterable[NDArray[np.float32]], grid: Geometry, target: Geometry
    ) -> Iterator[NDArray[np.uint8]]:
        """The slices `(J, I)` of `target`: which class is likeliest, of `scores` on `grid` as `scores` gave them."""
        return largest_share(scores, grid, target, SCORE_WEIGHTS[self.spec.input.convention])

    def close(self) -> None:
        """Give back memory and device; nothing may be asked afterwards."""
        if self.before is not None:
            self.before.close()
        self.runtime.close()

    def release_memory(self) -> None:
        """Give back what the runtime keeps for its next run."""
        with self._turn:
            self.runtime.release_memory()

    def _in_turn(self, scores: Iterator[NDArray[np.float32]]) -> Iterator[NDArray[np.float32]]:
        """The same, while no other thread's are computed; whoever is cancelled meanwhile gives up its turn."""
        with self._turn:
            yield from scores

    def probability(self, scores: NDArray[np.float32]) -> NDArray[np.float32]:
        """`(J, I)`: how probable the network holds the class that wins in `scores` `(C, J, I)`."""
        largest: NDArray[np.float32] = scores.max(axis=0)
        if self.spec.output == "argmax":
            return largest
        return np.float32(1) / np.exp(scores - largest).sum(axis=0)


def load_network(bundle: ModelBundle, runtime: str, precision: str = AUTO, options: LoadOptions = DEFAULTS) -> Network:
    """The network of `bundle`, and of a cascade the one before it, in a runtime. Raises as `create_runtime` does."""
    first = bundle.before
    before = None if first is None else load_network(first, runtime, AUTO, options)
    return Network(bundle, create_runtime(runtime, bundle, precision, options), before)


def fed_slices(
    spec: BundleSpec, hu: NDArray[np.int16], geometry: Geometry, grid: Geometry
) -> Iterator[NDArray[np.float32]]:
    """The slices `(J, I)` of `hu` on `grid` with the values that the network of `spec` is fed; not turned yet."""
    slices = _resampled(spec, hu, geometry, grid)
    if spec.values == NORMALIZED:
        return (normalize(plane, spec.input.hu_window) for plane in slices)
    if spec.values == STANDARDIZED:
        mean, deviation = mean_and_deviation(hu)
        return ((plane - mean) / deviation for plane in slices)
    return slices


def _resampled(
    spec: BundleSpec, hu: NDArray[np.int16], geometry: Geometry, grid: Geometry
) -> Iterator[NDArray[np.float32]]:
    """The slices of `hu` on `grid`, as the network was trained to see them."""
    convention = spec.input.convention
    if convention != NNUNET:
        return resampled_slices(lambda k: hu[k], geometry, grid, IMAGE_WEIGHTS[convention])
    low, high = max(spec.input.hu_window[0], hu.min()), min(spec.input.hu_window[1], hu.max())
    sharp = resampled_slices(lambda k: np.clip(hu[k], low, high), geometry, grid, image_weights)
    return (np.clip(plane, low, high, out=plane) for plane in sharp)  # beyond which no voxel of the CT was


def to_scores(spec: BundleSpec) -> ToScores:
    """What the output of a bundle's network means, so that windows can be averaged and grids interpolated.

    Logits are taken as they are, and so are the logarithms of probabilities: they differ from logits by what all
    classes of a voxel have in common, which changes neither the winner nor, interpolation being linear, the winner
    between voxels. Probabilities themselves saturate, which moves the borders of small structures. Of labels there is
    nothing left but votes: each window has one per voxel.
    """
    if spec.output == "softmax":
        return _logarithms
    if spec.output == "argmax":
        axes = 2 if spec.input.slices else 3
        classes = np.arange(len(spec.class_names), dtype=np.uint8).reshape(-1, *(1,) * axes)
        return lambda labels: (labels[:, None] == classes).astype(np.float32)
    return as_float


def _logarithms(probabilities: NDArray[np.generic]) -> NDArray[np.float32]:
    scores = probabilities.astype(np.float32)
    return np.log(np.maximum(scores, _LEAST_PROBABILITY, out=scores), out=scores)
