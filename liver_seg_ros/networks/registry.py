# SPDX-License-Identifier: Apache-2.0
"""Every network by name: the one table that commands, tests and `docs/networks.md` read.

To add one: a file beside `unet3d.py` and a row here. A network's file is imported only when it is built.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from inspect import signature
from typing import Any

from torch import nn

from liver_seg_ros.errors import InputError


@dataclass(frozen=True)
class NetworkSpec:
    """One row of the table.

    Attributes:
        target: "file:class or function" in this package.
        size: what the source feeds it, voxels `(D, H, W)` or pixels `(H, W)`.
        source: where it is described.
        options: what makes this variant; a caller's options come on top.
        inputs: names of the tensors that `forward` takes, in order.
        parameters_published: as the source counts them, where it does.
    """

    target: str
    size: tuple[int, ...]
    source: str
    options: Mapping[str, Any] = field(default_factory=dict)
    inputs: tuple[str, ...] = ("image",)
    parameters_published: int | None = None

    def load(self) -> Callable[..., nn.Module]:
        """What builds the network."""
        file, name = self.target.split(":")
        build: Callable[..., nn.Module] = getattr(import_module(f"liver_seg_ros.networks.{file}"), name)
        return build


NETWORKS: dict[str, NetworkSpec] = {
    "unet3d": NetworkSpec("unet3d:UNet3D", (128, 128, 128), "this package: what it ships"),
    "threedynet": NetworkSpec("threedynet:ThreeDYNet", (64, 256, 256), "d'Albenzio, Kamkova et al.: 3DYNet"),
    "threedynet_ee": NetworkSpec(
        "threedynet:ThreeDYNet", (64, 256, 256), "d'Albenzio, Kamkova et al.: 3DYNet-EE", options={"sum_encoders": True}
    ),
    "unet_aspp": NetworkSpec("unet_aspp:UNetASPP", (352, 352), "Tran et al.: UNet-ASPP"),
    "transfusionnet": NetworkSpec("transfusionnet:TransFusionNet", (512, 512), "Meng et al.: TransFusionNet"),
    "transfusionnet_edge": NetworkSpec(
        "transfusionnet:TransFusionNet",
        (512, 512),
        "Meng et al.: TransFusionNet with edge module",
        options={"edge_module": True},
        inputs=("image", "edges"),
    ),
    "transfusionnet_no_skips": NetworkSpec(
        "transfusionnet:TransFusionNet",
        (512, 512),
        "Meng et al.: Table III",
        options={"transformer": "without_skips", "cnn": "without_skips"},
    ),
    "transfusionnet_no_transformer_skips": NetworkSpec(
        "transfusionnet:TransFusionNet", (512, 512), "Meng et al.: Table III", options={"transformer": "without_skips"}
    ),
    "transfusionnet_no_cnn_skips": NetworkSpec(
        "transfusionnet:TransFusionNet", (512, 512), "Meng et al.: Table III", options={"cnn": "without_skips"}
    ),
    "transfusionnet_transformer_only": NetworkSpec(
        "transfusionnet:TransFusionNet", (512, 512), "Meng et al.: Figure 5", options={"cnn": "absent"}
    ),
    "transfusionnet_cnn_only": NetworkSpec(
        "transfusionnet:TransFusionNet", (512, 512), "Meng et al.: Figure 5", options={"transformer": "absent"}
    ),
    "transunet": NetworkSpec(
        "transunet:TransUNet", (320, 320), "Chen et al. 2021: TransUNet", parameters_published=105_480_000
    ),
    "transunet_attention": NetworkSpec(
        "transunet_attention:TransUNetAttention", (352, 352), "Tran et al.: TransUNet with attention blocks"
    ),
    "transunet_attention_none": NetworkSpec(
        "transunet_attention:TransUNetAttention",
        (352, 352),
        "Tran et al.: TransUNet without attention blocks",
        options={"attention": False},
    ),
    "transunet_attention_rgb": NetworkSpec(
        "transunet_attention:TransUNetAttention",
        (352, 352),
        "Tran et al.: Kvasir-SEG, with attention blocks",
        options={"channels_in": 3, "classes": 2, "layers": 12},
    ),
    "transunet_attention_none_rgb": NetworkSpec(
        "transunet_attention:TransUNetAttention",
        (352, 352),
        "Tran et al.: Kvasir-SEG, without attention blocks",
        options={"attention": False, "channels_in": 3, "classes": 2, "layers": 12},
    ),
    "unet2d": NetworkSpec(
        "baselines:UNet",
        (320, 320),
        "Ronneberger et al. 2015: U-Net",
        options={"dimensions": 2},
        parameters_published=2_140_000,
    ),
    "resunet2d": NetworkSpec(
        "baselines:residual_unet",
        (320, 320),
        "Xiao et al. 2018: residual U-Net",
        options={"dimensions": 2, "widths": (64, 128, 256, 512), "convolutions": 1},
        parameters_published=3_260_000,
    ),
    "unet_plus_plus": NetworkSpec("baselines:UNetPlusPlus", (512, 512), "Zhou et al. 2018: UNet++"),
    "unet3plus": NetworkSpec("unet3plus:UNet3Plus", (512, 512), "Huang et al. 2020: UNet 3+"),
    "segnet": NetworkSpec("segnet:SegNet", (512, 512), "Badrinarayanan et al. 2017: SegNet"),
    "uctransnet": NetworkSpec(
        "uctransnet:UCTransNet", (320, 320), "Wang et al. 2022: UCTransNet", parameters_published=65_600_000
    ),
    "unet3d_concat": NetworkSpec(
        "baselines:UNet", (32, 320, 320), "Çiçek et al. 2016: 3D U-Net", parameters_published=6_420_000
    ),
    "resunet3d": NetworkSpec(
        "baselines:residual_unet", (32, 320, 320), "Xu et al. 2019: 3D residual U-Net", parameters_published=9_430_000
    ),
    "attention_unet3d": NetworkSpec(
        "baselines:attention_unet",
        (32, 320, 320),
        "Su et al. 2021: 3D attention U-Net",
        parameters_published=16_500_000,
    ),
    "vnet": NetworkSpec(
        "baselines:vnet", (32, 320, 320), "Milletari et al. 2016: V-Net", parameters_published=45_600_000
    ),
    "uxnet3d": NetworkSpec(
        "uxnet3d:UXNet3D", (32, 320, 320), "Lee et al. 2022: 3D UX-Net", parameters_published=57_430_000
    ),
    "student": NetworkSpec("student:Student", (128, 128, 128), "this package: to distil the others into"),
    "ucanet": NetworkSpec(
        "ucanet:UCANet", (32, 320, 320), "Kuang et al. 2023: UCA-Net", parameters_published=5_910_000
    ),
    "ucanet_none": NetworkSpec(
        "ucanet:UCANet",
        (32, 320, 320),
        "Kuang et al. 2023: Table 2, without CSCA",
        options={"attention": "none"},
        parameters_published=6_420_000,
    ),
    "ucanet_sca": NetworkSpec(
        "ucanet:UCANet",
        (32, 320, 320),
        "Kuang et al. 2023: Table 2, with SCA",
        options={"attention": "sca"},
        parameters_published=5_840_000,
    ),
    "ucanet_cca": NetworkSpec(
        "ucanet:UCANet",
        (32, 320, 320),
        "Kuang et al. 2023: Table 2, with CCA",
        options={"attention": "cca"},
        parameters_published=5_900_000,
    ),
    "mpunet": NetworkSpec("mpunet:MPUNet", (48, 256, 256), "Yu and Han 2023: MPU-Net", parameters_published=22_557_009),
    "mpunet_unet": NetworkSpec(
        "mpunet_unet:MPUNetUNet", (48, 256, 256), "Yu and Han 2023: U-Net", parameters_published=2_326_638
    ),
}


def create_network(name: str, **options: Any) -> nn.Module:
    """The network called `name`, freshly initialized.

    Args:
        name: a key of `NETWORKS`.
        options: keyword arguments of its constructor; they override those of the row.

    Raises:
        InputError: no such network, an option that it does not have, or a value that it refuses.
    """
    if name not in NETWORKS:
        raise InputError(f"unknown network '{name}'; there are: {', '.join(sorted(NETWORKS))}")
    build = NETWORKS[name].load()
    known = signature(build).parameters
    unknown = sorted(set(options) - set(known))
    if unknown:
        raise InputError(f"network '{name}' has no option {', '.join(unknown)}; it has: {', '.join(known)}")
    try:
        return build(**{**NETWORKS[name].options, **options})
    except (TypeError, ValueError) as error:
        raise InputError(f"network '{name}' cannot be built: {error}") from error
