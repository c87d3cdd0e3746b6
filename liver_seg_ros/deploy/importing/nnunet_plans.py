# SPDX-License-Identifier: Apache-2.0
"""`plans.json` and `dataset.json` of nnU-Net v2: what of them makes the network and what it is given.

Everything that would change its answer is either taken over or refused by name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from liver_seg_ros.deploy.importing.source import NNUNET, Architecture
from liver_seg_ros.errors import InputError

#: The only values of these that this package does as nnU-Net does.
_KNOWN = {
    "preprocessor_name": "DefaultPreprocessor",
    "resampling_fn_data": "resample_data_or_seg_to_shape",
    "resampling_fn_seg": "resample_data_or_seg_to_shape",
    "resampling_fn_probabilities": "resample_data_or_seg_to_shape",
    "resampling_fn_data_kwargs": {"is_seg": False, "order": 3, "order_z": 0, "force_separate_z": None},
    "resampling_fn_seg_kwargs": {"is_seg": True, "order": 1, "order_z": 0, "force_separate_z": None},
    "resampling_fn_probabilities_kwargs": {"is_seg": False, "order": 1, "order_z": 0, "force_separate_z": None},
}
#: By the foreground of all training images, and by the image itself.
_CT, _Z_SCORE = "CTNormalization", "ZScoreNormalization"
_UNETS = "dynamic_network_architectures.architectures.unet"
NETWORKS = tuple(f"{_UNETS}.{name}" for name in ("PlainConvUNet", "ResidualEncoderUNet", "ResidualUNet"))


@dataclass(frozen=True)
class Configuration:
    """One configuration of the plans; axes in the plans' own order, which `transpose` tells.

    Attributes:
        name: e.g. "3d_fullres".
        spacing: in mm; two of them for slices.
        patch: in voxels; two for slices.
        transpose: which of (k, j, i) each axis is.
        clip, mean, deviation: see `TrainedNetwork`.
        architecture: how the network is built.
        multiples: that the sides of a window must be multiples of.
        previous: the configuration whose labels it is also given, None for most.
    """

    name: str
    spacing: tuple[float, ...]
    patch: tuple[int, ...]
    transpose: tuple[int, ...]
    clip: tuple[float, float] | None
    mean: float
    deviation: float
    architecture: Architecture
    multiples: tuple[int, ...]
    previous: str | None


@dataclass(frozen=True)
class Classes:
    """What the network's outputs are.

    Attributes:
        names: of the labels, from 0, the background.
        regions: of outputs that are regions, the label that each becomes, later ones lying over earlier ones; else
            empty.
    """

    names: tuple[str, ...]
    regions: tuple[int, ...] = ()


def read_configuration(plans: Mapping[str, Any], name: str, path: Path) -> Configuration:
    """The configuration called `name` of the `plans` in the file `path`.

    Raises:
        InputError: it is not there, lacks something, or asks for what is not known here.
    """
    try:
        return _configuration(plans, name, path)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        what = (
            f"lacks {error}"
            if isinstance(error, KeyError)
            else f"has an entry that is not as nnU-Net writes it ({error})"
        )
        raise InputError(f"{path}: the configuration '{name}' {what}") from error


def read_classes(plans: Mapping[str, Any], dataset: Mapping[str, Any], path: Path) -> Classes:
    """What the outputs of a network trained on `dataset`, in the file `path`, are.

    Raises:
        InputError: several channels, or labels that are not as nnU-Net has them.
    """
    channels = dataset.get("channel_names") or dataset.get("modality")
    labels = dataset.get("labels")
    if not isinstance(channels, Mapping) or not isinstance(labels, Mapping):
        raise InputError(f"{path} lacks 'channel_names' or 'labels': it is no dataset.json of nnU-Net v2")
    if len(channels) != 1:
        raise InputError(
            f"{path}: the network takes {len(channels)} images ({', '.join(map(str, channels.values()))}), not one CT"
        )
    manager = plans.get("label_manager", "LabelManager")
    if manager != "LabelManager":
        raise InputError(f"{path.parent}: the label manager '{manager}' is not known here, only LabelManager")
    values = {str(name): value for name, value in labels.items() if name != "ignore"}
    order = dataset.get("regions_class_order")
    if any(isinstance(value, list | tuple) and len(value) > 1 for value in values.values()):
        return _regions(values, order, path)
    plain = {name: value[0] if isinstance(value, list | tuple) else value for name, value in values.items()}
    names = sorted(plain, key=lambda name: int(plain[name]))
    if [int(plain[name]) for name in names] != list(range(len(names))) or len(names) < 2:
        raise InputError(f"{path}: labels must be numbered from 0, the background, without a gap, not {plain}")
    return Classes(("background", *names[1:]))


def _regions(values: Mapping[str, Any], order: Any, path: Path) -> Classes:
    """Each region is an output; the label of the last one that holds a voxel is the voxel's."""
    regions = [name for name, value in values.items() if value != 0 and name != "background"]
    if not isinstance(order, list) or len(order) != len(regions) or sorted(order) != list(range(1, len(order) + 1)):
        raise InputError(f"{path}: of regions 'regions_class_order' must give labels 1 to {len(regions)}, not {order}")
    names = dict(zip(order, regions, strict=True))
    return Classes(("background", *(names[n] for n in sorted(names))), tuple(order))


