"""Volumes, diameters and gaps of structures, from labels."""
