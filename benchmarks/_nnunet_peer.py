# SPDX-License-Identifier: Apache-2.0
"""nnU-Net itself, as the peer of what `liver-seg import` makes of its folders; run in an environment of its own.

    python _nnunet_peer.py REQUEST

REQUEST is JSON, {"train": {...}, "predict": [{...}, ...]} with the arguments of the two functions below.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from types import SimpleNamespace

PATCH = {"3d_fullres": [16, 28, 32], "3d_lowres": [16, 24, 24], "2d": [40, 44]}
STRIDES = [[1, 1, 1], [1, 2, 2]]
FEATURES = [6, 12]
LABELS = {"background": 0, "liver": 1, "tumour": 2, "hepatic_vessels": 3}


def plans(spacing: list[float], normalization: dict[str, float], transpose: list[int]) -> dict:
    """What `nnUNetv2_plan_experiment` writes, for a network that trains in seconds.

    Args:
        spacing: of 3d_fullres, (k, j, i) in mm.
        normalization: percentiles, mean and deviation of the foreground's HU.
        transpose: plans' order of the axes (k, j, i).
    """
    resampling = {
        f"resampling_fn_{what}": "resample_data_or_seg_to_shape" for what in ("data", "seg", "probabilities")
    } | {
        f"resampling_fn_{what}_kwargs": {
            "is_seg": what == "seg",
            "order": order,
            "order_z": 0,
            "force_separate_z": None,
        }
        for what, order in (("data", 3), ("seg", 1), ("probabilities", 1))
    }

    def configuration(name: str, factor: float) -> dict:
        flat = name == "2d"
        axes = 2 if flat else 3
        order = [a - 1 for a in transpose[1:]] if flat else transpose
        patch, own = PATCH[name], spacing[1:] if flat else [factor * s for s in spacing]
        strides = [s[3 - axes :] for s in STRIDES]
        return {
            "data_identifier": f"nnUNetPlans_{name}",
            "preprocessor_name": "DefaultPreprocessor",
            "batch_size": 2,
            "patch_size": [patch[a] for a in order],
            "median_image_size_in_voxels": [64.0] * axes,
            "spacing": [own[a] for a in order],
            "normalization_schemes": ["CTNormalization"],
            "use_mask_for_norm": [False],
            **resampling,
            "batch_dice": flat,
            "architecture": {
                "network_class_name": "dynamic_network_architectures.architectures.unet.PlainConvUNet",
                "arch_kwargs": {
                    "n_stages": len(STRIDES),
                    "features_per_stage": FEATURES,
                    "conv_op": f"torch.nn.modules.conv.Conv{axes}d",
                    "kernel_sizes": [[3] * axes] * len(STRIDES),
                    "strides": [[s[a] for a in order] for s in strides],
                    "n_conv_per_stage": [1] * len(STRIDES),
                    "n_conv_per_stage_decoder": [1] * (len(STRIDES) - 1),
                    "conv_bias": True,
                    "norm_op": f"torch.nn.modules.instancenorm.InstanceNorm{axes}d",
                    "norm_op_kwargs": {"eps": 1e-05, "affine": True},
                    "dropout_op": None,
                    "dropout_op_kwargs": None,
                    "nonlin": "torch.nn.LeakyReLU",
                    "nonlin_kwargs": {"inplace": True},
                },
                "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
            },
        }

    return {
        "dataset_name": "Dataset901_Phantom",
        "plans_name": "nnUNetPlans",
        "original_median_spacing_after_transp": [spacing[a] for a in transpose],
        "original_median_shape_after_transp": [64, 64, 64],
        "image_reader_writer": "SimpleITKIO",
        "transpose_forward": transpose,
        "transpose_backward": [transpose.index(a) for a in range(3)],
        "configurations": {
            "2d": configuration("2d", 1.0),
            "3d_lowres": {**configuration("3d_lowres", 1.6), "next_stage": "3d_cascade_fullres"},
            "3d_fullres": configuration("3d_fullres", 1.0),
            "3d_cascade_fullres": {"inherits_from": "3d_fullres", "previous_stage": "3d_lowres"},
        },
        "experiment_planner_used": "ExperimentPlanner",
        "label_manager": "LabelManager",
        "foreground_intensity_properties_per_channel": {"0": normalization},
    }


def train(
    image: str, labels: str, spacing: list[float], names: list[str], steps: int, transpose: list[int], fold: int = 0
) -> None:
    """Model folders as nnU-Net's trainer writes them, after a few steps of gradient descent on one CT.

    They are `$nnUNet_results/Dataset901_Phantom/nnUNetTrainer__nnUNetPlans__<configuration>`.

    Args:
        image, labels: files of the CT and what is to be learned from it.
        spacing, transpose: see `plans`.
        names: of configurations.
        steps: of gradient descent.
        fold: what the checkpoint is called after, and the seed of its weights.
    """
    import numpy as np
    import torch
    from nnunetv2.imageio.simpleitk_reader_writer import SimpleITKIO
    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
    from nnunetv2.utilities.label_handling.label_handling import (
        convert_labelmap_to_one_hot,
        determine_num_input_channels,
    )

    hu = SimpleITKIO().read_images([image])[0][SimpleITKIO().read_seg(labels)[0] > 0]
    low, median, high = np.percentile(hu, [0.5, 50, 99.5])
    normalization = {"max": float(hu.max()), "mean": float(hu.mean()), "median": float(median), "min": float(hu.min()),
                     "percentile_00_5": float(low), "percentile_99_5": float(high), "std": float(hu.std())}  # fmt: skip
    described = plans(spacing, normalization, transpose)
    dataset = {"channel_names": {"0": "CT"}, "labels": LABELS, "numTraining": 1, "file_ending": ".nii.gz",
               "name": "Phantom", "licence": "CC-BY-SA 4.0", "description": "one synthetic CT"}  # fmt: skip
    torch.manual_seed(fold)
    rng = np.random.default_rng(fold)
    for name in names:
        trainer = nnUNetTrainer(
            {**described, "continue_training": False}, name, fold, dataset, device=torch.device("cpu")
        )
        channels = determine_num_input_channels(trainer.plans_manager, trainer.configuration_manager, dataset)
        heads = trainer.label_manager.num_segmentation_heads
        trainer.enable_deep_supervision = False
        network = trainer.network = trainer.build_network_architecture(
            trainer.plans_manager, trainer.configuration_manager, channels, heads, enable_deep_supervision=False
        )
        trainer.optimizer, _ = trainer.configure_optimizers()  # that which a checkpoint holds
        optimizer = torch.optim.Adam(network.parameters(), 5e-3)  # that which gets somewhere in a few steps
        trainer.inference_allowed_mirroring_axes = tuple(range(len(trainer.configuration_manager.patch_size)))
        preprocessor = trainer.configuration_manager.preprocessor_class()
        values, truth, _ = preprocessor.run_case(
            [image], labels, trainer.plans_manager, trainer.configuration_manager, dataset
        )
        if channels > 1:
            coarse = np.roll(truth[0], 1, axis=-1)  # what the stage before might have found
            values = np.concatenate([values, convert_labelmap_to_one_hot(coarse, [1, 2, 3], values.dtype)])
        patch = trainer.configuration_manager.patch_size
        weight = torch.tensor([0.2, 1.0, 2.0, 2.0])
        inside = np.argwhere(truth[0] > 0)
        for _ in range(steps):
            size = [1] * (values.ndim - 1 - len(patch)) + list(patch)
            middle = inside[rng.integers(len(inside))]
            start = [
                int(np.clip(m - n // 2, 0, max(0, whole - n)))
                for m, n, whole in zip(middle, size, truth.shape[1:], strict=True)
            ]
            window = (slice(None), *(slice(a, a + n) for a, n in zip(start, size, strict=True)))
            x, y = values[window], np.maximum(truth[window][0], 0)
            missing = [(0, n - have) for n, have in zip(size, y.shape, strict=True)]
            x, y = np.pad(x, [(0, 0), *missing]), np.pad(y, missing)
            shape = tuple(patch)
            logits = network(torch.from_numpy(x.reshape(1, len(x), *shape)))
            loss = torch.nn.functional.cross_entropy(logits, torch.from_numpy(y.reshape(1, *shape)).long(), weight)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        trainer._best_ema = np.float64(0.5)  # a number of NumPy's, as checkpoints of a whole training hold
        trainer.save_checkpoint(str(Path(trainer.output_folder) / "checkpoint_final.pth"))
        base = Path(trainer.output_folder_base)
        (base / "plans.json").write_text(json.dumps(described))
        (base / "dataset.json").write_text(json.dumps(dataset))
        sys.stderr.write(f"{base.name}: loss {float(loss.detach()):.3f}\n")


def predict(
    folder: str,
    image: str,
    result: str,
    previous: str | None = None,
    folds: tuple[int, ...] = (0,),
    single: bool = False,
) -> dict:
    """nnU-Net's own labels of a CT, read and written by nnU-Net too.

    Args:
        folder: of the model.
        image: file of the CT, called `<case>_0000.nii.gz`.
        result: file to write.
        previous: for a cascade, the folder that holds `<case>.nii.gz`, the labels of the stage before.
        folds: whose networks are averaged.
        single: whether it adds up the windows' weighted logits, and keeps and resamples their mean, in single precision
            in place of half.

    Returns:
        How long it took, and the peak of this process's memory so far.
    """
    import torch
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

    predictor = nnUNetPredictor(use_mirroring=False, device=torch.device("cpu"), allow_tqdm=False)
    predictor.initialize_from_trained_model_folder(folder, folds, "checkpoint_final.pth")
    began = time.perf_counter()
    with _in_single_precision() if single else nullcontext():
        predictor.predict_from_files_sequential(
            [[image]],
            [result.removesuffix(predictor.dataset_json["file_ending"])],
            folder_with_segs_from_prev_stage=previous,
        )
    seconds = time.perf_counter() - began
    return {"seconds": round(seconds, 3), "peak_mb": peak_mb()}


@contextmanager
def _in_single_precision() -> Iterator[None]:
    """nnU-Net's predictor with single precision where half is written into it; all else is its own."""
    import torch
    from nnunetv2.inference import predict_from_raw_data as module
    from nnunetv2.inference.sliding_window_prediction import compute_gaussian

    defaults = compute_gaussian.__wrapped__.__defaults__  # of sigma_scale, value_scaling_factor, dtype, device
    compute_gaussian.cache_clear()
    compute_gaussian.__wrapped__.__defaults__ = tuple(torch.float32 if d is torch.half else d for d in defaults)
    module.torch = SimpleNamespace(**{**vars(torch), "half": torch.float32})
    try:
        yield
    finally:
        module.torch = torch
        compute_gaussian.__wrapped__.__defaults__ = defaults
        compute_gaussian.cache_clear()


def peak_mb() -> int:
    """Of this process since its program began; `getrusage` would count what its parent held when it forked."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) // 1000


if __name__ == "__main__":
    request = json.loads(sys.argv[1])
    for training in request.get("train", []):
        train(**training)
    answers = [predict(**prediction) for prediction in request.get("predict", [])]
    sys.stderr.write(json.dumps(answers) + "\n")
