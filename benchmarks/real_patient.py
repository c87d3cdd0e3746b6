# SPDX-License-Identifier: Apache-2.0
"""The shipped models on a real patient with contrast, completely labelled: 3D-IRCADb-01, patient 17 (CC BY-NC-ND 4.0).

    .venv/bin/python benchmarks/real_patient.py                       ../shared/data/ircadb01_17/original_dicom.tar.gz
    .venv/bin/python benchmarks/real_patient.py 3Dircadb1.17          a folder of PATIENT_DICOM and MASKS_DICOM
    .venv/bin/python benchmarks/real_patient.py --models DIR --precision fp32      networks without int8 weights

Prints Markdown. The CT comes through the DICOM reader, the truth from the folder of masks as `segment --truth` takes
it: the organ is `liver` with the tumors in it, vessels are `portalvein` and `venoussystem` inside the organ, tumors go
before vessels. A lesion counts as found where it shares a voxel with one of the answer; one of the answer that shares
none with any is false.

One patient is a look at reality and no statement about accuracy. The archive is unpacked into a temporary folder;
nothing that is made from it is kept.
"""

from __future__ import annotations

import argparse
import sys
import tarfile
import tempfile
import time
from pathlib import Path

from _machine import machine

from liver_seg_ros.errors import InputError
from liver_seg_ros.evaluation.lesions import lesion_detection
from liver_seg_ros.files.volumes import read_volume
from liver_seg_ros.inference.segmenter import load_default_segmenter
from liver_seg_ros.labels import LIVER, SEGMENTED, TUMOR
from liver_seg_ros.training.command import run_command
from liver_seg_ros.truth import Truth, read_truth_of, score
from liver_seg_ros.volume import LabelVolume, Volume

ARCHIVE = Path(__file__).resolve().parents[2] / "shared" / "data" / "ircadb01_17" / "original_dicom.tar.gz"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("patient", type=Path, nargs="?", default=ARCHIVE, help="the archive, or what is in it")
    parser.add_argument(
        "--models", type=Path, help="folder of localizer/ and segmenter/; the shipped ones if not given"
    )
    parser.add_argument("--precision", nargs="+", default=["fp32", "int8"], help="of the networks (%(default)s)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="real_patient_") as scratch:
        folder = options.patient
        if folder.is_file():
            try:
                with tarfile.open(folder) as archive:
                    archive.extractall(scratch, filter="data")
            except (tarfile.TarError, EOFError, OSError) as error:
                raise InputError(f"{folder}: is no archive, or damaged; give the archive of the patient") from error
            folder = Path(scratch)
        start = time.perf_counter()
        ct = read_volume(folder / "PATIENT_DICOM")
        truth = read_truth_of(ct, folder / "MASKS_DICOM")
        read_seconds = time.perf_counter() - start
        rows = [_row(precision, options.models, ct, truth) for precision in options.precision]
    size = "x".join(str(n) for n in ct.geometry.size)
    spacing = "x".join(f"{s:.4g}" for s in ct.geometry.spacing_mm)
    sys.stdout.write(
        f"3D-IRCADb-01, patient 17: {size} voxels of {spacing} mm, {_contents(truth.labels)}; CT and masks read in "
        f"{read_seconds:.1f} s. {machine()}.\n\n"
        "| runtime | Dice liver | tumor | vessel | lesions found | missed | false | seconds |\n"
        f"| --- {'| ---: ' * 7}|\n{''.join(rows)}"
    )


def _row(precision: str, models: Path | None, ct: Volume, truth: Truth) -> str:
    segmenter = load_default_segmenter(models, precision=precision)
    found = segmenter.segment(ct)
    dice = score(found.labels, truth)
    lesions = lesion_detection(found.labels.mask(TUMOR.value), truth.labels.mask(TUMOR.value), iou=0.0)
    seconds = sum(seconds for stage, seconds in found.seconds.items() if stage != "load")
    cells = [
        segmenter.runtime_name,
        *(f"{dice[structure.name]:.3f}" for structure in SEGMENTED),
        f"{lesions.found}",
        f"{lesions.in_truth - lesions.found}",
        f"{lesions.in_answer - lesions.right}",
        f"{seconds:.1f}",
    ]
    return f"| {' | '.join(cells)} |\n"


def _contents(labels: LabelVolume) -> str:
    """Such as `1861 ml of liver, 164 ml of tumor in it, ...`: the liver is the organ."""
    ml = labels.geometry.voxel_volume_ml
    voxels = labels.counts()
    voxels[LIVER.name] = sum(voxels.values())
    return ", ".join(f"{voxels[structure.name] * ml:.0f} ml of {structure.name}" for structure in SEGMENTED)


if __name__ == "__main__":
    sys.exit(run_command(main))
