# SPDX-License-Identifier: Apache-2.0
"""Every loss against its equation in numpy, and what all of them must stand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.ndimage import minimum_filter
from torch import Tensor

from liver_seg_ros.errors import InputError
from liver_seg_ros.training.common_losses import dice_and_cross_entropy, log_probabilities
from liver_seg_ros.training.losses import LOSSES, create_loss
from liver_seg_ros.training.paper_losses import edge_map

Array = NDArray[np.float64]
CLASSES = 4


class Outputs(NamedTuple):
    logits: Tensor
    edge_logits: Tensor | None
    scales: tuple[Tensor, ...]
    sides: tuple[Tensor, ...]


def batch(size: tuple[int, ...] = (6, 7, 8), classes: int = CLASSES, seed: int = 0) -> tuple[Outputs, Tensor]:
    generator = torch.Generator().manual_seed(seed)

    def noise(channels: int) -> Tensor:
        return 2 * torch.randn(2, channels, *size, generator=generator)

    target = torch.randint(0, 2 * classes, (2, *size), generator=generator)
    target[target >= classes] = 0  # more background than the rest
    return of_maps(noise(classes), noise(1), *(noise(classes) for _ in range(4))), target


def of_maps(logits: Tensor, edge_logits: Tensor | None, *maps: Tensor) -> Outputs:
    """Scales and side outputs are the same maps."""
    return Outputs(logits, edge_logits, maps, maps)


def p_and_y(logits: Tensor, target: Tensor) -> tuple[Array, Array]:
    """`(B, C, *size)` float64 each."""
    z = logits.double().numpy()
    p = np.exp(z) / np.exp(z).sum(1, keepdims=True)
    y = np.stack([target.numpy() == c for c in range(z.shape[1])], 1).astype(np.float64)
    return p, y


def naive_dice(p: Array, y: Array, classes: range, s: float = 1e-5) -> float:
    each = [(2 * (p[:, c] * y[:, c]).sum() + s) / (p[:, c].sum() + y[:, c].sum() + s) for c in classes]
    return float(1 - np.mean(each))


def naive_ce(p: Array, y: Array, weights: tuple[float, ...] = (1, 1, 1, 1)) -> float:
    w = np.array(weights[: p.shape[1]]).reshape(1, -1, *[1] * (p.ndim - 2))
    return float(-(w * y * np.log(p)).sum() / (w * y).sum())


def naive_tversky(p: Array, y: Array, alpha: float, beta: float) -> float:
    each = []
    for c in range(1, p.shape[1]):
        tp, fp, fn = (p[:, c] * y[:, c]).sum(), (p[:, c] * (1 - y[:, c])).sum(), ((1 - p[:, c]) * y[:, c]).sum()
        each.append((tp + 1e-5) / (tp + alpha * fp + beta * fn + 1e-5))
    return float(1 - np.mean(each))


def naive_binary_ce(p: Array, y: Array, classes: range, balanced: bool) -> float:
    total = 0.0
    for c in classes:
        b = 1 - y[:, c].mean()
        first, second = (b, 1 - b) if balanced else (1, 1)
        total -= (first * y[:, c] * np.log(p[:, c]) + second * (1 - y[:, c]) * np.log(1 - p[:, c])).mean()
    return total


FOREGROUND, ALL = range(1, CLASSES), range(CLASSES)


def expected(name: str, outputs: Outputs, target: Tensor) -> float:
    p, y = p_and_y(outputs.logits, target)
    if name == "dice_ce":
        return naive_dice(p, y, FOREGROUND, s=20) + naive_ce(p, y)
    if name == "dice":
        return naive_dice(p, y, FOREGROUND)
    if name == "ce":
        return naive_ce(p, y)
    if name == "balanced_ce":
        return naive_binary_ce(p, y, ALL, balanced=True)
    if name == "tversky":
        return naive_tversky(p, y, 0.3, 0.7)
    if name == "cl_dice":
        return naive_cl_dice(p[:, 3], y[:, 3])
    if name == "dice_cl_dice":
        return 0.5 * naive_dice(p, y, FOREGROUND) + 0.5 * naive_cl_dice(p[:, 3], y[:, 3])
    if name in ("transfusionnet", "transfusionnet_edge"):
        loss = naive_dice(p, y, FOREGROUND) + 0.5 * naive_ce(p, y)
        if name == "transfusionnet":
            return loss
        assert outputs.edge_logits is not None
        e = 1 / (1 + np.exp(-outputs.edge_logits.double().numpy()[:, 0]))
        edge = naive_edges(target)
        return float(loss - 0.2 * (edge * np.log(e) + (1 - edge) * np.log(1 - e)).mean())
    if name == "unet_aspp":
        return 0.3 * naive_dice(p, y, ALL, s=1e-5) + 0.7 * naive_ce(p, y) / CLASSES
    if name == "deep_supervision":
        maps = [p_and_y(map_, target) for map_ in (outputs.logits, *outputs.sides)]
        return float(np.mean([naive_dice(*map_, FOREGROUND) + 0.5 * naive_ce(*map_) for map_ in maps]))
    if name == "threedynet":
        f = p[:, 1:], y[:, 1:]
        dice = (2 * (f[0] * f[1]).sum() + 1e-5) / ((f[0] + f[1]).sum() + 1e-5)
        return float(1 - dice + naive_binary_ce(p, y, FOREGROUND, balanced=False))
    assert name == "mpunet"
    entropies = [naive_binary_ce(*p_and_y(scale, target), ALL, balanced=True) for scale in outputs.scales]
    return naive_tversky(p, y, 0.3, 0.7) + sum(entropies)


def naive_edges(target: Tensor) -> Array:
    """Voxels with another label among their neighbors inside the image; the background has none."""
    labels, edges = target.numpy(), np.zeros(target.shape)
    for at in np.argwhere(labels > 0):
        window = tuple(slice(max(n - 1, 0), n + 2) for n in at[1:])
        edges[tuple(at)] = (labels[at[0]][window] != labels[tuple(at)]).any()
    return edges


def naive_cl_dice(p: Array, y: Array, iterations: int = 3) -> float:
    cross = np.zeros((1, 3, 3, 3), bool)
    cross[0, 1, 1, :] = cross[0, 1, :, 1] = cross[0, :, 1, 1] = True

    def erode(x: Array) -> Array:
        return minimum_filter(x, footprint=cross, mode="constant", cval=np.inf)

    def skeleton(x: Array) -> Array:
        line = np.zeros_like(x)
        for _ in range(iterations + 1):
            eroded = erode(x)
            opened = -minimum_filter(-eroded, size=(1, 3, 3, 3), mode="constant", cval=np.inf)
            line = line + np.maximum(np.maximum(x - opened, 0) * (1 - line), 0)
            x = eroded
        return line

    axes = (1, 2, 3)
    line_p, line_y = skeleton(p), skeleton(y)
    precision = ((line_p * y).sum(axes) + 1) / (line_p.sum(axes) + 1)
    sensitivity = ((line_y * p).sum(axes) + 1) / (line_y.sum(axes) + 1)
    return float(np.mean(1 - 2 * precision * sensitivity / (precision + sensitivity)))


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_is_its_equation(name: str) -> None:
    outputs, target = batch()
    assert create_loss(name)(outputs, target).item() == pytest.approx(expected(name, outputs, target), rel=2e-4)


@pytest.mark.parametrize("name", [name for name in LOSSES if "cl_dice" not in name])
def test_two_dimensions_and_two_classes(name: str) -> None:
    outputs, target = batch((9, 8), classes=2)
    loss = create_loss(name)(outputs, target)
    assert loss.shape == ()
    assert loss.item() > 0
    volume = of_maps(
        outputs.logits[:, :, None],
        outputs.edge_logits[:, :, None] if outputs.edge_logits is not None else None,
        *(scale[:, :, None] for scale in outputs.scales),
    )
    assert create_loss(name)(volume, target[:, None]).item() == pytest.approx(loss.item(), rel=1e-5)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("present", [(0,), (0, 1), (1,), (3,)])
@pytest.mark.parametrize("scale", [1.0, 1000.0])
def test_gradients_are_finite_on_empty_classes_and_certain_answers(
    name: str, present: tuple[int, ...], scale: float
) -> None:
    outputs, target = batch()
    target = torch.tensor(present)[target % len(present)]
    leaves = [(scale * x).requires_grad_() for x in (outputs.logits, outputs.edge_logits, *outputs.scales)]
    loss = create_loss(name)(of_maps(*leaves), target, epoch=200)
    loss.backward()
    assert torch.isfinite(loss)
    used = [x.grad for x in leaves if x.grad is not None]
    assert len(used) == {"transfusionnet_edge": 2, "mpunet": 5, "deep_supervision": 5}.get(name, 1)
    assert all(torch.isfinite(gradient).all() for gradient in used)
    if scale == 1 and (name not in ("balanced_ce", "cl_dice", "mpunet") or len(present) > 1):
        assert all(gradient.abs().max() > 0 for gradient in used)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_logits_are_summed_in_single(name: str, dtype: torch.dtype) -> None:
    outputs, target = batch((16, 24, 24))
    half = of_maps(
        outputs.logits.to(dtype),
        outputs.edge_logits.to(dtype) if outputs.edge_logits is not None else None,
        *(scale.to(dtype) for scale in outputs.scales),
    )
    single = of_maps(
        half.logits.float(),
        half.edge_logits.float() if half.edge_logits is not None else None,
        *(scale.float() for scale in half.scales),
    )
    loss = create_loss(name)(half, target, epoch=200)
    assert loss.dtype == torch.float32
    assert torch.equal(loss, create_loss(name)(single, target, epoch=200))


@pytest.mark.parametrize("name", LOSSES)
def test_a_perfect_and_certain_answer_costs_next_to_nothing(name: str) -> None:
    _, target = batch((12, 12, 12))
    target[:] = 0
    target[:, 2:10, 2:10, 2:10] = 1
    target[:, 3:5, 3:5, 3:5] = 2
    target[:, 6:8, 6:8, 2:10] = 3
    logits = 50 * torch.nn.functional.one_hot(target, CLASSES).movedim(-1, 1).float()
    edge_logits = 100 * (edge_map(target, (1, 2, 3)) - 0.5)
    loss = create_loss(name)(of_maps(logits, edge_logits, *(logits,) * 4), target, epoch=200)
    assert loss.item() == pytest.approx(0, abs=0.05 if "cl_dice" in name else 1e-4)


def test_plain_losses_take_logits_or_outputs_and_change_nothing() -> None:
    outputs, target = batch()
    shipped = create_loss("dice_ce")
    assert torch.equal(shipped(outputs, target), dice_and_cross_entropy(outputs.logits, target))
    assert torch.equal(shipped(outputs.logits, target, epoch=7), dice_and_cross_entropy(outputs.logits, target))


def test_the_shape_regularizer_starts_at_epoch_100() -> None:
    outputs, target = batch((8, 8))
    assert outputs.edge_logits is not None
    loss = create_loss("transfusionnet_edge", structures=(2, 3), shape_weight=3.0)
    before, after = loss(outputs, target, epoch=99), loss(outputs, target, epoch=100)
    assert torch.equal(before, loss(outputs, target))
    e = 1 / (1 + np.exp(-outputs.edge_logits.double().numpy()[:, 0]))
    p, _ = p_and_y(outputs.logits, target)
    summed = p[:, 2] + p[:, 3]
    assert (after - before).item() == pytest.approx(3 * np.abs(summed * e - e).mean(), rel=1e-4)


def test_the_shape_regularizer_charges_no_perfect_answer_whatever_the_offset_of_its_logits() -> None:
    _, target = batch((8, 8))
    logits = 100 * (torch.nn.functional.one_hot(target, CLASSES).movedim(-1, 1).float() - 0.5)
    edge_logits = 100 * (edge_map(target, (1, 2, 3)) - 0.5)
    for offset in (0, 100):
        outputs = of_maps(logits + offset, edge_logits)
        loss = create_loss("transfusionnet_edge", shape_weight=100.0)
        assert loss(outputs, target, epoch=100).item() == pytest.approx(0, abs=1e-4)


def test_edges_are_those_of_the_structures_asked_for() -> None:
    target = torch.zeros(1, 7, 7, dtype=torch.int64)
    target[:, 1:, 1:6] = 1
    target[:, 3:5, 2:5] = 2
    only_2 = edge_map(target, (2,))[0, 0]
    assert torch.equal(only_2, (target[0] == 2).float())  # two rows: no inside
    only_1 = edge_map(target, (1,))[0, 0]
    assert only_1[6, 3] == 0  # at the image's border, but among its own
    assert only_1[1, 3] == only_1[6, 1] == only_1[5, 3] == 1
    both = edge_map(target, (1, 2))[0, 0]
    assert torch.equal(both, torch.maximum(only_1, only_2))


def test_options_change_what_they_name() -> None:
    outputs, target = batch()
    p, y = p_and_y(outputs.logits, target)
    cases: list[tuple[str, Mapping[str, Any], float]] = [
        ("dice", {"background": True, "smoothing": 3}, naive_dice(p, y, ALL, s=3)),
        ("ce", {"class_weights": [1, 2, 4, 0]}, naive_ce(p, y, (1, 2, 4, 0))),
        ("tversky", {"alpha": 1, "beta": 0.2}, naive_tversky(p, y, 1, 0.2)),
        ("cl_dice", {"vessel": 2, "iterations": 1}, naive_cl_dice(p[:, 2], y[:, 2], 1)),
        ("transfusionnet", {"dice_weight": 0, "cross_entropy_weight": 2}, 2 * naive_ce(p, y)),
        (
            "unet_aspp",
            {"class_weights": (1, 2, 4, 4)},
            0.3 * naive_dice(p, y, ALL) + 0.7 / 4 * naive_ce(p, y, (1, 2, 4, 4)),
        ),
        (
            "mpunet",
            {"balanced": False, "cross_entropy_weight": 0.5, "alpha": 0.5, "beta": 0.5},
            naive_tversky(p, y, 0.5, 0.5)
            + 0.5 * sum(naive_binary_ce(*p_and_y(x, target), ALL, balanced=False) for x in outputs.scales),
        ),
    ]
    for name, options, value in cases:
        assert create_loss(name, **options)(outputs, target).item() == pytest.approx(value, rel=2e-4), name
    # Equation 1 of paper 4 as printed lacks the factor 2: a perfect answer costs 1/2.
    certain = 100 * torch.nn.functional.one_hot(target, CLASSES).movedim(-1, 1).float()
    assert create_loss("threedynet", as_printed=True)(certain, target).item() == pytest.approx(0.5, abs=1e-4)


def test_with_two_classes_balanced_cross_entropy_is_twice_that_of_edge_detection() -> None:
    """Xie & Tu's equation 2 has one map; softmax has two that say the same."""
    outputs, target = batch((9, 8), classes=2)
    p, y = p_and_y(outputs.logits, target)
    beta = y[:, 0].mean()
    one_map = -(beta * y[:, 1] * np.log(p[:, 1]) + (1 - beta) * y[:, 0] * np.log(p[:, 0])).mean()
    assert create_loss("balanced_ce")(outputs, target).item() == pytest.approx(2 * one_map, rel=1e-4)


