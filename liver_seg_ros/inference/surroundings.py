# SPDX-License-Identifier: Apache-2.0
"""A coarse map of what surrounds the liver: bowel, great vessels, bone and other organs, as far as a network tells."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from pathlib import Path

import cc3d
import numpy as np
from numpy.typing import NDArray

from liver_seg_ros.errors import InputError
from liver_seg_ros.geometry import Geometry
from liver_seg_ros.inference.bundle import ModelBundle, load_bundle
from liver_seg_ros.inference.model_folders import SURROUNDINGS, find_models_dir
from liver_seg_ros.inference.network import load_network
from liver_seg_ros.inference.resampling import largest_share
from liver_seg_ros.inference.runtimes.base import DEFAULTS, LoadOptions
from liver_seg_ros.inference.runtimes.choice import AUTO
from liver_seg_ros.labels import BACKGROUND, Structure, structure_by_name
from liver_seg_ros.orientation import to_canonical
from liver_seg_ros.progress import Cancelled, Progress, Stages, never_cancelled, no_progress
from liver_seg_ros.short_repr import short_repr
from liver_seg_ros.volume import LabelVolume, Volume

#: Voxels of a map. Scores interpolated to half the network's spacing have smoother borders; finer ones know no more.
MAP_MM = 2.0

#: What the work is called in progress and times.
STAGE = "surround"


@dataclass(frozen=True, eq=False)
class SurroundingsMap:
    """What a network holds for the organs around the liver in one CT.

    Attributes:
        labels: of the CT's extent and uid, on a grid of its own (`MAP_MM`), axes near left, posterior, superior.
        structures: what the network tells apart; of what is not in `labels` it found none.
        seconds: wall time.
        model: name and version of the bundle.
    """

    labels: LabelVolume
    structures: tuple[Structure, ...]
    seconds: float
    model: str

    __repr__ = short_repr


class SurroundingsMapper:
    """The network, loaded and ready; `find` may be called any number of times, from one thread at a time."""

    def __init__(
        self, bundle: ModelBundle, runtime: str = AUTO, precision: str = AUTO, options: LoadOptions = DEFAULTS
    ) -> None:
        """Load it.

        Args:
            bundle: of stage "surround".
            runtime, precision, options: as of `Segmenter`.

        Raises:
            InputError: a bundle of another stage, or one that the runtime refuses.
        """
        if bundle.spec.stage != STAGE:
            raise InputError(f"the model in {bundle.folder} is for stage '{bundle.spec.stage}', not '{STAGE}'")
        self.bundle = bundle
        self._network = load_network(bundle, runtime, precision, options)

    @property
    def structures(self) -> tuple[Structure, ...]:
        """What the network tells apart."""
        return tuple(structure_by_name(name) for name in list(self.bundle.spec.labels.values())[1:])

    def find(
        self,
        volume: Volume,
        progress: Progress = no_progress,
        cancelled: Cancelled = never_cancelled,
        spacing_mm: float = MAP_MM,
    ) -> SurroundingsMap:
        """The organs in a CT of any orientation, spacing and extent.

        Of each, parts that are smaller than the bundle's `min_volume_mm3` are left out.

        Args:
            volume: the CT.
            progress: called with the stage "surround".
            cancelled: asked before each run of the network.
            spacing_mm: of the map.

        Raises:
            CancelledError: `cancelled()` was true.
        """
        stages = Stages(progress, cancelled)
        reorientation = to_canonical(volume.geometry)
        geometry = reorientation.apply_to_geometry(volume.geometry)
        grid = geometry.resampled((spacing_mm, spacing_mm, spacing_mm))
        table = np.array(self.bundle.spec.label_values, np.uint8)
        labels = np.empty(grid.shape, np.uint8)
        with stages.stage(STAGE):
            coarse, scores = self._network.scores(reorientation.apply(volume.array), geometry, stages, STAGE)
            for k, winners in enumerate(largest_share(scores, coarse, grid)):
                labels[k] = table[winners]
            self._network.release_memory()
            labels = without_small_parts(labels, grid, self._least_mm3())
        spec = self.bundle.spec
        found = LabelVolume(labels, grid, volume.uid)
        return SurroundingsMap(found, self.structures, stages.seconds[STAGE], f"{spec.name} {spec.version}")

    def close(self) -> None:
        """Give back the network's memory; `find` must not be called afterwards."""
        self._network.close()

    def _least_mm3(self) -> dict[int, float]:
        least = self.bundle.spec.postprocessing.min_volume_mm3
        return {structure.value: least.get(structure.name, 0.0) for structure in self.structures}


def without_small_parts(
    labels: NDArray[np.uint8], geometry: Geometry, least_mm3: dict[int, float]
) -> NDArray[np.uint8]:
    """`labels` `(K, J, I)` without the connected parts of a value that are smaller than `least_mm3` has for it."""
    parts = cc3d.connected_components(labels, connectivity=26, out_dtype=np.uint32)  # of each value by itself
    voxels = np.bincount(parts.reshape(-1))
    value_of = np.zeros(len(voxels), np.uint8)
    value_of[parts.reshape(-1)] = labels.reshape(-1)
    least = np.array([ceil(least_mm3.get(int(v), 0.0) / geometry.voxel_volume_mm3) for v in value_of])
    value_of[voxels < least] = BACKGROUND
    return value_of[parts]


def load_surroundings_mapper(
    models_dir: Path | None = None, runtime: str = AUTO, precision: str = AUTO, options: LoadOptions = DEFAULTS
) -> SurroundingsMapper:
    """The mapper of the shipped models, or of those in `models_dir` (see `model_folders.find_models_dir`).

    A `precision` that this bundle does not have, and others may, is left to the runtime.

    Raises:
        InputError: there is no such model, it is invalid, or the runtime cannot run it.
    """
    folder = find_models_dir(models_dir) / SURROUNDINGS
    if not (folder / "model.yaml").is_file():
        raise InputError(f"there is no model {folder}: what surrounds the liver cannot be found; leave that out")
    bundle = load_bundle(folder)
    made_in = {bundle.spec.precision, *(variant.precision for variant in bundle.spec.variants.values())}
    return SurroundingsMapper(bundle, runtime, precision if precision in made_in else AUTO, options)
