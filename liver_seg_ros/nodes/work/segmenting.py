# SPDX-License-Identifier: Apache-2.0
"""The work of the node `segmentation`: networks that are loaded once, and a CT after the other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from liver_seg_ros.files.checks import check_ct
from liver_seg_ros.inference.bundle import ModelBundle
from liver_seg_ros.inference.runtimes.base import LoadOptions
from liver_seg_ros.inference.segmenter import CoarseLiver, Segmentation, load_default_segmenter
from liver_seg_ros.inference.surroundings import SurroundingsMap, load_surroundings_mapper
from liver_seg_ros.inference.wanted import only_wanted
from liver_seg_ros.labels import HEPATIC_VEIN, LIVER, PORTAL_VEIN, VESSEL, Structure
from liver_seg_ros.measurement import StructureMeasurement
from liver_seg_ros.nodes.work.saving import Saved, Segmented, Where, save_segmented
from liver_seg_ros.plausibility.judgment import PlausibilityWarning, plausibility_warnings
from liver_seg_ros.progress import Cancelled, Progress
from liver_seg_ros.reconstruction.measuring.structures import measure
from liver_seg_ros.reconstruction.vessels.veins import separate_veins
from liver_seg_ros.volume import Volume


@dataclass(frozen=True)
class Networks:
    """Which networks are loaded, and what runs them."""

    runtime_name: str
    bundles: Sequence[ModelBundle]


@dataclass(frozen=True)
class Judgment:
    """What was measured of the labels, and why to doubt them."""

    measurements: Sequence[StructureMeasurement]
    warnings: Sequence[PlausibilityWarning]


class Segmenting:
    """Loads the networks; see `load_default_segmenter` for what they may be and what is refused.

    With `surroundings` also that of `load_surroundings_mapper`; with `veins` vessels are told apart (`separate_veins`).
    """

    def __init__(
        self,
        models_dir: Path | None,
        runtime: str,
        precision: str,
        cache_dir: Path | None,
        surroundings: bool,
        veins: bool,
        progress: Progress,
        cancelled: Cancelled,
    ) -> None:
        options = LoadOptions(cache_dir=cache_dir, progress=progress, cancelled=cancelled)
        self._segmenter = load_default_segmenter(models_dir, runtime, precision, options)
        self._mapper = load_surroundings_mapper(models_dir, runtime, precision, options) if surroundings else None
        self._veins = veins

    def networks(self, progress: Progress, cancelled: Cancelled) -> Iterator[Networks]:
        """What is loaded."""
        yield Networks(self._segmenter.runtime_name, self._segmenter.bundles)

    def save(self, where: Where, result: Segmented, progress: Progress, cancelled: Cancelled) -> Iterator[Saved]:
        """See `save_segmented`."""
        yield save_segmented(where, result)

    def read(
        self, path: str, series_uid: str, acquisition: str, progress: Progress, cancelled: Cancelled
    ) -> Iterator[Volume]:
        """One CT; see `read_volume` for what is refused."""
        from liver_seg_ros.files.volumes import read_volume  # 100 MB, and mostly others read the CT

        progress("read", 0.0)
        yield read_volume(Path(path).expanduser(), series_uid or None, acquisition or None)
        progress("read", 1.0)

    def segment(
        self, volume: Volume, wanted: Sequence[Structure], preview: bool, progress: Progress, cancelled: Cancelled
    ) -> Iterator[CoarseLiver | Segmentation | SurroundingsMap | Judgment]:
        """A `Segmentation`, for which others may wait, then its `Judgment`; of `wanted` only where that is not empty.

        In between the map of the surroundings, where that is asked for. Veins are told apart with its vena cava then.
        With `preview`, and where the liver is wanted, a `CoarseLiver` long before all that.

        Raises `InputError` for what is no CT, and whatever `Segmenter.segment` does.
        """
        check_ct(volume, f"volume {volume.uid}")
        for step in self._segmenter.steps(volume, progress, cancelled):
            if isinstance(step, Segmentation):
                segmentation = step
            elif preview and (not wanted or LIVER in wanted):
                yield step
        sure = segmentation.tumor_probability  # stays here: nobody beyond needs it, and it has some megabytes
        around = None
        if self._veins:
            around = self._mapper.find(volume, progress, cancelled) if self._mapper is not None else None
            apart = separate_veins(segmentation.labels, around.labels if around is not None else None)
            segmentation = replace(segmentation, labels=apart.labels)
            wanted = _with_kinds(wanted)
        yield replace(segmentation, labels=only_wanted(segmentation.labels, wanted), tumor_probability=None)
        if self._mapper is not None:
            yield around or self._mapper.find(volume, progress, cancelled)
        measurements = measure(segmentation.labels, sure.at if sure else None)
        warnings = plausibility_warnings(segmentation.labels, measurements, volume, segmentation.run)
        yield Judgment([m for m in measurements if not wanted or m.structure in wanted], warnings)


def _with_kinds(wanted: Sequence[Structure]) -> Sequence[Structure]:
    """Who wants vessels wants those too that have a name."""
    return (*wanted, PORTAL_VEIN, HEPATIC_VEIN) if VESSEL in wanted else wanted