def test_log_of_the_rest_stays_finite_where_a_class_is_certain() -> None:
    logits = torch.tensor([[60.0, 0.0, -5.0]])[..., None].requires_grad_()
    log_p, log_not_p = log_probabilities(logits)
    assert log_not_p[0, 0, 0].item() == pytest.approx(np.log(1 + np.exp(-5)) - 60, rel=1e-5)
    assert torch.allclose(log_p.exp() + log_not_p.exp(), torch.ones(1, 3, 1))
    log_not_p.sum().backward()
    assert torch.isfinite(logits.grad).all()


def test_class_weights_without_any_voxel_cost_nothing() -> None:
    outputs, target = batch()
    loss = create_loss("ce", class_weights=(0, 1, 1, 1))(outputs.logits.requires_grad_(), torch.zeros_like(target))
    loss.backward()
    assert loss.item() == 0


def test_labels_and_shapes_that_do_not_fit_are_named() -> None:
    outputs, target = batch()
    for name in LOSSES:
        loss = create_loss(name)
        for wrong in (-1, CLASSES):
            bad = target.clone()
            bad[0, 0, 0, 0] = wrong
            with pytest.raises(ValueError, match=f"label {wrong} is not in the table, whose labels are 0 to 3"):
                loss(outputs, bad)
        with pytest.raises(ValueError, match="does not fit logits"):
            loss(outputs, target[:, None])
    with pytest.raises(ValueError, match="holds class indices, int64"):
        create_loss("dice")(outputs, target.int())
    with pytest.raises(ValueError, match="scale of shape"):
        create_loss("mpunet")(outputs._replace(scales=(outputs.logits[:, :, ::2],)), target)
    with pytest.raises(ValueError, match="side output of shape"):
        create_loss("deep_supervision")(outputs._replace(sides=(outputs.logits[:, :, ::2],)), target)
    with pytest.raises(ValueError, match="edge map of shape"):
        create_loss("transfusionnet_edge")(outputs._replace(edge_logits=outputs.logits), target)
    for structures in ((0, 1), (4,), ()):
        with pytest.raises(ValueError, match="some of the classes 1 to 3"):
            create_loss("transfusionnet_edge", structures=structures)(outputs, target)
    for vessel in (0, 4):
        with pytest.raises(ValueError, match="classes behind the background are 1 to 3"):
            create_loss("cl_dice", vessel=vessel)(outputs, target)
    with pytest.raises(ValueError, match="class_weights must be 4 numbers"):
        create_loss("ce", class_weights=(1, 2))(outputs, target)
    with pytest.raises(ValueError, match=r"weight 1\.5 must be from 0 to 1"):
        create_loss("dice_cl_dice", weight=1.5)(outputs, target)


