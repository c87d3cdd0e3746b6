# SPDX-License-Identifier: Apache-2.0
"""What holds for every network of the registry, each built as tiny as its row in small.py says."""

from __future__ import annotations

import copy
import platform
import re
from collections.abc import Callable, Iterable
from inspect import signature
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed (extra [train])")
pytest.importorskip("monai", reason="monai is not installed (extra [train])")

from torch import Tensor, nn  # noqa: E402  after the skips
from torch.nn.functional import interpolate  # noqa: E402

from liver_seg_ros.errors import InputError  # noqa: E402
from liver_seg_ros.inference.preprocessing import normalize  # noqa: E402
from liver_seg_ros.inference.runtimes.tensorrt.build import ShapeRange, build_engine  # noqa: E402
from liver_seg_ros.inference.runtimes.tensorrt.library import load_tensorrt  # noqa: E402
from liver_seg_ros.networks import NETWORKS, create_network  # noqa: E402
from liver_seg_ros.phantom import Phantom  # noqa: E402
from liver_seg_ros.training.common_losses import dice_and_cross_entropy  # noqa: E402

CLASSES = 4
STEPS = 4
every_network = pytest.mark.parametrize("name", sorted(NETWORKS))
#: Every kind of layer and of input is in one of them. An export takes seconds: `benchmarks/networks.py` has all.
EXPORTED = [
    "attention_unet3d",
    "mpunet",
    "mpunet_unet",
    "resunet3d",
    "segnet",
    "student",
    "threedynet_ee",
    "transfusionnet_edge",
    "transunet",
    "transunet_attention_rgb",
    "ucanet",
    "ucanet_none",
    "uctransnet",
    "unet2d",
    "unet3d",
    "unet3plus",
    "unet_aspp",
    "unet_plus_plus",
    "uxnet3d",
    "vnet",
]
#: At one size only: free ones take the exporter two or three times as long, and `benchmarks/networks.py` has them.
OF_ONE_SIZE = {"uxnet3d", "vnet"}
exported_networks = pytest.mark.parametrize("name", EXPORTED)


class Trained:
    """A tiny network after four steps, in evaluation mode, and the loss before and after them."""

    def __init__(self, name: str, row: Any, phantom: Phantom) -> None:
        self.row, self.inputs = row, NETWORKS[name].inputs
        self.network = tiny(name, row)
        self.images, labels = phantom_batch(phantom, self.inputs, row.size)
        optimizer = torch.optim.Adam(self.network.parameters(), row.learning_rate)
        self.losses = []
        for step in range(STEPS + 1):
            torch.manual_seed(1)  # each step drops the same units, so that losses can be compared
            self.logits = self.network(*self.images)
            loss = segmentation_loss(self.logits, labels)
            self.losses.append(loss.item())
            if step < STEPS:
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
        self.network.eval()

    @property
    def multiple(self) -> int | None:
        """None where only one size fits."""
        return None if hasattr(self.network, "image_size") else int(self.network.size_multiple)


@pytest.fixture(scope="session")
def trained(small: dict[str, Any], phantom: Phantom) -> Callable[[str], Trained]:
    """Trains a network when it is first asked for."""
    known: dict[str, Trained] = {}

    def get(name: str) -> Trained:
        key = recipe_of(name, row_of(small, name))
        if key not in known:
            known[key] = Trained(name, row_of(small, name), phantom)
        return known[key]

    return get


@pytest.fixture(scope="session")
def exported(trained: Callable[[str], Trained], exporter_reads_its_library_once: None) -> Callable[[str], bytes]:
    """Exports a trained network when it is first asked for."""
    pytest.importorskip("onnxscript", reason="onnxscript is not installed (extra [deploy])")
    from liver_seg_ros.deploy.onnx_export import export_onnx

    known: dict[int, bytes] = {}

    def get(name: str) -> bytes:
        subject = trained(name)
        if id(subject) not in known:
            network = copy.deepcopy(subject.network)
            multiple = None if name in OF_ONE_SIZE else subject.multiple
            known[id(subject)] = export_onnx(network, subject.row.size, multiple, dict.fromkeys(subject.inputs, 1))
        return known[id(subject)]

    return get


