# SPDX-License-Identifier: Apache-2.0
"""The launch file liver_seg.launch.py: its arguments, and the nodes that they lead to."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ament = pytest.importorskip("ament_index_python.packages", reason="needs ROS 2, from wheels at least: make setup")

RVIZ_IS_THERE = "rviz2" in ament.get_packages_with_prefixes()
REPOSITORY = Path(__file__).resolve().parents[2]

ARGUMENTS = {
    "path",
    "models",
    "runtime",
    "precision",
    "parent_frame",
    "composed",
    "guard",
    "planner",
    "viewer",
    "scene",
    "igtl",
    "dicom",
    "registration",
    "rviz",
    "namespace",
    "params_file",
    "cache_dir",
    "log_level",
    "use_sim_time",
    "autostart",
}
Evaluate = Callable[..., Any]


def test_every_argument_is_described(evaluate: Evaluate) -> None:
    arguments = evaluate().arguments
    assert arguments.keys() == ARGUMENTS
    assert all(argument.description for argument in arguments.values())


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({}, [("liver_seg", [])]),
        ({"path": "a.nii.gz"}, [("liver_seg", ["a.nii.gz"])]),
        ({"composed": "false"}, [("segmentation", []), ("reconstruction", [])]),
        ({"guard": "true"}, [("needle_guard", []), ("liver_seg", [])]),
        ({"registration": "true"}, [("liver_seg", ["--registration"])]),
        (
            {"registration": "true", "composed": "false"},
            [("segmentation", []), ("reconstruction", []), ("registration", [])],
        ),
        ({"scene": "true"}, [("planning_scene", []), ("liver_seg", [])]),
        ({"igtl": "true"}, [("igtl_bridge", []), ("liver_seg", [])]),
        ({"dicom": "spool"}, [("dicom_receiver", []), ("liver_seg", [])]),
        (
            {"guard": "true", "planner": "true", "viewer": "true"},
            [("planner", []), ("needle_guard", []), ("slice_viewer", []), ("liver_seg", [])],
        ),
        (
            {"composed": "false", "path": "a.nii.gz"},
            [("ct_source", []), ("segmentation", []), ("reconstruction", [])],
        ),
    ],
)
def test_what_is_started(evaluate: Evaluate, arguments: dict[str, str], expected: list[tuple[str, list[str]]]) -> None:
    started = evaluate(**arguments).started
    assert [(node.executable, node.arguments) for node in started] == expected
    executables = Path(ament.get_package_prefix("liver_seg_ros")) / "lib" / "liver_seg_ros"
    assert all((executables / node.executable).is_file() for node in started)


def test_each_node_gets_its_file_and_the_arguments_values(evaluate: Evaluate) -> None:
    given = {"path": "a.nii.gz", "models": "/m", "runtime": "openvino", "precision": "fp32", "parent_frame": "table"}
    of_source = {"path": "a.nii.gz"}
    of_segmentation = {"models_dir": "/m", "runtime": "openvino", "precision": "fp32"}
    of_reconstruction = {"parent_frame": "table"}
    apart = {node.executable: node for node in evaluate(composed="false", **given).started}
    assert apart["ct_source"].values == of_source and apart["ct_source"].files == ["ct_source.yaml"]
    assert apart["segmentation"].values == of_segmentation and apart["segmentation"].files == ["segmentation.yaml"]
    assert apart["reconstruction"].values == of_reconstruction
    [together] = evaluate(**given).started
    assert together.values == of_source | of_segmentation | of_reconstruction
    assert sorted(together.files) == ["ct_source.yaml", "reconstruction.yaml", "segmentation.yaml"]
    assert all((REPOSITORY / "config" / name).is_file() for name in together.files)
    guard = evaluate(guard="true", **given).started[0]
    assert (guard.values, guard.files) == ({}, ["needle_guard.yaml"]) and (
        REPOSITORY / "config" / guard.files[0]
    ).is_file()


def test_a_spool_starts_the_receiver_of_it_where_no_file_gives_the_ct(evaluate: Evaluate) -> None:
    receiver, together = evaluate(dicom="/data/spool", log_level="debug").started
    assert (receiver.values, receiver.files) == ({"spool": "/data/spool"}, ["dicom_receiver.yaml"])
    assert together.values == {} and "dicom_receiver.yaml" not in together.files
    with pytest.raises(RuntimeError, match="would both publish the CT"):
        evaluate(dicom="spool", path="a.nii.gz")


def test_no_parent_frame_can_be_said(evaluate: Evaluate) -> None:
    """`ros2 launch` takes no `parent_frame:=`."""
    [together] = evaluate(parent_frame="none").started
    assert together.values["parent_frame"] == ""


@pytest.mark.parametrize("composed", ["true", "false"])
def test_rviz_is_started_before_the_nodes(
    evaluate: Evaluate, composed: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Where launch fails to start one it ends and leaves running those before it."""
    marker = tmp_path / "share" / "ament_index" / "resource_index" / "packages" / "rviz2"
    program = tmp_path / "lib" / "rviz2" / "rviz2"
    for file in (marker, program):
        file.parent.mkdir(parents=True)
        file.touch(mode=0o755)
    monkeypatch.setenv("AMENT_PREFIX_PATH", f"{tmp_path}:{os.environ['AMENT_PREFIX_PATH']}")
    started = evaluate(composed=composed, rviz="true").started
    assert started[0].executable == "rviz2"
    option, layout = started[0].arguments
    assert option == "-d" and layout.endswith("rviz/liver_seg.rviz") and Path(layout).is_file()
    assert started[1:] == evaluate(composed=composed).started
    arguments = evaluate(composed=composed, rviz="true", namespace="/left").started[0].arguments
    assert arguments[:4] == ["-d", layout, "-f", "left/ct_lps"]


