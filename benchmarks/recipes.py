# SPDX-License-Identifier: Apache-2.0
"""Whether every recipe of the papers runs from its data set's layout to labels on a CT, at toy size.

    .venv/bin/python benchmarks/recipes.py                                  every variant of every recipe
    .venv/bin/python benchmarks/recipes.py --only paper2_ltvs --first       the first variant of one

Four small scans are written in the layout that the recipe names; its network is cut as `test/networks/small.py` has it,
its patch with it, its batch is 2 at most, and its split becomes 2:1:1; all else is the recipe's. Then as anybody does
it: cases, steps, validation, the checkpoint to a bundle, and that behind a localizer for which all is liver (the
shipped one finds none in painted scans), or before the shipped segmenter, to the command `liver-seg segment` on one
of the scans, and where that finds 200 voxels of liver to `liver-seg reconstruct`. Networks of color pictures, of which
no bundle is made, are judged on the part that is kept for testing, exported, and shown a picture. Prints Markdown.
Nothing is said about how good a network is: some steps on four painted scans teach nothing, and many find no liver.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from shutil import copytree

import torch

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path += [str(REPOSITORY / "test" / "training"), str(REPOSITORY / "test" / "networks")]

from _sees_all import write_localizer  # noqa: E402
from onnxruntime import InferenceSession  # noqa: E402
from small import SMALL  # noqa: E402  the tests' own
from training_layouts import LAYOUTS  # noqa: E402

from liver_seg_ros.deploy.export import export_bundle  # noqa: E402
from liver_seg_ros.deploy.picture_model import export_picture_model  # noqa: E402
from liver_seg_ros.errors import InputError  # noqa: E402
from liver_seg_ros.files.volumes import read_labels, write_volume  # noqa: E402
from liver_seg_ros.labels import LIVER, SEGMENTED  # noqa: E402
from liver_seg_ros.training.checkpoint import Checkpoint  # noqa: E402
from liver_seg_ros.training.comparison import make_cases  # noqa: E402
from liver_seg_ros.training.hardware import Hardware  # noqa: E402
from liver_seg_ros.training.judging import cases_of, judge  # noqa: E402
from liver_seg_ros.training.recipe import Recipe  # noqa: E402
from liver_seg_ros.training.recipe_cases import training_and_validation  # noqa: E402
from liver_seg_ros.training.sources.catalog import open_source  # noqa: E402
from liver_seg_ros.training.sources.subject import TESTING, Scan  # noqa: E402
from liver_seg_ros.training.trainer import Trainer  # noqa: E402
from liver_seg_ros.training.variants import read_recipes  # noqa: E402

#: Those that begin with another's weights behind it.
RECIPES = (
    "paper1_tumor", "paper1_vessel", "paper1_ltbv_tumor", "paper1_ltbv_vessel", "paper1_student", "paper2_ltvs",
    "paper3_lits17", "paper3_kvasir", "paper4_lits17", "paper5_lits17",
)  # fmt: skip
#: What the size of the tests brings down to one voxel, whose norms a batch of 1 would leave one value.
ONE_VALUE = ("vnet",)
#: Voxels of liver of which meshes are made.
ENOUGH = 200
#: Where recipes that begin with another's weights look for them, below the folder that a command is started in.
TRAININGS = Path("build") / "training"
#: Where cases are kept.
CACHE = Path("cache")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", default=RECIPES, metavar="RECIPE")
    parser.add_argument("--first", action="store_true", help="the first variant of each")
    parser.add_argument("--steps", type=int, default=20)
    options = parser.parse_args()
    torch.set_num_threads(1)
    print("| recipe | variant | scans trained on | steps | model, MB | voxels found, liver and what lies in it |")
    print("| --- | --- | --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as scratch:
        os.chdir(scratch)  # as whoever calls a command where the data lies
        for name in options.only:
            recipes = read_recipes(REPOSITORY / "config" / "training" / f"{name}.yaml")
            for variant, recipe in [*recipes.items()][: 1 if options.first else None]:
                for line in rows(name, variant, recipe, options.steps):
                    print(line, flush=True)


def rows(name: str, variant: str, recipe: Recipe, steps: int) -> Iterator[str]:
    """What came of one variant, as a row; of one that needs another's weights which are not there, that."""
    toy = at_toy_size(recipe, steps)
    if toy.initial is not None and not Path(toy.initial).exists():
        yield f"| {name} | {variant} | needs {toy.initial} | | | |"
        return
    try:
        checkpoint = trained(toy, TRAININGS / name / variant)
        end = on_a_picture if toy.data.is_of_pictures else on_a_scan
        size_mb, found = end(checkpoint, Path("bundles") / name / variant)
    except InputError as error:
        yield f"| {name} | {variant} | **refused: {error}** | | | |"
        return
    yield f"| {name} | {variant} | {checkpoint.cases} | {checkpoint.step} | {size_mb:.2f} | {found} |"


