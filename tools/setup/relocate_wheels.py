# SPDX-License-Identifier: Apache-2.0
"""Make the CMake files of the ROS 2 wheels in this virtual environment point at it.

The wheels turn the environment into a ROS prefix, but their exported CMake targets carry the paths of the machine that
built them. Running it again changes nothing.
"""

import re
import sys
import sysconfig
from pathlib import Path

BUILD_PREFIX = re.compile(r"/opt/python/cp\d+-cp\d+(/include/python[\d.]+)?")


def main() -> None:
    """Rewrite every CMake file below `share/` that names the build machine."""
    include, prefix = sysconfig.get_path("include"), sys.prefix
    for file in Path(prefix, "share").rglob("*.cmake"):
        text = file.read_text(encoding="utf-8")
        relocated = BUILD_PREFIX.sub(lambda match: include if match.group(1) else prefix, text)
        if relocated != text:
            file.write_text(relocated, encoding="utf-8")


if __name__ == "__main__":
    main()
