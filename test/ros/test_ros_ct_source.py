# SPDX-License-Identifier: Apache-2.0
"""The node `ct_source` as a process: what it publishes, late subscribers, bad files, stray requests, its end."""

from __future__ import annotations

import shutil
import signal
import time

import numpy as np
import pytest
from lifecycle_msgs.msg import Transition
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid
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
    set_parameter(ros, "path", ParameterValue(type=ParameterType.PARAMETER_STRING, string_value=str(path)))


def set_parameter(ros, name, value):
    request = SetParameters.Request(parameters=[Parameter(name=name, value=value)])
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


def test_what_appears_in_a_watched_folder_is_published_and_what_is_broken_is_said_once(ros, ct_file, ct, tmp_path):
    ros.start("ct_source", watch_folder=str(tmp_path), watch_settled_s=0.5)
    ros.wait_for_line("/ct_source 0", "watching")
    volumes = ros.volumes("ct", np.int16)
    (tmp_path / "broken.nii").write_bytes(bytes(100))
    ros.wait_for_line("/ct_source 2", "broken.nii")
    shutil.copy(ct_file, tmp_path / "a.nrrd")
    shutil.copy(ct_file, tmp_path / "b.nrrd")
    ros.spin_until(lambda: len(volumes) == 2)
    for volume in volumes:
        np.testing.assert_array_equal(volume.array, ct.array)
    assert len([line for line in ros.lines() if "reading" in line and "broken" in line]) == 0
    assert ros.log("ct_source").count("reading") == 3


def test_an_acquisition_is_chosen_by_number_and_read_at_once(ros, tmp_path):
    """ROS takes `acquisition:=2` as a number and a message may hold it as text; both choose."""
    two_acquisitions(tmp_path)
    ros.start("ct_source", path=str(tmp_path), acquisition=9)
    ros.wait_for_line("/ct_source 2", "has no acquisition 9; there is 1 (20 slices")
    set_parameter(ros, "acquisition", ParameterValue(type=ParameterType.PARAMETER_STRING, string_value=""))
    ros.wait_for_line("/ct_source 2", "choose one with --acquisition (a node: parameter 'acquisition'): 1 (20 slices")
    volumes = ros.volumes("ct", np.int16)
    set_parameter(ros, "acquisition", ParameterValue(type=ParameterType.PARAMETER_INTEGER, integer_value=2))
    ros.spin_until(lambda: len(volumes) == 1)
    assert volumes[0].array.shape == (20, 24, 32) and volumes[0].array.max() == 220
    set_parameter(ros, "acquisition", ParameterValue(type=ParameterType.PARAMETER_STRING, string_value="1"))
    ros.spin_until(lambda: len(volumes) == 2)
    assert volumes[1].array.max() == 120


def two_acquisitions(folder):
    series, study, frame = generate_uid(), generate_uid(), generate_uid()
    for number in (1, 2):
        for k in range(20):
            part = FileDataset("", {}, file_meta=FileMetaDataset(), preamble=bytes(128))
            part.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
            part.SOPClassUID = part.file_meta.MediaStorageSOPClassUID = CTImageStorage
            part.SOPInstanceUID = part.file_meta.MediaStorageSOPInstanceUID = generate_uid()
            part.SeriesInstanceUID, part.StudyInstanceUID, part.FrameOfReferenceUID = series, study, frame
            part.Modality, part.AcquisitionNumber = "CT", number
            part.ImageOrientationPatient, part.ImagePositionPatient = [1, 0, 0, 0, 1, 0], [0, 0, 2 * k + number]
            part.PixelSpacing, part.Rows, part.Columns = [3, 3], 24, 32
            part.SamplesPerPixel, part.PhotometricInterpretation = 1, "MONOCHROME2"
            part.BitsAllocated, part.BitsStored, part.HighBit, part.PixelRepresentation = 16, 16, 15, 1
            array = np.full((24, 32), -1000, "<i2")
            array[4:20, 4:28] = 20 + 100 * number
            part.PixelData = array.tobytes()
            part.save_as(folder / f"{number}_{k}.dcm", enforce_file_format=True)


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


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_process(ros, number):
    process = ros.start("ct_source")
    ros.wait_for_line("/ct_source 0", "no path")
    began = time.monotonic()
    process.send_signal(number)
    assert process.wait(15) == 0
    assert time.monotonic() - began < 5
    assert "Traceback" not in ros.log("ct_source")
