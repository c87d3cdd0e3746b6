# SPDX-License-Identifier: Apache-2.0
"""`python -m liver_seg_ros`: the same as `liver-seg`."""

from liver_seg_ros.cli.main import main

if __name__ == "__main__":
    main()
