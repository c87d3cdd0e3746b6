# SPDX-License-Identifier: Apache-2.0
"""Bone, lung and gas by their HU, against what phantoms are drawn of, and against a real patient's mask of bone."""

from __future__ import annotations

from dataclasses import replace

import edt
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from liver_seg_ros.errors import InputError
from liver_seg_ros.geometry import Geometry
from liver_seg_ros.labels import BONE, COLON, KIDNEY, LIVER, LUNG
from liver_seg_ros.orientation import Reorientation
from liver_seg_ros.planning.air_by_hu import GAS
from liver_seg_ros.planning.anatomy import NOT_LOOKED_FOR, prepare_anatomy
from liver_seg_ros.planning.body import Body, find_body
from liver_seg_ros.planning.clearance import distance_field
from liver_seg_ros.planning.limits import LEAST_CLEARANCE_MM
from liver_seg_ros.planning.obstacles_by_hu import ByHu, find_by_hu
from liver_seg_ros.planning.ranking import rank_trajectories
from liver_seg_ros.planning.skin import find_skin
from liver_seg_ros.planning.trajectory_values import NEEDLE_RADIUS_MM
from liver_seg_ros.reconstruction.pipeline import ReconstructionOptions, reconstruct
from liver_seg_ros.volume import LabelVolume, Volume

#: The needle's axis keeps so far away from bone.
KEPT_MM = NEEDLE_RADIUS_MM + LEAST_CLEARANCE_MM[BONE]
RIBS, SPINE = 0, 1  # of a torso's cortical bone
SEEDS = ((1, "none"), (11, "arterial"), (12, "portal_venous"))


def found_in(ct: Volume, labels: LabelVolume, body: Body | None = None) -> ByHu:
    return find_by_hu(ct, labels, body or find_body(ct))


def distance_mm(found: ByHu, structure, points_mm):
    """`(N,)` of points from what was found; far where nothing was."""
    mesh = next((mesh for mesh in found.meshes if mesh.structure == structure), None)
    return np.full(len(points_mm), 1e3) if mesh is None else distance_field(mesh).distance(points_mm)


