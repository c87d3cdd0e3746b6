# SPDX-License-Identifier: Apache-2.0
"""From a CT of the liver to what a surgical robot can plan with.

As a library: `import liver_seg_ros as ls`, then `ls.read`, `ls.segment`, `ls.reconstruct`, `ls.plan` (see `api.py`).
They are loaded when first asked for, so that importing the package takes no time.
"""

__version__ = "0.1.0"

__all__ = [
    "load_segmenter",
    "map_surroundings",
    "measure",
    "plan",
    "read",
    "read_labels",
    "reconstruct",
    "register",
    "segment",
    "territories",
    "write",
]

TYPE_CHECKING = False  # without importing typing
if TYPE_CHECKING:
    from liver_seg_ros.api import (
        load_segmenter,
        map_surroundings,
        measure,
        plan,
        read,
        read_labels,
        reconstruct,
        register,
        segment,
        territories,
        write,
    )
else:

    def __getattr__(name):
        if name not in __all__:
            raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
        from liver_seg_ros import api

        return globals().setdefault(name, getattr(api, name))

    def __dir__():
        return sorted({*globals(), *__all__})