@pytest.mark.skipif(RVIZ_IS_THERE, reason="rviz2 is installed")
def test_rviz_that_is_not_there_is_refused_in_a_line_that_says_what_to_do(evaluate: Evaluate) -> None:
    with pytest.raises(RuntimeError, match=r"^rviz:=true, but there is no package rviz2: install it .* or leave rviz"):
        evaluate(rviz="true")


def test_an_argument_that_is_no_choice_is_refused(evaluate: Evaluate) -> None:
    with pytest.raises(RuntimeError, match="composed"):
        evaluate(composed="perhaps")


def test_a_profile_of_the_users_own_is_left_alone(evaluate: Evaluate, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE"):
        monkeypatch.delenv(name, raising=False)
    assert all(value.endswith("config/fastdds_shm.xml") for value in evaluate().environment.values())
    monkeypatch.setenv("FASTRTPS_DEFAULT_PROFILES_FILE", "/mine.xml")
    assert evaluate().environment == {}


def test_what_the_user_says_counts_more_than_files(evaluate: Evaluate, tmp_path: Path) -> None:
    """An argument that was left alone leaves what the files say, those of the user too."""
    own = tmp_path / "own.yaml"
    own.touch()
    started = evaluate(params_file=str(own), composed="false", guard="true", viewer="true", cache_dir="/c").started
    assert [node.files[-1] for node in started] == ["own.yaml"] * 4
    assert [node.values for node in started] == [{}, {}, {"cache_dir": "/c"}, {}]
    with pytest.raises(RuntimeError, match=r"^params_file:=/none.yaml, but there is no such file$"):
        evaluate(params_file="/none.yaml")


def test_every_node_gets_what_is_for_all(evaluate: Evaluate) -> None:
    given = {"composed": "false", "planner": "true", "guard": "true", "path": "a.nii.gz"}
    for node in evaluate(use_sim_time="true", autostart="false", log_level="debug", **given).started:
        assert {"use_sim_time": True, "autostart": False}.items() <= node.values.items()
        assert node.log_level == "debug"
    assert all(
        node.log_level == "info" and "use_sim_time" not in node.values and "autostart" not in node.values
        for node in evaluate(**given).started
    )


def test_launch_itself_and_the_stand_in_agree(evaluate_both: tuple[Evaluate, Evaluate]) -> None:
    of_user = {"log_level": "warn", "use_sim_time": "true", "autostart": "false", "cache_dir": "/c"}
    for name, arguments in (
        ("liver_seg", {}),
        ("liver_seg", {"path": "a.nii.gz"}),
        ("liver_seg", {"composed": "false", "path": "a.nii.gz", "runtime": "openvino", **of_user}),
        ("demo", {"phantom_dir": "/none"}),
        ("demo", {"path": "a.nii.gz"}),
    ):
        real, imitated = (evaluate(name, **arguments) for evaluate in evaluate_both)
        assert (real.started, real.environment) == (imitated.started, imitated.environment)
        assert real.arguments.keys() == imitated.arguments.keys()
