# SPDX-License-Identifier: Apache-2.0
"""Trains one network: `python -m liver_seg_ros.training.train --recipe config/training/segmenter.yaml --output ...`.

Goes on where an earlier run with the same output ended. Cases must exist (see `generate`); more may land meanwhile.
Several processes share each batch with `--devices N`, or under torchrun (`--nproc-per-node N -m`, then this module).
"""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path

import torch

from liver_seg_ros.outputs.folder import check_folder
from liver_seg_ros.training.command import run_command
from liver_seg_ros.training.generate import DEFAULT_CACHE
from liver_seg_ros.training.recipe import read_recipe
from liver_seg_ros.training.recipe_cases import training_and_validation


def main(arguments: list[str] | None = None) -> None:
    """The command. Raises `InputError` where the recipe is at fault or cases are missing."""
    parser = argparse.ArgumentParser(prog="python -m liver_seg_ros.training.train", description=__doc__)
    parser.add_argument("--recipe", type=Path, required=True, help="config/training/<name>.yaml")
    parser.add_argument(
        "--output", type=Path, required=True, help="folder of checkpoint.pt, e.g. build/training/segmenter"
    )
    parser.add_argument("--cache", type=Path, default=DEFAULT_CACHE, help="where cases are kept (%(default)s)")
    parser.add_argument("--max-minutes", type=float, default=math.inf, help="end after this time, schedule included")
    parser.add_argument("--threads", type=int, default=None, help="CPU threads (default: all cores)")
    parser.add_argument("--accelerator", choices=("auto", "cpu", "gpu"), default="auto", help="(%(default)s)")
    parser.add_argument("--devices", type=int, default=1, help="GPUs, or processes on the CPU, that share each batch")
    parser.add_argument("--workers", type=int, default=0, help="processes that make batches beside each of them")
    parser.add_argument("--tensorboard", action="store_true", help="write curves for TensorBoard beside the checkpoint")
    options = parser.parse_args(arguments)
    if options.devices < 1 or options.workers < 0:
        parser.error("--devices must be from 1 upward and --workers from 0 upward")
    if not options.max_minutes > 0:
        parser.error("--max-minutes must be above 0")
    check_folder(options.output, "--output")
    if options.threads is not None:
        torch.set_num_threads(options.threads)
    recipe = read_recipe(options.recipe)
    training, validation = training_and_validation(recipe, options.cache)
    from liver_seg_ros.training.hardware import Hardware  # Lightning takes seconds to load: mistakes are told before
    from liver_seg_ros.training.trainer import Trainer

    hardware = Hardware(options.accelerator, options.devices, options.workers, options.tensorboard)
    Trainer(recipe, options.output, training, validation, options.max_minutes, hardware).run()


if __name__ == "__main__":
    sys.exit(run_command(main))
