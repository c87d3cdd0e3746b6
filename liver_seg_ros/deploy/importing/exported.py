# SPDX-License-Identifier: Apache-2.0
"""The ONNX graphs of a source's networks, made where the library of their architecture is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import liver_seg_ros
from liver_seg_ros.atomic import scratch_folder
from liver_seg_ros.deploy.importing.graph import ImportedNetwork
from liver_seg_ros.deploy.importing.rebuilt import networks_of, on_disk
from liver_seg_ros.deploy.importing.source import NNUNET, TrainedNetwork
from liver_seg_ros.deploy.onnx_export import export_onnx
from liver_seg_ros.deploy.tool_environment import Tool, run_tool

#: The library of nnU-Net's networks. Of its own dependencies its U-Nets need PyTorch alone.
ARCHITECTURES = Tool("nnunet_architectures", ("dynamic_network_architectures==0.4.4",))

_JOB = Path(__file__).parent / "network_job.py"


def exported(networks: Sequence[TrainedNetwork]) -> list[bytes]:
    """The serialized ONNX models of networks, see `ImportedNetwork`.

    Raises:
        InputError: the library cannot be installed, or a network cannot be built.
        ExportError: an ONNX model does not compute what its network computes.
    """
    if all(told.architecture.tool != NNUNET for told in networks):
        return [export_here(told) for told in networks]
    with scratch_folder() as folder:
        files = []
        for number, told in enumerate(networks):
            files += [str(folder / f"{number}.pt"), str(folder / f"{number}.onnx")]
            on_disk(told, files[-2])
        run_tool(ARCHITECTURES, _JOB, [str(Path(liver_seg_ros.__file__).parents[1]), *files])
        return [Path(result).read_bytes() for result in files[1::2]]


def export_here(told: TrainedNetwork) -> bytes:
    """The model of one network, in this process, which must have the library."""
    network = ImportedNetwork(networks_of(told), told)
    size = told.window
    if told.multiples is not None:  # smaller than a window of hundreds of voxels, and checked at more than one size
        size = tuple((axis + 2) * multiple for axis, multiple in enumerate(told.multiples))
    return export_onnx(network, size, told.multiples, network.inputs)
