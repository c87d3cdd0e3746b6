# SPDX-License-Identifier: Apache-2.0
"""ROS messages to and from this package's types."""
