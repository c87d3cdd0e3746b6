# SPDX-License-Identifier: Apache-2.0
"""`--labels` on every command: whose numbers or names the labels have, and what comes out of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pytest

from liver_seg_ros.cli import main

Run = Callable[..., dict]
ML = 3.0**3 / 1000


@pytest.fixture(scope="module")
def other_tools(small_ct: Path, draw_body: Callable, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The labels of `small_ct` as other tools leave them."""
    folder = tmp_path_factory.mktemp("other_tools")
    image = nibabel.load(small_ct / "labels.nii.gz")
    labels = draw_body()[1]
    spleen = np.zeros(labels.shape, bool)
    spleen[15:25, 20:30, 50:58] = True

    def save(name: str, array: np.ndarray) -> None:
        path = folder / f"{name}.nii.gz"
        path.parent.mkdir(exist_ok=True)
        nibabel.save(nibabel.Nifti1Image(array.astype(np.uint8).T, image.affine, image.header), path)

    save("total", np.select([spleen, labels == 3, labels > 0], [1, 64, 5]))
    save("vessels", np.select([labels == 3, labels == 2], [1, 2]))
    save("lesions", np.select([labels == 2, labels > 0], [2, 1]))
    save("masks/liver", labels > 0)
    save("masks/liver_vessels", labels == 3)
    save("masks/liver_tumor", labels == 2)
    save("masks/spleen", spleen)
    (folder / "mine.yaml").write_text("1: spleen\n5: liver\n64: vessel\n")
    return folder


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command with `--json`; gives its object."""

    def call(*arguments: object) -> dict:
        assert main.run([*map(str, arguments), "--json"]) == 0, capsys.readouterr().err
        return json.loads(capsys.readouterr().out)

    return call


def volumes(structures: list[dict]) -> dict[str, float]:
    return {structure["structure"]: structure["volume_ml"] for structure in structures}


def test_measure_in_the_numbers_of_every_tool(other_tools: Path, draw_body: Callable, run: Run) -> None:
    voxels = np.bincount(draw_body()[1].reshape(-1), minlength=4)
    organ, spleen = voxels[1:].sum() * ML, 800 * ML

    def measured(name: str, *whose: object) -> dict[str, float]:
        found = volumes(run("measure", other_tools / name, *whose)["structures"])
        return {structure: volume for structure, volume in found.items() if volume}

    total = measured("total.nii.gz", "--labels", "totalsegmentator")
    assert total == pytest.approx({"liver": organ, "portal_vein": voxels[3] * ML, "spleen": spleen}, rel=1e-3)
    mine = measured("total.nii.gz", "--labels", other_tools / "mine.yaml")
    assert mine == pytest.approx({"liver": organ, "vessel": voxels[3] * ML, "spleen": spleen}, rel=1e-3)
    assert measured("vessels.nii.gz", "--labels", "msd08") == pytest.approx(
        {"vessel": voxels[3] * ML, "tumor": voxels[2] * ML}, rel=1e-3
    )
    assert measured("lesions.nii.gz", "--labels", "lits") == measured("lesions.nii.gz")
    parts = {"liver": organ, "tumor": voxels[2] * ML, "vessel": voxels[3] * ML, "spleen": spleen}
    assert measured("masks") == pytest.approx(parts, rel=1e-3)


def test_reconstruct_render_and_plan_take_them_too(other_tools: Path, small_ct: Path, run: Run, tmp_path: Path) -> None:
    total, ct = other_tools / "total.nii.gz", small_ct / "ct.nii.gz"
    report = run("reconstruct", total, "-o", tmp_path / "a", "--labels", "totalsegmentator", "--ct", ct)
    assert report["structures"]["spleen"]["watertight"] and (tmp_path / "a" / "spleen.ply").is_file()
    drawn = run("render", ct, total, "-o", tmp_path / "b", "--labels", "totalsegmentator")
    assert [Path(path).name for path in drawn["written"]] == ["overlay.png", "scene.png"]
    arguments = ["plan", other_tools / "vessels.nii.gz", "-o", tmp_path / "c", "--entry", "-95,0,0"]
    way = run(*arguments, "--labels", "msd08")["trajectories"][0]
    assert "vessel" in [
        clearance["structure"] for clearance in way["clearances"]
    ]  # without the option, its 1 is a liver


def test_truths_of_every_tool_score_what_they_speak_about(
    other_tools: Path, small_ct: Path, small_models: Path, run: Run, tmp_path: Path
) -> None:
    def dice(truth: object, *whose: object) -> dict[str, float]:
        arguments = ["segment", small_ct / "ct.nii.gz", "-o", tmp_path, "--models", small_models, "--truth", truth]
        return run(*arguments, *whose)["dice"]

    own = dice(small_ct / "labels.nii.gz")
    assert list(own) == ["liver", "tumor", "vessel"] and min(own.values()) > 0.9
    # One file of it has veins of one kind only, no tumor and a spleen: it speaks about the organ.
    assert dice(other_tools / "total.nii.gz", "--labels", "totalsegmentator") == {"liver": own["liver"]}
    assert dice(other_tools / "masks") == own
    assert dice(other_tools / "vessels.nii.gz", "--labels", "msd08") == {
        name: own[name] for name in ("tumor", "vessel")
    }
    assert dice(other_tools / "lesions.nii.gz", "--labels", "lits") == {name: own[name] for name in ("liver", "tumor")}


@pytest.mark.parametrize("command", ["measure", "reconstruct", "plan", "territories", "render", "segment", "info"])
def test_every_command_that_takes_labels_has_the_option(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run([command, "--help"]) == 0
    assert "--labels" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("measure", "total.nii.gz"), "--labels totalsegmentator, lits, msd08, ircadb"),
        (("measure", "total.nii.gz", "--labels", "nnunet"), "labels of 'nnunet' are not known; there are totalsegm"),
        (("measure", "total.nii.gz", "--labels", "none.yaml"), "none.yaml: no such file"),
        (("measure", "total.nii.gz", "--labels", "lits"), "label values 5, 64 are none of LiTS (1 liver, 2 lesion)"),
        (("info", "total.nii.gz"), "totalsegmentator would know them"),
        (("segment", "total.nii.gz", "-o", "out", "--labels", "lits"), "Give --truth too"),
        (("segment", "masks/liver.nii.gz", "-o", "out", "--labels", "lits", "--truth", "x"), "label file"),
    ],
)
def test_what_nobody_can_know_is_said_in_one_line(
    arguments: tuple[str, ...],
    words: str,
    other_tools: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(other_tools)
    assert main.run(arguments) == 2
    error = capsys.readouterr().err
    assert words in error and error.count("\n") == 1 and "Traceback" not in error


def test_a_truth_that_speaks_of_nothing_here(
    other_tools: Path, small_ct: Path, small_models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    truth = other_tools / "masks" / "spleen.nii.gz"
    arguments = ["segment", small_ct / "ct.nii.gz", "-o", tmp_path / "out", "--models", small_models, "--truth", truth]
    assert main.run([str(argument) for argument in arguments]) == 2
    assert "says nothing about liver, tumor, vessel" in capsys.readouterr().err


def test_info_tells_what_labels_are_taken_for(other_tools: Path, small_models: Path, run: Run) -> None:
    def info(name: str, *whose: object) -> dict:
        return run("info", other_tools / name, "--models", small_models, *whose)["file"]

    total = info("total.nii.gz", "--labels", "totalsegmentator")
    assert total["kind"] == "labels" and total["labels_of"] == "TotalSegmentator (task total of version 2)"
    assert total["taken_for"] == {"1": "spleen", "5": "liver", "64": "portal_vein"} and total["voxels"]["spleen"] == 800
    masks = info("masks")
    assert masks["taken_for"]["liver_vessels"] == "vessel" and masks["size"] == [64, 56, 40]
    assert info("lesions.nii.gz")["labels_of"] == "the label table of liver_seg_ros"
