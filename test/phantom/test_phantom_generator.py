# SPDX-License-Identifier: Apache-2.0
"""A phantom's ground truth is true: of its labels, its vessel graphs, its tumors and its Hounsfield units."""

from __future__ import annotations

import cc3d
import numpy as np
import pytest
from scipy.ndimage import binary_erosion

from liver_seg_ros.errors import InputError
from liver_seg_ros.phantom import Phantom, PhantomOptions, VesselGraph, generate_phantom
from liver_seg_ros.phantom.tissue import TISSUES

SCAN = PhantomOptions(
    size=(220, 190, 170), spacing_mm=(1.3, 1.3, 1.5), phase="portal_venous", noise_hu=12, tumor_count=5
)


@pytest.fixture(scope="module", params=[3, 4])
def phantom(request: pytest.FixtureRequest) -> Phantom:
    return generate_phantom(request.param, SCAN)


def index_of(phantom: Phantom, points_mm: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Array indices `[k, j, i]` of LPS points, and which of them lie on the grid."""
    index = np.rint(phantom.ct.geometry.lps_to_index(points_mm)).astype(int)
    on_grid = ((index >= 0) & (index < phantom.ct.geometry.size)).all(axis=1)
    return index[:, ::-1], on_grid


def test_same_seed_same_voxels() -> None:
    small = PhantomOptions(size=(60, 50, 30), spacing_mm=(6, 6, 7))
    first, again, other = (generate_phantom(seed, small) for seed in (1, 1, 2))
    assert np.array_equal(first.ct.array, again.ct.array) and np.array_equal(first.labels.array, again.labels.array)
    assert first.ct.geometry == again.ct.geometry and first.phase == again.phase
    assert not np.array_equal(first.ct.array, other.ct.array)


def test_bone_is_where_it_is_bright_and_not_in_the_liver(phantom: Phantom) -> None:
    g = phantom.ct.geometry
    axes = [o + s * np.arange(n) for o, s, n in zip(g.origin_mm, g.spacing_mm, g.size, strict=True)]
    distance_mm = phantom.bone.distance(*axes)
    hu, organ = phantom.ct.array, phantom.labels.array > 0
    assert 100 < (distance_mm < 0).sum() * g.voxel_volume_mm3 / 1000 < 2500
    assert not (organ & (distance_mm < 0)).any()
    cortex, muscle = hu[(distance_mm < -0.8) & (distance_mm > -1.5)], hu[(distance_mm > 2) & (distance_mm < 3)]
    assert np.median(cortex) > 250 > 150 > np.median(muscle)


def test_one_liver_of_human_size(phantom: Phantom) -> None:
    organ = phantom.labels.array > 0
    assert 600 < organ.sum() * phantom.ct.geometry.voxel_volume_mm3 / 1000 < 3200
    sizes = np.sort(np.bincount(cc3d.connected_components(organ).ravel())[1:])
    assert sizes[-1] > 0.99 * sizes.sum()
    assert np.isin(phantom.labels.array, [0, 1, 2, 3]).all()


def test_hounsfield_units_are_those_of_the_phase(phantom: Phantom) -> None:
    hu, labels = phantom.ct.array, phantom.labels.array
    deep = binary_erosion(labels == 1, iterations=2)
    low = TISSUES["fatty_liver"].portal_venous[0] - 8
    assert low < hu[deep].mean() < TISSUES["liver"].portal_venous[1] + 8
    assert hu[binary_erosion(labels == 3)].mean() > hu[deep].mean() + 15  # enhanced veins stand out
    assert hu.min() >= -1024 and (hu < -900).mean() > 0.02  # there is air around the patient and in the lungs


def test_noise_is_as_asked() -> None:
    small = {"size": (90, 80, 20), "spacing_mm": (4.0, 4.0, 5.0), "phase": "none"}
    quiet, loud = (generate_phantom(6, PhantomOptions(**small, noise_hu=sd)).ct.array.astype(float) for sd in (0, 15))
    visible = (quiet > -900) & (quiet < 2000)  # elsewhere the scanner's range cuts the noise off
    assert np.isclose((loud - quiet)[visible].std(), 15, rtol=0.05)


@pytest.mark.parametrize("tree", ["portal", "hepatic"])
def test_vessel_graph_obeys_murray(phantom: Phantom, tree: str) -> None:
    graph: VesselGraph = getattr(phantom, tree)
    assert (graph.parent < np.arange(len(graph.parent))).all()  # parents first, so there is no cycle
    assert (graph.parent == -1).sum() == (1 if tree == "portal" else 3)
    assert 0.9 < graph.radius_mm.min() < 1.15 and graph.radius_mm.max() < 8
    assert len(graph.terminals) > 40
    for node in np.flatnonzero(np.bincount(graph.parent[graph.parent >= 0], minlength=len(graph.parent)) >= 2):
        children, parent = graph.radius_mm[graph.parent == node], graph.radius_mm[node]
        if graph.parent[node] >= 0:  # exponents are drawn between 2.7 and 3
            assert (children**3.0).sum() ** (1 / 3.0) - 1e-6 <= parent <= (children**2.7).sum() ** (1 / 2.7) + 1e-6


@pytest.mark.parametrize("tree", ["portal", "hepatic"])
def test_vessel_graph_and_voxels_agree(phantom: Phantom, tree: str) -> None:
    graph: VesselGraph = getattr(phantom, tree)
    edges = graph.edges
    middle = graph.points_mm[edges].mean(axis=1)
    index, on_grid = index_of(phantom, middle)
    thick = graph.radius_mm[edges[:, 1]] > 1.2  # thinner ones may pass between voxel centers
    labels = phantom.labels.array[tuple(index[on_grid & thick].T)]
    assert (labels > 0).mean() > 0.97  # inside the liver
    assert np.isin(labels[labels > 0], [2, 3]).mean() > 0.97  # vessel, or a tumor in its place


def test_vessel_volume_is_that_of_the_graphs(phantom: Phantom) -> None:
    volume = 0.0
    for graph in (phantom.portal, phantom.hepatic):
        length = np.linalg.norm(np.diff(graph.points_mm[graph.edges], axis=1)[:, 0], axis=1)
        volume += float((np.pi * graph.radius_mm[graph.edges[:, 1]] ** 2 * length).sum())
    voxels = phantom.labels.counts()["vessel"] * phantom.ct.geometry.voxel_volume_mm3
    assert 0.7 * volume < voxels < 1.1 * volume  # vessels overlap where they branch, and tumors cover some


def test_tumors_are_where_they_are_said_to_be(phantom: Phantom) -> None:
    assert phantom.tumors
    index, on_grid = index_of(phantom, np.array([t.center_mm for t in phantom.tumors]))
    large = np.array([t.diameter_mm > 8 for t in phantom.tumors])
    assert (phantom.labels.array[tuple(index[on_grid & large].T)] == 2).all()
    volume = sum(np.pi / 6 * t.diameter_mm**3 for t in phantom.tumors)
    voxels = phantom.labels.counts()["tumor"] * phantom.ct.geometry.voxel_volume_mm3
    assert 0.4 * volume < voxels < 1.3 * volume  # the capsule cuts some


def test_thick_slices_are_means_of_thin_ones() -> None:
    """Partial volume: at the dome the liver's edge is blurred over a thick slice, not stepped."""
    common = {"phase": "portal_venous", "noise_hu": 0.0, "tumor_count": 0, "tilt_deg": 0.0, "center_mm": (0, 0, 0)}
    thin = generate_phantom(8, PhantomOptions(size=(70, 60, 100), spacing_mm=(4, 4, 2.0), **common))
    thick = generate_phantom(8, PhantomOptions(size=(70, 60, 20), spacing_mm=(4, 4, 10.0), **common))
    averaged = thin.ct.array.astype(float).reshape(20, 5, 60, 70).mean(axis=1)
    difference = np.abs(averaged - thick.ct.array)
    assert np.median(difference) < 2 and np.quantile(difference, 0.95) < 40
    assert np.mean(np.abs(thin.ct.array[2::5].astype(float) - thick.ct.array)) > 2 * difference.mean()


@pytest.mark.parametrize("phase", ["none", "arterial", "portal_venous"])
def test_phase_sets_the_aorta_apart(phase: str) -> None:
    low, high = getattr(TISSUES["aorta"], phase)
    scan = PhantomOptions(size=(120, 100, 60), spacing_mm=(3, 3, 4), phase=phase, noise_hu=0)  # type: ignore[arg-type]
    phantom = generate_phantom(12, scan)
    assert phantom.phase == phase
    near = (phantom.ct.array > low - 10) & (phantom.ct.array < high + 10)
    tubes = cc3d.connected_components(near & ~binary_erosion(near, iterations=8))
    assert tubes.max() > 0


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        ({"size": (4, 100, 100)}, "size"),
        ({"spacing_mm": (0.1, 1, 1)}, "spacing"),
        ({"phase": "venous"}, "portal_venous"),
        ({"tumor_count": -1}, "tumor count"),
        ({"noise_hu": 1000}, "noise"),
        ({"tilt_deg": 90}, "tilt"),
    ],
)
def test_options_out_of_range_are_named(bad: dict[str, object], says: str) -> None:
    with pytest.raises(InputError, match=says):
        PhantomOptions(**bad)  # type: ignore[arg-type]


def test_grid_without_liver_is_refused() -> None:
    with pytest.raises(InputError, match="no liver"):
        generate_phantom(0, PhantomOptions(size=(20, 20, 20), spacing_mm=(2, 2, 2), center_mm=(0, 0, 900)))