def places(mask, geometry):
    """`(N, 3)` LPS of some of the voxels of a mask."""
    index = np.argwhere(mask)[:, ::-1]
    return geometry.index_to_lps(index[:: 1 + len(index) // 5_000])


@pytest.fixture(scope="module")
def body(torso):
    return find_body(torso.ct)


@pytest.fixture(scope="module")
def surfaces(torso):
    return reconstruct(torso.labels, ReconstructionOptions(collision_margin_mm=0))


@pytest.fixture(scope="module", params=SEEDS, ids=lambda seed: f"{seed[0]}-{seed[1]}")
def case(request, draw_torso):
    """A torso at 3 mm and what is found in it."""
    seed, phase = request.param
    torso = draw_torso(seed, 3.0, phase, (400, 320, 200))
    return torso, found_in(torso.ct, torso.labels)


def test_ribs_are_found_whatever_the_phase(case):
    torso, found = case
    ribs = torso.mask("cortical_bone", RIBS)
    assert ribs.sum() > 5000
    assert (distance_mm(found, BONE, places(ribs, torso.ct.geometry)) <= KEPT_MM).mean() > 0.995


def test_no_needle_through_bone_is_open_and_those_between_ribs_are(case):
    torso, found = case
    skin = find_skin(torso.ct, point_spacing_mm=8.0)
    rng = np.random.default_rng(0)
    inside = places(torso.labels.array > 0, torso.ct.geometry)
    targets = inside[rng.integers(len(inside), size=12)]
    pairs = [(entry, target) for target in targets for entry in skin.entries_to(target)]
    entries, ends = (np.array(points) for points in zip(*pairs, strict=True))
    along = entries + np.linspace(0, 1, 120)[:, None, None] * (ends - entries)
    depth_mm = torso.distance_mm(along.reshape(-1, 3), "cortical_bone").reshape(along.shape[:2]).min(axis=0)
    (bone,) = (mesh for mesh in found.meshes if mesh.structure == BONE)
    clearance_mm = distance_field(bone).along(entries, ends, NEEDLE_RADIUS_MM).clearance_mm
    is_open = clearance_mm >= LEAST_CLEARANCE_MM[BONE]
    through = depth_mm < -1  # what grazes a surface by less may pass
    assert through.sum() > 1000 and not is_open[through].any()
    # A gap between ribs is some 14 mm wide.
    between = (depth_mm > KEPT_MM + 2.5) & (depth_mm < 8)
    assert between.sum() > 500 and is_open[between].mean() > 0.75


def test_nothing_is_found_in_the_liver(case):
    torso, found = case
    depth_mm = edt.edt(torso.labels.array > 0) * 3
    for mesh in found.meshes:
        i, j, k = np.rint(torso.ct.geometry.lps_to_index(mesh.vertices_mm)).astype(int).T
        inside = ((i >= 0) & (i < 133) & (j >= 0) & (j < 106) & (k >= 0) & (k < 66)).nonzero()
        assert depth_mm[k[inside], j[inside], i[inside]].max() <= 3  # a block: of the mask, none is in it


def test_lungs_and_gas_are_found_and_told_apart(case):
    torso, found = case
    geometry = torso.ct.geometry
    lung = places((torso.ct.array < -500) & torso.mask("lung"), geometry)
    assert (distance_mm(found, LUNG, lung) <= LEAST_CLEARANCE_MM[LUNG]).mean() > 0.99
    gas = places((torso.ct.array < -700) & torso.mask("gas"), geometry)
    nearest = np.minimum(distance_mm(found, GAS, gas), distance_mm(found, LUNG, gas))
    assert len(gas) and (nearest <= LEAST_CLEARANCE_MM[GAS]).mean() > 0.95


@pytest.mark.parametrize(("seed", "phase"), [(1, "none"), (11, "arterial")])
def test_the_first_trajectory_is_never_through_a_rib_as_it_is_without_hu(seed, phase, draw_torso):
    """Targets beside the ribs, where the shortest way is often through one."""
    torso = draw_torso(seed, 3.0, phase, (400, 320, 200))
    with_hu = prepare_anatomy(torso.labels, ct=torso.ct)
    by_labels = {s: field for s, field in with_hu.fields.items() if s not in with_hu.by_hu.found}
    without = replace(with_hu, fields=by_labels, by_hu=NOT_LOOKED_FOR)
    inside = places(torso.labels.array > 0, torso.ct.geometry)
    lateral = inside[inside[:, 0] < np.quantile(inside[:, 0], 0.2)]

    def through_bone(anatomy, target) -> bool:
        ranked = rank_trajectories(anatomy, target).trajectories
        assert ranked
        needle = ranked[0].evaluation.trajectory
        axis = np.linspace(needle.entry_mm, needle.target_mm, 200)
        return bool((torso.distance_mm(axis, "cortical_bone") < NEEDLE_RADIUS_MM).any())

    targets = lateral[:: len(lateral) // 5][:5]
    assert not any(through_bone(with_hu, target) for target in targets)
    assert any(through_bone(without, target) for target in targets)


def test_switched_off_or_without_a_ct_the_answer_is_that_of_the_labels(torso, surfaces):
    labels = torso.labels
    off, none = prepare_anatomy(labels, surfaces, torso.ct, by_hu=False), prepare_anatomy(labels, surfaces)
    judged = prepare_anatomy(labels, surfaces, torso.ct, skin=False)
    assert set(off.fields) == set(none.fields) == {LIVER} and BONE in judged.fields and judged.skin is None
    assert "as asked" in off.by_hu.in_words and "needs the CT" in none.by_hu.in_words
    target, entries = torso.center_mm, off.skin.entries_to(torso.center_mm)[::20]
    first, second = (rank_trajectories(anatomy, target, entries) for anatomy in (off, none))
    assert first.to_dict() == second.to_dict() and "clearance to bone by HU" not in first.rejected
    assert rank_trajectories(judged, target, entries).rejected["clearance to bone by HU"] > 10


def test_a_ct_without_a_body_is_no_reason_to_refuse_given_entries(torso, surfaces):
    air = Volume(np.full(torso.ct.geometry.shape, -1000, np.int16), torso.ct.geometry)
    anatomy = prepare_anatomy(torso.labels, surfaces, air, skin=False)
    assert anatomy.by_hu.in_words == "Bone, lung and gas are not looked for by HU: the CT shows no body."
    with pytest.raises(InputError, match="no body"):
        prepare_anatomy(torso.labels, surfaces, air)


def test_labels_of_another_grid_are_refused(torso):
    moved = replace(torso.labels.geometry, origin_mm=(0.0, 0.0, 0.0))
    with pytest.raises(InputError, match=r"not on the grid of the CT .* voxels up to"):
        found_in(torso.ct, LabelVolume(torso.labels.array, moved))


def test_contrast_metal_and_a_crop_are_no_obstacle_to_an_answer(torso):
    """Metal in the liver's labels is none, metal beside it is."""
    box = np.s_[20:50, 20:60, 25:60]
    geometry = Geometry((35, 40, 30), (4.0,) * 3, tuple(torso.ct.geometry.index_to_lps((25, 20, 20))))
    inside = np.zeros(geometry.shape, np.uint8)
    inside[8:22, 10:30, 8:24] = LIVER.value
    hu = np.random.default_rng(0).normal(60, 12, geometry.shape).astype(np.int16)
    hu[inside > 0] += 50
    plain, labels = Volume(hu, geometry), LabelVolume(inside, geometry)
    nothing = found_in(plain, labels)
    assert nothing.found == () and set(nothing.searched) == {BONE, LUNG, GAS}
    assert nothing.in_words == "Looked for by HU and not found: bone, lung, gas."
    hu = hu.copy()
    hu[12:14, 14:16, 10:12] = 3000
    assert found_in(Volume(hu, geometry), labels).found == ()
    hu[12:14, 5:7, 10:12] = 3000
    metal = found_in(Volume(hu, geometry), labels)
    assert metal.found == (BONE,)
    assert (distance_mm(metal, BONE, geometry.index_to_lps([[10.5, 5.5, 12.5]])) < 0).all()
    cut = Volume(torso.ct.array[box], geometry)
    assert found_in(cut, LabelVolume(torso.labels.array[box], geometry)).found  # ribs, or gas


def test_labels_of_bone_and_lung_win(torso, body):
    value = torso.labels.array.copy()
    value[torso.mask("cortical_bone", SPINE) & (value == 0)] = BONE.value
    found = found_in(torso.ct, LabelVolume(value, torso.ct.geometry), body)
    assert set(found.searched) == {LUNG, GAS} and BONE not in found.found
    lung = torso.labels.array.copy()
    lung[torso.mask("lung") & (torso.ct.array < -700)] = LUNG.value
    found = found_in(torso.ct, LabelVolume(lung, torso.ct.geometry), body)
    assert set(found.searched) == {BONE, GAS} and LUNG not in found.found
    rim = places(torso.mask("lung"), torso.ct.geometry)
    assert (distance_mm(found, GAS, rim) < 0).mean() < 0.01  # what a lung's label leaves out is no gas
    colon = torso.labels.array.copy()
    colon[torso.mask("gas")] = COLON.value
    kidney = np.where((colon == 0) & (torso.ct.array > 100), np.uint8(KIDNEY.value), colon)
    found = found_in(torso.ct, LabelVolume(kidney, torso.ct.geometry), body)
    assert BONE not in found.found and GAS not in found.found  # all of it has a label


def test_wires_on_the_skin_are_no_bone(torso, body):
    hu = torso.ct.array.copy()
    skin = find_skin(torso.ct).points.points_mm
    front = skin[skin[:, 1] < np.quantile(skin[:, 1], 0.2)]
    i, j, k = np.rint(torso.ct.geometry.lps_to_index(front)).astype(int).T
    hu[k, j, i] = 2000
    marked = find_by_hu(Volume(hu, torso.ct.geometry), torso.labels, body)
    plain, wired = (
        next(mesh for mesh in found.meshes if mesh.structure == BONE)
        for found in (find_by_hu(torso.ct, torso.labels, body), marked)
    )
    assert len(wired.triangles) == len(plain.triangles)


def rib(spacing_mm, turn_deg: float = 20.0) -> tuple[Volume, LabelVolume]:
    """A rib of 5 mm radius through a block of muscle, with a cortex of 1 mm and marrow as bright as liver."""
    size = tuple(int(70 / mm) for mm in spacing_mm)
    geometry = Geometry(size, spacing_mm, (-35.0, -35.0, -35.0))
    k, j, i = np.indices(geometry.shape)
    x, y, z = np.moveaxis(geometry.index_to_lps(np.stack([i, j, k], axis=-1)), -1, 0)
    a = np.radians(turn_deg)
    radius = np.hypot(y * np.cos(a) - x * np.sin(a), z)
    outer, inner = ((0.5 - (radius - mm) / np.mean(spacing_mm)).clip(0, 1) for mm in (5, 4))  # of a voxel
    hu = 60 + 840 * outer - 790 * inner + np.random.default_rng(0).normal(0, 15, geometry.shape)
    return Volume(hu.astype(np.int16), geometry), LabelVolume(np.zeros(geometry.shape, np.uint8), geometry)


@given(st.tuples(*[st.floats(0.6, 3.0)] * 2, st.floats(0.6, 5.0)), st.floats(-80, 80))
@settings(max_examples=8)
def test_a_rib_is_found_at_any_resolution(spacing_mm, turn_deg):
    ct, labels = rib(tuple(spacing_mm), turn_deg)
    found = found_in(ct, labels)
    assert BONE in found.found
    a, along = np.radians(turn_deg), np.linspace(-20, 20, 41)
    axis = np.stack([along * np.cos(a), along * np.sin(a), 0 * along], axis=1)
    across = np.stack([-np.sin(a), np.cos(a), 0]) * 20
    (bone,) = (mesh for mesh in found.meshes if mesh.structure == BONE)
    clearance_mm = distance_field(bone).along(axis - across, axis + across, NEEDLE_RADIUS_MM).clearance_mm
    assert (clearance_mm < LEAST_CLEARANCE_MM[BONE]).all()  # no needle gets through it
    beside = distance_field(bone).distance(axis + across / 20 * 12)
    assert (beside > KEPT_MM).all()  # but 7 mm beside it


@given(st.permutations(range(3)), st.tuples(*[st.booleans()] * 3))
@settings(max_examples=4)
def test_the_order_of_axes_changes_nothing(torso, axes, flipped):
    labels = torso.labels
    reorder = Reorientation(tuple(axes), flipped)
    geometry = reorder.apply_to_geometry(labels.geometry)
    if not geometry.is_right_handed:
        reorder = Reorientation(tuple(axes), (not flipped[0], *flipped[1:]))
        geometry = reorder.apply_to_geometry(labels.geometry)
    turned = found_in(
        Volume(np.ascontiguousarray(reorder.apply(torso.ct.array)), geometry),
        LabelVolume(np.ascontiguousarray(reorder.apply(labels.array)), geometry),
    )
    for mesh, other in zip(found_in(torso.ct, labels).meshes, turned.meshes, strict=True):
        assert mesh.structure == other.structure
        assert np.abs(mesh.vertices_mm.min(axis=0) - other.vertices_mm.min(axis=0)).max() < 0.5
        assert len(mesh.triangles) == pytest.approx(len(other.triangles), rel=0.01)
