# SPDX-License-Identifier: Apache-2.0
"""Any folder of a trained model as a `SourceModel`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from liver_seg_ros.deploy.importing.monai_bundle import is_monai_bundle, read_monai
from liver_seg_ros.deploy.importing.nnunet_folder import (
    ALL_AS_TOLD,
    Wanted,
    dataset_name,
    is_nnunet_folder,
    read_nnunet,
)
from liver_seg_ros.deploy.importing.source import SourceModel
from liver_seg_ros.deploy.importing.totalsegmentator import as_task, task_of
from liver_seg_ros.errors import InputError
from liver_seg_ros.inference.conventions import RAS


def read_source(folder: Path, wanted: Wanted = ALL_AS_TOLD, task: str | None = None) -> SourceModel:
    """The model in `folder`.

    Args:
        folder: of nnU-Net v2, of TotalSegmentator's weights, or a MONAI bundle.
        wanted: what of it is taken; a MONAI bundle has one network and says the rest itself.
        task: of TotalSegmentator, where its folder's name does not tell.

    Raises:
        InputError: it is none of these, or something in it is missing, damaged or not known here.
    """
    if is_monai_bundle(folder):
        if wanted != ALL_AS_TOLD or task is not None:
            raise InputError(f"{folder} is a MONAI bundle: folds, flips, orientation and tasks are not chosen there")
        return read_monai(folder)
    if not folder.is_dir() or not is_nnunet_folder(folder):
        raise InputError(
            f"{folder} is no model folder of nnU-Net v2 (plans.json, dataset.json, fold_*), and no MONAI bundle "
            "(configs/metadata.json)"
        )
    name = dataset_name(folder)
    task = task or task_of(name)
    if task is None:
        return read_nnunet(folder, wanted)
    return as_task(read_nnunet(folder, replace(wanted, orientation=wanted.orientation or RAS)), task, name)
