# SPDX-License-Identifier: Apache-2.0
"""Color pictures (paper 3's Kvasir-SEG): from the real layout to weights, scores and ONNX; the rest is refused."""

from __future__ import annotations

import csv
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from liver_seg_ros.cli import main
from liver_seg_ros.errors import InputError
from liver_seg_ros.training.cases import read_case
from liver_seg_ros.training.checkpoint import Checkpoint, build_network, load_checkpoint, save_checkpoint
from liver_seg_ros.training.network_inputs import check_fits
from liver_seg_ros.training.picture_dataset import PictureDataset
from liver_seg_ros.training.prediction import logits_of, predict_classes
from liver_seg_ros.training.recipe import AugmentationRecipe, Recipe, recipe_from_dict
from liver_seg_ros.training.source_cases import SourceCases, source_cases
from liver_seg_ros.training.sources.subject import TRAINING
from liver_seg_ros.training.variants import read_recipes

sys.path += [str(Path(__file__).parent), str(Path(__file__).parents[1] / "networks")]  # of tests alone

from small import SMALL
from training_layouts import kvasir

PAPER = Path(__file__).parents[2] / "config" / "training" / "paper3_kvasir.yaml"
POLYP, MUCOSA = (200, 90, 80), (120, 60, 50)  # as `kvasir` paints them
SIDE = 64


