# SPDX-License-Identifier: Apache-2.0
"""What a stranger may send: streams that grow, volumes that claim to be huge. The node stays small and answers."""

from __future__ import annotations

import time
import zlib
from pathlib import Path

import numpy as np
import pytest
from builtin_interfaces.msg import Time

from liver_seg_interfaces.msg import SegmentationReport
from liver_seg_ros.geometry import Geometry
from liver_seg_ros.nodes.messages.volumes import volume_to_slabs
from liver_seg_ros.volume import LabelVolume

#: A node that has done little has less than half of it.
ENOUGH_MB = 900


def peak_mb(process):
    """The most memory that a process had, MB."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def only_slab(volume, **changes):
    [slab] = volume_to_slabs(volume, 1, Time(sec=1))
    for name, value in changes.items():
        setattr(slab, name, value)
    return slab


@pytest.mark.parametrize(
    ("size", "inflated", "says"),
    [
        ((1000, 1000, 1000), 1_000_000_000, "too many for one compressed slab"),
        ((500, 500, 200), 1_000_000_000, "holds more"),
        ((100_000, 1000, 1000), 1_000_000, "raise max_volume_mb"),
    ],
    ids=["as-promised", "more-than-promised", "beyond-the-budget"],
)
def test_a_small_stream_makes_no_large_node(ros, size, inflated, says):
    process = ros.start("reconstruction")
    ros.wait_for_line("/reconstruction 0", "waiting for labels")
    bomb = zlib.compress(bytes(inflated), 9)
    tiny = LabelVolume(np.zeros((2, 2, 2), np.uint8), Geometry((2, 2, 2)), "bomb")
    sizes = {"size": np.array(size, np.uint32), "slice_count": size[2], "compression": "zlib"}
    began = time.monotonic()
    ros.publisher("labels").publish(only_slab(tiny, data=bomb, **sizes))
    ros.wait_for_line("/reconstruction 2", "volume bomb", says)
    assert ros.state("reconstruction") == "active"
    assert time.monotonic() - began < 20.0  # far less where nothing else runs
    assert peak_mb(process) < ENOUGH_MB


def test_labels_of_no_patient_are_refused_before_any_work(ros):
    """Each of these took minutes and gigabytes, or ended in an error of the program."""
    process = ros.start("reconstruction")
    ros.wait_for_line("/reconstruction 0", "waiting for labels")
    reports, publisher = ros.latched(SegmentationReport, "/reconstruction/report"), ros.publisher("labels")
    array = np.zeros((5, 12, 12), np.uint8)
    array[1:-1, 1:-1, 1:-1] = 1
    wide = np.ones((76, 76, 10), np.uint8)
    for number, (voxels, spacing_m, says) in enumerate(
        (
            (array, (1.0, 1.0, 1.0), "the spacing is not in mm"),
            (array, (1000.0, 1000.0, 1000.0), "the spacing is not in mm"),
            (array, (1e297, 1e297, 1e297), "the spacing is not in mm"),
            (array, (1e306, 0.001, 0.001), "spacing"),
            (array, (float("nan"), 0.001, 0.001), "spacing"),
            (wide, (0.01, 0.02, 0.02), "no patient does"),
        )
    ):
        volume = LabelVolume(voxels, Geometry(voxels.shape[::-1]), f"wrong-{number}")
        publisher.publish(only_slab(volume, spacing_m=np.array(spacing_m)))
        ros.wait_for_line("/reconstruction 2", volume.uid, says, timeout_s=20.0)
    ros.spin_until(lambda: bool(reports))
    assert reports[-1].volume_uid == "wrong-5" and reports[-1].status == SegmentationReport.STATUS_FAILED
    assert ros.state("reconstruction") == "active"
    assert peak_mb(process) < ENOUGH_MB
    assert "Traceback" not in ros.log("reconstruction")