def test_outputs_that_a_network_lacks_are_named() -> None:
    outputs, target = batch()
    for prediction, given in (
        (outputs.logits, "gave logits"),
        (outputs._replace(edge_logits=None), "gave logits, scales, sides"),
    ):
        with pytest.raises(ValueError, match=f"'transfusionnet_edge' needs the outputs logits, edge_logits.*{given}"):
            create_loss("transfusionnet_edge")(prediction, target)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("focal", {}, "unknown loss 'focal'; there are: balanced_ce, ce, cl_dice, deep_supervision, dice, dice_ce,"),
        ("tversky", {"gamma": 1}, "loss 'tversky' has no option gamma; it has: alpha, beta, smoothing"),
        ("dice_ce", {"smoothing": 1}, "has no option smoothing; it has: none"),
        ("transfusionnet_edge", {"epoch": 1}, "has no option epoch"),
        ("tversky", {"alpha": -0.1}, "alpha must be a number from 0 upward, not -0.1"),
        ("tversky", {"alpha": float("nan")}, "alpha must be a number"),
        ("tversky", {"alpha": True}, "alpha must be a number"),
        ("dice", {"smoothing": "little"}, "smoothing must be a number from 0 upward, not 'little'"),
        ("dice", {"background": 1}, "background must be true or false, not 1"),
        ("cl_dice", {"iterations": 1.5}, "iterations must be a whole number from 0 upward, not 1.5"),
    ],
)
def test_a_wrong_name_or_option_says_what_there_is(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as error:
        create_loss(name, **options)
    assert message in str(error.value)


def test_every_row_says_where_it_is_described() -> None:
    for name, spec in LOSSES.items():
        assert spec.source, name
        assert spec.outputs[0] == "logits", name