@pytest.fixture(scope="session")
def engines() -> dict[int, bytes]:
    """Engines that were built, by the identity of what was trained."""
    return {}


def test_no_row_is_left_over(small: dict[str, Any]) -> None:
    assert sorted(set(small) - set(NETWORKS)) == []


def test_every_kind_of_layer_and_input_is_exported(small: dict[str, Any]) -> None:
    kinds = {name: kinds_of(name, small) for name in NETWORKS}
    exported = set().union(*(kinds[name] for name in EXPORTED))
    assert {name: missing for name in NETWORKS if (missing := kinds[name] - exported)} == {}


@every_network
def test_four_steps_lower_the_loss_on_a_phantom(name: str, trained: Callable[[str], Trained]) -> None:
    losses = trained(name).losses
    assert np.isfinite(losses).all()
    assert losses[-1] < losses[0], f"losses before each step and after the last: {losses}"


@every_network
def test_logits_have_the_size_of_the_image(name: str, trained: Callable[[str], Trained]) -> None:
    subject = trained(name)
    shape = (2, CLASSES, *subject.row.size)
    assert subject.logits.shape == shape
    assert subject.logits.dtype == torch.float32
    with torch.no_grad():
        assert subject.network(*subject.images).shape == shape


def test_any_number_of_classes_can_be_built(small: dict[str, Any]) -> None:
    for name in NETWORKS:
        row = row_of(small, name)
        with torch.device("meta"):
            network = create_network(name, **{**options_of(name, row), "classes": 5}).eval()
            outputs = getattr(network, "outputs", network)(
                *(torch.zeros(1, 1, *row.size) for _ in NETWORKS[name].inputs)
            )
        logits = outputs if isinstance(outputs, Tensor) else outputs.logits
        assert logits.shape == (1, 5, *row.size), name


@every_network
def test_evaluation_is_deterministic(name: str, trained: Callable[[str], Trained]) -> None:
    subject = trained(name)
    answers = []
    for seed in (1, 2):  # whatever still draws random numbers draws others
        torch.manual_seed(seed)
        with torch.no_grad():
            answers.append(subject.network(*subject.images))
    assert torch.equal(*answers)


