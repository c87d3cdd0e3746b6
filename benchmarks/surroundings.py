# SPDX-License-Identifier: Apache-2.0
"""How well the map of the surroundings shows organs: Dice on phantoms that no recipe may train on and on two real CTs.

    .venv/bin/python benchmarks/surroundings.py                   phantoms, then ../shared/data
    .venv/bin/python benchmarks/surroundings.py --json out.json   also the phantoms' means, for `deploy.export --scores`

Prints Markdown. All is scored on the network's own grid, to which the truth is brought by the largest share of each
voxel. "missed" counts organs of 10 ml and more of which less than a tenth is found, "false" those found where there are
none. The torso's masks are another network's (TotalSegmentator). Of the patient (3D-IRCADb-01, 17) `artery` and
`venoussystem` outside of the liver stand for aorta and vena cava, though they hold branches; `skin` is compared with
the body that planning finds by HU, `bone` also with what planning finds by HU. Two CTs are a look at reality and no
statement about accuracy; nothing made from them is kept.
"""

from __future__ import annotations

import argparse
import json
import sys
import tarfile
import tempfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from _machine import machine
from numpy.typing import NDArray
from pydicom import dcmread
from real_patient import ARCHIVE

from liver_seg_ros.evaluation.overlap import overlap
from liver_seg_ros.files.label_sources import read_labels_of
from liver_seg_ros.files.volumes import read_labels, read_volume
from liver_seg_ros.geometry import Geometry
from liver_seg_ros.inference.bundle import load_bundle
from liver_seg_ros.inference.model_folders import LOCALIZER, find_models_dir
from liver_seg_ros.inference.network import Network
from liver_seg_ros.inference.resampling import resample_labels_to
from liver_seg_ros.inference.runtimes.choice import AUTO, create_runtime
from liver_seg_ros.inference.surroundings import SurroundingsMapper, load_surroundings_mapper
from liver_seg_ros.labels import BACKGROUND, BONE, LIVER, SURROUNDINGS, TUMOR, VESSEL, Structure, structure_by_name
from liver_seg_ros.orientation import to_canonical
from liver_seg_ros.phantom import PhantomOptions, generate_phantom
from liver_seg_ros.phantom.tissue import PHASES
from liver_seg_ros.planning.body import find_body
from liver_seg_ros.planning.bone_by_hu import find_bone
from liver_seg_ros.planning.coarse_ct import coarse_ct
from liver_seg_ros.progress import Stages
from liver_seg_ros.volume import LabelVolume, Volume

FIRST_SEED = 11_000  # recipes end at 9000 (training/recipe.py)
LEAST_ML, LEAST_FOUND = 10.0, 0.1
TORSO = ARCHIVE.parents[1] / "ct_torso_3mm"
TORSO_MASKS = {
    "liver": "liver", "portal_vein": "portal_vein_and_splenic_vein", "vena_cava": "inferior_vena_cava",
    "aorta": "aorta", "gallbladder": "gallbladder", "stomach": "stomach", "spleen": "spleen",
}  # fmt: skip

Values = NDArray[np.uint8]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=Path, help="folder of models; the shipped ones if not given")
    parser.add_argument("--cases", type=int, default=10, help="number of phantoms, half of them varied (%(default)s)")
    parser.add_argument("--first-seed", type=int, default=FIRST_SEED, help="%(default)s")
    parser.add_argument("--json", type=Path, help="also write the phantoms' means here")
    options = parser.parse_args()
    mapper = load_surroundings_mapper(options.models)
    localizer = load_bundle(find_models_dir(options.models) / LOCALIZER)
    coarse = Network(localizer, create_runtime(AUTO, localizer))
    sys.stdout.write(f"{mapper.bundle.spec.name} {mapper.bundle.spec.version}. {machine()}.\n\n")
    means = _phantoms(mapper, coarse, range(options.first_seed, options.first_seed + options.cases))
    if options.json:
        options.json.write_text(json.dumps({"phantoms": means}), encoding="utf-8")
    if TORSO.is_dir():
        _torso(mapper, coarse)
    if ARCHIVE.is_file():
        _patient(mapper, coarse)


