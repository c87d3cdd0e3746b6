# SPDX-License-Identifier: Apache-2.0
"""The package as a library, in few words::

    import liver_seg_ros as ls

    ct = ls.read("ct.nii.gz")                       # HU, on an LPS grid in mm
    found = ls.segment(ct)                          # found.labels is on the same grid
    surfaces = ls.reconstruct(found.labels)         # watertight meshes, LPS mm
    answers = ls.plan(found.labels, ct, lesion=1)   # trajectories from the skin, best first

Each function calls one of the packages, which offer more. They raise `errors.InputError`, whose text is one
line, where what they are given is at fault, and where an extra of the installation is missing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from liver_seg_ros.errors import InputError
from liver_seg_ros.extras import need
from liver_seg_ros.progress import Progress, no_progress

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from liver_seg_ros.geometry import Vector
    from liver_seg_ros.inference.segmenter import Segmentation, Segmenter
    from liver_seg_ros.measurement import StructureMeasurement
    from liver_seg_ros.mesh import Mesh, PointCloud
    from liver_seg_ros.planning.limits import Limits
    from liver_seg_ros.planning.patient_registration import PatientRegistration
    from liver_seg_ros.planning.questions import Answers
    from liver_seg_ros.planning.territories import LiverTerritories
    from liver_seg_ros.reconstruction.measuring.lesion_confidence import ProbabilityAt
    from liver_seg_ros.reconstruction.pipeline import Reconstruction, ReconstructionOptions
    from liver_seg_ros.vessel_tree import VesselTree
    from liver_seg_ros.volume import LabelVolume, Volume


def read(path: str | Path, series_uid: str | None = None, acquisition: str | None = None) -> Volume:
    """The CT in a NIfTI, NRRD or MetaImage file or a folder of DICOM; see `files.volumes.read_volume`."""
    from liver_seg_ros.files.volumes import read_volume

    return read_volume(path, series_uid, acquisition)


def read_labels(path: str | Path, ct: Volume | None = None, tool: str | None = None) -> LabelVolume:
    """The labels in a file, a folder of masks or a DICOM Segmentation object.

    Args:
        path: see `files.label_sources.read_label_source`.
        ct: whose labels they are: they then lie on its grid.
        tool: whose numbers they are, e.g. "totalsegmentator"; what the file says, or this package's own, for None.
    """
    from liver_seg_ros.files.label_scheme_files import find_scheme
    from liver_seg_ros.files.label_sources import read_label_source
    from liver_seg_ros.files.matching import on_grid_of

    scheme = None if tool is None else find_scheme(tool)
    labels = read_label_source(path, scheme, None if ct is None else ct.geometry).labels
    return labels if ct is None else on_grid_of(ct, labels, str(path))


def load_segmenter(
    models: str | Path | None = None,
    runtime: str = "auto",
    precision: str = "auto",
    gaussian_mm: Mapping[str, float] | None = None,
) -> Segmenter:
    """The networks, ready for any number of CTs.

    Args:
        models: folder of model bundles; those shipped for None.
        runtime, precision: see `inference.runtimes.choice`.
        gaussian_mm: {structure: mm} of a Gaussian over its labels, see `inference.smoothing`.
    """
    from liver_seg_ros.inference.segmenter import load_default_segmenter

    folder = None if models is None else Path(models)
    return load_default_segmenter(folder, runtime, precision, gaussian_mm=gaussian_mm)


def segment(ct: Volume, segmenter: Segmenter | None = None, progress: Progress = no_progress) -> Segmentation:
    """Liver, tumors and vessels of a CT of any orientation.

    Args:
        ct: of which nothing is known but its voxels and their places.
        segmenter: from `load_segmenter`, for more than one CT; loaded here, with the shipped models, for None.
        progress: told how far each stage is.
    """
    return (segmenter or load_segmenter()).segment(ct, progress)


def map_surroundings(ct: Volume, models: str | Path | None = None, progress: Progress = no_progress) -> LabelVolume:
    """Where the organs around the liver are, coarsely; see `inference.surroundings`.

    Args:
        ct: as for `segment`.
        models: folder of model bundles; those shipped for None.
        progress: told how far it is.
    """
    from liver_seg_ros.inference.surroundings import load_surroundings_mapper

    mapper = load_surroundings_mapper(None if models is None else Path(models))
    return mapper.find(ct, progress).labels


def measure(labels: LabelVolume, probability_at: ProbabilityAt | None = None) -> tuple[StructureMeasurement, ...]:
    """Volumes, diameters and distances of structures and lesions; see `reconstruction.measuring.structures.measure`.

    With `found.tumor_probability.at` of what `segment` found, each lesion has its confidence too.
    """
    from liver_seg_ros.reconstruction.measuring.structures import measure as measure_labels

    return tuple(measure_labels(labels, probability_at))


def reconstruct(
    labels: LabelVolume, options: ReconstructionOptions | None = None, progress: Progress = no_progress
) -> Reconstruction:
    """Meshes, collision meshes, cloud, vessel tree and measurements; see `reconstruction.pipeline.reconstruct`.

    Needs the extra [meshes].
    """
    need("meshes", "reconstruct")
    from liver_seg_ros.reconstruction.pipeline import reconstruct as reconstruct_labels

    return reconstruct_labels(labels, options, progress)


def plan(
    labels: LabelVolume,
    ct: Volume | None = None,
    *,
    lesion: int = 1,
    target_mm: Vector | None = None,
    entry_mm: Vector | None = None,
    entries_mm: ArrayLike | None = None,
    ablation_mm: tuple[float, float] | None = None,
    resection_plane: tuple[Vector, Vector] | None = None,
    limits: Limits | None = None,
    by_hu: bool = True,
    surroundings: LabelVolume | None = None,
    reconstruction: Reconstruction | None = None,
) -> Answers:
    """Trajectories of a needle to a lesion, best first, and what an ablation or a resection would do; LPS mm.

    Needs the extra [meshes]. The default limits are no clinical guideline.

    Args:
        labels: what to reach and what to keep clear of.
        ct: on the same grid; its skin is where a needle may begin, and it shows bone, lung and gas.
        lesion: which, 1 is the largest.
        target_mm: the lesion's center where None.
        entry_mm: judge the one trajectory from here.
        entries_mm: `(N, 3)` to rank; those on the skin where None.
        ablation_mm, resection_plane: see `planning.questions.Question`.
        limits: what a trajectory has to keep to.
        by_hu: whether to keep clear of bone, lung and gas by their HU in `ct`, where they are not labelled.
        surroundings: a map of the organs around the liver, such as `map_surroundings` gives, to keep clear of too.
        reconstruction: what `reconstruct` made of `labels`; made here where None.
    """
    need("meshes", "plan")
    import numpy as np

    from liver_seg_ros.planning.anatomy import prepare_anatomy
    from liver_seg_ros.planning.limits import Limits
    from liver_seg_ros.planning.questions import Question, answer

    from_skin = entry_mm is None and entries_mm is None
    if from_skin and ct is None and resection_plane is None:
        raise InputError("where does the needle begin? Give ct for the skin, or entry_mm or entries_mm.")
    question = Question(
        lesion=lesion - 1,
        limits=limits or Limits(),
        target_mm=target_mm,
        entry_mm=entry_mm,
        entries_mm=None if entries_mm is None else np.asarray(entries_mm, dtype=np.float64).reshape(-1, 3),
        ablation_mm=ablation_mm,
        resection_plane=resection_plane,
    )
    anatomy = prepare_anatomy(labels, reconstruction, ct, skin=from_skin, by_hu=by_hu, surroundings=surroundings)
    return answer(anatomy, question)


def register(
    landmarks_mm: tuple[ArrayLike, ArrayLike] | None = None,
    points_mm: ArrayLike | None = None,
    surface: Mesh | None = None,
    initial: ArrayLike | None = None,
) -> PatientRegistration:
    """Where the patient of a CT is in a robot's frame; see `planning.patient_registration.register_patient`.

    Needs the extra [meshes] where points are given.

    Args:
        landmarks_mm: `(N, 3)` as measured and `(N, 3)` in the CT, LPS.
        points_mm: `(M, 3)` as measured on the liver.
        surface: of the liver in the CT, such as a mesh of `reconstruct`.
        initial: `(4, 4)` from the frame that was measured in to the CT, where there are no landmarks.
    """
    if points_mm is not None:
        need("meshes", "registering by a surface")
    import numpy as np

    from liver_seg_ros.planning.patient_registration import register_patient
    from liver_seg_ros.planning.transform import RigidTransform

    start = None if initial is None else RigidTransform(np.asarray(initial, dtype=np.float64))
    return register_patient(landmarks_mm, points_mm, surface, start)


def territories(labels: LabelVolume, generation: int = 1, stems: Sequence[int] | None = None) -> LiverTerritories:
    """The liver divided among the branches of its portal vein; see `planning.territories.portal_territories`.

    Args:
        labels: with vessels; where they do not tell portal from hepatic veins, all vessels are taken.
        generation: of the branches that divide it: 0 the trunks, 1 what they fork into.
        stems: numbers of branches of the vessel tree instead.
    """
    from liver_seg_ros.planning.territories import portal_territories, stems_of_generation
    from liver_seg_ros.reconstruction.vessels.extraction import vessel_tree

    tree = vessel_tree(labels)
    return portal_territories(labels, tree, stems_of_generation(tree, generation) if stems is None else stems)


def write(
    path: str | Path, what: Volume | LabelVolume | Mesh | PointCloud | VesselTree | Sequence[StructureMeasurement]
) -> None:
    """Write one thing; the suffix chooses the format. A file that is there is replaced.

    Args:
        path: `.nii.gz`, `.nrrd`, `.mha` for a CT, also `.seg.nrrd` for labels; `.ply`, `.stl`, `.obj`, `.glb` for a
            mesh; `.ply` for a cloud; `.vtp`, `.json` for a vessel tree; `.json`, `.csv` for measurements.
        what: a result of the functions above, or a part of one.
    """
    from liver_seg_ros.files.volumes import write_labels, write_volume
    from liver_seg_ros.mesh import Mesh, PointCloud
    from liver_seg_ros.vessel_tree import VesselTree
    from liver_seg_ros.volume import LabelVolume, Volume

    if isinstance(what, Volume):
        write_volume(path, what)
    elif isinstance(what, LabelVolume):
        write_labels(path, what)
    elif isinstance(what, (Mesh, PointCloud, VesselTree)):
        need("meshes", f"writing {path}")
        from liver_seg_ros.files.meshes import write_cloud, write_mesh
        from liver_seg_ros.files.vessel_tree import write_vessel_tree

        if isinstance(what, Mesh):
            write_mesh(path, what)
        elif isinstance(what, PointCloud):
            write_cloud(path, what)
        else:
            write_vessel_tree(path, what)
    else:
        from liver_seg_ros.files.measurements import write_measurements

        write_measurements(path, what)
