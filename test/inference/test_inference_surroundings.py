# SPDX-License-Identifier: Apache-2.0
"""The map of the surroundings: a network's organs where they are, on a grid of its own, without specks."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import binary_erosion

from liver_seg_ros.errors import InputError
from liver_seg_ros.geometry import Geometry
from liver_seg_ros.inference.bundle import InputSpec, Postprocessing
from liver_seg_ros.inference.surroundings import SurroundingsMapper, load_surroundings_mapper, without_small_parts
from liver_seg_ros.labels import AORTA, LIVER, STOMACH
from liver_seg_ros.planning.nearest_labels import labels_at
from liver_seg_ros.volume import Volume

#: A bundle whose classes are in another order than their values, as those of the shipped one are.
LABELS = {0: "background", 1: "liver", 2: "aorta", 3: "stomach"}
BANDS = [(20.0, 100.0), (160.0, 240.0), (100.0, 160.0)]


@pytest.fixture(scope="module")
def mapper(make_bundle) -> SurroundingsMapper:
    bundle = make_bundle(
        "surround",
        BANDS,
        labels=LABELS,
        input=InputSpec((4.0, 4.0, 4.0), (-200.0, 300.0), (32, 32, 32), 0.25, 4),
        postprocessing=Postprocessing({"aorta": 2000.0}, 0.0),
    )
    return SurroundingsMapper(bundle, "onnxruntime")


@pytest.fixture(scope="module")
def ct() -> Volume:
    """A ball of stomach, a column of aorta and a speck as bright, in axes that point away from the canonical ones."""
    geometry = Geometry((60, 50, 30), (2.0, 2.0, 4.0), (100.0, 80.0, 40.0), (-1.0, 0, 0, 0, -1.0, 0, 0, 0, 1.0))
    k, j, i = np.ogrid[:30, :50, :60]
    hu = np.full(geometry.shape, -100, np.int16)
    hu[(2 * i - 36) ** 2 + (2 * j - 40) ** 2 + (4 * k - 60) ** 2 <= 28**2] = 125
    hu[((2 * i - 96) ** 2 + (2 * j - 60) ** 2 <= 12**2) & (k >= 0)] = 200
    hu[26:28, 8:12, 50:54] = 200
    return Volume(hu, geometry, "ct")


def test_organs_are_where_they_are_and_specks_are_not(mapper: SurroundingsMapper, ct: Volume) -> None:
    found = mapper.find(ct)
    labels = found.labels
    assert labels.uid == "ct" and labels.geometry.spacing_mm == (2.0, 2.0, 2.0)
    assert {structure.name for structure in found.structures} == {"liver", "aorta", "stomach"}
    assert set(np.unique(labels.array)) <= {0, LIVER.value, AORTA.value, STOMACH.value}
    for structure, index in ((STOMACH, (18, 20, 15)), (AORTA, (48, 30, 14))):
        places = labels.geometry.index_to_lps(np.argwhere(labels.array == structure.value)[:, ::-1])
        assert np.linalg.norm(places.mean(axis=0) - ct.geometry.index_to_lps([index])[0]) < 4
    # Outside of its band a class of this network loses faster than it wins inside: what is found is too small.
    inside, outside = ct.array == 125, ct.array == -100
    there = labels_at(labels, ct.geometry)
    assert (there[binary_erosion(inside, iterations=2)] == STOMACH.value).all() and not there[outside].any()
    speck = labels.geometry.lps_to_index(ct.geometry.index_to_lps([(51.5, 9.5, 26.5)]))[0]
    i, j, k = np.rint(speck).astype(int)
    assert labels.array[k, j, i] == 0


def test_parts_are_judged_by_their_own_size() -> None:
    labels = np.zeros((6, 6, 12), np.uint8)
    labels[:2, :2, :2], labels[:2, :2, 2:4], labels[4, 4, 4], labels[4, 4, 9:11] = 9, 11, 9, 11
    kept = without_small_parts(labels, Geometry((12, 6, 6), (1, 1, 1)), {9: 5.0, 11: 2.0})
    expected = labels.copy()
    expected[4, 4, 4] = 0
    assert np.array_equal(kept, expected)


def test_another_network_and_a_missing_one_are_refused(make_bundle, tmp_path) -> None:
    with pytest.raises(InputError, match="is for stage 'localize', not 'surround'"):
        SurroundingsMapper(make_bundle("localize", ["liver"]))
    make_bundle("localize", ["liver"], tmp_path / "localizer")
    make_bundle("segment", ["liver", "tumor", "vessel"], tmp_path / "segmenter")
    with pytest.raises(InputError, match=f"there is no model {tmp_path / 'surroundings'}"):
        load_surroundings_mapper(tmp_path)
