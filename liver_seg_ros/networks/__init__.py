# SPDX-License-Identifier: Apache-2.0
"""PyTorch networks, found by name; see `registry.py`."""

from liver_seg_ros.networks.registry import NETWORKS, NetworkSpec, create_network

__all__ = ["NETWORKS", "NetworkSpec", "create_network"]
