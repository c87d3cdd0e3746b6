# SPDX-License-Identifier: Apache-2.0
"""The node `igtl_bridge` over real DDS and real sockets: what pyigtl's peer sees, and where its poses go."""

from __future__ import annotations

import re

import numpy as np
import pytest
from geometry_msgs.msg import TransformStamped
from tf2_msgs.msg import TFMessage

pyigtl = pytest.importorskip("pyigtl", reason="pyigtl is not installed (extra [igtl])")

from liver_seg_interfaces.msg import GuardReading, StructureClearance  # noqa: E402  after the skip
from liver_seg_ros.nodes import qos  # noqa: E402
from liver_seg_ros.nodes.messages.volumes import volume_to_slabs  # noqa: E402
from liver_seg_ros.volume import LabelVolume  # noqa: E402

MIRROR = np.diag([-1.0, -1.0, 1.0, 1.0])  # LPS to RAS
TIMEOUT_S = 60.0


def tip(ros, x_m):
    told = TransformStamped(child_frame_id="needle_tip")
    told.header.frame_id, told.header.stamp = "ct_lps", ros.node.get_clock().now().to_msg()
    told.transform.translation.x, told.transform.rotation.w = x_m, 1.0
    return TFMessage(transforms=[told])


def test_slicer_sees_the_patient_and_moves_what_it_may(ros, ct):
    ros.start("igtl_bridge", port=0, take="ProbeToReference=probe", tf_timeout_s=5.0)
    ports: list[str] = []
    said = r"serving OpenIGTLink on 127\.0\.0\.1:(\d+)"
    ros.spin_until(lambda: ports.extend(re.findall(said, str(ros.lines()))) or ports)
    port = ports[0]
    labels = LabelVolume((ct.array > 0).astype(np.uint8), ct.geometry, ct.uid)
    for topic, volume in (("ct", ct), ("labels", labels)):
        publisher = ros.publisher(topic)
        for slab in volume_to_slabs(volume, 3, ros.node.get_clock().now().to_msg()):
            publisher.publish(slab)
    ros.wait_for_line("/igtl_bridge 0", f"serving Labels of volume {ct.uid}")
    tf = ros.node.create_publisher(TFMessage, "/tf", 10)
    readings = ros.node.create_publisher(GuardReading, "needle_guard/reading", qos.live())
    moved = ros.live(TFMessage, "/tf")
    client = pyigtl.OpenIGTLinkClient("127.0.0.1", int(port))
    try:
        for device, volume in (("CT", ct), ("Labels", labels)):
            image = client.wait_for_message(device, TIMEOUT_S)
            assert image.world_coordinate_system == "ras"
            np.testing.assert_array_equal(image.image, volume.array)
            np.testing.assert_allclose(image.ijk_to_world_matrix, MIRROR @ volume.geometry.affine, atol=1e-3)

        reading = GuardReading(level=GuardReading.LEVEL_OK)
        reading.clearances = [StructureClearance(structure="vessel", clearance_m=0.0124)]
        came = {}

        def both_came():
            tf.publish(tip(ros, 0.01))
            readings.publish(reading)
            came.update({message.device_name: message for message in client.get_latest_messages()})
            return {"NeedleTip", "NeedleGuard"} <= came.keys()

        ros.spin_until(both_came)
        expected = np.eye(4)
        expected[0, 3] = 10
        np.testing.assert_allclose(came["NeedleTip"].matrix, MIRROR @ expected, atol=1e-5)
        assert came["NeedleGuard"].string == "OK, 12.4 mm to vessel"

        matrix = np.eye(4)
        matrix[:3, 3] = 1, 2, 3
        for device in ("NeedleToReference", "ProbeToReference"):  # only the second is taken
            client.send_message(pyigtl.TransformMessage(MIRROR @ matrix, device_name=device, timestamp=17.5))
        ros.wait_for_line("/igtl_bridge 1", "the pose 'NeedleToReference' is not taken")
        ros.spin_until(lambda: any(t.transforms[0].child_frame_id == "probe" for t in moved))
        [probe] = [t.transforms[0] for t in moved if t.transforms[0].child_frame_id != "needle_tip"]
        shift = probe.transform.translation
        assert (probe.header.frame_id, probe.header.stamp.sec, probe.header.stamp.nanosec) == (
            "ct_lps",
            17,
            500_000_000,
        )
        np.testing.assert_allclose([shift.x, shift.y, shift.z], [0.001, 0.002, 0.003], atol=1e-6)
    finally:
        client.stop()
