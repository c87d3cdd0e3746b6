# SPDX-License-Identifier: Apache-2.0
"""Bundles of networks that other tools trained: nnU-Net v2, TotalSegmentator, MONAI's bundles.

nnunet_folder, nnunet_plans    what an nnU-Net v2 model folder says
totalsegmentator               the same for the folders of that tool, which do not say what their orientation is
monai_bundle, monai_transforms what a MONAI bundle says
class_names                    which structure a source's class is
checkpoints                    weights, and nothing of a pickle that is more than weights
source                         what all of these come to
graph, network_job             the network rebuilt and exported, in an environment of its own where it needs one
bundle_from                    the bundle of it all
"""
