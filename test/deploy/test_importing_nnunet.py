# SPDX-License-Identifier: Apache-2.0
"""nnU-Net's models as bundles: they label a CT as nnU-Net's own predictor does, which runs here beside them."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

torch = pytest.importorskip("torch", reason="torch is not installed (extra [deploy])")
pytest.importorskip("onnxscript", reason="onnxscript is not installed (extra [deploy])")

from liver_seg_ros.deploy.importing.bundle_from import Choices, networks_in, spec_of, write_imported  # noqa: E402
from liver_seg_ros.deploy.importing.exported import exported  # noqa: E402
from liver_seg_ros.deploy.importing.nnunet_folder import read_nnunet  # noqa: E402
from liver_seg_ros.deploy.tool_environment import NNUNET, tool_python  # noqa: E402
from liver_seg_ros.errors import InputError  # noqa: E402
from liver_seg_ros.files.volumes import read_labels, write_labels, write_volume  # noqa: E402
from liver_seg_ros.geometry import Geometry  # noqa: E402
from liver_seg_ros.inference.bundle import ModelBundle  # noqa: E402
from liver_seg_ros.inference.conventions import score_weights  # noqa: E402
from liver_seg_ros.inference.network import Network, load_network  # noqa: E402
from liver_seg_ros.inference.resampling import resampled_slices  # noqa: E402
from liver_seg_ros.inference.runtimes.base import Runtime  # noqa: E402
from liver_seg_ros.inference.runtimes.tensorrt.build import build_engine  # noqa: E402
from liver_seg_ros.inference.runtimes.tensorrt.engine import profiles_of  # noqa: E402
from liver_seg_ros.inference.runtimes.tensorrt.library import load_tensorrt  # noqa: E402
from liver_seg_ros.inference.windows import choose_windows  # noqa: E402
from liver_seg_ros.progress import Stages, never_cancelled, no_progress  # noqa: E402
from liver_seg_ros.volume import LabelVolume, Volume  # noqa: E402

#: Where environments are kept between runs of the tests; made anew in each where it is not said.
TOOLS = Path(os.environ["LIVER_SEG_TEST_TOOLS"]) if "LIVER_SEG_TEST_TOOLS" in os.environ else None
_JOB = Path(__file__).parents[2] / "benchmarks" / "_nnunet_peer.py"
#: Making the peer's environment, training and predicting; on a slow machine that is more than a test may take.
pytestmark = [
    pytest.mark.timeout(900),
    pytest.mark.skipif(sys.version_info < (3, 11), reason="the peer's libraries are for Python 3.11 and later"),
]

#: The axes of 3d_fullres are in another order than the CT's.
LOWRES, CASCADE = "3d_lowres", "3d_cascade_fullres"
CONFIGURATIONS = ("3d_fullres", "2d", LOWRES, CASCADE)
#: nnU-Net's largest weight of a window; the sum of weights from which half precision holds all digits that it has; and
#: how far apart two logits are that it may exchange, over the largest of all.
PEAK, EXACT, HALF = 10.0, 1e-3, 2e-3
SPACING = [6.0, 4.8, 4.3]


def peer_python() -> Path:
    """The peer's Python, made here on the first run; the test is skipped where no package index answers."""
    try:
        return tool_python(NNUNET, TOOLS)
    except InputError as error:
        asked = [sys.executable, "-m", "pip", "index", "versions", "tqdm"]
        if subprocess.run(asked, capture_output=True, check=False).returncode == 0:
            raise  # the index answers: it is the pins or the environment that are wrong
        pytest.skip(str(error))


