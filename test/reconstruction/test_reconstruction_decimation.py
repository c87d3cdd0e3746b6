# SPDX-License-Identifier: Apache-2.0
"""Decimation: within the budget, closed, nothing lost."""

from __future__ import annotations

import logging

import fast_simplification
import numpy as np
import pytest

from liver_seg_ros.geometry import Geometry
from liver_seg_ros.labels import LIVER, VESSEL
from liver_seg_ros.reconstruction.masks import structure_mask
from liver_seg_ros.reconstruction.meshes import decimation
from liver_seg_ros.reconstruction.meshes.decimation import decimate
from liver_seg_ros.reconstruction.meshes.surfaces import Surface, extract_surface
from liver_seg_ros.reconstruction.meshes.triangles import is_watertight, parts_of_vertices, signed_volumes
from liver_seg_ros.volume import LabelVolume


def volume_mm3(surface: Surface) -> float:
    return float(signed_volumes(surface.vertices_mm, surface.triangles).sum())


def is_closed(surface: Surface) -> bool:
    return is_watertight(surface.triangles, len(surface.vertices_mm))


def part_count(surface: Surface) -> int:
    return parts_of_vertices(surface.triangles, len(surface.vertices_mm))[0]


def surface_of(array, structure, spacing_mm=(1.0, 1.0, 1.0)) -> Surface:
    labels = LabelVolume(array * np.uint8(structure.value), Geometry(array.shape[::-1], spacing_mm))
    return extract_surface(structure_mask(labels, structure))


@pytest.fixture(scope="module")
def thin_net() -> Surface:
    """60 straight vessels two voxels wide, crossing each other at random: hard to decimate without pinching."""
    random = np.random.default_rng(5)
    array = np.zeros((90, 100, 110), np.uint8)
    for _ in range(60):
        a, b = random.uniform(4, 86, (2, 3))
        steps = np.round(np.linspace(a, b, 400)).astype(int)
        for dk, dj, di in np.ndindex(2, 2, 2):
            array[steps[:, 0] + dk, steps[:, 1] + dj, steps[:, 2] + di] = 1
    return surface_of(array, VESSEL, (0.8, 0.8, 1.0))


@pytest.mark.parametrize("budget", [20_000, 2_000, 300])
def test_a_ball_keeps_budget_volume_and_shape(budget):
    k, j, i = np.indices((64, 64, 64))
    surface = surface_of(((k - 32) ** 2 + (j - 32) ** 2 + (i - 32) ** 2 <= 28**2).astype(np.uint8), LIVER)
    smaller = decimate(surface, budget)
    assert 0.9 * min(budget, len(surface.triangles)) <= len(smaller.triangles) <= budget
    assert is_closed(smaller)
    assert volume_mm3(smaller) == pytest.approx(volume_mm3(surface), rel=0.002)
    center = surface.vertices_mm.mean(axis=0)
    radii = np.linalg.norm(smaller.vertices_mm - center, axis=1)
    assert abs(radii - 28).max() < 1.0


def test_thin_vessels_stay_closed_where_fast_simplification_alone_breaks_them(thin_net):
    budget = len(thin_net.triangles) // 5
    points, triangles = fast_simplification.simplify(thin_net.vertices_mm, thin_net.triangles, target_count=budget)
    assert not is_watertight(triangles, len(points)), "the case is too easy to show anything"

    smaller = decimate(thin_net, budget)
    assert len(smaller.triangles) <= budget
    assert is_closed(smaller)
    assert part_count(smaller) == part_count(thin_net)
    assert volume_mm3(smaller) == pytest.approx(volume_mm3(thin_net), rel=0.01)


