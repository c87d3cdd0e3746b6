# SPDX-License-Identifier: Apache-2.0
"""Planning of trajectories, ablations and resections: pure geometry on labels, surfaces and the vessel tree."""
