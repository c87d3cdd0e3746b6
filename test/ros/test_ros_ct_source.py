"""The node `ct_source` as a process: what it publishes, late subscribers, bad files, stray requests, its end."""

from __future__ import annotations

import signal
import time

import numpy as np
import pytest
from lifecycle_msgs.msg import Transition
from rcl_interfaces.msg import Parameter, ParameterType, ParameterValue
from rcl_interfaces.srv import SetParameters
from std_srvs.srv import Trigger

from liver_seg_ros.files.volumes import write_volume
from liver_seg_ros.geometry import Geometry
from liver_seg_ros.volume import Volume


@pytest.fixture(scope="module")
def ct_file(tmp_path_factory, ct):
    path = tmp_path_factory.mktemp("ct") / "ct.nrrd"
    write_volume(path, ct)
    return path


def set_path(ros, path):
    value = ParameterValue(type=ParameterType.PARAMETER_STRING, string_value=str(path))
    request = SetParameters.Request(parameters=[Parameter(name="path", value=value)])
    assert ros.call(SetParameters, "/ct_source/set_parameters", request).results[0].successful


def test_a_late_subscriber_gets_the_whole_ct_and_a_republished_one(ros, ct_file, ct):
    ros.start("ct_source", path=str(ct_file))
    ros.wait_for_line("/ct_source 0", "published")
    volumes = ros.volumes("ct", np.int16)
    ros.spin_until(lambda: len(volumes) == 1)
    np.testing.assert_array_equal(volumes[0].array, ct.array)
    assert volumes[0].geometry.is_same_grid(ct.geometry, tolerance_mm=1e-6)

    assert ros.call(Trigger, "/ct_source/publish", Trigger.Request()).success
    ros.spin_until(lambda: len(volumes) == 2)
    np.testing.assert_array_equal(volumes[1].array, ct.array)


def test_a_bad_file_is_said_and_the_next_file_works(ros, ct_file, tmp_path):
    (tmp_path / "truncated.nii").write_bytes(bytes(100))
    ros.start("ct_source", path=str(tmp_path / "missing.nii.gz"))
    ros.wait_for_line("/ct_source 2", "missing.nii.gz")
    set_path(ros, tmp_path / "truncated.nii")
    ros.wait_for_line("/ct_source 2", "truncated.nii")
    one_slice = Volume(np.zeros((1, 64, 64), np.int16), Geometry((64, 64, 1)))
    write_volume(tmp_path / "one_slice.nrrd", one_slice)
    set_path(ros, tmp_path / "one_slice.nrrd")
    ros.wait_for_line("/ct_source 2", "one_slice.nrrd")
    volumes = ros.volumes("ct", np.int16)
    set_path(ros, ct_file)
    ros.spin_until(lambda: len(volumes) == 1)
    ros.wait_for_line("/ct_source 0", "published")


def test_an_impossible_transition_is_refused_and_the_node_goes_on(ros, ct_file):
    ros.start("ct_source", autostart=False, path=str(ct_file))
    assert ros.state("ct_source") == "unconfigured"
    assert not ros.change_state("ct_source", Transition.TRANSITION_ACTIVATE)
    assert not ros.change_state("ct_source", 250)
    ros.wait_for_line("/ct_source 1", "refused")
    assert ros.change_state("ct_source", Transition.TRANSITION_CONFIGURE)
    assert not ros.change_state("ct_source", Transition.TRANSITION_CONFIGURE)
    assert ros.state("ct_source") == "inactive"
    volumes = ros.volumes("ct", np.int16)
    assert ros.change_state("ct_source", Transition.TRANSITION_ACTIVATE)
    ros.spin_until(lambda: len(volumes) == 1)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_process(ros, number):
    process = ros.start("ct_source")
    ros.wait_for_line("/ct_source 0", "no path")
    began = time.monotonic()
    process.send_signal(number)
    assert process.wait(15) == 0
    assert time.monotonic() - began < 5
    assert "Traceback" not in ros.log("ct_source")
