# SPDX-License-Identifier: Apache-2.0
"""`liver-seg phantom --into CT --liver MASK`: reads both, paints, and writes the CT, its labels and the truth."""

from __future__ import annotations

import json
from pathlib import Path

from liver_seg_ros.cli.console import print_facts, print_json, print_written
from liver_seg_ros.cli.progress_display import shown_progress
from liver_seg_ros.files.label_sources import read_labels_of
from liver_seg_ros.files.phantom_case import CT, IMPLANTS, LABELS
from liver_seg_ros.files.volumes import read_volume, write_labels, write_volume
from liver_seg_ros.outputs.folder import ResultFolder
from liver_seg_ros.phantom.implants import ImplantOptions, implant
from liver_seg_ros.progress import Stages

#: Raised when a key of `implants.json` changes its meaning or goes away.
FORMAT = 1


def paint_into(
    into: Path,
    liver: Path,
    output: Path,
    seed: int,
    options: ImplantOptions,
    *,
    overwrite: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """What the command does with `--into`; `liver` is a mask or labels of the CT `into`, of any tool.

    Raises `InputError` where one cannot be read, they do not fit, or a file is in the way.
    """
    names = (CT, LABELS, IMPLANTS)
    place = ResultFolder(output, "phantom", names, (into, liver), overwrite)
    with shown_progress(quiet, as_json) as progress:
        stages = Stages(progress)
        with stages.stage("read"):
            ct = read_volume(into)
            labels = read_labels_of(ct, liver)
        with stages.stage("paint"):
            case = implant(ct, labels, seed, options)
        with stages.stage("write"), place.filled() as folder:
            write_volume(folder / CT, case.ct)
            write_labels(folder / LABELS, case.labels)
            truth = {"format": FORMAT, "ct": CT, "labels": LABELS, "phase": options.phase, **case.to_dict()}
            (folder / IMPLANTS).write_text(json.dumps(truth) + "\n", encoding="utf-8")
    counts = {"tumors": len(case.tumors), "trees": len(case.trees)}
    if as_json:
        files = {name: str(output / name) for name in names}
        measured = case.to_dict()["measured"]
        print_json(
            {"seed": seed, "phase": options.phase, "files": files, "voxels": case.labels.counts(), **counts}
            | {"measured": measured, "seconds": stages.seconds}
        )
    elif not quiet:
        print_facts({"painted into": str(into), "seed": seed, "contrast phase": options.phase, **counts})
        print_written(output, names)
