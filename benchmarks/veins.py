# SPDX-License-Identifier: Apache-2.0
"""Portal and hepatic veins told apart: phantoms whose trees are known, then one real patient.

    .venv/bin/python benchmarks/veins.py
    .venv/bin/python benchmarks/veins.py --plain 14101,14102 --varied 14201 --phase portal_venous

Prints Markdown: shares of vessel voxels and of centerline length that were given a name, and of these the shares whose
name is right; on the phantom's own labels and on the network's. The vena cava comes from the network's map of the
surroundings in both. The constants of `vein_evidence.py` and `vein_kinds.py` in `reconstruction/vessels` were chosen on
other phantoms: 24101 to 24106 and 24201 to 24205, with what the network found too, 34101 to 34108 and 34201 to 34208.
How finely trees are cut (`veins.py`) was chosen on 14001 to 14006 and on this patient, so that what is printed of him
is no independent test.

Of the patient (3D-IRCADb-01, 17, CC BY-NC-ND 4.0) vessels inside the liver count; nothing that is made from it is kept.
"""

from __future__ import annotations

import argparse
import sys
import tarfile
import tempfile
from pathlib import Path

import numpy as np
from _machine import machine
from real_patient import ARCHIVE

from liver_seg_ros.evaluation.vein_scores import VeinScores, score_veins
from liver_seg_ros.files.label_sources import read_labels_of
from liver_seg_ros.files.volumes import read_volume
from liver_seg_ros.inference.segmenter import load_default_segmenter
from liver_seg_ros.inference.surroundings import load_surroundings_mapper
from liver_seg_ros.labels import HEPATIC_VEIN, PORTAL_VEIN, VESSEL
from liver_seg_ros.phantom import PhantomOptions, generate_phantom
from liver_seg_ros.phantom.variation import Variation
from liver_seg_ros.reconstruction.vessels.veins import separate_veins
from liver_seg_ros.truth import read_truth_of
from liver_seg_ros.volume import LabelVolume

HEADER = "| case | phase | labels | voxels named | right of these | length named | right of these |\n"
RULE = "| --- | --- | --- | ---: | ---: | ---: | ---: |\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--plain", default="14101,14102,14103,14104,14105,14106", help="seeds (%(default)s)")
    parser.add_argument("--varied", default="14201,14202,14203,14204,14205,14206", help="seeds (%(default)s)")
    parser.add_argument("--phase", choices=("none", "arterial", "portal_venous"), help="by the seed where not given")
    parser.add_argument("--patient", type=Path, default=ARCHIVE, help="the archive; left out where it is not there")
    options = parser.parse_args()
    sys.stdout.write(f"{machine()}.\n\n{HEADER}{RULE}")
    segmenter, mapper = load_default_segmenter(), load_surroundings_mapper()
    scores: dict[tuple[Variation, str], list[VeinScores]] = {}
    kinds: tuple[tuple[Variation, str], ...] = (("plain", options.plain), ("varied", options.varied))
    for kind, seeds in kinds:
        for seed in (int(seed) for seed in seeds.split(",") if seed):
            phantom = generate_phantom(seed, PhantomOptions(variation=kind, phase=options.phase, surroundings=True))
            around = mapper.find(phantom.ct).labels
            found = segmenter.segment(phantom.ct).labels
            for whose, labels in (("true", phantom.labels), ("network's", found)):
                apart = separate_veins(labels, around)
                score = score_veins(apart.labels, apart.tree, phantom.portal, phantom.hepatic)
                scores.setdefault((kind, whose), []).append(score)
                _row(f"{kind} {seed}", phantom.phase, whose, score)
    for (kind, whose), of_all in scores.items():
        mean = VeinScores(*(float(np.nanmean([getattr(s, name) for s in of_all])) for name in vars(of_all[0])))
        _row(f"**{kind}, mean of {len(of_all)}**", "", whose, mean)
    if options.patient.is_file():
        with tempfile.TemporaryDirectory(prefix="veins_") as scratch:
            with tarfile.open(options.patient) as archive:
                archive.extractall(scratch, filter="data")
            ct = read_volume(Path(scratch) / "PATIENT_DICOM")
            truth = read_labels_of(ct, Path(scratch) / "MASKS_DICOM", None)
            unnamed = read_truth_of(ct, Path(scratch) / "MASKS_DICOM").labels
        around = mapper.find(ct).labels
        for whose, labels in (("true", unnamed), ("network's", segmenter.segment(ct).labels)):
            _patient_row(truth, labels, around, whose)


def _row(case: str, phase: str, whose: str, score: VeinScores) -> None:
    shares = (score.voxels_named, score.voxels_right, score.line_named, score.line_right)
    cells = [case, phase, whose, *(f"{share:.3f}" for share in shares)]
    sys.stdout.write(f"| {' | '.join(cells)} |\n")
    sys.stdout.flush()


def _patient_row(truth: LabelVolume, labels: LabelVolume, around: LabelVolume, whose: str) -> None:
    apart = separate_veins(labels, around)
    there = labels.mask(VESSEL.value) & np.isin(truth.array, (PORTAL_VEIN.value, HEPATIC_VEIN.value))
    given, right = apart.labels.array[there], truth.array[there]
    named = given != VESSEL.value
    score = VeinScores(float(named.mean()), float((given == right)[named].mean()), np.nan, np.nan)
    _row("patient 17", "not told", whose, score)


if __name__ == "__main__":
    main()
