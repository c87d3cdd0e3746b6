# SPDX-License-Identifier: Apache-2.0
"""Several processes that share each batch train as one does: batch norms and Dice are those of the whole batch."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch
import yaml

from liver_seg_ros.errors import InputError
from liver_seg_ros.plain import plain
from liver_seg_ros.training.cases import case_folder
from liver_seg_ros.training.checkpoint import CHECKPOINT, load_checkpoint
from liver_seg_ros.training.hardware import Hardware, computes_bfloat16
from liver_seg_ros.training.phantom_dataset import PhantomDataset
from liver_seg_ros.training.recipe import Recipe
from liver_seg_ros.training.trainer import Trainer


def test_two_processes_give_what_one_gives(recipe: Recipe, folder: Path, tmp_path: Path) -> None:
    data = replace(recipe.data, training_seeds=(0, 2), validation_seeds=(2, 3))
    # Of SGD: where a gradient is nearly 0, Adam's step is as long as any, and rounding decides where it goes.
    plan = replace(recipe.optimization, steps=3, validate_every=3, optimizer="sgd", learning_rate=0.05, batch=4)
    recipe = replace(recipe, data=data, optimization=plan)
    cache = tmp_path / "cache"
    case_folder(cache, recipe).parent.mkdir()
    case_folder(cache, recipe).symlink_to(folder)
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(plain(asdict(recipe))), encoding="utf-8")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "liver_seg_ros.training.train", "--recipe", tmp_path / "recipe.yaml"]
    command += ["--cache", cache, "--output", tmp_path / "two", "--threads", "1", "--accelerator", "cpu"]
    running = []
    for rank in ("0", "1"):  # what torchrun sets, without its own process
        told = {"RANK": rank, "LOCAL_RANK": rank, "GROUP_RANK": "0", "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}
        place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "TORCHELASTIC_RUN_ID": "test"}
        place["PYTHONFAULTHANDLER"] = "1"
        environment = {**os.environ, **told, **place}
        with (tmp_path / f"{rank}.log").open("w") as log:
            running.append(subprocess.Popen([*map(str, command)], env=environment, stderr=log))
    seeds, others = recipe.data.seeds_of_phantoms
    (tmp_path / "one").mkdir()
    validation = PhantomDataset(folder, others, recipe).cases
    one = Trainer(recipe, tmp_path / "one", PhantomDataset(folder, seeds, recipe), validation).run()
    assert _ended(running, seconds=250) == [0, 0], "\n".join((tmp_path / f"{rank}.log").read_text() for rank in (0, 1))
    two = load_checkpoint(tmp_path / "two" / CHECKPOINT)
    for name, weights in one.weights.items():
        torch.testing.assert_close(two.weights[name], weights, rtol=1e-4, atol=1e-5, msg=name)
    assert two.scores == pytest.approx(one.scores, abs=2e-3)


def _ended(processes: list[subprocess.Popen[bytes]], seconds: float) -> list[int]:
    """The processes' exit codes, when all have ended or one has failed; those that hang say where, and are killed."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and any(process.poll() is None for process in processes):
        if any(process.poll() for process in processes):
            break
        time.sleep(0.2)
    for process in processes:
        if process.poll() is None:
            process.send_signal(signal.SIGABRT)  # PYTHONFAULTHANDLER: each thread's place goes to its log
    return [process.wait() for process in processes]


def test_what_cannot_be_had_is_told() -> None:
    with pytest.raises(InputError, match="float16 needs a GPU"):
        Hardware("cpu").options("float16")
    if not torch.cuda.is_available():
        with pytest.raises(InputError, match="no GPU"):
            Hardware("gpu").options("float32")


def test_bfloat16_is_taken_where_the_processor_has_it(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    emulating = {"avx2": True, "avx512_f": True, "avx512_bf16": False, "amx_bf16": False, "cpu_name": "AMD EPYC"}
    for more, taken in (({}, "32-true"), ({"avx512_bf16": True}, "bf16-mixed"), ({"bf16": True}, "bf16-mixed")):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda more=more: {**emulating, **more})
        caplog.clear()
        assert Hardware("cpu").options("bfloat16")["precision"] == taken
        assert ("float32 is taken" in caplog.text) == (taken == "32-true")


def test_this_processor_says_what_the_kernel_says_of_it() -> None:
    flags = Path("/proc/cpuinfo").read_text().split()
    assert computes_bfloat16(torch.cpu.get_capabilities()) == any(
        flag in flags for flag in ("avx512_bf16", "amx_bf16", "bf16", "svebf16")
    )
