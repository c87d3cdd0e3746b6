# SPDX-License-Identifier: Apache-2.0
"""A model folder of nnU-Net v2 (`plans.json`, `dataset.json`, `fold_*/checkpoint_*.pth`) as a `SourceModel`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from liver_seg_ros.deploy.importing.checkpoints import read_checkpoint
from liver_seg_ros.deploy.importing.nnunet_plans import Classes, Configuration, read_classes, read_configuration
from liver_seg_ros.deploy.importing.source import SourceModel, TrainedNetwork, Weights
from liver_seg_ros.errors import InputError
from liver_seg_ros.geometry import Vector
from liver_seg_ros.inference.bundle import sha256_of
from liver_seg_ros.inference.conventions import GAUSSIAN, LPS, NNUNET, ORIENTATIONS, RAS

PLANS, DATASET = "plans.json", "dataset.json"
CHECKPOINT = "checkpoint_final.pth"
#: All folds that have a checkpoint, averaged.
EVERY = "every"

#: Readers of nnU-Net that turn every image to the same orientation first; the others take files as they are.
_TURNING = ("NibabelIOWithReorient", "SimpleITKIOWithReorient")
_OVERLAP = 0.5


@dataclass(frozen=True)
class Wanted:
    """What of a folder is taken.

    Attributes:
        folds: their names, `(EVERY,)` for all, or none for the first.
        checkpoint: file name in each fold's folder.
        flips: whether to average over flips, as nnU-Net's predictor does unless told otherwise.
        orientation: what the axes of its training images grew to; None for what the folder tells.
        previous: folder of the stage before, of a cascade; None to look beside the folder.
    """

    folds: tuple[str, ...] = ()
    checkpoint: str = CHECKPOINT
    flips: bool = False
    orientation: str | None = None
    previous: Path | None = None


#: Nothing but what the folder says.
ALL_AS_TOLD = Wanted()


def is_nnunet_folder(folder: Path) -> bool:
    """Whether `folder`, or a folder in it, is a model folder of nnU-Net v2 or looks like one of v1."""
    return any((path / PLANS).is_file() or (path / "plans.pkl").is_file() for path in (folder, *_inside(folder)))


def dataset_name(folder: Path) -> str:
    """What the data set is called that the model in `folder` was trained on. Raises as `read_nnunet`."""
    return str(_read_json(_model_folder(folder) / PLANS).get("dataset_name", ""))


def read_nnunet(folder: Path, wanted: Wanted = ALL_AS_TOLD, kind: str = "nnU-Net v2") -> SourceModel:
    """The model in `folder`, or in the only model folder inside of it.

    Raises:
        InputError: something is missing, damaged, or not known here; nnU-Net v1's folder.
    """
    folder = _model_folder(folder)
    plans, dataset = _read_json(folder / PLANS), _read_json(folder / DATASET)
    if "configurations" not in plans:
        raise InputError(f"{folder / PLANS} has no 'configurations': it is not of nnU-Net v2")
    folds = _folds(folder, wanted)
    checkpoints = {fold: read_checkpoint(folder / f"fold_{fold}" / wanted.checkpoint) for fold in folds}
    name = _one_of_all(
        {fold: _entry(c, folder, "init_args", "configuration") for fold, c in checkpoints.items()}, folder
    )
    configuration = read_configuration(plans, name, folder / PLANS)
    classes = read_classes(plans, dataset, folder / DATASET)
    if wanted.orientation not in (None, *ORIENTATIONS):
        raise InputError(f"orientation '{wanted.orientation}' must be one of {', '.join(ORIENTATIONS)}")
    orientation = wanted.orientation or (RAS if str(plans.get("image_reader_writer")) in _TURNING else LPS)
    previous = None
    if configuration.previous is not None:
        before = wanted.previous or _beside(folder, name, configuration.previous)
        previous = read_nnunet(before, Wanted(wanted.folds, wanted.checkpoint, wanted.flips, orientation), kind)
        if previous.classes != classes.names:
            raise InputError(
                f"{before} has the classes {', '.join(previous.classes)}, not those of the cascade in {folder}"
            )
    return SourceModel(
        kind=kind,
        folder=folder,
        name=str(dataset.get("name") or plans.get("dataset_name") or folder.name),
        network=_network(configuration, classes, list(checkpoints.values()), folder, wanted, previous is not None),
        classes=classes.names,
        spacing_mm=_in_file_order(_untransposed(configuration, configuration.spacing)),
        overlap=_OVERLAP,
        convention=NNUNET,
        blend=GAUSSIAN,
        orientation=orientation,
        license=_stated(dataset, "licence", "license"),
        trained_on=_trained_on(dataset, plans),
        whole=configuration.clip is None,
        provenance={
            "source": f"{kind} model folder '{folder.name}'",
            "configuration": name,
            "folds": ", ".join(folds),
            "trainer": _one_of_all({f: _entry(c, folder, "trainer_name") for f, c in checkpoints.items()}, folder),
            **({"reference": reference} if (reference := _stated(dataset, "reference")) else {}),
            "test_time_flips": wanted.flips,
            "sha256": {fold: _sha256(folder / f"fold_{fold}" / wanted.checkpoint) for fold in folds},
        },
        previous=previous,
    )


def _network(
    configuration: Configuration,
    classes: Classes,
    checkpoints: Sequence[dict[str, Any]],
    folder: Path,
    wanted: Wanted,
    cascade: bool,
) -> TrainedNetwork:
    flips = [_entry(checkpoint, folder, "inference_allowed_mirroring_axes", missing=()) for checkpoint in checkpoints]
    weights: list[Weights] = [_entry(checkpoint, folder, "network_weights") for checkpoint in checkpoints]
    return TrainedNetwork(
        architecture=configuration.architecture,
        weights=tuple(weights),
        channels=len(classes.names) if cascade else 1,  # a mask for each label but the background
        classes=len(classes.regions) or len(classes.names),
        clip=configuration.clip,
        mean=configuration.mean,
        deviation=configuration.deviation,
        window=_untransposed(configuration, configuration.patch),
        multiples=_untransposed(configuration, configuration.multiples),
        transpose=configuration.transpose,
        flips=tuple(configuration.transpose[axis] for axis in flips[0] or ()) if wanted.flips else (),
        regions=classes.regions,
    )


def _model_folder(folder: Path) -> Path:
    if not folder.is_dir():
        raise InputError(f"{folder} is no folder; give the folder of a trained model, which holds {PLANS}")
    if (folder / PLANS).is_file():
        return folder
    inside = [path for path in _inside(folder) if (path / PLANS).is_file()]
    if len(inside) == 1:
        return inside[0]
    if inside:
        raise InputError(f"{folder} holds several models; give one of them: {', '.join(path.name for path in inside)}")
    if any((path / "plans.pkl").is_file() for path in (folder, *_inside(folder))):
        raise InputError(f"{folder} is a model of nnU-Net v1 (plans.pkl); only v2 is read: convert it with nnU-Net v2")
    raise InputError(f"{folder} holds no {PLANS}: it is no model folder of nnU-Net v2")


def _inside(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []


def _beside(folder: Path, name: str, previous: str) -> Path:
    """Where nnU-Net keeps the stage before that in `folder`."""
    beside = folder.parent / f"{folder.name.removesuffix(name)}{previous}"
    if not folder.name.endswith(name) or not (beside / PLANS).is_file():
        raise InputError(
            f"{folder} is a cascade behind '{previous}', which is not at {beside}; say where with --previous"
        )
    return beside


def _folds(folder: Path, wanted: Wanted) -> tuple[str, ...]:
    there = tuple(path.name.removeprefix("fold_") for path in _inside(folder) if path.name.startswith("fold_"))
    with_weights = tuple(fold for fold in there if (folder / f"fold_{fold}" / wanted.checkpoint).is_file())
    if not with_weights:
        files = sorted({path.name for fold in there for path in (folder / f"fold_{fold}").glob("*.pth")})
        hint = f"; there is {', '.join(files)} (--checkpoint)" if files else ""
        raise InputError(f"{folder} has no fold_*/{wanted.checkpoint}{hint}")
    if wanted.folds == (EVERY,):
        return tuple(fold for fold in with_weights if fold != "all") or with_weights
    if missing := [fold for fold in wanted.folds if fold not in with_weights]:
        raise InputError(
            f"{folder} has no fold_{missing[0]}/{wanted.checkpoint}; there are folds {', '.join(with_weights)}"
        )
    return tuple(dict.fromkeys(wanted.folds)) or with_weights[:1]


def _entry(checkpoint: dict[str, Any], folder: Path, *keys: str, missing: Any = None) -> Any:
    value: Any = checkpoint
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    if value is None and missing is None:
        raise InputError(f"the checkpoint in {folder} has no '{'.'.join(keys)}': it is not of nnU-Net v2")
    return missing if value is None else value


def _one_of_all(values: dict[str, Any], folder: Path) -> str:
    """What all folds say."""
    if len(set(map(str, values.values()))) > 1:
        told = ", ".join(f"{fold}: {value}" for fold, value in values.items())
        raise InputError(f"the folds of {folder} were not trained alike ({told}); choose with --folds")
    return str(next(iter(values.values())))


def _untransposed(configuration: Configuration, values: tuple[Any, ...]) -> tuple[Any, ...]:
    """Values along the plans' axes, as (k, j, i), or (j, i) of slices."""
    return tuple(values[configuration.transpose.index(axis)] for axis in range(len(values)))


