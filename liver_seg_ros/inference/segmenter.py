# SPDX-License-Identifier: Apache-2.0
"""The cascade: find the liver coarsely in the whole CT, then segment finely inside its padded box.

Where the coarse network is unsure (`localization.Finding.unsure`), the fine one searches the whole CT for the liver.
Where the liver that the fine one finds ends only because nothing counts any further, it looks further there.

Inside the box slices flow: CT slices are resampled as windows need them, and as soon as all windows over a slice have
run, its scores are brought to the CT's grid and their arg-max is kept. So neither the scores nor the resampled CT ever
exist as a whole.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from liver_seg_ros.errors import InputError
from liver_seg_ros.geometry import Box, Geometry, mm3_to_ml
from liver_seg_ros.inference.bundle import ModelBundle, load_bundle
from liver_seg_ros.inference.doubt import Doubt
from liver_seg_ros.inference.fusion import gives_liver, joint_postprocessing, label_tables
from liver_seg_ros.inference.growing import grown_organ
from liver_seg_ros.inference.input_spec import LIVER_VIEW
from liver_seg_ros.inference.labeling import Labeling
from liver_seg_ros.inference.liver_place import LiverPlace
from liver_seg_ros.inference.localization import Finding, find_liver
from liver_seg_ros.inference.looking import Looked, look
from liver_seg_ros.inference.model_folders import find_models_dir, model_folders
from liver_seg_ros.inference.network import Network, load_network
from liver_seg_ros.inference.postprocessing import Organ, clean_organ, find_organ, without
from liver_seg_ros.inference.region import Region
from liver_seg_ros.inference.runtimes.base import DEFAULTS, LoadOptions
from liver_seg_ros.inference.runtimes.choice import AUTO
from liver_seg_ros.inference.smoothing import check_smoothing, smooth_labels
from liver_seg_ros.inference.tumor_probability import TumorProbability
from liver_seg_ros.inference.vessel_steps import refine_vessels
from liver_seg_ros.labels import LIVER, TUMOR
from liver_seg_ros.orientation import to_canonical
from liver_seg_ros.plausibility.evidence import Run
from liver_seg_ros.progress import Cancelled, Progress, Stages, never_cancelled, no_progress
from liver_seg_ros.short_repr import short_repr
from liver_seg_ros.volume import LabelVolume, Volume


@dataclass(frozen=True, eq=False)
class Segmentation:
    """What a `Segmenter` found in one CT.

    Attributes:
        labels: on the CT's own grid, with the CT's uid; all background where no liver was found.
        liver_found: whether there is a liver in the CT.
        liver_box: the box on the CT's grid that the fine networks worked in; None where no liver was found.
        seconds: wall time per stage: "load" (the networks, once per `Segmenter`), "localize", "search" (where the
            localizer was unsure), "resample", "segment", "upsample", "postprocess", "further" (where the liver reached
            beyond what the localizer had seen of it); all behind "search" are missing where no liver was found.
        message: one line for people.
        run: what else to know of the networks that ran: whether the whole CT was searched, whether the liver still ends
            at the edge of where was looked, and what they learned from.
        further_mm: how much further than near the localizer's liver was looked, because the liver reached there.
        tumor_probability: how sure the network is of tumors; None where it does not say, or no liver was found.
        entropy: on the CT's grid, where the network is in doubt, 0 to `entropy_map.FULL`; None where nobody asked, or
            no liver was found.
    """

    labels: LabelVolume
    liver_found: bool
    liver_box: Box | None
    seconds: dict[str, float]
    message: str
    run: Run = field(default_factory=Run)
    further_mm: float = 0.0
    tumor_probability: TumorProbability | None = None
    entropy: Volume | None = None

    def __repr__(self) -> str:
        return f"Segmentation({self.message}; {self.labels.geometry.in_words}; {sum(self.seconds.values()):.1f} s)"

    @property
    def searched(self) -> bool:
        """Whether the fine network searched the whole CT because the localizer was unsure."""
        return self.run.searched

    @property
    def cut_off(self) -> bool:
        """Whether the liver still ends at the edge of where was looked."""
        return self.run.cut_off


@dataclass(frozen=True, eq=False)
class CoarseLiver:
    """The liver as it was found first, long before the labels; never a result.

    Attributes:
        labels: on a coarse grid over the CT's extent, axes near left, posterior, superior, with the CT's uid.
    """

    labels: LabelVolume

    __repr__ = short_repr


class Segmenter:
    """Networks loaded and ready; `segment` may be called any number of times, from one thread at a time.

    Attributes:
        bundles: what was loaded, the localizer first.
    """

    def __init__(
        self,
        localizer: ModelBundle,
        segmenters: ModelBundle | Sequence[ModelBundle],
        runtime: str = AUTO,
        precision: str = AUTO,
        options: LoadOptions = DEFAULTS,
        skip: Collection[str] = (),
        gaussian_mm: Mapping[str, float] | None = None,
    ) -> None:
        """Load all networks.

        Args:
            localizer: a bundle of stage "localize".
            segmenters: one bundle of stage "segment", or several that give different structures; `fusion` says how
                their answers are put together. Where none gives the liver, it is the localizer's.
            runtime: a name of `RUNTIMES`, or "auto" for the first available.
            precision: number format of the weights, see `bundle.PRECISIONS`; "auto" for what is best on that runtime.
            options: where engines are kept, progress and cancellation of building them.
            skip: steps of postprocessing to leave out, of those in `bundle.POSTPROCESSING_STEPS`.
            gaussian_mm: {structure: standard deviation} of what is smoothed, see `smoothing`; over the bundles' own.

        Raises:
            InputError: a bundle of the wrong stage, no such runtime or weights, or weights that it refuses, no such
                step, or no such smoothing.
            CancelledError: `options.cancelled()` was true while an engine was built.
        """
        fine = [segmenters] if isinstance(segmenters, ModelBundle) else list(segmenters)
        for bundle, stage in ((localizer, "localize"), *((bundle, "segment") for bundle in fine)):
            if bundle.spec.stage != stage:
                raise InputError(f"the model in {bundle.folder} is for stage '{bundle.spec.stage}', not '{stage}'")
        self._tables = label_tables(fine)
        self._of_tumors = next((n for n, table in enumerate(self._tables) if TUMOR.value in table), None)
        self._postprocessing = without(joint_postprocessing(fine), skip)
        self._gaussian_mm = {**self._postprocessing.gaussian_mm, **check_smoothing(gaussian_mm or {})}
        self.bundles = (localizer, *fine)
        stages = Stages(no_progress, never_cancelled)
        with stages.timed("load"):
            self._localizer, *self._segmenters = (
                load_network(bundle, runtime, precision, options) for bundle in self.bundles
            )
        self._load_seconds = stages.seconds

    @property
    def runtime_name(self) -> str:
        """Which runtime executes the fine networks, in which number format and on what."""
        runtimes = [network.runtime for network in self._segmenters]
        return ", ".join(dict.fromkeys(f"{r.name} {r.precision} ({r.device})" for r in runtimes))

    def segment(
        self,
        volume: Volume,
        progress: Progress = no_progress,
        cancelled: Cancelled = never_cancelled,
        entropy: bool = False,
    ) -> Segmentation:
        """Liver, tumors and vessels of a CT of any orientation, spacing and extent.

        Args:
            volume: the CT.
            progress: called with the stages "localize", "search", "segment", "postprocess" and "further".
            cancelled: asked before each stage and each run of a network.
            entropy: whether the entropy of the first fine network is wanted too.

        Raises:
            CancelledError: `cancelled()` was true.
            InputError: that network gives labels alone, and its entropy is wanted.
        """
        *_, segmentation = self.steps(volume, progress, cancelled, entropy)
        assert isinstance(segmentation, Segmentation)
        return segmentation

    def steps(
        self,
        volume: Volume,
        progress: Progress = no_progress,
        cancelled: Cancelled = never_cancelled,
        entropy: bool = False,
    ) -> Iterator[CoarseLiver | Segmentation]:
        """What `segment` gives, and before it, as soon as it is found, the coarse liver; none where there is no liver.

        Arguments and errors as of `segment`. Where the fine network does not confirm it, the segmentation is empty.
        """
        stages = Stages(progress, cancelled)
        stages.seconds.update(self._load_seconds)
        reorientation = to_canonical(volume.geometry)
        hu = reorientation.apply(volume.array)  # (K, J, I) in canonical orientation, a view
        geometry = reorientation.apply_to_geometry(volume.geometry)
        labels = np.zeros(volume.array.shape, np.uint8)

        finding = self._find_liver(self._localizer, hu, geometry, stages, "localize")
        fine = next((network for network in self._segmenters if gives_liver(network.bundle)), None)
        searched = finding.unsure and fine is not None
        if searched and fine is not None:
            finding = self._find_liver(fine, hu, geometry, stages, "search")
        coarse = finding.coarse_labels(volume.uid)
        if coarse is not None:
            yield CoarseLiver(coarse)
        synthetic = tuple(b.spec.name for b in self.bundles if b.spec.training_data == "synthetic")
        doubt = self._doubt(geometry, entropy)
        looked = None if finding.place is None else self._look(hu, geometry, finding, finding.place, stages, doubt)
        if looked is None or not looked.labels.any():
            reason = (
                "the fine network does not confirm what the localizer found" if finding.place else _too_small(finding)
            )
            empty = LabelVolume(labels, volume.geometry, volume.uid)
            message = f"no liver found: {reason}"
            yield Segmentation(empty, False, None, stages.seconds, message, Run(searched, synthetic_models=synthetic))
            return

        found = smooth_labels(looked.labels, geometry.crop(looked.place.box), self._gaussian_mm)
        reorientation.apply(labels)[looked.place.box.slices] = found
        yield Segmentation(
            labels=LabelVolume(labels, volume.geometry, volume.uid),
            liver_found=True,
            liver_box=reorientation.inverse().apply_to_box(looked.place.box, geometry.size),
            seconds=stages.seconds,
            message="liver found"
            + ("" if fine is not None else ", as the localizer has it")
            + ("; the localizer was unsure" if finding.unsure and fine is None else "")
            + ("; the localizer was unsure, so the whole CT was searched" if searched else "")
            + (
                f"; it reached further than the localizer saw, so {looked.further_mm:.0f} mm further was looked"
                if looked.further_mm
                else ""
            )
            + (", and still ends only where that ended" if looked.cut_off else ""),
            run=Run(searched, looked.cut_off, synthetic, doubt.tumors.least_lesion if doubt.tumors else None),
            further_mm=looked.further_mm,
            tumor_probability=doubt.tumors,
            entropy=doubt.entropy_volume(volume, reorientation),
        )

    def __repr__(self) -> str:
        names = ", ".join(f"{bundle.spec.name} {bundle.spec.version}" for bundle in self.bundles)
        return f"Segmenter({names}; {self.runtime_name})"

    def close(self) -> None:
        """Give back the networks' memory; `segment` must not be called afterwards."""
        for network in (self._localizer, *self._segmenters):
            network.close()

    def _find_liver(
        self, network: Network, hu: NDArray[np.int16], geometry: Geometry, stages: Stages, stage: str
    ) -> Finding:
        wanted = self._localizer.spec.postprocessing
        least_mm3 = wanted.min_volume_mm3.get(LIVER.name, 0.0)
        shown = network.spec.input
        # A network that is shown the liver's box at one size has no size for all of the CT.
        spacing_mm = shown.spacing_mm if stage == "search" and shown.view == LIVER_VIEW else None
        keep = not any(gives_liver(segmenter.bundle) for segmenter in self._segmenters)
        finding = find_liver(network, hu, geometry, stages, stage, wanted.margin_mm, least_mm3, spacing_mm, keep)
        network.release_memory()
        return finding

    def _doubt(self, geometry: Geometry, entropy: bool) -> Doubt:
        """What is kept of a CT on `geometry`, canonical, of how sure the networks are."""
        of_tumors = None if self._of_tumors is None else self._segmenters[self._of_tumors].spec
        return Doubt.of(of_tumors, self._of_tumors, self._segmenters[0].spec if entropy else None, geometry)

    def _look(
        self,
        hu: NDArray[np.int16],
        geometry: Geometry,
        finding: Finding,
        place: LiverPlace,
        stages: Stages,
        doubt: Doubt,
    ) -> Looked:
        """Segment at `place` of the whole CT `hu` `(K, J, I)` on `geometry`, canonical, and further where needed."""
        labeling = Labeling(self._segmenters, self._tables, hu, geometry, stages, doubt, finding.scores)

        def label(region: Region, further: bool) -> NDArray[np.uint8]:
            return labeling.label(region, "further" if further else "segment")

        def find(labels: NDArray[np.uint8], place: LiverPlace) -> Organ:
            with stages.timed("postprocess"):
                return find_organ(labels, geometry.crop(place.box), self._postprocessing)

        def grow(organ: Organ, labels: NDArray[np.uint8], added: Region) -> Organ | None:
            with stages.timed("postprocess"):
                return grown_organ(organ, labels, added, self._postprocessing)

        def clean(organ: Organ, place: LiverPlace) -> NDArray[np.uint8]:
            with stages.stage("postprocess"):
                crop = geometry.crop(place.box)
                cleaned = clean_organ(organ, crop, self._postprocessing)
                return refine_vessels(cleaned, hu[place.box.slices], crop, self._postprocessing.steps)

        looked = look(place, label, find, grow, clean, further=finding.scores is None)
        if looked.further_mm:
            stages.seconds.setdefault("further", 0.0)  # all of it had been seen
        return looked


def load_default_segmenter(
    models_dir: Path | None = None,
    runtime: str = AUTO,
    precision: str = AUTO,
    options: LoadOptions = DEFAULTS,
    skip: Collection[str] = (),
    gaussian_mm: Mapping[str, float] | None = None,
) -> Segmenter:
    """The `Segmenter` of the shipped models, or of those in `models_dir` (see `model_folders.find_models_dir`).

    Raises:
        InputError: no models are found, a bundle is invalid, or the runtime cannot run it.
    """
    localizer, *segmenters = (load_bundle(folder) for folder in model_folders(find_models_dir(models_dir)))
    return Segmenter(localizer, segmenters, runtime, precision, options, skip, gaussian_mm)


def _too_small(finding: Finding) -> str:
    if not finding.liver_mm3:
        return "the localizer sees nothing like a liver"
    liver_ml, least_ml = mm3_to_ml(finding.liver_mm3), mm3_to_ml(finding.least_mm3)
    return f"the largest liver-like region has {liver_ml:.0f} ml, below {least_ml:.0f} ml"
