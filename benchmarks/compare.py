# SPDX-License-Identifier: Apache-2.0
"""Two revisions of this package beside each other in one run: seconds, peak memory and accuracy, as ratios.

    .venv/bin/python benchmarks/compare.py HEAD~20                       what lies here against that revision
    .venv/bin/python benchmarks/compare.py v1.2.0 --against main         two revisions
    .venv/bin/python benchmarks/compare.py main --jobs segment --pairs 7 --size 256,256,150 --spacing-mm 1.4,1.4,1.6

Prints Markdown. Each revision is checked out beside the other and does the same jobs on the same files, each job a
fresh process on two cores, read from and written to disk as a user's is:

    segment      the CT, scored against the truth
    reconstruct  the true labels, so that both work on the same; meshes against the exact surface of the phantom
    found        the same of labels that the new revision's networks found in the CT, whose surfaces are less smooth
    plan         the true labels with their CT, to the largest lesion

The revisions take turns (A B, B A, A B, ...), so that a machine that slows down slows both. A ratio is the median over
the pairs of old seconds by new seconds, above 1 where the new one is faster; its spread are the least and the largest.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import trimesh
from _machine import machine
from _surface_error import Truth

from liver_seg_ros.files.volumes import write_labels, write_volume
from liver_seg_ros.labels import LIVER, TUMOR, VESSEL
from liver_seg_ros.phantom import Phantom, PhantomOptions, generate_phantom

CORES = 2
SEED = 9_001  # never trained on
JOBS = ("segment", "reconstruct", "found", "plan")
STRUCTURES = (LIVER, TUMOR, VESSEL)
ROOT = Path(__file__).resolve().parents[1]


@dataclass
class Runs:
    """What one job took in one revision, a value for each pair."""

    seconds: list[float] = field(default_factory=list)
    peak_mb: list[float] = field(default_factory=list)
    stages: list[dict[str, float]] = field(default_factory=list)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("revision", metavar="REV", help="the old one: a commit, branch or tag")
    parser.add_argument("--against", metavar="REV", help="the new one; the files as they lie here if not given")
    parser.add_argument("--jobs", default=",".join(JOBS), help="%(default)s")
    parser.add_argument("--pairs", type=int, default=5, help="%(default)s")
    parser.add_argument("--size", default="512,512,300", help="of the phantom, voxels I,J,K (%(default)s)")
    parser.add_argument("--spacing-mm", default="0.75,0.75,1.0", help="of the phantom, mm I,J,K (%(default)s)")
    parser.add_argument("--seed", type=int, default=SEED, help="of the phantom (%(default)s)")
    options = parser.parse_args()
    os.sched_setaffinity(0, set(sorted(os.sched_getaffinity(0))[:CORES]))
    with tempfile.TemporaryDirectory() as name, _checked_out(options.revision, Path(name) / "old") as old:
        if options.against is None:
            _compare(old, ROOT, options, Path(name))
            return
        with _checked_out(options.against, Path(name) / "new") as new:
            _compare(old, new, options, Path(name))


@contextmanager
def _checked_out(revision: str, folder: Path) -> Iterator[Path]:
    git = ["git", "-C", str(ROOT), "worktree"]
    added = subprocess.run([*git, "add", "--detach", str(folder), revision], capture_output=True, text=True)
    if added.returncode:
        sys.exit(
            f"{revision}: {added.stderr.strip().splitlines()[-1]}; give a commit, branch or tag of this repository"
        )
    try:
        yield folder
    finally:
        subprocess.run([*git, "remove", "--force", str(folder)], check=True)


def _compare(old: Path, new: Path, options: argparse.Namespace, folder: Path) -> None:
    size = tuple(int(n) for n in options.size.split(","))
    spacing_mm = tuple(float(n) for n in options.spacing_mm.split(","))
    phantom = generate_phantom(options.seed, PhantomOptions(size=size, spacing_mm=spacing_mm, tumor_count=5))
    write_volume(folder / "ct.nii.gz", phantom.ct)
    write_labels(folder / "labels.nii.gz", phantom.labels)
    new_name = options.against or "the files here"
    sys.stdout.write(
        f"{options.revision} ({_commit(old)}, old) and {new_name} ({_commit(new)}, new): synthetic CT of "
        f"{'x'.join(map(str, size))} voxels of {'x'.join(f'{s:g}' for s in spacing_mm)} mm, seed {options.seed}, "
        f"{options.pairs} pairs. {machine()}.\n"
    )
    for job in options.jobs.split(","):
        runs = {old: Runs(), new: Runs()}
        if job == "found" and not _output(folder, "segment", new).is_dir():
            _run("segment", new, folder, Runs())
        for pair in range(options.pairs):
            for revision in (old, new) if pair % 2 == 0 else (new, old):
                _run(job, revision, folder, runs[revision])
        sys.stdout.write(_markdown(job, runs[old], runs[new]))
        scores = {r: _scores(job, phantom, _output(folder, job, r)) for r in (old, new)}
        names = dict.fromkeys(name for of_one in scores.values() for name in of_one)
        sys.stdout.write(_table(["", "old", "new"], [[n, *(scores[r].get(n, "") for r in (old, new))] for n in names]))
        sys.stdout.flush()


def _commit(folder: Path) -> str:
    """The commit that lies there, with a + where files differ from it."""
    described = ["git", "-C", str(folder), "describe", "--always", "--dirty=+", "--exclude=*"]
    return subprocess.run(described, check=True, capture_output=True, text=True).stdout.strip()


def _output(folder: Path, job: str, revision: Path) -> Path:
    return folder / f"{job}-{'new' if revision.name != 'old' else 'old'}"


def _run(job: str, revision: Path, folder: Path, runs: Runs) -> None:
    """One run in a process of its own; its memory is the kernel's figure."""
    output = _output(folder, job, revision)
    ct, labels, found = (str(folder / name) for name in ("ct.nii.gz", "labels.nii.gz", "segment-new/labels.nii.gz"))
    words = {
        "segment": ["segment", ct, "--truth", labels],
        "reconstruct": ["reconstruct", labels],
        "found": ["reconstruct", found],
        "plan": ["plan", labels, "--ct", ct],
    }[job]
    command = [sys.executable, "-m", "liver_seg_ros.cli.main", *words, "-o", str(output), "--overwrite", "--quiet"]
    environment = {**os.environ, "PYTHONPATH": str(revision)}
    environment.pop("LIVER_SEG_MODELS", None)  # each revision runs the models that it ships
    child = subprocess.run(
        [sys.executable, str(ROOT / "benchmarks" / "_child.py"), *command],
        cwd=revision,
        env=environment,
        check=True,
        stdout=subprocess.PIPE,
    )
    took = json.loads(child.stdout)
    if took["code"] not in (0, 1):  # 1: no trajectory, no liver; an answer too
        sys.exit(f"{job} of {revision.name} ended with {took['code']}")
    runs.seconds.append(took["seconds"])
    runs.peak_mb.append(took["peak_mb"])
    report = output / ("plan.json" if job == "plan" else "report.json")
    runs.stages.append(json.loads(report.read_text())["seconds"])


