# SPDX-License-Identifier: Apache-2.0
"""At which sizes an exported graph is made and tried."""

from __future__ import annotations

from liver_seg_ros.inference.input_spec import InputSpec


def traced_sizes(spec: InputSpec) -> tuple[tuple[int, ...], int | None]:
    """A size to export at, `(K, J, I)` or `(J, I)`, and of what multiples others may be; None where no other fits."""
    axes = 2 if spec.slices else 3
    if spec.fixed_window:
        return spec.patch[::-1][-axes:], None
    return tuple(spec.divisor * n for n in range(2, 2 + axes)), spec.divisor
