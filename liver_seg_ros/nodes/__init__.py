# SPDX-License-Identifier: Apache-2.0
"""The ROS 2 nodes: thin lifecycle nodes around the library, and the conversion to and from messages.

The only package that knows `rclpy` and message packages. One node per file; `liver_seg` composes them in one process.
"""

import sys

# Python has "-m" here only while it looks for the module that `python -m liver_seg_ros.nodes.<node>` is to run.
if sys.argv[:1] == ["-m"]:
    from liver_seg_ros.nodes.start import hear_signals

    hear_signals()
