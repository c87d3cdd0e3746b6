# SPDX-License-Identifier: Apache-2.0
"""What the tests of the command line share: running it, a small CT, and real model bundles made in a moment."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import SimpleITK
from onnx import TensorProto, helper

from liver_seg_ros.inference.bundle import BundleSpec, InputSpec, Postprocessing
from liver_seg_ros.inference.bundle_writing import write_bundle
from liver_seg_ros.labels import SEGMENTED

LiverSeg = Callable[..., "subprocess.CompletedProcess[str]"]

HU_WINDOW = (-150.0, 250.0)
BODY_HU, LIVER_HU, TUMOR_HU, VESSEL_HU = 40, 110, 170, 230


@pytest.fixture(scope="session")
def liver_seg() -> LiverSeg:
    """Runs `liver-seg` with these arguments in a process of its own."""

    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "liver_seg_ros.cli.main", *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)

    return run


@pytest.fixture(scope="session")
def in_terminal() -> Callable[..., tuple[int, str]]:
    """Runs `liver-seg` with these arguments on a terminal of so many columns; its exit code and all that it wrote.

    Stdout and stderr are the terminal, as they are for a person. What is more of environment is given by name; a
    Python `program` is run instead of `liver-seg` where there is one.
    """

    def run(columns: int, *arguments: object, program: str = "", **environment: str) -> tuple[int, str]:
        here, there = pty.openpty()
        fcntl.ioctl(there, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
        python = ["-c", program] if program else ["-m", "liver_seg_ros"]
        command = [sys.executable, *python, *map(str, arguments)]
        environment = {"TERM": "xterm-256color", **environment}
        inherited = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES", "NO_COLOR")}
        with subprocess.Popen(
            command, stdin=there, stdout=there, stderr=there, env={**inherited, **environment}, close_fds=True
        ) as process:
            os.close(there)
            written = b""
            while chunk := _read(here):
                written += chunk
        os.close(here)
        return process.returncode, written.decode(errors="replace")

    return run


def _read(terminal: int) -> bytes:
    """What was written to a terminal; nothing once all who could write are gone."""
    try:
        return os.read(terminal, 65536)
    except OSError:  # how Linux tells that
        return b""


@pytest.fixture(scope="session")
def small_ct(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `ct.nii.gz` and `labels.nii.gz`: an elliptic body of 192x168x120 mm with a ball of a liver."""
    ct, labels = _draw_body()
    folder = tmp_path_factory.mktemp("small_ct")
    for name, array in (("ct.nii.gz", ct), ("labels.nii.gz", labels)):
        _write_nifti(folder / name, array)
    return folder


@pytest.fixture(scope="session")
def small_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A models folder whose networks are one 1x1x1 convolution: they label each voxel by the nearest mean HU."""
    folder = tmp_path_factory.mktemp("models")
    names = ["background", *(structure.name for structure in SEGMENTED)]
    means = [BODY_HU - 20, LIVER_HU, TUMOR_HU, VESSEL_HU]
    _write_nearest_mean_bundle(folder / "localizer", "localize", names[:2], means[:2], spacing_mm=6.0)
    _write_nearest_mean_bundle(folder / "segmenter", "segment", names, means, spacing_mm=3.0)
    around = ["background", "liver", "aorta"]  # whatever is as bright as a vessel
    _write_nearest_mean_bundle(
        folder / "surroundings", "surround", around, [BODY_HU - 20, LIVER_HU, VESSEL_HU], spacing_mm=3.0
    )
    return folder


@pytest.fixture(scope="session")
def draw_body() -> Callable[..., tuple[np.ndarray, np.ndarray]]:
    """See `_draw_body`."""
    return _draw_body


@pytest.fixture(scope="session")
def write_nifti() -> Callable[..., None]:
    """See `_write_nifti`."""
    return _write_nifti


def _draw_body(with_liver: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """CT in HU (int16) and its labels (uint8), both (40, 56, 64) `[k, j, i]`, for a grid of 3 mm."""
    k, j, i = np.ogrid[:40, :56, :64]
    ct = np.full((40, 56, 64), -1000, np.int16)
    ct[np.broadcast_to(((j - 28) / 26) ** 2 + ((i - 32) / 30) ** 2 <= 1, ct.shape)] = BODY_HU
    labels = np.zeros(ct.shape, np.uint8)
    if with_liver:
        labels[(k - 20) ** 2 + (j - 28) ** 2 + (i - 24) ** 2 <= 15**2] = 1
        labels[(k - 22) ** 2 + (j - 34) ** 2 + (i - 22) ** 2 <= 5**2] = 2
        labels[np.broadcast_to((j - 22) ** 2 + (i - 26) ** 2 <= 3**2, ct.shape) & (abs(k - 20) < 9)] = 3
    for value, hu in ((1, LIVER_HU), (2, TUMOR_HU), (3, VESSEL_HU)):
        ct[labels == value] = hu
    return ct, labels


def _write_nifti(path: Path, array: np.ndarray, spacing_mm: float = 3.0) -> None:
    """Write `array` `[k, j, i]` with SimpleITK itself, so that the tests do not depend on this package's writer."""
    image = SimpleITK.GetImageFromArray(array)
    image.SetSpacing((spacing_mm,) * 3)
    image.SetOrigin((-95.0, -83.0, -59.0))
    SimpleITK.WriteImage(image, str(path))


def _write_nearest_mean_bundle(
    folder: Path, stage: str, names: list[str], means_hu: list[int], spacing_mm: float
) -> None:
    low, high = HU_WINDOW
    means = np.array([(2 * hu - low - high) / (high - low) for hu in means_hu], np.float32)  # as `normalize` scales
    # The nearest mean m of x is where -(x - m)^2 is largest, and so where 2 m x - m^2 is: a linear function of x.
    graph = helper.make_graph(
        [helper.make_node("Conv", ["x", "weight", "bias"], ["y"])],
        "nearest_mean",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["B", 1, "K", "J", "I"])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["B", len(means), "K", "J", "I"])],
        [
            onnx.numpy_helper.from_array((2 * means).reshape(-1, 1, 1, 1, 1), "weight"),
            onnx.numpy_helper.from_array(-(means**2), "bias"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    spec = BundleSpec(
        name=f"nearest-mean-{stage}",
        version="0.1.0",
        stage=stage,
        input=InputSpec((spacing_mm,) * 3, HU_WINDOW, patch=(32, 32, 32), overlap=0.25, divisor=8),
        labels=dict(enumerate(names)),
        postprocessing=Postprocessing({"liver": 50_000.0, "tumor": 500.0}, margin_mm=15.0),
        trained_on="nothing; its weights are four mean HU",
        scores={},
        license="Apache-2.0",
        intended_use="tests",
    )
    write_bundle(folder, model.SerializeToString(), spec)
