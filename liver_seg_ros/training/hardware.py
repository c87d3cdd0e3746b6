# SPDX-License-Identifier: Apache-2.0
"""What a training runs on, and how Lightning is told."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from liver_seg_ros.errors import InputError
from liver_seg_ros.training.gathering import SharedNorms

#: "auto" takes a GPU where there is one.
AUTO, CPU, GPU = ACCELERATORS = ("auto", "cpu", "gpu")
_PRECISIONS = {"float32": "32-true", "bfloat16": "bf16-mixed", "float16": "16-mixed"}

#: Of a processor's capabilities, as PyTorch names them, those that multiply in bfloat16.
_BFLOAT16 = ("avx512_bf16", "amx_bf16", "avx10_1", "avx10_2", "bf16", "sve_bf16")

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Hardware:
    """What a training may use.

    Attributes:
        accelerator: one of `ACCELERATORS`.
        devices: GPUs of this machine, or processes on its CPU; each trains on its share of a batch. Under `torchrun`
            its own number of processes counts.
        workers: processes that make batches beside each.
        tensorboard: whether curves are written for TensorBoard.
    """

    accelerator: str = AUTO
    devices: int = 1
    workers: int = 0
    tensorboard: bool = False

    def options(self, precision: str) -> dict[str, Any]:
        """Keyword arguments of `lightning.Trainer`.

        Bfloat16 halves the time of a step on a processor that has it, and multiplies it on one that emulates it (one
        with AVX2 alone); there float32 is taken, and said so.

        Raises:
            InputError: a precision that cannot be had on this accelerator, or no such accelerator.
        """
        accelerator = (GPU if torch.cuda.is_available() else CPU) if self.accelerator == AUTO else self.accelerator
        if accelerator == GPU and not torch.cuda.is_available():
            raise InputError("there is no GPU that PyTorch can use; give --accelerator cpu")
        if accelerator == CPU and precision == "float16":
            raise InputError("optimization.precision float16 needs a GPU; a CPU has bfloat16")
        if accelerator == CPU and precision == "bfloat16" and not computes_bfloat16():
            _log.warning("this processor has no bfloat16, which it would emulate many times slower: float32 is taken")
            precision = "float32"
        nodes, devices = 1, self.devices
        if "TORCHELASTIC_RUN_ID" in os.environ:
            devices = int(os.environ["LOCAL_WORLD_SIZE"])
            nodes = int(os.environ["WORLD_SIZE"]) // devices
        options: dict[str, Any] = {
            "accelerator": accelerator,
            "devices": devices,
            "num_nodes": nodes,
            "precision": _PRECISIONS[precision],
            "enable_progress_bar": sys.stderr.isatty(),
        }
        if devices * nodes > 1:
            from lightning.pytorch.strategies import DDPStrategy

            # A head that the recipe's loss does not read gets no gradient.
            options["strategy"] = DDPStrategy(find_unused_parameters=True)
            if accelerator == GPU:
                options["sync_batchnorm"] = True
            else:
                options["plugins"] = [SharedNorms()]
        return options


def computes_bfloat16(capabilities: Mapping[str, Any] | None = None) -> bool:
    """Whether a processor multiplies in bfloat16, by what `torch.cpu.get_capabilities` says of it, or of this one."""
    capabilities = torch.cpu.get_capabilities() if capabilities is None else capabilities
    return any(bool(capabilities.get(name)) for name in _BFLOAT16)