def _in_file_order(spacing: tuple[float, ...]) -> Vector:
    """`(k, j, i)` as `(i, j, k)`; slices, whose network does not ask how far apart they are, get 1 mm."""
    k, j, i = spacing if len(spacing) == 3 else (1.0, *spacing)
    return i, j, k


def _trained_on(dataset: dict[str, Any], plans: dict[str, Any]) -> str:
    """What the folder says of its data, and no word more."""
    name = dataset.get("name") or plans.get("dataset_name")
    count, words = dataset.get("numTraining"), _stated(dataset, "description")
    told = [
        f"data set '{name}'" if name else "",
        f"{count} training cases" if isinstance(count, int) else "",
        words or "",
    ]
    said = "; ".join(part for part in told if part)
    return f"As the model folder says: {said}" if said else "The model folder does not say"


def _stated(values: dict[str, Any], *names: str) -> str | None:
    """The first of these entries that holds text; on one line."""
    for name in names:
        text = " ".join(str(values.get(name) or "").split())
        if text:
            return text
    return None


def _read_json(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError(f"there is no {path}; a model folder of nnU-Net v2 has one") from error
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read {path}: {error}") from error
    if not isinstance(values, dict):
        raise InputError(f"{path} holds no mapping")
    return values


def _sha256(path: Path) -> str:
    return sha256_of(path.read_bytes())