@every_network
def test_every_parameter_gets_a_gradient(name: str, small: dict[str, Any], phantom: Phantom) -> None:
    row = row_of(small, name)
    network = tiny(name, row)
    images, _ = phantom_batch(phantom, NETWORKS[name].inputs, row.size)
    outputs = getattr(network, "outputs", network)(*images)
    # Random weights: the sum over classes of what is softmaxed is constant.
    torch.stack([(map_ * torch.randn_like(map_)).sum() for map_ in tensors(outputs)]).sum().backward()
    without = [n for n, p in network.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert without == []


@every_network
def test_a_wrong_image_is_refused_with_what_fits(name: str, trained: Callable[[str], Trained]) -> None:
    subject = trained(name)
    network, size = subject.network, subject.row.size
    with pytest.raises(ValueError, match="2 channels does not fit: this network was built for 1"):
        network(*(torch.zeros(1, 2, *size) for _ in subject.inputs))
    with pytest.raises(ValueError, match="does not fit: give "):
        network(*(torch.zeros(1, *size) for _ in subject.inputs))
    if subject.multiple == 1:
        return
    with pytest.raises(ValueError, match=r"does not fit: .*\(\d+(, \d+)+\)") as error:
        network(*(torch.zeros(1, 1, size[0] + 1, *size[1:]) for _ in subject.inputs))
    found = re.findall(r"\((\d+(?:, \d+)+)\)", str(error.value))[-1]
    fitting = [int(n) for n in found.split(", ")]
    with torch.no_grad():
        logits = network(*(torch.zeros(1, 1, *fitting) for _ in subject.inputs))
    assert list(logits.shape[2:]) == fitting


@exported_networks
def test_onnx_runtime_computes_what_the_network_computes(name: str, exported: Callable[[str], bytes]) -> None:
    assert len(exported(name)) > 1000  # export_onnx compares the two on random images and raises where they differ


@exported_networks
def test_tensorrt_parses_and_builds_it(
    name: str, trained: Callable[[str], Trained], exported: Callable[[str], bytes], engines: dict[int, bytes]
) -> None:
    try:
        load_tensorrt()
    except InputError as missing:
        if platform.machine() == "x86_64":  # the extra [deploy] brings it there: missing, it is a failure
            raise
        pytest.skip(str(missing))
    subject = trained(name)
    more = 0 if name in OF_ONE_SIZE else subject.multiple or 0
    largest = tuple(n + more for n in subject.row.size)
    shapes = ShapeRange((1, 1, *subject.row.size), (1, 1, *subject.row.size), (2, 1, *largest))
    if id(subject) not in engines:
        engines[id(subject)] = build_engine(exported(name), dict.fromkeys(subject.inputs, shapes))
    assert len(engines[id(subject)]) > 1000


def row_of(small: dict[str, Any], name: str) -> Any:
    if name not in small:
        pytest.fail(f"network '{name}' has no row in test/networks/small.py: give options that make it tiny and a size")
    return small[name]


def options_of(name: str, row: Any) -> dict[str, Any]:
    """Of the tiny network, with those of its row in the registry."""
    fixed = "image_size" in signature(NETWORKS[name].load()).parameters
    size = {"image_size": row.size} if fixed else {}
    return {**NETWORKS[name].options, "classes": CLASSES, **size, **row.options}


def recipe_of(name: str, row: Any) -> str:
    """What builds and feeds the tiny network: rows in which it is the same need one training, export and engine."""
    defaults = {key: p.default for key, p in signature(NETWORKS[name].load()).parameters.items()}
    return repr((NETWORKS[name].target, NETWORKS[name].inputs, row, {**defaults, **options_of(name, row)}))


def tiny(name: str, row: Any) -> nn.Module:
    torch.manual_seed(0)
    network = create_network(name, **options_of(name, row))
    assert isinstance(network.size_multiple, int)
    return network.train()


def kinds_of(name: str, small: dict[str, Any]) -> set[object]:
    """The classes of the network's layers, and its inputs."""
    return {type(layer) for layer in tiny(name, row_of(small, name)).modules()} | {NETWORKS[name].inputs}


def phantom_batch(
    phantom: Phantom, inputs: tuple[str, ...], size: tuple[int, ...]
) -> tuple[tuple[Tensor, ...], Tensor]:
    """Images of `inputs`, each `(2, 1, *size)`, and labels `(2, *size)`: the liver's surroundings brought to `size`."""
    labels = phantom.labels.array
    box = tuple(slice(max(0, at.min() - 2), at.max() + 3) for at in np.nonzero(labels))
    image = torch.from_numpy(normalize(phantom.ct.array[box], (-150.0, 250.0)))  # (K, J, I)
    truth = torch.from_numpy(labels[box].copy())
    if len(size) == 3:
        images, truths = torch.stack([image, image.flip(2)]), torch.stack([truth, truth.flip(2)])
    else:  # the two slices with most tumor among those with all structures
        complete = (truth == 1).any(2).any(1) & (truth == 3).any(2).any(1)
        slices = (complete * (truth == 2).sum((1, 2))).topk(2).indices
        images, truths = image[slices], truth[slices]
    images = interpolate(images[:, None], size, mode="trilinear" if len(size) == 3 else "bilinear")
    truths = interpolate(truths[:, None].float(), size, mode="nearest-exact")[:, 0].long()
    assert all((case == value).any() for case in truths for value in range(CLASSES)), "a structure got lost at `size`"
    by_name = {"image": images, "edges": ((images - images.roll(1, -1)).abs() > 0.2).float()}
    return tuple(by_name[name] for name in inputs), truths


def segmentation_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """A 2D batch counts as one slice of a volume."""
    if logits.ndim == 4:
        logits, labels = logits[:, :, None], labels[:, None]
    return dice_and_cross_entropy(logits, labels)


def tensors(outputs: Any) -> Iterable[Tensor]:
    """Every tensor of an output that may be nested."""
    if isinstance(outputs, Tensor):
        yield outputs
    elif outputs is not None:
        for part in outputs:
            yield from tensors(part)
