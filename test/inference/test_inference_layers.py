# SPDX-License-Identifier: Apache-2.0
"""Layers hold all labels, once, and errors of the work in them are told."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from numpy.typing import NDArray

from liver_seg_ros.errors import InputError
from liver_seg_ros.geometry import Box
from liver_seg_ros.inference.layers import for_each_layer, layers_of

LABELS = npst.arrays(
    np.uint8, st.tuples(st.integers(1, 80), st.integers(1, 6), st.integers(1, 6)), elements=st.sampled_from([0, 1, 3])
)


@settings(max_examples=60)
@given(LABELS)
def test_all_labels_lie_in_one_layer_each(labels: NDArray[np.uint8]) -> None:
    layers = layers_of(labels)
    counted = np.zeros(labels.shape, int)
    for layer in layers:
        inner = labels[layer.slices]
        assert inner.any() and inner.shape == layer.size[::-1] and len(inner) <= 32
        assert Box.around(inner) == Box((0, 0, 0), layer.size)  # no smaller one would do
        counted[layer.slices] += 1
    assert (counted[labels > 0] == 1).all() and counted.max(initial=0) <= 1


def test_several_layers_at_once_and_the_first_error() -> None:
    layers = layers_of(np.ones((200, 2, 2), np.uint8))
    seen: list[Box] = []
    for_each_layer(seen.append, layers)
    assert sorted(seen, key=lambda box: box.start) == layers

    def fail(layer: Box) -> None:
        if layer.start[2] >= 64:
            raise InputError(f"slice {layer.start[2]}: {threading.current_thread().name}")

    with pytest.raises(InputError, match="slice 64: ThreadPool"):
        for_each_layer(fail, layers)
