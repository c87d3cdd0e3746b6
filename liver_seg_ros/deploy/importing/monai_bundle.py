# SPDX-License-Identifier: Apache-2.0
"""A MONAI bundle (`configs/metadata.json`, `configs/inference.json`, `models/model.pt`) as a `SourceModel`.

Its configuration is read as data: references (`@name`) to plain values are followed, Python expressions (`$...`) are
not run, and of its classes only networks of MONAI are made.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import yaml

from liver_seg_ros.deploy.importing.checkpoints import read_checkpoint
from liver_seg_ros.deploy.importing.monai_transforms import declared
from liver_seg_ros.deploy.importing.source import MONAI, Architecture, SourceModel, TrainedNetwork, Weights
from liver_seg_ros.errors import InputError
from liver_seg_ros.inference import conventions
from liver_seg_ros.inference.bundle import sha256_of

METADATA = Path("configs/metadata.json")
_CONFIGURATIONS = tuple(Path(f"configs/inference.{ending}") for ending in ("json", "yaml", "yml"))
_WEIGHTS = (Path("models/model.pt"), Path("models/model.ts"))
_NETWORKS = "monai.networks.nets"
#: What sections are called that are read.
_NETWORK, _PREPROCESSING, _INFERER, _POSTPROCESSING = "network_def", "preprocessing", "inferer", "postprocessing"
_LONGEST_CHAIN = 8


def is_monai_bundle(folder: Path) -> bool:
    """Whether `folder` is a MONAI bundle."""
    return (folder / METADATA).is_file()


def read_monai(folder: Path) -> SourceModel:
    """The model in the bundle `folder`.

    Raises:
        InputError: something is missing, damaged, or not known here.
    """
    metadata = _read(folder / METADATA)
    path = next((folder / name for name in _CONFIGURATIONS if (folder / name).is_file()), folder / _CONFIGURATIONS[0])
    config = _read(path)
    network = _resolved(config, _NETWORK, path)
    transforms = _resolved(config, _PREPROCESSING, path).get("transforms", [])
    told = declared([_followed(config, transform, path) for transform in transforms], path)
    inferer = _resolved(config, _INFERER, path)
    if told.spacing_mm is None:
        raise InputError(f"{path}: no Spacing is declared, so it is not known at which spacing the network was trained")
    classes = _classes(metadata, folder / METADATA)
    _refuse_regions(config, path)
    weights, file = _weights(folder)
    window = _window(inferer, path)
    return SourceModel(
        kind="MONAI bundle",
        folder=folder,
        name=_text(metadata, "name", "task") or folder.name,
        network=TrainedNetwork(
            architecture=_architecture(network, path),
            weights=(weights,),
            channels=1,
            classes=len(classes),
            clip=told.clip,
            mean=told.mean,
            deviation=told.deviation,
            window=window[::-1],
            multiples=None,
            transpose=(2, 1, 0),  # its arrays are (i, j, k)
        ),
        classes=classes,
        spacing_mm=told.spacing_mm,
        overlap=_overlap(inferer, path),
        convention=conventions.MONAI,
        blend=conventions.GAUSSIAN if inferer.get("mode", "constant") == "gaussian" else conventions.ALIKE,
        orientation=told.orientation,
        license=_text(metadata, "license", "licence") or _license_file(folder),
        trained_on=_trained_on(metadata),
        intended_use=_text(metadata, "intended_use"),
        whole=told.clip is None,
        provenance={
            "source": f"MONAI bundle '{folder.name}'",
            "configuration": path.name,
            **{
                name: text
                for name in ("version", "authors", "copyright", "data_source")
                if (text := _text(metadata, name))
            },
            "sha256": sha256_of((folder / file).read_bytes()),
        },
    )


def _architecture(network: Mapping[str, Any], path: Path) -> Architecture:
    target = str(network["_target_"])
    name = target.rpartition(".")[2]
    if target not in (name, f"{_NETWORKS}.{name}") and not target.startswith(f"{_NETWORKS}."):
        raise InputError(f"{path}: the network {target} is none of {_NETWORKS}")
    options = {key: value for key, value in network.items() if not key.startswith("_")}
    if expressions := [key for key, value in options.items() if _has_expression(value)]:
        raise InputError(
            f"{path}: '{expressions[0]}' of the network is a Python expression, which is not run: write its value"
        )
    if options.get("spatial_dims", 3) != 3 or options.get("in_channels", 1) != 1:
        raise InputError(f"{path}: the network must take one image of three dimensions, not {options}")
    return Architecture(MONAI, f"{_NETWORKS}.{name}", options)


def _weights(folder: Path) -> tuple[Weights, Path]:
    """The weights, and the file that they are from."""
    file = next((name for name in _WEIGHTS if (folder / name).is_file()), None)
    if file is None:
        raise InputError(f"{folder} has no weights: {' or '.join(map(str, _WEIGHTS))}")
    if file.suffix == ".ts":  # code that is compiled, and never run: its weights are asked for
        try:
            return dict(torch.jit.load(str(folder / file), map_location="cpu").state_dict()), file
        except (RuntimeError, ValueError) as error:
            raise InputError(f"{folder / file} is no TorchScript: {' '.join(str(error).split())[:120]}") from error
    content = read_checkpoint(folder / file)
    for key in ("model", "state_dict", "network"):
        if isinstance(content.get(key), dict):
            content = content[key]
    return content, file


def _classes(metadata: Mapping[str, Any], path: Path) -> tuple[str, ...]:
    outputs = metadata.get("network_data_format", {}).get("outputs", {})
    output: Any = next(iter(outputs.values()), {}) if isinstance(outputs, Mapping) else {}
    names = output.get("channel_def", {}) if isinstance(output, Mapping) else {}
    if not isinstance(names, Mapping) or sorted(names) != sorted(map(str, range(len(names)))) or len(names) < 2:
        raise InputError(
            f"{path}: network_data_format.outputs.*.channel_def must name the classes from '0', the background"
        )
    ordered = [str(names[str(number)]) for number in range(len(names))]
    if ordered[0].lower() != "background":
        raise InputError(f"{path}: class 0 is '{ordered[0]}' and not the background")
    return ("background", *ordered[1:])


def _window(inferer: Mapping[str, Any], path: Path) -> tuple[int, int, int]:
    size = inferer.get("roi_size")
    if not isinstance(size, list) or len(size) != 3 or not all(isinstance(n, int) and n > 0 for n in size):
        raise InputError(f"{path}: 'roi_size' of the inferer must be three numbers of voxels, not {size}")
    return size[0], size[1], size[2]


def _overlap(inferer: Mapping[str, Any], path: Path) -> float:
    overlap = inferer.get("overlap", 0.25)
    if not isinstance(overlap, int | float) or not 0 <= overlap <= 0.9:
        raise InputError(f"{path}: 'overlap' of the inferer must be a number from 0 to 0.9, not {overlap}")
    return float(overlap)


def _refuse_regions(config: Mapping[str, Any], path: Path) -> None:
    for transform in config.get(_POSTPROCESSING, {}).get("transforms", []):
        if isinstance(transform, Mapping) and transform.get("sigmoid") is True:
            raise InputError(f"{path}: the network's outputs are regions (sigmoid) and no classes (softmax)")


def _resolved(config: Mapping[str, Any], name: str, path: Path) -> dict[str, Any]:
    """A section of the configuration, its references followed."""
    section = config.get(name)
    if not isinstance(section, Mapping):
        raise InputError(f"{path} has no '{name}', as bundles of MONAI call it")
    return {key: _followed(config, value, path) if name != _PREPROCESSING else value for key, value in section.items()}


def _followed(config: Mapping[str, Any], value: Any, path: Path) -> Any:
    """`value` with the plain values that it refers to; what is an expression stays as it is."""
    for _ in range(_LONGEST_CHAIN):
        if not isinstance(value, str) or not value.startswith("@"):
            break
        found: Any = config
        for part in value[1:].replace("#", "::").split("::"):
            found = found.get(part) if isinstance(found, Mapping) else None
        if found is None:
            raise InputError(f"{path}: '{value}' refers to nothing in it")
        value = found
    if isinstance(value, Mapping):
        return {key: _followed(config, part, path) for key, part in value.items()}
    return [_followed(config, part, path) for part in value] if isinstance(value, list) else value


def _has_expression(value: Any) -> bool:
    if isinstance(value, Mapping):
        return "_target_" in value or any(map(_has_expression, value.values()))
    return any(map(_has_expression, value)) if isinstance(value, list) else str(value).startswith(("$", "@"))


def _trained_on(metadata: Mapping[str, Any]) -> str:
    said = "; ".join(text for name in ("data_source", "description") if (text := _text(metadata, name)))
    return f"As the bundle says: {said}" if said else "The bundle does not say"


def _license_file(folder: Path) -> str | None:
    """How the bundle's LICENSE file begins."""
    for name in ("LICENSE", "LICENSE.txt", "docs/LICENSE"):
        if (folder / name).is_file():
            lines = (folder / name).read_text(encoding="utf-8", errors="replace").splitlines()
            return next((f"{line.strip()} (its file {name})" for line in lines if line.strip()), None)
    return None


def _text(values: Mapping[str, Any], *names: str) -> str | None:
    """The first of these entries that holds text, on one line."""
    for name in names:
        text = " ".join(str(values.get(name) or "").split())
        if text:
            return text
    return None


def _read(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
        values = json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
    except FileNotFoundError as error:
        raise InputError(f"there is no {path}; a bundle of MONAI has one") from error
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise InputError(f"cannot read {path}: {' '.join(str(error).split())}") from error
    if not isinstance(values, dict):
        raise InputError(f"{path} holds no mapping")
    return values
