"""The cascade: find the liver coarsely in the whole CT, then segment finely inside its padded box."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from liver_seg_ros.errors import InputError
from liver_seg_ros.geometry import Box, Geometry
from liver_seg_ros.inference.bundle import BundleSpec, ModelBundle, load_bundle
from liver_seg_ros.inference.liver_place import LiverPlace, place_of
from liver_seg_ros.inference.model_folders import LOCALIZER, SEGMENTER, find_models_dir
from liver_seg_ros.inference.orientation import to_canonical
from liver_seg_ros.inference.postprocessing import clean_labels, largest_liver
from liver_seg_ros.inference.preprocessing import normalize
from liver_seg_ros.inference.resampling import SliceOf, largest_share, resample_to_spacing
from liver_seg_ros.inference.runtimes.base import DEFAULTS, LoadOptions, Runtime
from liver_seg_ros.inference.runtimes.registry import AUTO, create_runtime
from liver_seg_ros.inference.timing import Stages
from liver_seg_ros.inference.windows import run_windows
from liver_seg_ros.labels import BACKGROUND, LIVER
from liver_seg_ros.progress import Cancelled, Progress, never_cancelled, no_progress
from liver_seg_ros.volume import LabelVolume, Volume

MM3_PER_ML = 1000.0


@dataclass(frozen=True, eq=False)
class Segmentation:
    """What a `Segmenter` found in one CT.

    Attributes:
        labels: on the CT's own grid, with the CT's uid; all background where no liver was found.
        liver_found: whether there is a liver in the CT.
        liver_box: the box on the CT's grid that the fine network worked in; None where no liver was found.
        seconds: wall time per stage: "load" (the networks, once per `Segmenter`), "localize", "resample", "segment",
            "upsample", "postprocess"; the last four are missing where no liver was found.
        message: one line for people.
    """

    labels: LabelVolume
    liver_found: bool
    liver_box: Box | None
    seconds: dict[str, float]
    message: str


class Segmenter:
    """Two networks loaded and ready; `segment` may be called any number of times, from one thread at a time."""

    def __init__(
        self,
        localizer: ModelBundle,
        segmenter: ModelBundle,
        runtime: str = AUTO,
        precision: str = AUTO,
        options: LoadOptions = DEFAULTS,
    ) -> None:
        """Load both networks.

        Args:
            localizer: a bundle of stage "localize".
            segmenter: a bundle of stage "segment".
            runtime: a name of the runtime registry, or "auto" for the first available.
            precision: number format of the weights, see the registry; "auto" for what is best on that runtime.
            options: where engines are kept, progress and cancellation of building them.

        Raises:
            InputError: a bundle of the wrong stage, no such runtime or weights, or weights that it refuses.
            CancelledError: `options.cancelled()` was true while an engine was built.
        """
        for bundle, stage in ((localizer, "localize"), (segmenter, "segment")):
            if bundle.spec.stage != stage:
                raise InputError(f"the model in {bundle.folder} is for stage '{bundle.spec.stage}', not '{stage}'")
            if bundle.spec.output == "argmax":  # labels of overlapping windows cannot be blended
                raise InputError(
                    f"the model in {bundle.folder} gives labels; windows are blended from logits or softmax"
                )
        stages = Stages(no_progress, never_cancelled)
        with stages.stage("load"):
            self._localizer = create_runtime(runtime, localizer, precision, options)
            self._segmenter = create_runtime(runtime, segmenter, precision, options)
        self._load_seconds = stages.seconds
        self.localizer_bundle = localizer
        self.segmenter_bundle = segmenter

    @property
    def runtime_name(self) -> str:
        """Which runtime executes the fine network, in which number format and on what."""
        return f"{self._segmenter.name} {self._segmenter.precision} ({self._segmenter.device})"

    def segment(
        self, volume: Volume, progress: Progress = no_progress, cancelled: Cancelled = never_cancelled
    ) -> Segmentation:
        """Liver, tumors and vessels of a CT of any orientation, spacing and extent.

        Args:
            volume: the CT.
            progress: called with the stages' names of `Segmentation.seconds`.
            cancelled: asked before each stage and each window.

        Raises:
            CancelledError: `cancelled()` was true.
        """
        stages = Stages(progress, cancelled)
        stages.seconds.update(self._load_seconds)
        reorientation = to_canonical(volume.geometry)
        hu = reorientation.apply(volume.array)  # (K, J, I) in canonical orientation, a view
        geometry = reorientation.apply_to_geometry(volume.geometry)
        labels = np.zeros(volume.array.shape, np.uint8)

        place, liver_mm3 = self._localize(hu, geometry, stages)
        if place is None:
            least_ml = self._least_liver_mm3 / MM3_PER_ML
            reason = f"the largest liver-like region has {liver_mm3 / MM3_PER_ML:.0f} ml, below {least_ml:.0f} ml"
            return _no_liver(volume, labels, stages, reason)
        box = place.box
        found = self._segment_box(hu[box.slices], geometry.crop(box), place, stages)
        if not found.any():
            return _no_liver(volume, labels, stages, "the fine network does not confirm what the localizer found")

        reorientation.apply(labels)[box.slices] = found
        found_ml = np.count_nonzero(found) * geometry.voxel_volume_mm3 / MM3_PER_ML
        return Segmentation(
            labels=LabelVolume(labels, volume.geometry, volume.uid),
            liver_found=True,
            liver_box=reorientation.inverse().apply_to_box(box, geometry.size),
            seconds=stages.seconds,
            message=f"liver found in {volume.uid}: {found_ml:.0f} ml with its tumors and vessels",
        )

    def close(self) -> None:
        """Give back the networks' memory; `segment` must not be called afterwards."""
        self._localizer.close()
        self._segmenter.close()

    @property
    def _least_liver_mm3(self) -> float:
        return self.localizer_bundle.spec.postprocessing.min_volume_mm3.get(LIVER.name, 0.0)

    def _localize(self, hu: NDArray[np.int16], geometry: Geometry, stages: Stages) -> tuple[LiverPlace | None, float]:
        """Where the liver is on `geometry`, None where there is none, and the liver's volume in mm3."""
        spec = self.localizer_bundle.spec
        with stages.stage("localize"):
            coarse_hu, coarse = resample_to_spacing(hu, geometry, spec.input.spacing_mm)
            logits = _run(self._localizer, coarse_hu, spec, "localize", stages)
            liver = largest_liver(logits.argmax(axis=0).astype(np.uint8))
            # As a share of the CT, since a thin CT's one coarse voxel may be thicker than the CT itself.
            liver_mm3 = float(np.count_nonzero(liver) / liver.size * np.prod(geometry.extent_mm))
            if liver_mm3 < self._least_liver_mm3:
                return None, liver_mm3
            return place_of(liver, coarse, geometry, spec.postprocessing.margin_mm), liver_mm3

    def _segment_box(
        self, hu: NDArray[np.int16], geometry: Geometry, place: LiverPlace, stages: Stages
    ) -> NDArray[np.uint8]:
        """Clean labels `(K, J, I)` of the voxels `hu` `(K, J, I)` on `geometry`, canonical and cut to `place.box`."""
        spec = self.segmenter_bundle.spec
        with stages.stage("resample"):
            fine_hu, fine = resample_to_spacing(hu, geometry, spec.input.spacing_mm)
        with stages.stage("segment"):
            logits = _run(self._segmenter, fine_hu, spec, "segment", stages)  # (C, K, J, I)
        with stages.stage("upsample"):
            # Logits, not probabilities, which saturate and so move the borders of small structures, and not the
            # arg-max: with ideal scores plus noise on a phantom, tumors lost 0.01 to 0.03 and 0.05 of Dice that way.
            labels = largest_share([_slices_of(scores) for scores in logits], fine, geometry)
        with stages.stage("postprocess"):
            labels[~place.near()] = BACKGROUND
            return clean_labels(labels, geometry, spec.postprocessing)


