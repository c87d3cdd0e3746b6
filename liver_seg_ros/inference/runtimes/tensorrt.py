"""TensorRT on an NVIDIA GPU: not in this version yet."""

from __future__ import annotations


def unavailable() -> str | None:
    """Why TensorRT cannot be used here."""
    return "not in this version yet"
