# SPDX-License-Identifier: Apache-2.0
"""What a process has of the shared memory of the Fast DDS profile that the launch file sets: it is filled at start."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

PROFILE = Path(__file__).resolve().parents[2] / "config" / "fastdds_shm.xml"
TELLING = """
import rclpy
rclpy.init()
node = rclpy.create_node("telling")
print(open("/proc/self/smaps").read())
"""


def test_a_process_gives_little_memory_to_the_profile(ros: Any) -> None:
    names = ("FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE")
    environment = {**os.environ, "ROS_DOMAIN_ID": str(ros.domain), **dict.fromkeys(names, str(PROFILE))}
    told = subprocess.run([sys.executable, "-c", TELLING], env=environment, capture_output=True, text=True, check=True)
    sizes = re.findall(r"/dev/shm/fastrtps\S*\n(?:.*\n)*?Rss: +(\d+) kB", told.stdout)
    resident_mb = sum(map(int, sizes)) * 1024 / 1e6
    assert 100 < resident_mb < 150  # more than without it, where it is half a megabyte