def _phantoms(mapper: SurroundingsMapper, localizer: Network, seeds: Iterable[int]) -> dict[str, dict[str, float]]:
    """Means of Dice by variation and structure; "localizer" is that of the liver by the shipped localizer."""
    scores: dict[str, dict[str, list[float]]] = {"plain": {}, "varied": {}}
    missed, false = dict.fromkeys(SURROUNDINGS, 0), dict.fromkeys(SURROUNDINGS, 0)
    for n, seed in enumerate(seeds):
        variation = ("plain", "varied")[n % 2]
        scan = PhantomOptions(
            (190, 190, 110), (2.0, 2.0, 3.0), PHASES[(2, 2, 1, 1, 0, 0)[n % 6]], variation=variation, surroundings=True
        )  # type: ignore[arg-type]
        phantom = generate_phantom(seed, scan)
        assert phantom.surroundings is not None
        found, truth = _pair(mapper, phantom.ct, phantom.surroundings.array)
        for structure in SURROUNDINGS:
            there, here = truth.array == structure.value, found.array == structure.value
            ml = there.sum() * truth.geometry.voxel_volume_ml
            if ml >= LEAST_ML:
                scores[variation].setdefault(structure.name, []).append(overlap(here, there).dice)
                missed[structure] += int((here & there).sum() < LEAST_FOUND * there.sum())
            elif ml == 0:
                false[structure] += int(here.sum() * truth.geometry.voxel_volume_ml >= LEAST_ML)
        scores[variation].setdefault("localizer", []).append(_localizer_dice(localizer, phantom.ct, truth))
    means = {
        kind: {name: round(float(np.mean(values)), 3) for name, values in rows.items()} for kind, rows in scores.items()
    }
    sys.stdout.write(
        "| structure | Dice, plain phantoms | varied | missed | false |\n| --- | ---: | ---: | ---: | ---: |\n"
    )
    for structure in SURROUNDINGS:
        cells = [f"{means[kind].get(structure.name, float('nan')):.3f}" for kind in means]
        sys.stdout.write(f"| {structure.title} | {' | '.join(cells)} | {missed[structure]} | {false[structure]} |\n")
    cells = [f"{means[kind]['localizer']:.3f}" for kind in means]
    sys.stdout.write(f"| liver by the localizer | {' | '.join(cells)} | | |\n\n")
    sys.stdout.flush()
    return means


def _torso(mapper: SurroundingsMapper, localizer: Network) -> None:
    ct = read_volume(TORSO / "ct.nii.gz")
    values = np.zeros(ct.array.shape, np.uint8)
    for name, file in TORSO_MASKS.items():
        values[read_labels(TORSO / f"{file}.nii.gz").array > 0] = structure_by_name(name).value
    for side in ("left", "right"):
        values[read_labels(TORSO / f"kidney_{side}.nii.gz").array > 0] = structure_by_name("kidney").value
    found, truth = _pair(mapper, ct, values)
    _print_real("torso without contrast", found, truth, _localizer_dice(localizer, ct, truth))


