"""Vessel trees: centerlines, radii and branches, from labels."""
