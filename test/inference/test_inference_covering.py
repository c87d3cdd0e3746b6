# SPDX-License-Identifier: Apache-2.0
"""Windows where something is asked about: each voxel in one with its context, their answers as of one large window."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import ceil, floor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from liver_seg_ros.evaluation.dice import dice
from liver_seg_ros.geometry import Box, Geometry
from liver_seg_ros.inference import covering, network
from liver_seg_ros.inference.bundle import InputSpec, ModelBundle
from liver_seg_ros.inference.covered import covered_slices
from liver_seg_ros.inference.covering import Demand, Layer, Window, cover, windows_for
from liver_seg_ros.inference.region import Region
from liver_seg_ros.inference.runtimes.choice import create_runtime
from liver_seg_ros.inference.runtimes.openvino import OpenVino
from liver_seg_ros.inference.segmenter import Segmenter, load_default_segmenter
from liver_seg_ros.phantom import PhantomOptions, generate_phantom

MakeBundle = Callable[..., ModelBundle]


def blob(shape: tuple[int, ...], seed: int) -> NDArray[np.bool_]:
    """A few boxes, which may touch or not."""
    rng = np.random.default_rng(seed)
    mask = np.zeros(shape, bool)
    for _ in range(rng.integers(1, 5)):
        low = [int(rng.integers(n)) for n in shape]
        mask[tuple(slice(a, a + int(rng.integers(1, 7))) for a in low)] = True
    return mask


@given(
    shape=st.tuples(*[st.integers(1, 14)] * 3),
    scale=st.tuples(*[st.floats(0.4, 5.0)] * 3),
    contexts=st.tuples(*[st.tuples(*[st.integers(1, 9)] * 3)] * 2),
    divisor=st.sampled_from([1, 4, 8]),
    seed=st.integers(0, 10_000),
)
@settings(max_examples=60)
def test_every_voxel_lies_in_a_window_with_the_context_of_each_layer(
    shape: tuple[int, int, int],
    scale: tuple[float, float, float],
    contexts: tuple[tuple[int, int, int], tuple[int, int, int]],
    divisor: int,
    seed: int,
) -> None:
    mask = blob(shape, seed)
    layers = [Layer(mask, contexts[0]), Layer(mask & blob(shape, seed + 1), contexts[1])]
    borders = [np.arange(n + 1) * s for n, s in zip(shape, scale, strict=True)]
    k, j, i = (max(1, round(b[-1])) for b in borders)
    windows = cover(layers, borders, Demand((k, j, i), divisor, (64, 48, 56), 48**3))
    assert windows is not None and windows == sorted(windows, key=lambda window: window.start)
    for window in windows:
        assert all(n % divisor == 0 and n <= most for n, most in zip(window.size, (64, 48, 56), strict=True))
        assert window.voxels <= 48**3
    for voxel in np.argwhere(mask):
        held = [layer for layer in layers if layer.mask[tuple(voxel)]]
        needed = [
            (
                max(0, floor(b[n]) - max(layer.context[axis] for layer in held)),
                min(length, ceil(b[n + 1]) + max(layer.context[axis] for layer in held)),
            )
            for axis, (b, n, length) in enumerate(zip(borders, voxel, (k, j, i), strict=True))
        ]
        assert any(
            all(a <= low and high <= a + n for (low, high), a, n in zip(needed, w.start, w.size, strict=True))
            for w in windows
        )


def test_two_lobes_far_apart_are_run_apart_and_nothing_not_at_all() -> None:
    mask = np.zeros((10, 10, 40), bool)
    borders = [np.arange(n + 1.0) for n in mask.shape]
    demand = Demand((10, 10, 40), 4, (64, 64, 64), 64**3)
    assert cover([Layer(mask, (2, 2, 2))], borders, demand) == []
    mask[4:6, 4:6, 2], mask[4:6, 4:6, 36:38] = True, True
    # Apart they were 2 * 512 of 2560 voxels; starting one more run costs more than that saves.
    [both] = cover([Layer(mask, (2, 2, 2))], borders, demand) or []
    assert both.size == (8, 8, 40)
    eight_times = [b * 8 for b in borders]
    apart = cover([Layer(mask, (2, 2, 2))], eight_times, Demand((80, 80, 320), 4, (400, 400, 400), 10**9))
    assert apart is not None and [w.size for w in apart] == [(20, 20, 12), (20, 20, 20)]


def test_a_voxel_that_no_window_holds_is_said() -> None:
    one = Layer(np.ones((1, 1, 1), bool), (4, 4, 4))
    assert cover([one], [np.array([0.0, 90.0])] * 3, Demand((90, 90, 90), 8, (64, 64, 64), 64**3)) is None


def test_a_network_that_needs_whole_windows_gets_them() -> None:
    ct = Geometry((40, 40, 40))
    box, fields = Box((0, 0, 0), (40, 40, 40)), ((1.0, 1.0, 1.0), (-100.0, 250.0), (48, 48, 48), 0.25, 8)
    half = np.arange(40)[:, None, None] < np.full(ct.shape, 20)
    region = Region(box, half, ct, ct, None, 4.0)
    assert windows_for(region, ct, InputSpec(*fields)) == [Window((0, 0, 0), (24, 40, 40))]
    # Too little would be saved for what the windows do not see.
    assert windows_for(Region(box, np.ones(ct.shape, bool), ct, ct, None, 4.0), ct, InputSpec(*fields)) is None
    assert windows_for(region, ct, InputSpec(*fields, fixed_window=True)) is None
    assert windows_for(region, ct, InputSpec(*fields, slices=True)) is None


def test_thousands_of_windows_are_not_sought(monkeypatch: pytest.MonkeyPatch) -> None:
    """The search would take minutes, in which nothing can be cancelled."""
    ct = Geometry((300, 300, 200))
    region = Region(Box((0, 0, 0), (300, 300, 200)), np.ones(ct.shape, bool), ct, ct, None, 4.0)
    monkeypatch.setattr(covering, "cover", lambda *_: pytest.fail("sought"))
    assert windows_for(region, ct, InputSpec((1.0, 1.0, 1.0), (-100.0, 250.0), (16, 16, 16), 0.25, 8)) is None


def test_a_slice_of_the_ct_is_interpolated_from_what_windows_saw() -> None:
    ct, grid = Geometry((40, 40, 8), (1.0, 1.0, 10.0)), Geometry((40, 40, 80), (1.0, 1.0, 1.0), (0.0, 0.0, -4.5))
    mask = np.zeros(ct.shape, bool)
    mask[4, 20, 20] = True
    [window] = (
        windows_for(
            Region(Box((20, 20, 4), (21, 21, 5)), mask, ct, ct),
            grid,
            InputSpec((1.0, 1.0, 1.0), (-100.0, 250.0), (48, 48, 48), 0.25, 1),
        )
        or []
    )
    assert window == Window((34, 18, 18), (22, 5, 5))  # ten voxels of the grid a slice, and six more on either side


@pytest.mark.parametrize("batch", [1, 3])
def test_scores_are_those_of_one_large_window(
    make_segmenter_bundle: MakeBundle, asymmetric_kernel: np.ndarray, batch: int
) -> None:
    """The kernel looks one voxel far, so with that context around it no voxel sees where its window ends."""
    shape = (37, 30, 42)
    runtime = create_runtime("onnxruntime", make_segmenter_bundle(asymmetric_kernel))
    runtime.largest_batch = batch
    values = np.random.default_rng(5).uniform(-1, 1, shape).astype(np.float32)
    mask = np.zeros(shape, bool)
    mask[3:9, 4:20, 5:12], mask[22:30, 18:27, 30:41], mask[5:25, 9:12, 9:12] = True, True, True
    windows = [Window((1, 2, 3), (12, 24, 12)), Window((4, 4, 4), (24, 12, 12)), Window((18, 14, 22), (16, 16, 20))]
    taken: list[int] = []

    def slices() -> Iterator[NDArray[np.float32]]:
        for k, plane in enumerate(values):
            taken.append(k)
            yield plane

    shares: list[float] = []
    found = np.stack(list(covered_slices(runtime, slices(), shape, windows, before_batch=shares.append)), 1)
    at_once = runtime.run(values[None, None])[0]
    np.testing.assert_allclose(found[:, mask], at_once[:, mask], atol=1e-4)
    assert shares[0] == 0 and shares == sorted(shares) and shares[-1] < 1
    assert taken == list(range(34))  # none behind the last window
    elsewhere = found[:, :, 29:, :14]  # of no window
    assert (elsewhere.argmax(axis=0) == 0).all() and np.ptp(elsewhere, axis=0).min() > 1000


def test_beyond_the_volume_its_outermost_voxels_are_seen(
    make_segmenter_bundle: MakeBundle, asymmetric_kernel: np.ndarray
) -> None:
    runtime = create_runtime("onnxruntime", make_segmenter_bundle(asymmetric_kernel))
    constant = np.full((6, 6, 6), 0.5, np.float32)
    whole = Layer(np.ones((6, 6, 6), bool), (3, 3, 3))
    [window] = cover([whole], [np.arange(7.0)] * 3, Demand((6, 6, 6), 8, (8, 8, 8), 512)) or []
    assert window == Window((-1, -1, -1), (8, 8, 8))
    found = np.stack(list(covered_slices(runtime, constant, constant.shape, [window])), 1)
    np.testing.assert_allclose(found, found[:, :1, :1, :1] + np.zeros((1, 6, 6, 6)), atol=1e-5)


def test_a_region_holds_the_voxels_whose_centers_lie_in_its_mask() -> None:
    turned = ((0.0, -1.0, 0.0), (1.0, 0.0, 0.0), (0.0, 0.0, 1.0))
    ct = Geometry((20, 14, 9), (1.0, 1.5, 2.5), (5.0, -3.0, 20.0), turned)
    coarse = ct.resampled((4.0, 4.0, 4.0))
    region = Region(Box((3, 2, 1), (18, 12, 8)), blob(coarse.shape, 3), coarse, ct)
    inside = np.zeros(ct.shape, bool)
    inside[region.box.slices] = np.stack(list(region.slices()))
    index = np.argwhere(np.ones(ct.shape, bool))[:, ::-1]
    np.testing.assert_array_equal(region.holds(ct.index_to_lps(index)).reshape(ct.shape), inside)
    assert inside.any() and not inside.all()
    fine = ct.crop(region.box).resampled((1.0, 1.0, 1.0))
    for borders, axis in zip(region.borders_on(fine), (2, 1, 0), strict=True):
        centers = np.zeros((coarse.size[axis], 3))
        centers[:, axis] = np.arange(coarse.size[axis])
        on_fine = fine.lps_to_index(coarse.index_to_lps(centers))[:, axis] + 0.5
        np.testing.assert_allclose((borders[:-1] + borders[1:]) / 2, on_fine, atol=1e-6)


@pytest.fixture(scope="module")
def shipped() -> Segmenter:
    return load_default_segmenter(runtime="openvino", precision="fp32")


def test_fewer_voxels_are_run_and_the_shipped_network_labels_as_over_the_whole_box(
    shipped: Segmenter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where little is saved; what all voxels of the liver's box were run for is the reference."""
    phantom = generate_phantom(11003, PhantomOptions((130, 110, 76), (3.0, 3.0, 3.5), "portal_venous"))
    runs: list[int] = []
    infer = OpenVino._infer

    def counted(self: OpenVino, batch: NDArray[np.floating]) -> NDArray[np.generic]:
        runs.append(batch.size)
        return infer(self, batch)

    monkeypatch.setattr(OpenVino, "_infer", counted)
    monkeypatch.setattr(covering, "LEAST_SAVED", 0.0)
    found = shipped.segment(phantom.ct)
    fewer = sum(runs)
    runs.clear()
    monkeypatch.setattr(network, "windows_for", lambda *_: None)
    whole = shipped.segment(phantom.ct)
    assert fewer < 0.95 * sum(runs)
    assert dice(found.labels, whole.labels)["liver"] > 0.995
    for name in ("liver", "vessel"):  # of its tumors most are a voxel or two
        assert dice(found.labels, phantom.labels)[name] > dice(whole.labels, phantom.labels)[name] - 0.005, name
