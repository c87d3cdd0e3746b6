# SPDX-License-Identifier: Apache-2.0
"""What is read of other tools' folders, what of it is refused, and the graph that comes of it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed (extra [deploy])")
pytest.importorskip("onnxscript", reason="onnxscript is not installed (extra [deploy])")

from liver_seg_ros.cli.app import run_app  # noqa: E402  after the skip
from liver_seg_ros.deploy.importing.bundle_from import Choices, spec_of  # noqa: E402
from liver_seg_ros.deploy.importing.class_names import structures_of  # noqa: E402
from liver_seg_ros.deploy.importing.graph import ImportedNetwork  # noqa: E402
from liver_seg_ros.deploy.importing.nnunet_folder import EVERY, Wanted, read_nnunet  # noqa: E402
from liver_seg_ros.deploy.importing.reading import read_source  # noqa: E402
from liver_seg_ros.deploy.importing.source import Architecture, TrainedNetwork  # noqa: E402
from liver_seg_ros.errors import InputError  # noqa: E402
from liver_seg_ros.inference.input_spec import CT_VIEW  # noqa: E402

LABELS = {"background": 0, "liver": 1, "cancer": 2}


def plans(**changes: Any) -> dict[str, Any]:
    """As nnU-Net before 2.4 wrote them, which TotalSegmentator's weights have."""
    fullres = {
        "preprocessor_name": "DefaultPreprocessor",
        "patch_size": [32, 48, 64],
        "spacing": [3.0, 1.0, 2.0],
        "normalization_schemes": ["CTNormalization"],
        "use_mask_for_norm": [False],
        "resampling_fn_data": "resample_data_or_seg_to_shape",
        "UNet_class_name": "PlainConvUNet",
        "UNet_base_num_features": 32,
        "unet_max_num_features": 48,
        "n_conv_per_stage_encoder": [2, 2],
        "n_conv_per_stage_decoder": [2],
        "pool_op_kernel_sizes": [[1, 1, 1], [1, 2, 4]],
        "conv_kernel_sizes": [[3, 3, 3], [3, 3, 3]],
    }
    hu = {"mean": 90.0, "std": 40.0, "percentile_00_5": -30.0, "percentile_99_5": 210.0}
    return {
        "dataset_name": "Dataset003_Liver",
        "image_reader_writer": "SimpleITKIO",
        "transpose_forward": [2, 0, 1],
        "configurations": {"3d_fullres": {**fullres, **changes}, "3d_cascade_fullres": {"inherits_from": "3d_fullres"}},
        "foreground_intensity_properties_per_channel": {"0": hu},
    }


DATASET = {"channel_names": {"0": "CT"}, "labels": LABELS, "numTraining": 131, "licence": "CC-BY-SA 4.0"}


@pytest.fixture
def make_folder(tmp_path: Path) -> Callable[..., Path]:
    """Makes a model folder: `(plans, dataset, name, configuration, folds)`; its weights are not a network's."""

    def make(
        described: dict[str, Any] | None = None,
        dataset: dict[str, Any] | None = None,
        name: str = "nnUNetTrainer__nnUNetPlans__3d_fullres",
        configuration: str = "3d_fullres",
        folds: tuple[str, ...] = ("0",),
        trainer: str = "nnUNetTrainer",
    ) -> Path:
        folder = tmp_path / name
        folder.mkdir(parents=True)
        (folder / "plans.json").write_text(json.dumps(described or plans()))
        (folder / "dataset.json").write_text(json.dumps(dataset or DATASET))
        for number, fold in enumerate(folds):
            (folder / f"fold_{fold}").mkdir()
            checkpoint = {
                "network_weights": {"weight": torch.full((1,), float(number))},
                "init_args": {"configuration": configuration, "device": torch.device("cpu")},
                "trainer_name": trainer,
                "inference_allowed_mirroring_axes": (0, 1, 2),
                "_best_ema": np.float64(0.5),
            }
            torch.save(checkpoint, folder / f"fold_{fold}" / "checkpoint_final.pth")
        return folder

    return make


def test_axes_spacing_and_normalization_of_older_plans(make_folder: Callable[..., Path]) -> None:
    source = read_nnunet(make_folder(folds=("0", "1", "all")), Wanted((EVERY,), flips=True))
    # The plans' axes are (i, k, j): spacing 3, 1, 2 and patch 32, 48, 64 in that order.
    assert source.spacing_mm == (3.0, 2.0, 1.0)
    network = source.network
    assert (network.window, network.multiples, network.transpose) == ((48, 64, 32), (2, 4, 1), (2, 0, 1))
    assert (network.clip, network.mean, network.deviation) == ((-30.0, 210.0), 90.0, 40.0)
    assert set(network.flips) == {0, 1, 2}
    assert [float(weights["weight"]) for weights in network.weights] == [0.0, 1.0]
    assert network.architecture.options["features_per_stage"] == [32, 48]
    spec = spec_of(source)
    assert spec.input.patch == (32, 64, 48)
    assert (spec.labels, spec.license) == ({0: "background", 1: "liver", 2: "tumor"}, "CC-BY-SA 4.0")
    assert "131 training cases" in spec.trained_on
    assert (spec.training_data, spec.scores) == ("unsaid", {})


