# SPDX-License-Identifier: Apache-2.0
"""From descriptions of networks to ONNX, where the library of their architecture is; run by `exported` as a script.

    python network_job.py PACKAGES TOLD RESULT [TOLD RESULT ...]

PACKAGES is the folder that holds `liver_seg_ros`, TOLD what `rebuilt.on_disk` kept.
"""

from __future__ import annotations

import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.append(sys.argv[1])
    from liver_seg_ros.deploy.importing.exported import export_here
    from liver_seg_ros.deploy.importing.rebuilt import from_disk
    from liver_seg_ros.deploy.onnx_export import ExportError
    from liver_seg_ros.errors import InputError

    try:
        for told, result in zip(sys.argv[2::2], sys.argv[3::2], strict=True):
            Path(result).write_bytes(export_here(from_disk(told)))
    except (InputError, ExportError) as error:
        sys.exit(str(error))
