# SPDX-License-Identifier: Apache-2.0
"""Every kind of network, from a checkpoint to labels: the robot's are those that PyTorch gives, slice by slice.

The networks are tiny and untrained. What they are fed is computed here another way: whole arrays and plain loops.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import yaml
from numpy.typing import NDArray

torch = pytest.importorskip("torch", reason="torch is not installed (extra [train])")
pytest.importorskip("onnxscript", reason="onnxscript is not installed (extra [deploy])")
pytest.importorskip("monai", reason="monai is not installed (extra [train])")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402  after the skips

from liver_seg_ros.deploy.bundle_input import bundle_input  # noqa: E402
from liver_seg_ros.deploy.export import export_bundle  # noqa: E402
from liver_seg_ros.errors import InputError  # noqa: E402
from liver_seg_ros.geometry import Geometry  # noqa: E402
from liver_seg_ros.inference.bundle import (  # noqa: E402
    POSTPROCESSING_STEPS,
    BundleSpec,
    InputSpec,
    ModelBundle,
    Postprocessing,
    load_bundle,
)
from liver_seg_ros.inference.bundle_writing import write_bundle  # noqa: E402
from liver_seg_ros.inference.canny import canny_map  # noqa: E402
from liver_seg_ros.inference.preprocessing import normalize  # noqa: E402
from liver_seg_ros.inference.runtimes.tensorrt.build import build_engine  # noqa: E402
from liver_seg_ros.inference.runtimes.tensorrt.engine import profiles_of  # noqa: E402
from liver_seg_ros.inference.runtimes.tensorrt.library import load_tensorrt  # noqa: E402
from liver_seg_ros.inference.segmenter import Segmenter  # noqa: E402
from liver_seg_ros.inference.windows import choose_windows  # noqa: E402
from liver_seg_ros.networks.registry import NETWORKS, NetworkSpec  # noqa: E402
from liver_seg_ros.training.checkpoint import Checkpoint, build_network  # noqa: E402
from liver_seg_ros.training.recipe import Recipe, read_recipe  # noqa: E402
from liver_seg_ros.training.variants import read_recipes  # noqa: E402
from liver_seg_ros.volume import Volume  # noqa: E402

CONFIG = Path(__file__).parents[2] / "config" / "training"
SPACING_MM = (2.0, 2.0, 2.5)
SIZE = (44, 36, 19)  # (I, J, K) of the CT
Array = NDArray[np.float32]


class TwoInputs(torch.nn.Module):
    """Of slices and their edges, in one size: what TransFusionNet with edges is fed, in a hundredth of its nodes."""

    size_multiple = 2

    def __init__(self, classes: int, image_size: Sequence[int]) -> None:
        super().__init__()
        self.image_size = image_size
        self.look = torch.nn.Conv2d(2, 6, kernel_size=5, padding=2)
        self.head = torch.nn.Conv2d(6, classes, kernel_size=1)

    def forward(self, image: torch.Tensor, edges: torch.Tensor) -> torch.Tensor:
        return self.head(torch.relu(self.look(torch.cat([image, edges], dim=1))))


class OwnSpec(NetworkSpec):
    """A row whose network is in this file."""

    def load(self) -> Callable[..., torch.nn.Module]:
        return TwoInputs


TWO_INPUTS = "two_inputs"


class Kind(NamedTuple):
    """A network, and how it is fed."""

    network: dict[str, Any]
    patch: tuple[int, int, int]  # of the training, [i, j, 1] for slices
    settings: dict[str, Any]
    neighbors: int = 0


KINDS = {
    "slices and edges": Kind({"name": TWO_INPUTS, "image_size": [40, 48]}, (48, 40, 1), {"patch": [48, 40, 4]}),
    "slices with neighbors": Kind({"name": "unet2d", "widths": [4, 6]}, (32, 32, 1), {"patch": [48, 48, 8]}, 2),
    "volumes": Kind({"name": "unet3d", "widths": [4, 6]}, (16, 16, 16), {"patch": [44, 36, 20]}),
    "one window": Kind({"name": "ucanet", "widths": [4, 6]}, (32, 24, 8), {"patch": [32, 24, 8], "overlap": 0.5}),
}


class Made(NamedTuple):
    """A kind's network and bundle."""

    kind: Kind
    network: torch.nn.Module
    bundle: ModelBundle
    recipe: Recipe