def _configuration(plans: Mapping[str, Any], name: str, path: Path) -> Configuration:
    described = _inherited(plans["configurations"], name, path)
    for key, known in _KNOWN.items():
        if (value := described.get(key, known)) != known:
            raise InputError(f"{path}: '{key}' of '{name}' is {value}; known here is only {known}")
    schemes = list(described["normalization_schemes"])
    masked = any(described.get("use_mask_for_norm", []))
    if schemes not in ([_CT], [_Z_SCORE]) or masked:
        how = f"{', '.join(map(str, schemes))}{' inside a mask' if masked else ''}"
        raise InputError(f"{path}: '{name}' normalizes by {how}; known here are {_CT} and {_Z_SCORE}")
    clip, mean, deviation = None, 0.0, 1.0
    if schemes == [_CT]:
        foreground = plans["foreground_intensity_properties_per_channel"]["0"]
        clip = (float(foreground["percentile_00_5"]), float(foreground["percentile_99_5"]))
        mean, deviation = float(foreground["mean"]), max(float(foreground["std"]), 1e-8)
    forward = tuple(int(a) for a in plans["transpose_forward"])
    if sorted(forward) != [0, 1, 2]:
        raise InputError(f"{path}: 'transpose_forward' must be an order of three axes, not {forward}")
    patch = tuple(int(n) for n in described["patch_size"])
    flat = len(patch) == 2
    if flat and forward[0] != 0:
        raise InputError(
            f"{path}: '{name}' takes slices across another axis than the CT's; known here are axial slices"
        )
    architecture = _architecture(described, path)
    strides = architecture.options["strides"]
    multiples = tuple(prod(_along(stride, axis) for stride in strides) for axis in range(len(patch)))
    previous = described.get("previous_stage")
    return Configuration(
        name=name,
        spacing=tuple(float(s) for s in described["spacing"][-len(patch) :]),
        patch=patch,
        transpose=tuple(a - 1 for a in forward[1:]) if flat else forward,
        clip=clip,
        mean=mean,
        deviation=deviation,
        architecture=architecture,
        multiples=multiples,
        previous=None if previous is None else str(previous),
    )


def _inherited(configurations: Mapping[str, Any], name: str, path: Path, seen: tuple[str, ...] = ()) -> dict[str, Any]:
    """A configuration with what it inherits."""
    if name not in configurations or name in seen:
        raise InputError(f"{path} has no configuration '{name}', but {', '.join(configurations)}")
    own = dict(configurations[name])
    parent = own.pop("inherits_from", None)
    return own if parent is None else {**_inherited(configurations, parent, path, (*seen, name)), **own}


def _architecture(described: Mapping[str, Any], path: Path) -> Architecture:
    """How the network is built, also by plans from before nnU-Net 2.4, which gave only what differs."""
    if "architecture" not in described:
        described = {"architecture": _older_architecture(described, path)}
    told = described["architecture"]
    name = str(told["network_class_name"])
    if name not in NETWORKS:
        raise InputError(f"{path}: the network {name} is not known here; known are {', '.join(NETWORKS)}")
    imported = tuple(told["_kw_requires_import"])
    options = dict(told["arch_kwargs"])
    for option in imported:
        if options.get(option) is not None and not str(options[option]).startswith(
            ("torch.nn.", "dynamic_network_architectures.")
        ):
            raise InputError(f"{path}: the network's '{option}' is {options[option]}, which is none of torch.nn")
    return Architecture(NNUNET, name, options, imported)


def _older_architecture(described: Mapping[str, Any], path: Path) -> dict[str, Any]:
    name = described["UNet_class_name"]
    if name not in ("PlainConvUNet", "ResidualEncoderUNet"):
        raise InputError(
            f"{path}: the network {name} is not known here; known are PlainConvUNet and ResidualEncoderUNet"
        )
    axes = len(described["patch_size"])
    stages = len(described["n_conv_per_stage_encoder"])
    base, most = described["UNet_base_num_features"], described["unet_max_num_features"]
    return {
        "network_class_name": f"{_UNETS}.{name}",
        "arch_kwargs": {
            "n_stages": stages,
            "features_per_stage": [min(base * 2**stage, most) for stage in range(stages)],
            "conv_op": f"torch.nn.modules.conv.Conv{axes}d",
            "kernel_sizes": described["conv_kernel_sizes"],
            "strides": described["pool_op_kernel_sizes"],
            "n_conv_per_stage" if name == "PlainConvUNet" else "n_blocks_per_stage": described[
                "n_conv_per_stage_encoder"
            ],
            "n_conv_per_stage_decoder": described["n_conv_per_stage_decoder"],
            "conv_bias": True,
            "norm_op": f"torch.nn.modules.instancenorm.InstanceNorm{axes}d",
            "norm_op_kwargs": {"eps": 1e-05, "affine": True},
            "dropout_op": None,
            "dropout_op_kwargs": None,
            "nonlin": "torch.nn.LeakyReLU",
            "nonlin_kwargs": {"inplace": True},
        },
        "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
    }


def _along(stride: Any, axis: int) -> int:
    return int(stride if isinstance(stride, int) else stride[axis])