def ask_peer(folder: Path, **request: Any) -> list[dict[str, float]]:
    """Let nnU-Net train and predict, see `_nnunet_peer.py`; its results are in `folder`."""
    paths = {f"nnUNet_{name}": str(folder / name) for name in ("raw", "preprocessed", "results")}
    environment = {**os.environ, **paths, "OMP_NUM_THREADS": "1"}
    command = [str(peer_python()), str(_JOB), json.dumps(request)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr[-2000:]
    answers: list[dict[str, float]] = json.loads(done.stderr.splitlines()[-1])
    return answers


def model_folder(folder: Path, configuration: str) -> Path:
    """Where the peer puts a model."""
    return folder / "results" / "Dataset901_Phantom" / f"nnUNetTrainer__nnUNetPlans__{configuration}"


def small_case() -> tuple[Volume, LabelVolume]:
    """A CT of 44x40x34 voxels with a liver, a tumor and a vessel in it, and their labels."""
    geometry = Geometry((44, 40, 34), (4.0, 4.4, 5.0), (-80.0, -70.0, 900.0))
    k, j, i = np.ogrid[:34, :40, :44]
    i, j, k = i * 4.0, j * 4.4, k * 5.0  # mm from the first voxel
    labels = np.zeros(geometry.shape, np.uint8)
    labels[((i - 80) / 60) ** 2 + ((j - 80) / 54) ** 2 + ((k - 84) / 60) ** 2 <= 1] = 1
    labels[(i - 64) ** 2 + (j - 70) ** 2 + (k - 76) ** 2 <= 25**2] = 2
    labels[((j - 96) ** 2 + (k - 96) ** 2 <= 12**2) & (np.abs(i - 90) <= 36)] = 3
    hu = np.array([-60, 70, 20, 170])[labels] + np.random.default_rng(0).normal(0, 12, labels.shape)
    hu[:, :3] = -1000
    hu[:, -3:] = 700
    ct = Volume(np.round(hu).astype(np.int16), geometry, "small")
    return ct, LabelVolume(labels, geometry, "small")


def write_case(folder: Path) -> tuple[Volume, dict[str, str]]:
    """The CT as files that nnU-Net reads: the CT, and `{"image": ..., "labels": ...}`."""
    ct, labels = small_case()
    paths = {"image": str(folder / "case_0000.nii.gz"), "labels": str(folder / "labels.nii.gz")}
    write_volume(Path(paths["image"]), ct)
    write_labels(Path(paths["labels"]), labels)
    return ct, paths


@dataclass
class Compared:
    """The CT, and per configuration nnU-Net's labels, those that it gives in single precision, and our network."""

    ct: Volume
    theirs: dict[str, NDArray[np.uint8]]
    single: dict[str, NDArray[np.uint8]]
    networks: dict[str, Network]


class Told(Network):
    """A first stage that gives the labels that it is told."""

    def __init__(self, bundle: ModelBundle, runtime: Runtime, found: NDArray[np.uint8]) -> None:
        super().__init__(bundle, runtime)
        self._found = found

    def classes(self, *_: object) -> NDArray[np.uint8]:
        return self._found


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> Compared:
    folder = tmp_path_factory.mktemp("nnunet")
    ct, paths = write_case(folder)
    train = [
        {**paths, "spacing": SPACING, "steps": 25, "names": names, "transpose": transpose}
        for names, transpose in ((["3d_fullres"], [2, 0, 1]), ([LOWRES, CASCADE, "2d"], [0, 1, 2]))
    ]
    results = {(name, single): folder / name / f"{single}" for single in (False, True) for name in CONFIGURATIONS}
    for place in results.values():
        place.mkdir(parents=True)
    predict = [
        {
            "folder": str(model_folder(folder, name)),
            "image": paths["image"],
            "result": str(place / "case.nii.gz"),
            "previous": str(results[LOWRES, False]) if name == CASCADE else None,
            "single": single,
        }
        for (name, single), place in results.items()
    ]
    ask_peer(folder, train=train, predict=predict)
    sources = {
        name: read_nnunet(model_folder(folder, name))
        for name in CONFIGURATIONS
        if name != LOWRES  # that is in the cascade's
    }
    models = iter(exported([told for source in sources.values() for told in networks_in(source)]))
    networks = {}
    for name, source in sources.items():
        parts = [next(models) for _ in networks_in(source)]
        bundle = write_imported(source, parts, spec_of(source, Choices(name="test")), folder / "bundles" / name)
        networks[name] = load_network(bundle, "onnxruntime")
    first = networks[CASCADE].before
    assert first is not None
    theirs, single = (
        {name: read_labels(results[name, precision] / "case.nii.gz").array for name in CONFIGURATIONS}
        for precision in (False, True)
    )
    # Each stage is compared given the same; what the first one leaves to chance would be more in the second.
    networks[CASCADE].before = Told(networks[CASCADE].bundle, first.runtime, theirs[LOWRES])
    return Compared(ct, theirs, single, {**networks, LOWRES: first})


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_a_bundle_labels_as_nnunets_own_predictor_does(compared: Compared, name: str) -> None:
    ct, theirs, network = compared.ct, compared.theirs[name], compared.networks[name]
    stages = Stages(no_progress, never_cancelled)
    grid, planes = network.scores(ct.array, ct.geometry, stages, "segment")
    scores = np.stack(list(planes), axis=1)
    ours = np.stack(list(network.winners(scores.swapaxes(0, 1), grid, ct.geometry)))
    assert len(np.unique(theirs)) >= 3
    assert (ours == compared.single[name]).mean() >= 0.9999  # at edges and corners too

    # nnU-Net adds weighted logits up in half precision. Where the weights of all windows come to less than it can hold
    # exactly, which is at the CT's edges and corners, and where two classes are as good as equal, chance decides.
    windows = choose_windows(grid.shape if not network.spec.input.slices else (1, *grid.shape[1:]), network.spec.input)
    k, j, i = (axis.weight_sums for axis in windows.axes)
    begin = [(axis.length - n) // 2 for axis, n in zip(windows.axes[1:], grid.shape[1:], strict=True)]
    weight = PEAK * (k[:, None, None] * j[:, None] * i)[:, begin[0] : begin[0] + grid.shape[1]]
    weight = np.broadcast_to(weight[:, :, begin[1] : begin[1] + grid.shape[2]], grid.shape)
    held = on(weight, grid, ct.geometry) > EXACT
    best = np.sort(np.stack([on(score, grid, ct.geometry) for score in scores]), axis=0)
    sure = (best[-1] - best[-2]) / np.abs(scores).max() > HALF
    assert (ours == theirs)[held & sure].all()
    assert (ours == theirs)[held].mean() >= 0.999
    assert (ours == theirs).mean() >= 0.99
    assert (held & sure).mean() > 0.75  # of a CT that is mostly edges
    liver = (ours == 1) & held, (theirs == 1) & held
    assert 2 * (liver[0] & liver[1]).sum() / (liver[0].sum() + liver[1].sum()) >= 0.999


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_tensorrt_builds_what_was_imported(compared: Compared, name: str) -> None:
    try:
        load_tensorrt()
    except InputError as missing:
        if platform.machine() == "x86_64":  # the extra [deploy] brings it there: missing, it is a failure
            raise
        pytest.skip(str(missing))
    bundle = compared.networks[name].bundle
    assert len(build_engine(bundle.weights.read_bytes(), profiles_of(bundle.spec, 2))) > 1000


def on(values: NDArray[np.float32], grid: Geometry, target: Geometry) -> NDArray[np.float32]:
    """`values` of `grid` on `target`, as scores are brought there."""
    return np.stack(list(resampled_slices(lambda k: values[k], grid, target, score_weights)))