def toy(folder: Path) -> dict[str, Any]:
    """The paper's recipe, its network and pictures small."""
    values: dict[str, Any] = yaml.safe_load(PAPER.read_text(encoding="utf-8"))
    values["variants"] = {"transunet_attention_rgb": {}}
    values["network"] |= SMALL["transunet_attention"].options
    values["data"] |= {"folder": str(folder), "split": "2:1:1", "size": [SIDE, SIDE, None]}
    values["optimization"] |= {"patch": [SIDE, SIDE, 1], "batch": 2, "steps": 2, "validate_every": 1}
    return values


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four pictures of 64 x 48; not to be changed."""
    return kvasir(tmp_path_factory.mktemp("pictures") / "Kvasir-SEG")


@pytest.fixture(scope="module")
def cases(pictures: Path) -> SourceCases:
    values = {name: value for name, value in toy(pictures).items() if name != "variants"}
    made = source_cases(recipe_from_dict(values, "toy"), pictures.parent / "cache")
    made.make(made.subjects)
    return made


@pytest.fixture(scope="module")
def trained(pictures: Path) -> Path:
    """The folder of a training by the command, as anybody starts it."""
    place = pictures.parent
    (place / "recipe.yaml").write_text(yaml.safe_dump(toy(pictures)), encoding="utf-8")
    asked = ["train", place / "recipe.yaml", "-o", place / "out", "--cache", place / "cache", "--threads", "1", "-q"]
    assert main.run([str(word) for word in asked]) == 0
    return place / "out"


def test_a_picture_is_brought_to_one_size_with_its_colors(cases: SourceCases, pictures: Path) -> None:
    subject = cases.division.parts[TRAINING][0]
    case = read_case(cases.path(subject))
    assert (case.image.shape, case.labels.shape) == ((3, SIDE, SIDE), (1, SIDE, SIDE))
    with Image.open(subject.files[0]) as picture:  # by another library; 48 rows become 64
        expected = np.asarray(picture.resize((SIDE, SIDE), Image.Resampling.BILINEAR), float).transpose(2, 0, 1)
    assert np.abs(case.image - expected).mean() < 1  # decoders of JPEG differ at edges
    number = int(subject.name.removeprefix("cju"))
    assert case.labels.mean() == pytest.approx(np.pi * (100 + 40 * number) / (48 * 64), rel=0.05)
    for label, color in ((1, POLYP), (0, MUCOSA)):
        assert np.abs(np.median(case.image[:, case.labels[0] == label], axis=1) - color).max() < 6


def test_what_is_changed_is_changed_in_all_colors_and_labels_alike(cases: SourceCases) -> None:
    recipe = cases.recipe
    still = PictureDataset(cases, TRAINING).batch(np.random.default_rng(0))
    assert still.images.shape == (2, 3, SIDE, SIDE) and still.labels.shape == (2, SIDE, SIDE)
    changes = AugmentationRecipe(flip=0.5, rotate_degrees=90.0, zoom=0.2, translate_voxels=8.0)
    moving = replace(cases, recipe=replace(recipe, augmentation=changes))
    batch = PictureDataset(moving, TRAINING).batch(np.random.default_rng(1))
    for one in (still, batch):
        for label, color in ((1, POLYP), (0, MUCOSA)):
            shown = (one.images.transpose(1, 0, 2, 3)[:, one.labels == label] + 1) * 127.5
            assert np.abs(np.median(shown, axis=1) - color).max() < 6
    assert not np.array_equal(batch.labels, still.labels)
    small = replace(recipe, optimization=replace(recipe.optimization, patch=(32, 48, 1)))
    part = PictureDataset(replace(cases, recipe=small), TRAINING).batch(np.random.default_rng(2))
    assert part.images.shape == (2, 3, 48, 32)


def test_it_is_trained_validated_and_judged_by_overlap(trained: Path, tmp_path: Path) -> None:
    saved = load_checkpoint(trained / "checkpoint.pt")
    assert (saved.step, saved.images, [*saved.scores]) == (2, "patients", ["polyp"])
    assert saved.data["scans"] == {"trained on": 2, "training": 2, "validation": 1, "testing": 1}
    place = trained.parent
    asked = ["evaluate", trained / "checkpoint.pt", place / "recipe.yaml", "--with-background", "-o", tmp_path, "-q"]
    assert main.run([*map(str, asked), "--cache", str(place / "cache")]) == 0
    with (tmp_path / "scores.csv").open(encoding="utf-8") as rows:
        figures = {(row["structure"], row["metric"]): float(row["value"]) for row in csv.DictReader(rows)}
    assert not [metric for _, metric in figures if "mm" in metric or "surface" in metric]
    cases = source_cases(saved.recipe, place / "cache")
    case = read_case(cases.path(cases.division.parts["testing"][0]))
    found, truth = predict_classes(saved.network(), case.image, saved.recipe), case.labels
    each = [((found == n) & (truth == n)).sum() / ((found == n) | (truth == n)).sum() for n in (0, 1)]
    assert figures["all", "mean_iou"] == pytest.approx(np.mean(each)) and figures["polyp", "iou"] == each[1]


def test_the_exported_model_takes_the_colors_as_they_are(trained: Path, cases: SourceCases, tmp_path: Path) -> None:
    pytest.importorskip("onnxscript", reason="onnxscript is not installed (extra [deploy])")
    from liver_seg_ros.deploy import export
    from liver_seg_ros.deploy.onnx_export import open_session

    recipe = replace(cases.recipe, network={"name": "unet2d", "widths": [4, 6, 8]})  # is exported within a second
    known = vars(load_checkpoint(trained / "checkpoint.pt"))
    torch.manual_seed(0)
    weights = {name: 2 * w if w.ndim == 4 else w for name, w in build_network(recipe).state_dict().items()}  # decided
    saved = Checkpoint(**{**known, "recipe": recipe, "weights": weights})
    save_checkpoint(tmp_path / "other.pt", saved)
    export.main(["--checkpoint", str(tmp_path / "other.pt"), "--picture-model", str(tmp_path / "model")])
    case = read_case(cases.path(cases.subjects[0]))
    session = open_session((tmp_path / "model" / "model.onnx").read_bytes())
    (likely,) = session.run(None, {"image": case.image[None].astype(np.float32)})
    (logits,) = logits_of(saved.network(), case.image, saved.recipe)
    np.testing.assert_allclose(likely[0], logits.softmax(dim=0)[:, 0].numpy(), atol=2e-3)  # what is trained and judged
    (other,) = session.run(None, {"image": case.image[None, ::-1].astype(np.float32)})
    assert np.abs(other - likely).max() > 0.02  # blue and red are not the same to it
    card = (tmp_path / "model" / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert "Images of patients: 2 scans of Kvasir-SEG" in card and "background, polyp" in card
    with pytest.raises(InputError, match="becomes no bundle, which is fed CTs; give --picture-model FOLDER"):
        export.main(["--checkpoint", str(trained / "checkpoint.pt"), "--bundle", str(tmp_path / "bundle")])


def test_what_needs_millimetres_or_cts_is_refused(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = trained.parent
    for asked, said in (
        (["compare", place / "recipe.yaml", "--surfaces", "-o", tmp_path / "a"], "surfaces are measured in mm, and"),
        (["evaluate", tmp_path, place / "recipe.yaml"], "models are fed CTs, and 'kvasir_seg' holds color pictures"),
    ):
        assert main.run([*map(str, asked), "--cache", str(place / "cache")]) == 2
        assert said in (told := capsys.readouterr().err) and told.count("\n") == 1


@pytest.mark.parametrize(
    ("section", "change", "message"),
    [
        ("", {"stage": "segment"}, "'kvasir_seg' holds color pictures; give stage: picture"),
        ("data", {"source": "lits17", "spacing_mm": [1, 1, 1], "hu_window": [0, 9]}, "'lits17' holds CTs; give stage"),
        ("data", {"spacing_mm": [1, 1, 1]}, "spacing_mm belongs to CTs, and 'kvasir_seg' holds color pictures; give"),
        ("data", {"hu_window": [-100, 250]}, "hu_window belongs to CTs"),
        ("data", {"neighbors": 1}, "neighbors belongs to CTs"),
        ("data", {"size": [64, 64, 1]}, r"must be \[i, j, null\] in pixels"),
        ("data", {"size": None}, r"must be \[i, j, null\] in pixels"),
        ("data", {"source": "lits17"}, "'data.spacing_mm' is None; it must be three positive lengths in mm"),
        ("augmentation", {"noise_hu": 5}, "augmentation.noise_hu changes CTs; pictures have field_of_view, flip, "),
        ("optimization", {"patch": [64, 64, 8]}, "pictures, which have no slices"),
        ("optimization", {"focus": {"tumor": 0.5}}, "name structures of CTs; for 'kvasir_seg' leave them out"),
    ],
)
def test_a_mistake_in_a_recipe_of_pictures_is_named(section: str, change: Mapping[str, Any], message: str) -> None:
    values = {name: value for name, value in toy(Path("data")).items() if name != "variants"}
    with pytest.raises(InputError, match=message):
        recipe_from_dict({**values, **({section: {**values[section], **change}} if section else change)}, "test")


def test_the_papers_recipe_is_the_papers() -> None:
    """Section 7.2: 30 epochs, a batch of 16, 12 layers; of 1000 pictures."""
    recipes: dict[str, Recipe] = read_recipes(PAPER)
    assert [*recipes] == ["transunet_attention_rgb", "transunet_attention_none_rgb"]
    for recipe in recipes.values():
        check_fits(recipe)
        assert recipe.optimization.batch == 16 and recipe.loss == {"name": "unet_aspp"}
        assert recipe.optimization.steps * 16 == 30 * 800 and [*recipe.labels.values()] == ["background", "polyp"]
    edges = replace(recipes["transunet_attention_rgb"], network={"name": "transfusionnet_edge"})
    with pytest.raises(InputError, match="takes the edges of a CT's slices, and this recipe feeds color pictures"):
        check_fits(edges)