def test_what_the_image_itself_normalizes_is_shown_the_whole_ct(make_folder: Callable[..., Path]) -> None:
    dataset = {**DATASET, "licence": ""}
    source = read_nnunet(make_folder(plans(normalization_schemes=["ZScoreNormalization"]), dataset))
    spec = spec_of(source, Choices(license="MIT"))
    assert (spec.values, spec.input.view, source.network.clip) == ("standardized", CT_VIEW, None)
    assert (spec.license, spec_of(source).license) == ("MIT", "NOASSERTION")


@pytest.mark.parametrize(
    ("changes", "dataset", "message"),
    [
        ({"normalization_schemes": ["RescaleTo01Normalization"]}, {}, "RescaleTo01Normalization"),
        ({"resampling_fn_data": "resample_torch_fornnunet"}, {}, "resample_torch_fornnunet"),
        ({"preprocessor_name": "Mine"}, {}, "'preprocessor_name'.*Mine"),
        ({"UNet_class_name": "UMamba"}, {}, "UMamba"),
        ({"patch_size": None}, {}, "3d_fullres"),
        ({}, {"channel_names": {"0": "T1", "1": "T2"}}, r"2 images \(T1, T2\)"),
        ({}, {"labels": {"background": 0, "liver": 2}}, "without a gap"),
        ({}, {"labels": {"background": 0, "liver": [1, 2], "cancer": 2}}, "regions_class_order"),
    ],
)
def test_what_is_not_known_is_refused_by_name(
    make_folder: Callable[..., Path], changes: dict[str, Any], dataset: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        read_nnunet(make_folder(plans(**changes), {**DATASET, **dataset}))


def test_folders_that_are_not_whole(make_folder: Callable[..., Path], tmp_path: Path) -> None:
    folder = make_folder()
    with pytest.raises(InputError, match="stage 'whole' must be one of localize, segment"):
        spec_of(read_nnunet(folder), Choices(stage="whole"))
    for wanted, message in (
        (Wanted(orientation="PIR"), "orientation 'PIR' must be one of LPS"),
        (Wanted(("3",)), "no fold_3.*there are folds 0"),
        (
            Wanted(checkpoint="checkpoint_best.pth"),
            r"checkpoint_best.pth; there is checkpoint_final.pth \(--checkpoint\)",
        ),
    ):
        with pytest.raises(InputError, match=message):
            read_nnunet(folder, wanted)
    (folder / "fold_0" / "checkpoint_final.pth").write_bytes(b"PK\3\4 cut off")
    with pytest.raises(InputError, match=r"cannot read the checkpoint|no checkpoint"):
        read_nnunet(folder)
    older = tmp_path / "v1"
    older.mkdir()
    (older / "plans.pkl").write_bytes(b"")
    make_folder(name="another")
    for path, message in (
        (older, "nnU-Net v1"),
        (tmp_path / "nothing", "no model folder of nnU-Net v2"),
        (tmp_path, "holds several models; give one of them: another"),
    ):
        with pytest.raises(InputError, match=message):
            read_source(path)
    cascade = plans()
    cascade["configurations"]["3d_cascade_fullres"]["previous_stage"] = "3d_lowres"
    with pytest.raises(InputError, match=r"a cascade behind '3d_lowres'.*--previous"):
        read_nnunet(make_folder(cascade, name="a__b__3d_cascade_fullres", configuration="3d_cascade_fullres"))


class Malicious:
    """What a pickle may do when it is read."""

    def __reduce__(self) -> Any:
        return os.mkdir, ("owned",)


def test_a_checkpoint_that_runs_code_is_refused(
    make_folder: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = make_folder()
    torch.save({"network_weights": Malicious()}, folder / "fold_0" / "checkpoint_final.pth")
    assert run_app(["import", str(folder), "-o", "bundle"]) == 2
    error = capsys.readouterr().err
    assert "mkdir" in error
    assert error.count("\n") == 1
    assert not (tmp_path / "owned").exists()
    assert not (tmp_path / "bundle").exists()


def test_names_of_classes() -> None:
    names = ("background", "Liver", "tumour", "hepatic_vessels", "kidney_left", "esophagus")
    assert structures_of(names) == ("background", "liver", "tumor", "vessel", "kidney", "background")
    assert structures_of(names[:3], {"tumour": "background"}) == ("background", "liver", "background")
    with pytest.raises(InputError, match="nobody knows which structure thing is; say it with --label thing=STRUCTURE"):
        structures_of((*names, "thing"))
    assert structures_of((*names, "thing"), others="background")[-1] == "background"
    with pytest.raises(InputError, match="no class 'lesion'; it has Liver"):
        structures_of(names, {"lesion": "tumor"})
    with pytest.raises(InputError, match="'lesion' is no structure"):
        structures_of(names, {"tumour": "lesion"})
    with pytest.raises(InputError, match="none of the model's classes"):
        structures_of(("background", "esophagus"))


def test_totalsegmentators_numbers_are_its_own_maps(make_folder: Callable[..., Path]) -> None:
    parts = {"background": 0, **{f"class_{n}": n for n in range(1, 25)}}
    described = {**plans(), "dataset_name": "Dataset291_TotalSegmentator_part1_organs_1559subj"}
    trainer = "nnUNetTrainerNoMirroring"
    source = read_source(make_folder(described, {**DATASET, "labels": parts}, "total", trainer=trainer))
    spec = spec_of(source)
    assert (spec.classes[5], spec.classes[1], spec.classes[8]) == ("liver", "spleen", "background")
    assert spec.label_values[5] == 1
    assert (spec.input.orientation, source.kind) == ("RAS", "TotalSegmentator")
    segments = {"background": 0, **{str(n): n for n in range(1, 9)}}
    folder = make_folder(plans(), {**DATASET, "labels": segments}, "segments")
    assert spec_of(read_source(folder, task="liver_segments")).classes == ("background", *["liver"] * 8)
    with pytest.raises(InputError, match=r"liver_vessels has 2 classes.*gives 8"):
        read_source(folder, task="liver_vessels")
    with pytest.raises(InputError, match=r"none of TotalSegmentator's tasks.*liver_lesions"):
        read_source(folder, task="teeth")


def told(**changes: Any) -> TrainedNetwork:
    """Of a network of volumes that is given HU."""
    fields: dict[str, Any] = {
        "architecture": Architecture("", "", {}),
        "weights": (),
        "channels": 1,
        "classes": 2,
        "clip": (-100.0, 300.0),
        "mean": 50.0,
        "deviation": 25.0,
        "window": (4, 5, 6),
        "multiples": (1, 1, 1),
        "transpose": (2, 0, 1),
    }
    return TrainedNetwork(**{**fields, **changes})


def test_the_graph_turns_axes_averages_flips_and_networks() -> None:
    torch.manual_seed(0)
    networks = [torch.nn.Conv3d(1, 2, (1, 3, 3), padding=(0, 1, 1)) for _ in range(2)]
    image = torch.rand(2, 1, 4, 5, 6) * 600 - 200
    own = ((image.clamp(-100, 300) - 50) / 25).movedim(4, 2)  # (k, j, i) to the network's (i, k, j)
    expected = torch.zeros(2, 2, 4, 5, 6)
    for flips in ((), (2,), (3,), (2, 3)):  # of the network's own axes: i is 2, k is 3
        for network in networks:
            expected += network(own.flip(flips)).flip(flips).movedim(2, 4) / 8
    with torch.no_grad():
        found = ImportedNetwork(networks, told(flips=(2, 0)))(image)
    torch.testing.assert_close(found, expected)


def test_regions_become_the_class_of_the_last_that_holds() -> None:
    network = ImportedNetwork(
        [torch.nn.Identity()], told(regions=(2, 1, 3), transpose=(0, 1, 2), mean=0.0, deviation=1.0)
    )
    logits = torch.tensor([[1.0, -2.0, -3.0], [1.0, 2.0, -3.0], [1.0, -2.0, 3.0], [-1.0, -2.0, -3.0]])
    scores = network(logits.T.reshape(1, 3, 1, 1, 4))
    # nnU-Net: for each region in turn, `segmentation[probability > 0.5] = regions_class_order[i]`.
    assert scores.argmax(dim=1).flatten().tolist() == [2, 1, 3, 0]


def test_a_stage_before_is_given_as_masks() -> None:
    network = ImportedNetwork([torch.nn.Identity()], told(channels=3, transpose=(0, 1, 2), mean=0.0, deviation=1.0))
    previous = torch.tensor([0.0, 1.0, 2.0, 1.0]).reshape(1, 1, 1, 1, 4)
    given = network(previous * 0 + 7, previous)
    assert given[0, :, 0, 0].tolist() == [[7.0] * 4, [0.0, 1.0, 0.0, 1.0], [0.0, 0.0, 1.0, 0.0]]
