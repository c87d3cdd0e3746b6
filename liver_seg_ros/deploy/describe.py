# SPDX-License-Identifier: Apache-2.0
"""Change what a model bundle says of itself; its weights and variants stay as they are:

    python -m liver_seg_ros.deploy.describe --bundle models/segmenter --scores out/held_out.json
    python -m liver_seg_ros.deploy.describe --bundle models/candidates/new --name liver-segmenter --version 1.3.0

So a network that was measured gets its scores, and a candidate that is shipped its name; what is done with its answers
can be changed too. The card is written anew.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

from liver_seg_ros.checked_fields import read_mapping
from liver_seg_ros.errors import InputError
from liver_seg_ros.inference.bundle import POSTPROCESSING_STEPS, load_bundle
from liver_seg_ros.inference.bundle_writing import describe_anew
from liver_seg_ros.outputs.folder import check_folder
from liver_seg_ros.training.command import run_command


def main(arguments: list[str] | None = None) -> None:
    """The command. Raises `InputError` where the bundle or a file is missing or damaged, or nothing is to change."""
    parser = argparse.ArgumentParser(
        prog="python -m liver_seg_ros.deploy.describe",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--bundle", type=Path, required=True, help="the model's folder, e.g. models/segmenter")
    parser.add_argument("--name", help="what it is called from now on")
    parser.add_argument("--version", help="of the bundle")
    parser.add_argument("--scores", type=Path, nargs="+", default=[], help="JSON files with what was measured of it")
    parser.add_argument("--only", action="store_true", help="those scores only; else they join what is there")
    parser.add_argument(
        "--steps", nargs="*", choices=POSTPROCESSING_STEPS, help="of postprocessing, all that are taken"
    )
    parser.add_argument("--failures", nargs="+", help="where it is known to fail, a sentence each")
    options = parser.parse_args(arguments)
    bundle = load_bundle(options.bundle)
    check_folder(bundle.folder, "--bundle")
    changes = {name: value for name in ("name", "version", "failures") if (value := getattr(options, name)) is not None}
    if options.scores:
        read = [read_mapping(path, "file of scores") for path in options.scores]
        kept = {} if options.only else bundle.spec.scores
        changes["scores"] = {name: value for scores in (kept, *read) for name, value in scores.items()}
    if options.steps is not None:
        steps = tuple(step for step in POSTPROCESSING_STEPS if step in options.steps)
        changes["postprocessing"] = replace(bundle.spec.postprocessing, steps=steps)
    if not changes:
        raise InputError("nothing is to change: give --name, --version, --scores, --steps or --failures")
    describe_anew(bundle, **changes)


if __name__ == "__main__":
    sys.exit(run_command(main))