@pytest.fixture(scope="module", autouse=True)
def a_network_of_two_inputs() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(NETWORKS, TWO_INPUTS, OwnSpec("", (40, 48), "", inputs=("image", "edges")))
        yield


@pytest.fixture(scope="module")
def ct() -> Volume:
    """Smooth noise, so that there are edges to find and all HU of the window occur."""
    rng = np.random.default_rng(8)
    i, j, k = SIZE
    coarse = rng.uniform(-250, 400, (k, j // 4, i // 4))
    return Volume(coarse.repeat(4, 1).repeat(4, 2).astype(np.int16), Geometry(SIZE, SPACING_MM), "noise")


def recipe_of(kind: Kind) -> Recipe:
    recipe = read_recipe(CONFIG / "segmenter.yaml")
    data = replace(recipe.data, spacing_mm=SPACING_MM, neighbors=kind.neighbors)
    return replace(recipe, network=kind.network, data=data, optimization=replace(recipe.optimization, patch=kind.patch))


def settings_of(kind: Kind) -> dict[str, Any]:
    return {"name": "tiny", "version": "0", "overlap": 0.25, "min_volume_mm3": {}, "margin_mm": 3, **kind.settings}


@pytest.fixture(scope="module")
def made(ct: Volume, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Made]:
    """Makes a kind when it is first asked for."""
    known: dict[str, Made] = {}

    def make(name: str) -> Made:
        if name not in known:
            torch.manual_seed(3)
            kind = KINDS[name]
            recipe = recipe_of(kind)
            network = build_network(recipe).train()
            channels, sizes = 2 * kind.neighbors + 1, kind.patch[::-1][(1 if kind.patch[2] == 1 else 0) :]
            for _ in range(3):  # statistics for the batch norms
                images = [torch.rand(2, channels, *sizes) * 2 - 1]
                if kind.network["name"] == TWO_INPUTS:
                    images.append((torch.rand(2, 1, *sizes) > 0.7).float())
                with torch.no_grad():
                    network(*images)
            *_, bias = network.eval().parameters()  # of the last layer
            scores = scores_by_hand(kind, network, recipe, ct.array.astype(np.float32))
            bias.data -= torch.from_numpy(scores.mean((1, 2, 3)))  # or one class wins everywhere
            checkpoint = Checkpoint(recipe, network.state_dict(), {}, 1, 1.0, 1)
            folder = tmp_path_factory.mktemp("models") / "segmenter"
            known[name] = Made(kind, network, export_bundle(checkpoint, folder, settings_of(kind)), recipe)
        return known[name]

    return make


@pytest.fixture(scope="module")
def sees_all(tmp_path_factory: pytest.TempPathFactory) -> ModelBundle:
    """A localizer for which everything is liver, far around."""
    sizes = ["K", "J", "I"]
    graph = helper.make_graph(
        [
            helper.make_node("Mul", ["image", "zero"], ["background"]),
            helper.make_node("Add", ["background", "nine"], ["liver"]),
            helper.make_node("Concat", ["background", "liver"], ["logits"], axis=1),
        ],
        "all",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["B", 1, *sizes])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["B", 2, *sizes])],
        [numpy_helper.from_array(np.float32(value), name) for name, value in (("zero", 0), ("nine", 9))],
    )
    network = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()
    spec = BundleSpec(
        name="all",
        version="0",
        stage="localize",
        input=InputSpec((6.0, 6.0, 6.0), (-200.0, 300.0), (32, 32, 32), 0.25, 4),
        labels={0: "background", 1: "liver"},
        postprocessing=Postprocessing({"liver": 0.0}, 500.0),
        trained_on="nothing",
        scores={},
        license="Apache-2.0",
        intended_use="tests",
    )
    return write_bundle(tmp_path_factory.mktemp("models") / "localizer", network, spec)