def load_default_segmenter(
    models_dir: Path | None = None, runtime: str = AUTO, precision: str = AUTO, options: LoadOptions = DEFAULTS
) -> Segmenter:
    """The `Segmenter` of the shipped models, or of those in `models_dir` (see `model_folders.find_models_dir`).

    Raises:
        InputError: no models are found, a bundle is invalid, or the runtime cannot run it.
    """
    folder = find_models_dir(models_dir)
    return Segmenter(load_bundle(folder / LOCALIZER), load_bundle(folder / SEGMENTER), runtime, precision, options)


def _run(
    runtime: Runtime, hu: NDArray[np.float32], spec: BundleSpec, stage: str, stages: Stages
) -> NDArray[np.float32]:
    values = hu if spec.values == "hu" else normalize(hu, spec.input.hu_window)
    return run_windows(runtime, values, spec.input, stage, stages.progress, stages.cancelled)


def _slices_of(scores: NDArray[np.float32]) -> SliceOf:
    return lambda k: scores[k]


def _no_liver(volume: Volume, labels: NDArray[np.uint8], stages: Stages, reason: str) -> Segmentation:
    empty = LabelVolume(labels, volume.geometry, volume.uid)
    return Segmentation(empty, False, None, stages.seconds, f"no liver found in {volume.uid}: {reason}")
