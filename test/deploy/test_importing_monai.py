# SPDX-License-Identifier: Apache-2.0
"""MONAI's bundles as ours: they label a CT as MONAI's own transforms and windows do, and what is unknown is refused."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed (extra [deploy])")
monai = pytest.importorskip("monai", reason="monai is not installed (extra [train])")
pytest.importorskip("onnxscript", reason="onnxscript is not installed (extra [deploy])")

from liver_seg_ros.cli.app import run_app  # noqa: E402  after the skip
from liver_seg_ros.deploy.importing.reading import read_source  # noqa: E402
from liver_seg_ros.errors import InputError  # noqa: E402
from liver_seg_ros.geometry import Geometry  # noqa: E402
from liver_seg_ros.inference.bundle import load_bundle  # noqa: E402
from liver_seg_ros.inference.network import load_network  # noqa: E402
from liver_seg_ros.progress import Stages, never_cancelled, no_progress  # noqa: E402

NETWORK = {
    "_target_": "UNet",
    "spatial_dims": 3,
    "in_channels": "@channels",
    "out_channels": 3,
    "channels": [4, 8],
    "strides": [2],
    "norm": "instance",
}
RANGE = {"a_min": -100, "a_max": 240, "b_min": 0.0, "b_max": 1.0, "clip": True}
CONFIG: dict[str, Any] = {
    "imports": ["$import glob"],
    "channels": 1,
    "network_def": NETWORK,
    "network": "$@network_def.to(@device)",
    "preprocessing": {
        "_target_": "Compose",
        "transforms": [
            {"_target_": "LoadImaged", "keys": "image"},
            {"_target_": "EnsureChannelFirstd", "keys": "image"},
            {"_target_": "Orientationd", "keys": "image", "axcodes": "RAS"},
            {"_target_": "Spacingd", "keys": "image", "pixdim": [3.0, 2.5, 4.0], "mode": "bilinear"},
            {"_target_": "monai.transforms.ScaleIntensityRanged", "keys": ["image"], **RANGE},
            {"_target_": "EnsureTyped", "keys": "image"},
        ],
    },
    "inferer": {"_target_": "SlidingWindowInferer", "roi_size": [16, 20, 12], "sw_batch_size": 1, "overlap": 0.5},
}
METADATA = {
    "name": "Liver of MONAI",
    "version": "0.1.0",
    "intended_use": "An example.",
    "data_source": "Task03",
    "network_data_format": {"outputs": {"pred": {"channel_def": {"0": "background", "1": "liver", "2": "tumor"}}}},
}


def write_monai(folder: Path, config: dict[str, Any]) -> Path:
    """A bundle with random weights of `NETWORK`."""
    for name in ("configs", "models"):
        (folder / name).mkdir(parents=True)
    (folder / "configs" / "metadata.json").write_text(json.dumps(METADATA))
    (folder / "configs" / "inference.json").write_text(json.dumps(config))
    (folder / "LICENSE").write_text("\n   Apache License\n")
    torch.manual_seed(1)
    torch.save({"model": network().state_dict()}, folder / "models" / "model.pt")
    return folder


def network() -> torch.nn.Module:
    return monai.networks.nets.UNet(
        **{k: v for k, v in {**NETWORK, "in_channels": 1}.items() if k != "_target_"}
    ).eval()


def test_a_bundle_labels_as_monai_does(tmp_path: Path) -> None:
    folder = write_monai(tmp_path / "theirs", CONFIG)
    assert run_app(["import", str(folder), "-o", str(tmp_path / "ours"), "-q"]) == 0
    bundle = load_bundle(tmp_path / "ours")
    assert (bundle.spec.license, bundle.spec.name) == ("Apache License (its file LICENSE)", "Liver of MONAI")
    assert "Task03" in bundle.spec.trained_on

    geometry = Geometry((40, 36, 30), (2.0, 2.2, 3.1), (-40.0, -30.0, 10.0))
    rng = np.random.default_rng(0)
    hu = rng.normal(50, 150, geometry.shape).astype(np.int16)
    stages = Stages(no_progress, never_cancelled)
    grid, planes = load_network(bundle, "onnxruntime").scores(hu, geometry, stages, "segment")
    scores = np.stack(list(planes), axis=1)  # (C, K, J, I), to the left and back

    affine = np.diag([-2.0, -2.2, 3.1, 1.0])  # LPS is to the left and back, NIfTI's axes to the right and front
    affine[:3, 3] = (40.0, 30.0, 10.0)
    image = monai.data.MetaTensor(hu.transpose(2, 1, 0)[None].astype(np.float32), affine=affine)
    turned = monai.transforms.Orientation(axcodes="RAS", labels=None)(image)
    spaced = monai.transforms.Spacing(pixdim=(3.0, 2.5, 4.0), mode="bilinear")(turned)
    scaled = monai.transforms.ScaleIntensityRange(**RANGE)(spaced)
    theirs = network()
    theirs.load_state_dict(torch.load(folder / "models" / "model.pt", weights_only=True)["model"])
    with torch.no_grad():
        logits = monai.inferers.SlidingWindowInferer((16, 20, 12), 1, 0.5)(scaled[None], theirs)[0]
    expected = np.asarray(logits).transpose(0, 3, 2, 1)[:, :, ::-1, ::-1]
    assert scores.shape == expected.shape == (3, *grid.shape)
    np.testing.assert_allclose(scores, expected, atol=2e-3 * np.abs(expected).max())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"_target_": "CropForegroundd", "keys": "image"}, "the transform CropForegroundd is not known here"),
        ({"_target_": "ScaleIntensityd", "keys": "image"}, "the transform ScaleIntensityd is not known here"),
        ({"_target_": "Orientationd", "keys": "image", "axcodes": "PLI"}, "Orientationd: axcodes PLI must be one of"),
        ({"_target_": "Spacingd", "keys": "image", "pixdim": "$[1, 1, 1]"}, "Spacingd: .*expression"),
        ({"_target_": "NormalizeIntensityd", "keys": "image", "nonzero": True}, "NormalizeIntensityd: nonzero"),
        ({"_target_": "NormalizeIntensityd", "keys": "image"}, "NormalizeIntensityd: the intensities are scaled twice"),
    ],
)
def test_transforms_that_are_not_known_are_refused_by_name(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    config = copy.deepcopy(CONFIG)
    config["preprocessing"]["transforms"].insert(5, changes)
    with pytest.raises(InputError, match=message):
        read_source(write_monai(tmp_path / "bundle", config))


def test_networks_that_are_none_of_monais_or_expressions_are_refused(tmp_path: Path) -> None:
    for number, (change, message) in enumerate(
        (
            ({"_target_": "os.system"}, "os.system is none of monai.networks.nets"),
            ({"_target_": "UNet2"}, "no network or layer that is known here"),
            ({"strides": "$[__import__('os').getcwd()]"}, "'strides' of the network is a Python expression"),
            ({"in_channels": 4}, "must take one image"),
            ({"channels": [4, 6]}, "the weights are not those of the network described"),
        )
    ):
        config = {**CONFIG, "network_def": {**NETWORK, **change}}
        folder = write_monai(tmp_path / str(number), config)
        with pytest.raises(InputError, match=message):
            from liver_seg_ros.deploy.importing.bundle_from import import_bundle

            import_bundle(read_source(folder), tmp_path / "ours")
    assert not (tmp_path / "ours").exists()