def test_what_breaks_is_put_back_without_going_all_the_way_again(thin_net, monkeypatch):
    real, given = fast_simplification.simplify, []

    def counted(points, triangles, **options):
        given.append(len(triangles))
        return real(points, triangles, **options)

    monkeypatch.setattr(fast_simplification, "simplify", counted)
    budget = len(thin_net.triangles) // 5
    smaller = decimate(thin_net, budget)
    large = [triangles for triangles in given if triangles > len(thin_net.triangles) // 2]
    assert len(large) == 1 and len(given) > 2
    assert len(smaller.triangles) <= budget


def test_what_cannot_be_had_at_one_go_is_not_tried_so_twice(thin_net, monkeypatch):
    real, goals = decimation._collapse, []
    whole = max(
        np.bincount(parts_of_vertices(thin_net.triangles, len(thin_net.vertices_mm))[1][thin_net.triangles[:, 0]])
    )

    def spied(part, goal):
        if len(part.triangles) == whole:
            goals.append(goal)
        return real(part, goal)

    monkeypatch.setattr(decimation, "_collapse", spied)
    by_steps = decimate(thin_net, 2000, warn=False)
    assert goals[0] < 4000 and goals[1:] == [whole // 2]
    goals.clear()
    at_once = decimate(thin_net, 2000, warn=False, by_steps=False)
    assert len(goals) == 1
    assert len(by_steps.triangles) < 4000 < whole < len(at_once.triangles)
    assert is_closed(at_once) and part_count(at_once) == part_count(by_steps) == part_count(thin_net)


def test_the_edges_told_as_collapsed_make_the_surface_that_was_returned(thin_net):
    goal = len(thin_net.triangles) // 5
    points, triangles = fast_simplification.simplify(thin_net.vertices_mm, thin_net.triangles, target_count=goal)
    collapsed = decimation._Collapsed(thin_net)
    assert collapsed.go_on(goal)
    surface, numbers = collapsed.surface()
    assert np.array_equal(surface.triangles, triangles)
    assert np.array_equal(surface.vertices_mm, points)

    near = np.linalg.norm(surface.vertices_mm - points[len(points) // 2], axis=1) < 10
    collapsed.undo(numbers[near])
    again, numbers = collapsed.surface()
    put_back = (again.vertices_mm == thin_net.vertices_mm[numbers]).all(axis=1)
    assert 2 * near.sum() < put_back.sum() < len(put_back) / 2
    fine = put_back[again.triangles].all(axis=1)
    assert collapsed.go_on(len(again.triangles) - 200)
    fewer, numbers = collapsed.surface()
    assert len(fewer.triangles) <= len(again.triangles) - 200
    kept = (fewer.vertices_mm == thin_net.vertices_mm[numbers]).all(axis=1)
    assert kept.sum() >= put_back.sum() and kept[fewer.triangles].all(axis=1).sum() >= fine.sum()


def test_specks_beside_a_large_part_survive():
    k, j, i = np.indices((60, 60, 60))
    array = ((k - 28) ** 2 + (j - 28) ** 2 + (i - 28) ** 2 <= 22**2).astype(np.uint8)
    array[1:58:8, 57, 57] = 1
    surface = surface_of(array, VESSEL)
    smaller = decimate(surface, 600)
    assert len(smaller.triangles) <= 600
    assert is_closed(smaller)
    assert part_count(smaller) == part_count(surface) == 9


def test_a_budget_that_closed_surfaces_cannot_meet_is_exceeded_with_a_warning(caplog):
    array = np.zeros((40, 40, 40), np.uint8)
    array[::4, ::4, ::4] = 1  # 1000 single voxels, 8 triangles each
    surface = surface_of(array, VESSEL)
    with caplog.at_level(logging.WARNING):
        smaller = decimate(surface, 500)
    assert part_count(smaller) == 1000
    assert is_closed(smaller)
    assert "instead of 500" in caplog.text


def test_a_surface_within_the_budget_is_left_alone():
    surface = surface_of(np.ones((5, 5, 5), np.uint8), LIVER)
    assert decimate(surface, len(surface.triangles)) is surface