def _markdown(job: str, old: Runs, new: Runs) -> str:
    rows = [["**process, whole**", *_ratio(old.seconds, new.seconds)]]
    for stage in dict.fromkeys(name for runs in (old, new) for stages in runs.stages for name in stages):
        both = [[stages[stage] for stages in runs.stages if stage in stages] for runs in (old, new)]
        rows.append([stage, *_ratio(both[0], both[1])])
    rows.append(["peak memory, MB", *_ratio(old.peak_mb, new.peak_mb, "{:.0f}")])
    return f"\n**{job}**\n" + _table(["seconds", "old", "new", "old by new", "least to largest"], rows)


def _ratio(old: list[float], new: list[float], form: str = "{:.2f}") -> list[str]:
    """The medians and the ratios; empty where one of both has no such stage, or not in each of its runs."""
    middle = [form.format(statistics.median(values)) if values else "" for values in (old, new)]
    if len(old) != len(new) or not all(new):
        return [*middle, "", ""]
    ratios = [a / b for a, b in zip(old, new, strict=True)]
    return [*middle, f"{statistics.median(ratios):.2f}", f"{min(ratios):.2f} to {max(ratios):.2f}"]


def _scores(job: str, phantom: Phantom, output: Path) -> dict[str, str]:
    """Of the last run; runs of one revision on one CT give the same."""
    if job == "segment":
        dice: dict[str, Any] = json.loads((output / "report.json").read_text())["dice"]
        return {f"Dice, {name}": f"{value:.4f}" for name, value in dice.items() if value is not None}
    if job == "plan":
        found = json.loads((output / "plan.json").read_text())["trajectories"]
        clearance = {"clearance of the first, mm": f"{found[0]['clearance_mm']:.2f}"} if found else {}
        return {"trajectories": str(len(found)), **clearance}
    if job == "found":  # has no exact surface
        files = {structure.name: output / f"{structure.name}_collision.ply" for structure in STRUCTURES}
        return {
            f"{name}: triangles of the collision mesh": str(len(trimesh.load(file, process=False).faces))
            for name, file in files.items()
            if file.is_file()
        }
    scores = {}
    for structure in STRUCTURES:
        mesh = trimesh.load(output / f"{structure.name}.ply", process=False)
        error = Truth(phantom, structure).error(np.asarray(mesh.vertices), np.asarray(mesh.faces))
        scores[f"{structure.name}: triangles"] = str(error.triangles)
        scores[f"{structure.name}: surface error, mean and 95 %, mm"] = (
            f"{error.mean_mm:.3f}, {error.percentile_95_mm:.3f}"
        )
        scores[f"{structure.name}: volume error"] = f"{error.volume_error:+.2%}"
    return scores


def _table(heads: list[str], rows: list[list[str]]) -> str:
    lines = [heads, ["---", *["---:"] * (len(heads) - 1)], *rows]
    return "\n" + "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


if __name__ == "__main__":
    main()