def scores_by_hand(kind: Kind, network: torch.nn.Module, recipe: Recipe, hu: Array) -> Array:
    """`(C, K, J, I)` of PyTorch."""
    image = normalize(hu, recipe.data.hu_window)  # another rounding would be another Canny map here and there
    if kind.network["name"] == TWO_INPUTS:
        return one_size_by_hand(network, image, kind.network["image_size"])
    if kind.patch[2] == 1:
        return slices_by_hand(network, image, kind.neighbors)
    if kind.network["name"] == "ucanet":
        return windows_by_hand(network, image, (8, 24, 32), (4, 12, 16))
    padded = np.pad(image, [(0, 1), (0, 0), (0, 0)], mode="edge")  # 19 slices in a window of 20
    return logits_of(network, padded[None, None])[0, :, :19]


def one_size_by_hand(network: torch.nn.Module, image: Array, size: list[int]) -> Array:
    """Each slice in the middle of a larger one, its outer pixels repeated, with the edges of that."""
    missing = [edge - n for edge, n in zip(size, image.shape[1:], strict=True)]
    around = [(n // 2, n - n // 2) for n in missing]
    found = []
    for plane in image:
        large = np.pad(plane, around, mode="edge")
        logits = logits_of(network, large[None, None], canny_map(large)[None, None])[0]
        (top, _), (left, _) = around
        found.append(logits[:, top : top + plane.shape[0], left : left + plane.shape[1]])
    return np.stack(found, axis=1)


def slices_by_hand(network: torch.nn.Module, image: Array, neighbors: int) -> Array:
    """One slice after the other; beyond the first and the last these are seen again."""
    last = len(image) - 1
    stacks = [
        np.stack([image[min(max(k + n, 0), last)] for n in range(-neighbors, neighbors + 1)]) for k in range(len(image))
    ]
    return np.stack([logits_of(network, stack[None])[0] for stack in stacks], axis=1)


def windows_by_hand(
    network: torch.nn.Module, image: Array, size: tuple[int, int, int], shared: tuple[int, int, int]
) -> Array:
    """Windows of one size, evenly spread, sharing at least so much, under a Gaussian of an eighth of their size."""
    starts, weight = [], np.ones(size)
    for axis, (n, edge, least) in enumerate(zip(image.shape, size, shared, strict=True)):
        count = int(np.ceil((n - least) / (edge - least)))
        starts.append([index * (n - edge) // (count - 1) for index in range(count)])
        bell = np.exp(-0.5 * ((np.arange(edge) - (edge - 1) / 2) / (edge / 8)) ** 2).clip(1e-3)
        weight = weight * bell.reshape([-1 if a == axis else 1 for a in range(3)])
    sums, weights = np.zeros((4, *image.shape)), np.zeros(image.shape)
    for corner in product(*starts):
        at = tuple(slice(c, c + n) for c, n in zip(corner, size, strict=True))
        sums[(slice(None), *at)] += logits_of(network, image[at][None, None])[0] * weight
        weights[at] += weight
    return (sums / weights).astype(np.float32)


def logits_of(network: torch.nn.Module, *images: Array) -> Array:
    with torch.no_grad():
        return network(*(torch.from_numpy(np.ascontiguousarray(image)) for image in images)).numpy()


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
@pytest.mark.parametrize("name", KINDS)
def test_the_robots_labels_are_those_of_pytorch(
    name: str, runtime: str, made: Callable[[str], Made], sees_all: ModelBundle, ct: Volume
) -> None:
    subject = made(name)
    segmenter = Segmenter(sees_all, subject.bundle, runtime, skip=POSTPROCESSING_STEPS)
    found = segmenter.segment(ct).labels.array
    scores = scores_by_hand(subject.kind, subject.network, subject.recipe, ct.array.astype(np.float32))
    expected = scores.argmax(axis=0)
    assert np.bincount(expected.ravel()).max() < 0.95 * expected.size  # no class wins everywhere
    second, first = np.sort(scores, axis=0)[-2:]
    clear = first - second > 1e-4 * np.abs(scores).max()  # elsewhere rounding decides
    assert clear.mean() > 0.9
    np.testing.assert_array_equal(found[clear], expected[clear])


@pytest.mark.parametrize("name", ["slices and edges", "one window"])
def test_tensorrt_builds_what_the_bundle_says(name: str, made: Callable[[str], Made]) -> None:
    try:
        load_tensorrt()
    except InputError as missing:
        if platform.machine() == "x86_64":  # the extra [deploy] brings it there: missing, it is a failure
            raise
        pytest.skip(str(missing))
    bundle = made(name).bundle
    assert len(build_engine(bundle.weights.read_bytes(), profiles_of(bundle.spec, 2))) > 1000


def test_the_description_says_how_slices_are_fed(made: Callable[[str], Made]) -> None:
    spec = load_bundle(made("slices and edges").bundle.folder).spec.input
    assert (spec.slices, spec.neighbors, spec.inputs, spec.fixed_window) == (True, 0, ("image", "edges"), True)
    spec = load_bundle(made("slices with neighbors").bundle.folder).spec.input
    assert (spec.slices, spec.neighbors, spec.inputs, spec.fixed_window) == (True, 2, ("image",), False)
    spec = load_bundle(made("one window").bundle.folder).spec.input
    assert (spec.slices, spec.fixed_window, spec.patch) == (False, True, (32, 24, 8))
    card = (made("slices and edges").bundle.folder / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert "4 slices of 48 x 40 pixels" in card and "Canny" in card


@pytest.mark.parametrize(
    ("kind", "changes", "message"),
    [
        (
            KINDS["slices and edges"],
            {"patch": [40, 48, 4]},
            r"takes windows of 48 x 40 voxels alone.* give patch: \[48, 40, slices at once\], not \[40, 48, 4\]",
        ),
        (
            KINDS["one window"],
            {"patch": [32, 32, 16]},
            r"takes windows of 32 x 24 x 8 voxels alone.* give patch: \[32, 24, 8\], not \[32, 32, 16\]",
        ),
        (
            KINDS["volumes"]._replace(patch=(32, 32, 1)),
            {},
            r"'unet3d' takes volumes, and its recipe feeds slices; give optimization.patch: \[i, j, k\] of more",
        ),
        (
            KINDS["slices with neighbors"]._replace(
                network={"name": "unet2d", "widths": [4, 6], "channels_in": 3}, neighbors=0
            ),
            {},
            "takes 3 channels, and its recipe feeds 1 of a CT; give data.neighbors: 1 or network.channels_in: 1",
        ),
    ],
)
def test_what_does_not_fit_is_refused_with_the_option_to_set(
    kind: Kind, changes: dict[str, Any], message: str, tmp_path: Path
) -> None:
    recipe = recipe_of(kind)
    checkpoint = Checkpoint(recipe, build_network(recipe).state_dict(), {}, 1, 1.0, 1)
    with pytest.raises(InputError, match=message):
        export_bundle(checkpoint, tmp_path / "tiny", {**settings_of(kind), **changes})


def test_paper_2_has_two_stages_in_windows_that_share_16_slices() -> None:
    settings = yaml.safe_load((CONFIG / "paper2_bundles.yaml").read_text(encoding="utf-8"))
    recipes = read_recipes(CONFIG / "paper2_ltvs.yaml")
    inside, whole = recipes["ucanet"], recipes["liver"]
    for recipe, fixed in ((inside, True), (whole, False)):
        section = settings[recipe.stage]
        with torch.device("meta"):
            spec = bundle_input(recipe, build_network(recipe), section)
        assert (spec.patch, spec.fixed_window, spec.size) == ([320, 320, 32], fixed, (320, 320, None))
        windows = choose_windows((96, 320, 320), replace(spec, patch=(320, 320, 32)), (32, 320, 320))
        assert windows.shape == (32, 320, 320) and windows.k.starts == (0, 16, 32, 48, 64)
    assert settings["localize"]["margin_mm"] == inside.data.margin_mm
