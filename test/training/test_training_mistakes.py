# SPDX-License-Identifier: Apache-2.0
"""Where the network that a training begins with is wrong, and patches around that."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from liver_seg_ros.errors import InputError
from liver_seg_ros.training.cases import case_folder, case_path, read_case
from liver_seg_ros.training.checkpoint import Checkpoint, build_network, save_checkpoint
from liver_seg_ros.training.mistakes import Mistakes, mistaken
from liver_seg_ros.training.recipe import Recipe
from liver_seg_ros.training.recipe_cases import training_and_validation
from liver_seg_ros.training.trainer import Trainer

_CLASSES = arrays(np.int64, (4, 5, 6), elements=st.integers(0, 2))


@pytest.fixture
def sees_liver(recipe: Recipe, tmp_path: Path) -> Recipe:
    """A recipe that begins with a network to which everything is liver, and draws patches where tumors are not."""
    network = build_network(recipe)
    torch.nn.init.zeros_(network.head.weight)
    with torch.no_grad():
        network.head.bias.copy_(torch.tensor([0.0, 1.0, 0.0, 0.0]))
    path = tmp_path / "initial.pt"
    save_checkpoint(path, Checkpoint(recipe, network.state_dict(), {}, 0, 0.0, 0))
    plan = replace(recipe.optimization, focus={}, mistakes={"tumor": 1.0})
    return replace(recipe, initial=str(path), optimization=plan)


@given(_CLASSES, _CLASSES)
def test_a_mistake_is_further_off_than_one_voxel(found: np.ndarray, truth: np.ndarray) -> None:
    """By masks of each class, grown by a voxel: the slow way."""
    around, expected = np.ones((3, 3, 3)), np.zeros(found.shape, bool)
    for value in range(3):
        a, b = found == value, truth == value
        expected |= (a & ~ndimage.binary_dilation(b, around)) | (b & ~ndimage.binary_dilation(a, around))
    assert np.array_equal(mistaken(found, truth), expected)


def test_a_border_may_lie_one_voxel_off_and_a_missed_voxel_counts() -> None:
    truth = np.zeros((8, 8, 8), np.uint8)
    truth[:, :, 4:] = 1
    assert not mistaken(np.roll(truth, 1, axis=2)[:, :, 1:], truth[:, :, 1:]).any()
    twig = truth.copy()
    twig[4, 4, 6] = 3
    assert np.argwhere(mistaken(truth, twig)).tolist() == [[4, 4, 6]]
    assert np.argwhere(mistaken(twig, truth)).tolist() == [[4, 4, 6]]


def test_centers_are_the_structures_own_mistakes(sees_liver: Recipe, folder: Path) -> None:
    case = read_case(case_path(folder, 0))
    centers = Mistakes(sees_liver).centers(case, np.random.default_rng(0))["tumor"]
    assert len(centers) == round((6 * 5 * 5) ** 0.5)  # nothing of it is found: its border counts too
    assert (case.labels[tuple(centers.T)] == 2).all()


def test_they_are_looked_for_in_the_precision_of_the_training(
    sees_liver: Recipe, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True})
    mistakes = Mistakes(replace(sees_liver, optimization=replace(sees_liver.optimization, precision="bfloat16")))
    mistakes._network.head.register_forward_hook(lambda _, __, logits: asked.append(logits.dtype))
    case = read_case(case_path(folder, 0))
    found = mistakes.centers(case, np.random.default_rng(0))
    assert asked == [torch.bfloat16]
    exact = Mistakes(sees_liver).centers(case, np.random.default_rng(0))
    assert np.array_equal(found["tumor"], exact["tumor"])


def test_each_part_gives_as_many_as_the_root_of_its_size(sees_liver: Recipe, folder: Path) -> None:
    case = read_case(case_path(folder, 0))
    labels = np.ones_like(case.labels)
    labels[1:13, 1:13, 1:13] = 2
    labels[12, 18, 20] = 2
    centers = Mistakes(sees_liver).centers(replace(case, labels=labels), np.random.default_rng(0))["tumor"]
    is_small = (centers == [12, 18, 20]).all(axis=1)
    assert np.count_nonzero(is_small) == 1
    assert len(centers) == 1 + round((12 * 12 * 12) ** 0.5)


@pytest.fixture
def cache(sees_liver: Recipe, folder: Path, tmp_path: Path) -> Path:
    place = case_folder(tmp_path / "cache", sees_liver)
    place.parent.mkdir()
    place.symlink_to(folder, target_is_directory=True)
    case_path(place, 3).symlink_to(case_path(folder, 2))  # to validate on
    return place.parent


def test_patches_lie_around_mistakes(sees_liver: Recipe, cache: Path) -> None:
    def shares(**plan: Any) -> dict[int, float]:
        changed = replace(sees_liver.optimization, patch=(4, 4, 4), **plan)
        dataset, _ = training_and_validation(replace(sees_liver, optimization=changed), cache)
        patches = np.concatenate([dataset.batch(np.random.default_rng(seed)).labels for seed in range(30)])
        return {value: float(np.mean((patches == value).any(axis=(1, 2, 3)))) for value in (2, 3)}

    assert shares(mistakes={"tumor": 1.0})[2] == 1
    assert shares(mistakes={"vessel": 1.0})[3] == 1
    both = shares(focus={"tumor": 0.5}, mistakes={"vessel": 0.5})
    assert 0.25 < both[2] < 0.75 and 0.25 < both[3] < 0.75
    assert shares(mistakes={})[2] < 0.5


def test_a_batch_does_not_depend_on_those_before(sees_liver: Recipe, cache: Path) -> None:
    one, other = (training_and_validation(sees_liver, cache)[0] for _ in range(2))
    for seed in range(4):
        one.batch(np.random.default_rng(seed))
    first, second = (dataset.batch(np.random.default_rng(9)) for dataset in (one, other))
    assert np.array_equal(first.images, second.images)


def test_a_training_goes_on_with_the_same_mistakes_or_not_at_all(
    sees_liver: Recipe, cache: Path, tmp_path: Path
) -> None:
    training, validation = training_and_validation(sees_liver, cache)
    Trainer(sees_liver, tmp_path, training, validation).run()
    longer = Trainer(sees_liver, tmp_path, training, validation)  # is not refused
    assert longer.run().step == 6
    network = build_network(sees_liver)  # of other weights
    save_checkpoint(tmp_path / "initial.pt", Checkpoint(sees_liver, network.state_dict(), {}, 0, 0.0, 0))
    with pytest.raises(InputError, match=r"initial.pt does not hold the first weights that this training began with"):
        Trainer(sees_liver, tmp_path, training, validation)


def test_first_weights_are_told_once(
    sees_liver: Recipe, cache: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    weights = build_network(sees_liver).state_dict()
    weights["head.weight"] = weights["head.weight"][:1]  # which does not fit
    save_checkpoint(tmp_path / "initial.pt", Checkpoint(sees_liver, weights, {}, 0, 0.0, 0))
    with caplog.at_level(logging.INFO, "liver_seg_ros"):  # which a quiet command of another test may have set
        Trainer(sees_liver, tmp_path / "out", *training_and_validation(sees_liver, cache)).run()
    said = [(record.levelno, record.getMessage()) for record in caplog.records if "initial.pt" in record.getMessage()]
    assert [level for level, _ in said] == [logging.WARNING, logging.INFO]
    assert "has none that fit: head.weight" in said[0][1]
    assert said[1][1].startswith("patches lie where")


def test_a_case_without_a_mistake_has_no_centers(sees_liver: Recipe, folder: Path) -> None:
    case = read_case(case_path(folder, 0))
    nothing = replace(case, labels=np.ones_like(case.labels))
    assert len(Mistakes(sees_liver).centers(nothing, np.random.default_rng(0))["tumor"]) == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"initial": None}, "mistakes are those of the weights that a training begins with; give initial"),
        ({"focus": {"tumor": 0.5}}, r"focus \{'tumor': 0.5\} and mistakes \{'tumor': 1.0\} are more than 1 together"),
        ({"mistakes": {"tumor": 2.0}}, "must be shares, together at most 1"),
        ({"structures": ["liver", "vessel"]}, "focus and mistakes name tumor, which is none of data.structures"),
    ],
)
def test_what_cannot_be_is_refused(sees_liver: Recipe, change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        if "initial" in change:
            replace(sees_liver, **change)
        elif "structures" in change:
            replace(sees_liver, data=replace(sees_liver.data, **change))
        else:
            replace(sees_liver, optimization=replace(sees_liver.optimization, **change))