def at_toy_size(recipe: Recipe, steps: int) -> Recipe:
    """The recipe with a tiny network and scans of its patch's size; writes the scans where its folder is."""
    small = SMALL[recipe.network["name"]]
    edges = tuple(small.size[::-1])
    patch = (*edges, *[1] * (3 - len(edges)))
    if recipe.network["name"] in ONE_VALUE and recipe.optimization.batch == 1:
        patch = (32, 32, 32)
    if recipe.distillation is not None:  # as the teacher takes slices of one size
        patch = (256, 128, 8)
    folder = Path(str(recipe.data.folder))
    if not folder.exists():
        LAYOUTS[recipe.data.source](folder)
    size = recipe.data.size and tuple(p if n else None for p, n in zip(patch, recipe.data.size, strict=True))
    spacing_mm = recipe.data.spacing_mm and (4.0, 4.0, 5.0)
    data = replace(recipe.data, split="2:1:1", size=size, spacing_mm=spacing_mm, fewest_slices=0, split_seed=0)
    plan = recipe.optimization
    window = plan.window and patch
    batch = min(plan.batch, 2)
    optimization = replace(plan, patch=patch, window=window, batch=batch, steps=steps, validate_every=steps)
    options = {name: value for name, value in small.options.items() if name != "channels_in"}  # these the data decide
    network = {**recipe.network, **options}
    return replace(recipe, data=data, optimization=optimization, network=network)


def trained(recipe: Recipe, output: Path) -> Checkpoint:
    make_cases(recipe, CACHE)
    training, validation = training_and_validation(recipe, CACHE)
    output.mkdir(parents=True, exist_ok=True)
    return Trainer(recipe, output, training, validation, hardware=Hardware("cpu")).run()


def on_a_scan(checkpoint: Checkpoint, folder: Path) -> tuple[float, str]:
    """Size of the bundle, MB, and how many voxels of a scan have which label with it."""
    recipe = checkpoint.recipe
    i, j, k = recipe.optimization.patch
    least = {structure.name: 0 for structure in recipe.structures}
    settings = {
        "name": "toy", "version": "0.1.0", "patch": [i, j, max(k, 1)], "overlap": 0.25, "min_volume_mm3": least,
        "margin_mm": 3,
    }  # fmt: skip
    role = "localizer" if recipe.stage == "localize" else "segmenter"
    bundle = export_bundle(checkpoint, folder / role, settings)
    size_mb = bundle.weights.stat().st_size / 1e6
    if role == "segmenter":
        write_localizer(folder / "localizer")
    else:
        copytree(REPOSITORY / "models" / "segmenter", folder / "segmenter")
    scan = open_source(recipe.data.source, Path(str(recipe.data.folder))).subjects[0].load()
    if not isinstance(scan, Scan):
        raise InputError(f"{recipe.data.source} holds no CTs")
    write_volume(folder / "ct.nii.gz", scan.ct)
    said = liver_seg("segment", folder / "ct.nii.gz", "--models", folder, "-o", folder / "segmented")
    if said:
        return size_mb, said
    labels = read_labels(folder / "segmented" / "labels.nii.gz").array
    words = ", ".join(f"{int((labels == s.value).sum()):,} {s.name}" for s in SEGMENTED)
    if (labels == LIVER.value).sum() >= ENOUGH:
        said = liver_seg("reconstruct", folder / "segmented" / "labels.nii.gz", "-o", folder / "reconstructed")
        words += said or f"; {len([*(folder / 'reconstructed').glob('*.glb')])} meshes"
    return size_mb, words


def on_a_picture(checkpoint: Checkpoint, folder: Path) -> tuple[float, str]:
    """Size of the ONNX file, MB, and how many pixels of a picture it finds polyps in; there is nothing to run it on."""
    recipe = checkpoint.recipe
    [scores] = judge(checkpoint, recipe, TESTING, CACHE).cases
    model = export_picture_model(checkpoint, folder / "model")
    [case] = cases_of(recipe, TESTING, CACHE).values()
    [softmax] = InferenceSession(model).run(None, {"image": case.image.astype("float32")[None]})
    found = int((softmax.argmax(axis=1) == 1).sum())
    iou = scores.scores["polyp"]["iou"]
    words = f"a picture, which no `liver-seg segment` takes: {found:,} pixels of polyps, IoU {iou:.2f}"
    return model.stat().st_size / 1e6, words


def liver_seg(*words: object) -> str:
    """The command, as a process, and the line in which it says that nothing was found. Raises `InputError` for more."""
    command = [sys.executable, "-c", "from liver_seg_ros.cli.main import main; main()", *map(str, words), "--quiet"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    said = done.stderr.strip()
    if done.returncode not in (0, 1) or (done.returncode and "\n" in said):  # warnings may be several lines
        raise InputError(f"liver-seg {words[0]} ended with {done.returncode}: {said}")
    return said.rpartition(".nii.gz: ")[2] if done.returncode else ""


if __name__ == "__main__":
    main()
