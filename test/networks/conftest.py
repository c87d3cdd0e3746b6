# SPDX-License-Identifier: Apache-2.0
"""The table of tiny networks, and one small phantom to train them on."""

from __future__ import annotations

import runpy
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from liver_seg_ros.phantom import Phantom, PhantomOptions, generate_phantom

SMALL = runpy.run_path(str(Path(__file__).with_name("small.py")))["SMALL"]  # tests are not importable from each other


@pytest.fixture(scope="session")
def small() -> dict:
    """Network -> `Small`, see small.py."""
    return SMALL


@pytest.fixture(scope="session")
def randomized() -> Callable[[nn.Module], nn.Module]:
    """Puts a network into evaluation in 64 bits, with every parameter and statistic another than it began with.

    A fresh network hides much: biases and shifts of 0, slopes all alike, statistics that change nothing.
    """

    @torch.no_grad()
    def randomize(network: nn.Module) -> nn.Module:
        generator = torch.Generator().manual_seed(0)
        for parameter in network.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator))
        for name, buffer in network.named_buffers():
            if name.endswith(("running_mean", "running_var")):
                buffer.add_(0.3 * torch.rand(buffer.shape, generator=generator))
        return network.double().eval()

    return randomize


@pytest.fixture(scope="session")
def phantom() -> Phantom:
    """The whole liver on coarse voxels, with many slices that have all three structures."""
    return generate_phantom(2, PhantomOptions(size=(48, 48, 48), spacing_mm=(5, 5, 4.5), tumor_count=6, noise_hu=8))
