# SPDX-License-Identifier: Apache-2.0
"""A loaded network, asked about a CT: from HU on any grid to scores at the network's spacing, slice by slice."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from liver_seg_ros.geometry import Geometry, Vector
from liver_seg_ros.inference.bundle import BundleSpec, ModelBundle
from liver_seg_ros.inference.preprocessing import normalize
from liver_seg_ros.inference.resampling import resampled_slices
from liver_seg_ros.inference.runtimes.base import Runtime
from liver_seg_ros.inference.sliding import ToScores, as_float, score_slices
from liver_seg_ros.inference.stacks import score_stacks
from liver_seg_ros.progress import Stages, raise_if_cancelled

#: The smallest number above zero that float16 has: what a probability of zero may have been.
_LEAST_PROBABILITY = np.float32(np.finfo(np.float16).smallest_subnormal)


class Network:
    """A bundle in a runtime. Several threads may ask it: one waits until the other has all of its scores."""

    def __init__(self, bundle: ModelBundle, runtime: Runtime) -> None:
        self.bundle = bundle
        self.runtime = runtime
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
        grid = geometry.resampled(spacing_mm or spec.input.spacing_for(geometry))
        slices: Iterator[NDArray[np.float32]] = resampled_slices(lambda k: hu[k], geometry, grid)
        if spec.values == "normalized":
            slices = (normalize(plane, spec.input.hu_window) for plane in slices)

        def before_batch(done: float) -> None:
            raise_if_cancelled(stages.cancelled, stage)
            stages.progress(stage, shares[0] + done * (shares[1] - shares[0]))

        taken = stages.timed_each(resampling or stage, slices)
        if spec.input.slices:
            scores = score_stacks(self.runtime, taken, grid.shape, spec, to_scores(spec), before_batch)
        else:
            scores = score_slices(self.runtime, taken, grid.shape, spec.input, to_scores(spec), before_batch)
        return grid, self._in_turn(stages.timed_each(stage, scores))

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
        classes = np.arange(len(spec.labels), dtype=np.uint8).reshape(-1, *(1,) * axes)
        return lambda labels: (labels[:, None] == classes).astype(np.float32)
    return as_float


def _logarithms(probabilities: NDArray[np.generic]) -> NDArray[np.float32]:
    scores = probabilities.astype(np.float32)
    return np.log(np.maximum(scores, _LEAST_PROBABILITY, out=scores), out=scores)