def _patient(mapper: SurroundingsMapper, localizer: Network) -> None:
    with tempfile.TemporaryDirectory(prefix="surroundings_") as scratch:
        with tarfile.open(ARCHIVE) as archive:
            archive.extractall(scratch, filter="data")
        ct = read_volume(Path(scratch) / "PATIENT_DICOM")
        labels = read_labels_of(ct, Path(scratch) / "MASKS_DICOM")
        liver, skin = (_mask(Path(scratch) / "MASKS_DICOM" / name) for name in ("liver", "skin"))
    values = labels.array.copy()
    values[liver] = LIVER.value  # with the vessels in it
    found, truth = _pair(mapper, ct, values)
    _print_real("patient 17 of 3D-IRCADb-01", found, truth, _localizer_dice(localizer, ct, truth))
    body = find_body(ct)
    none = LabelVolume(np.where(values == BONE.value, BACKGROUND, values).astype(np.uint8), ct.geometry, ct.uid)
    blocks = coarse_ct(ct, none, body)
    bone = LabelVolume(np.where(find_bone(blocks), BONE.value, BACKGROUND).astype(np.uint8), blocks.geometry, ct.uid)
    by_hu = resample_labels_to(bone.array, bone.geometry, truth.geometry) == BONE.value
    true_bone, mapped = truth.array == BONE.value, found.array == BONE.value
    either, inside = by_hu | mapped, body.inside.astype(np.uint8)
    true_skin = _on(to_canonical(ct.geometry).apply(skin.astype(np.uint8)), ct.geometry, body.geometry)
    sys.stdout.write(
        f"Bone by HU: Dice {overlap(by_hu, true_bone).dice:.3f}, by either {overlap(either, true_bone).dice:.3f}; of "
        f"the mask HU finds {_recall(by_hu, true_bone):.3f}, the map {_recall(mapped, true_bone):.3f}, either "
        f"{_recall(either, true_bone):.3f}. Body by HU against skin: {overlap(inside, true_skin > 0).dice:.3f}.\n"
    )


def _mask(folder: Path) -> NDArray[np.bool_]:
    """`(K, J, I)` of a folder of DICOM slices, upward as those of the CT."""
    slices = sorted((dcmread(path) for path in folder.iterdir()), key=lambda s: float(s.ImagePositionPatient[2]))
    return np.stack([s.pixel_array for s in slices]) > 0


def _pair(mapper: SurroundingsMapper, ct: Volume, values: Values) -> tuple[LabelVolume, LabelVolume]:
    """The map and the truth, `values` `(K, J, I)` on the CT's grid, both on the network's grid."""
    found = mapper.find(ct, spacing_mm=mapper.bundle.spec.input.spacing_mm[0]).labels
    whole = np.where(np.isin(values, (TUMOR.value, VESSEL.value)), LIVER.value, values).astype(np.uint8)
    return found, LabelVolume(_on(to_canonical(ct.geometry).apply(whole), ct.geometry, found.geometry), found.geometry)


def _on(canonical: Values, geometry: Geometry, grid: Geometry) -> Values:
    """Labels in canonical order of the axes of `geometry`, brought to `grid`."""
    return resample_labels_to(canonical, to_canonical(geometry).apply_to_geometry(geometry), grid)


def _localizer_dice(localizer: Network, ct: Volume, truth: LabelVolume) -> float:
    """Of the liver, by the shipped localizer on its own grid, which is that of `truth`."""
    axes = to_canonical(ct.geometry)
    grid, slices = localizer.scores(axes.apply(ct.array), axes.apply_to_geometry(ct.geometry), Stages(), "localize")
    liver = np.stack([scores.argmax(axis=0) for scores in slices]) == LIVER.value
    assert grid.is_same_grid(truth.geometry)
    return overlap(liver, truth.array == LIVER.value).dice


def _print_real(title: str, found: LabelVolume, truth: LabelVolume, localizer: float) -> None:
    ml = truth.geometry.voxel_volume_ml
    sys.stdout.write(
        f"{title}\n\n| structure | Dice | found of it | ml found | ml in the mask |\n| --- |{' ---: |' * 4}\n"
    )
    for structure in _known(truth):
        here, there = found.array == structure.value, truth.array == structure.value
        cells = f"{overlap(here, there).dice:.3f} | {_recall(here, there):.3f}"
        sys.stdout.write(f"| {structure.title} | {cells} | {here.sum() * ml:.0f} | {there.sum() * ml:.0f} |\n")
    sys.stdout.write(f"| liver by the localizer | {localizer:.3f} | | | |\n\n")
    sys.stdout.flush()


def _known(truth: LabelVolume) -> list[Structure]:
    return [structure for structure in SURROUNDINGS if (truth.array == structure.value).any()]


def _recall(found: NDArray[np.bool_], truth: NDArray[np.bool_]) -> float:
    return float((found & truth).sum() / max(truth.sum(), 1))


if __name__ == "__main__":
    main()
