# SPDX-License-Identifier: Apache-2.0
"""Distillation: its three terms against their equations in numpy, and a student that learns from a teacher alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from liver_seg_ros.errors import InputError
from liver_seg_ros.inference.canny import canny_map
from liver_seg_ros.networks import create_network
from liver_seg_ros.training.distillation import Distillation, attention_term, features_term, logits_term

TRANSUNET = {
    "classes": 4,
    "image_size": (32, 16),
    "resnet_width": 4,
    "resnet_units": (1, 1, 1),
    "hidden": 8,
    "layers": 2,
    "heads": 2,
    "widths": (8, 8, 8, 8, 8),
}


def softmax(z: np.ndarray, axis: int) -> np.ndarray:
    e = np.exp(z - z.max(axis, keepdims=True))
    return e / e.sum(axis, keepdims=True)


def pair() -> tuple[nn.Module, nn.Module, torch.Tensor]:
    """A teacher of slices with a transformer, a student of volumes, and volumes."""
    torch.manual_seed(0)
    teacher = create_network("transunet", **TRANSUNET)
    student = create_network("student", classes=4, widths=(8, 8, 8))
    return teacher, student, torch.randn(2, 1, 8, 32, 16)


def test_a_teacher_with_edges_is_given_those_of_each_slice() -> None:
    torch.manual_seed(0)
    options = {"widths": (4, 4, 4, 8, 8, 8, 8, 8), "edge_widths": (4, 4, 4, 4), "resnet_width": 4, "heads": 2}
    small = {"resnet_units": (1, 1, 1), "hidden": 8, "layers": 1, "image_size": (128, 128), "classes": 4}
    teacher = create_network("transfusionnet_edge", **options, **small).eval()
    images = torch.rand(1, 1, 4, 16, 16).repeat_interleave(8, 3).repeat_interleave(8, 4) * 2 - 1
    with torch.no_grad():
        edges = [torch.from_numpy(canny_map(images[:, :, k].numpy())) for k in range(4)]
        expected = torch.stack([teacher(images[:, :, k], edges[k]) for k in range(4)], dim=2)
        without = torch.stack([teacher(images[:, :, k], 0 * edges[k]) for k in range(4)], dim=2)
        found = Distillation(teacher, create_network("student", classes=4, widths=(8, 8, 8)))._teach(images)
    unlike = (expected - without).abs().max()
    assert unlike > 0 and (found - expected).abs().max() < 0.05 * unlike


def test_the_logits_term_is_its_equation() -> None:
    torch.manual_seed(0)
    student, teacher = 3 * torch.randn(2, 2, 3, 4, 5)
    s, t = (softmax(z.double().numpy() / 2.5, axis=1) for z in (student, teacher))
    expected = 2.5**2 * (t * np.log(t / s)).sum(1).mean()
    assert logits_term(student, teacher, 2.5).item() == pytest.approx(expected, rel=1e-5)
    assert logits_term(teacher, teacher, 2.5).item() == pytest.approx(0, abs=1e-6)


def test_the_features_term_compares_where_maps_are_strong() -> None:
    torch.manual_seed(0)
    student, teacher = torch.randn(1, 3, 4, 4), torch.randn(1, 5, 8, 8)
    q = student.double().numpy()[0]
    q = (q**2).sum(0).ravel()
    other = (teacher.double().numpy()[0] ** 2).sum(0).reshape(4, 2, 4, 2).mean((1, 3)).ravel()
    expected = ((q / np.linalg.norm(q) - other / np.linalg.norm(other)) ** 2).sum()
    assert features_term(student, teacher).item() == pytest.approx(expected, rel=1e-5)
    assert features_term(7 * student, -student).item() == pytest.approx(0, abs=1e-6)


def test_the_attention_term_is_its_equation() -> None:
    torch.manual_seed(0)
    attention = torch.softmax(torch.randn(1, 8, 8), dim=-1)
    student = torch.randn(1, 3, 4, 2)  # on the tokens' grid already: 4 x 2 of an image of 64 x 32
    tokens = student[0].flatten(1).T.double().numpy()
    relation = softmax(tokens @ tokens.T / 3**0.5, axis=1)
    a = attention[0].double().numpy()
    expected = (a * np.log(a / relation)).sum(1).mean()
    assert attention_term(student, attention, (64, 32), 1).item() == pytest.approx(expected, rel=1e-5)


def test_a_teacher_of_slices_teaches_a_student_of_volumes() -> None:
    teacher, student, images = pair()
    seen: list[torch.Tensor] = []
    layer = teacher.transformer.layers[-1]
    layer.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    only = {"logits": 0.0, "features": 0.0, "attention": 0.0}
    with torch.no_grad():
        logits = torch.stack([teacher.eval()(images[:, :, k]) for k in range(8)], dim=2)
        by_slices = Distillation(teacher, student)
        answer = student(images)
        unlike = (logits[:, :, 0] - logits[:, :, 1]).abs().max()
        assert (by_slices._teach(images) - logits).abs().max() < 0.01 * unlike
        assert by_slices(images, logits).item() == pytest.approx(0, abs=1e-5)
        assert by_slices(images, answer) > 0
        seen.clear()
        for name, options in (("features", {}), ("attention", {"attending_map": "encoder.2"})):
            distillation = Distillation(teacher, student, **{**only, name: 1.0}, **options)
            assert torch.isfinite(distillation(images, student(images)))
            assert distillation(images, student(images)) > 0
        # The attention is the one that the layer applies: softmax(Q K^T / sqrt(d)), mean of its heads.
        query, key, _ = layer.query_key_value(layer.attention_norm(seen[-1])).split(8, dim=-1)
        heads = [
            softmax((q @ k.transpose(1, 2) / 4**0.5).numpy(), 2)
            for q, k in zip(query.split(4, -1), key.split(4, -1), strict=True)
        ]
        distillation(images, student(images))
        kept: dict[str, Any] = {}
        distillation._seen = kept
        teacher(images.transpose(1, 2).flatten(0, 1))
        np.testing.assert_allclose(kept["attention"].numpy(), np.mean(heads, axis=0), atol=1e-5)


def test_a_student_learns_from_its_teacher_alone() -> None:
    teacher, student, images = pair()
    distillation = Distillation(teacher, student, logits=1.0, features=0.5, attention=0.5, attending_map="encoder.2")
    optimizer = torch.optim.Adam(student.parameters(), 3e-3)
    before = {name: value.clone() for name, value in teacher.state_dict().items()}
    losses = []
    for _ in range(8):
        loss = distillation(images, student(images))
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert losses[-1] < 0.9 * losses[0]
    assert all(torch.equal(value, before[name]) for name, value in teacher.state_dict().items())


def test_what_cannot_be_distilled_is_named() -> None:
    teacher, student, images = pair()
    with pytest.raises(InputError, match="has no transformer layers"):
        Distillation(student, student, attention=1.0, attending_map="encoder.2")
    with pytest.raises(InputError, match="the student has no module 'body'; it has encoder, up, head"):
        Distillation(teacher, student, features=1.0, student_map="body")
    with pytest.raises(InputError, match="temperature positive"):
        Distillation(teacher, student, temperature=0)
    with pytest.raises(InputError, match="both need the same classes"):
        Distillation(teacher, student)(images, torch.zeros(2, 3, 8, 32, 16))
