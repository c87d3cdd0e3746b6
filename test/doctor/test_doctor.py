# SPDX-License-Identifier: Apache-2.0
"""The doctor on machines that are ill in known ways: files of `/proc`, folders, variables and models made for it."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterable
from pathlib import Path

import pytest

from liver_seg_ros.doctor import host
from liver_seg_ros.doctor.finding import Finding, Level
from liver_seg_ros.doctor.host import host_findings
from liver_seg_ros.doctor.networks import network_findings
from liver_seg_ros.doctor.ros import ros_findings

MODELS = Path(__file__).resolve().parents[2] / "models"
ALL_THERE = dict.fromkeys(("rclpy", "liver_seg_interfaces", "tf2_ros"), True)


def named(findings: Iterable[Finding]) -> dict[str, Finding]:
    by_name = {finding.name: finding for finding in findings}
    for finding in by_name.values():
        assert (finding.level == Level.OK) == (not finding.advice), finding
        assert "\n" not in finding.found + finding.advice
    return by_name


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    folder = tmp_path / "proc"
    (folder / "sys" / "net" / "core").mkdir(parents=True)
    (folder / "meminfo").write_text("MemTotal: 16000000 kB\nMemAvailable: 9000000 kB\n")
    (folder / "sys" / "net" / "core" / "rmem_max").write_text("16777216\n")
    return folder


@pytest.mark.parametrize(
    ("free_kb", "level"), [(4_100_000, Level.OK), (3_900_000, Level.WARNING), (1_900_000, Level.PROBLEM)]
)
def test_memory(proc: Path, free_kb: int, level: Level) -> None:
    (proc / "meminfo").write_text(f"MemTotal: 16000000 kB\nMemAvailable: {free_kb} kB\n")
    found = named(host_findings(proc))["memory"]
    assert (found.level, found.found) == (level, f"{free_kb / 1e6:.1f} GB free")


@pytest.mark.parametrize(("most", "level"), [(212_992, Level.WARNING), (4_000_000, Level.OK)])
def test_socket_buffer(proc: Path, most: int, level: Level) -> None:
    (proc / "sys" / "net" / "core" / "rmem_max").write_text(f"{most}\n")
    found = named(host_findings(proc))["socket buffer for CTs from other computers"]
    assert (found.level, found.found) == (level, f"net.core.rmem_max is {most} bytes")


def test_no_linux_is_said_and_no_illness(tmp_path: Path) -> None:
    found = named(host_findings(tmp_path / "nothing", tmp_path))
    assert found["memory"].found == "not known: this is no Linux"
    assert found["memory"].level == Level.OK


def test_shared_memory(proc: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert named(host_findings(proc, tmp_path / "none"))["shared memory"].level == Level.WARNING
    (tmp_path / "fastrtps_0123").touch()
    usage = shutil.disk_usage(tmp_path)
    for free, level in ((3e9, Level.OK), (1e9, Level.WARNING), (6e7, Level.PROBLEM)):
        monkeypatch.setattr(shutil, "disk_usage", lambda _, free=free: usage._replace(free=int(free)))
        found = named(host_findings(proc, tmp_path))["shared memory"]
        assert found.level == level
        assert "1 segment of Fast DDS" in found.found


def test_disk(proc: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIVER_SEG_CACHE", str(tmp_path / "not" / "made" / "yet"))
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=10**8))
    found = named(host_findings(proc))["disk for engines"]
    assert (found.level, found.found) == (Level.PROBLEM, f"{tmp_path}/not/made/yet: 0.1 GB free")
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert "cannot be written" in named(host_findings(proc))["disk for engines"].found


def test_a_clock_that_lost_its_battery(monkeypatch: pytest.MonkeyPatch) -> None:
    assert host._clock(time.time()).level == Level.OK
    assert host._clock(0.0).level == Level.PROBLEM
    assert "1970-01-01 00:00 UTC" in host._clock(0.0).found


def test_a_processor_without_fast_8_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "int8_instructions", lambda: None)
    assert host._processor().level == Level.WARNING


def test_shipped_models_are_whole() -> None:
    found = named(network_findings(MODELS))
    for name in ("model localizer", "model segmenter"):
        assert found[name].level == Level.OK
        assert "files of weights match their checksums" in found[name].found


def test_damaged_weights_are_found_of_a_variant_too(tmp_path: Path) -> None:
    shutil.copytree(MODELS, tmp_path / "models", ignore=shutil.ignore_patterns("candidates"))
    weights = sorted((tmp_path / "models" / "segmenter").glob("*.onnx"))
    assert len(weights) > 1
    for file in weights:
        whole = file.read_bytes()
        file.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
        found = named(network_findings(tmp_path / "models"))["model segmenter"]
        assert found.level == Level.PROBLEM
        assert file.name in found.found
        file.write_bytes(whole)


def test_no_models_is_a_problem(tmp_path: Path) -> None:
    assert named(network_findings(tmp_path))["models"].level == Level.PROBLEM


def ros(environment: dict[str, str], **lacking: bool) -> dict[str, Finding]:
    return named(ros_findings(environment, lambda name: {**ALL_THERE, **lacking}[name]))


def test_without_ros_nothing_else_is_said_of_it() -> None:
    found = ros({}, rclpy=False)
    assert found.keys() == {"ROS 2"}
    assert found["ROS 2"].level == Level.WARNING


def test_messages_that_are_not_built() -> None:
    assert ros({})["messages"].level == Level.OK
    assert ros({}, liver_seg_interfaces=False)["messages"].level == Level.PROBLEM


@pytest.mark.parametrize(
    ("domain", "level"),
    [
        ("", Level.OK),
        ("7", Level.OK),
        ("101", Level.OK),
        ("102", Level.WARNING),
        ("233", Level.PROBLEM),
        ("x", Level.PROBLEM),
    ],
)
def test_domain(domain: str, level: Level) -> None:
    assert ros({"ROS_DOMAIN_ID": domain})["ROS domain"].level == level


def test_profile_of_fast_dds(tmp_path: Path) -> None:
    profile = tmp_path / "profile.xml"
    said = {"FASTRTPS_DEFAULT_PROFILES_FILE": str(profile)}
    assert ros({})["Fast DDS profile"].level == Level.WARNING
    assert ros(said)["Fast DDS profile"].level == Level.PROBLEM
    profile.touch()
    assert ros(said)["Fast DDS profile"].level == Level.OK
    other = ros({**said, "RMW_IMPLEMENTATION": "rmw_cyclonedds_cpp"})["Fast DDS profile"]
    assert (other.level, other.found) == (Level.WARNING, "none: the middleware is rmw_cyclonedds_cpp")
