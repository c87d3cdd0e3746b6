# SPDX-License-Identifier: Apache-2.0
"""Synthetic abdominal CT with exact ground truth: for training, tests and demos, never evidence on patients."""

from liver_seg_ros.phantom.generator import Phantom, generate_phantom
from liver_seg_ros.phantom.phantom_options import PhantomOptions
from liver_seg_ros.phantom.tumors import Tumor
from liver_seg_ros.phantom.vessel_graph import VesselGraph

__all__ = ["Phantom", "PhantomOptions", "Tumor", "VesselGraph", "generate_phantom"]
