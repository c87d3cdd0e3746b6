# SPDX-License-Identifier: Apache-2.0
"""Add variants in fewer bits to a model bundle, each scored beside the plain weights:

    python -m liver_seg_ros.deploy.quantize --bundle models/segmenter --variant fp16 int8_qdq int8_openvino

fp16 and int8_qdq (explicit Q/DQ) are for TensorRT, int8_openvino is for CPUs. What loses more Dice than is allowed is
refused. The tools are installed into environments of their own when first needed.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from liver_seg_ros.deploy.calibration import any_window, ct_windows, phantom_windows
from liver_seg_ros.deploy.quantization import FORMATS, as_scored, quantize
from liver_seg_ros.deploy.scoring import SCAN, Weights, in_words, mean_dice
from liver_seg_ros.errors import InputError
from liver_seg_ros.inference.bundle import ModelBundle, load_bundle
from liver_seg_ros.inference.bundle_writing import add_variant, check_variants
from liver_seg_ros.inference.model_folders import LOCALIZER
from liver_seg_ros.outputs.folder import check_folder
from liver_seg_ros.phantom import PhantomOptions
from liver_seg_ros.training.command import run_command

#: Held-out phantoms: training ends at 8900, validation at 9000, the benchmark of accuracy begins at 11000.
FIRST_SEED = 11_040

#: Dice from which a network knows a structure of phantoms well enough to lose some of it.
KNOWN = 0.5

_log = logging.getLogger(__name__)


def make_variants(
    bundle: ModelBundle,
    names: Sequence[str],
    localizer: ModelBundle | None = None,
    calibration: Path | None = None,
    keep: Sequence[str] = (),
) -> dict[str, bytes]:
    """The bundle's network in other formats, as ONNX, by name.

    Args:
        bundle: of the network.
        names: keys of `FORMATS`.
        localizer: the other network of the cascade, for a bundle of stage "segment".
        calibration: folder of CTs to calibrate int8 on; phantoms if not given.
        keep: patterns of names of further nodes that are not to be int8.

    Raises:
        InputError: a cascade, or there is nothing to calibrate on, or a tool cannot be installed or fails.
    """
    if bundle.spec.before:
        raise InputError(f"the model in {bundle.folder} is a cascade, of which no variants are made")
    calibrated = sample = any_window(bundle.spec)
    if any(FORMATS[name].precision == "int8" for name in names):
        _log.info("calibrating on %s", calibration or "phantoms")
        calibrated = ct_windows(calibration, bundle, localizer) if calibration else phantom_windows(bundle.spec)
    made = {}
    for name in names:
        shown = calibrated if FORMATS[name].precision == "int8" else sample
        made[name] = quantize(name, bundle.weights, shown, keep)
        share = len(made[name]) / bundle.weights.stat().st_size
        _log.info("%s: %.2f MB, %.0f %% of the plain weights", name, len(made[name]) / 1e6, 100 * share)
    return made


def add_variants(
    bundle: ModelBundle,
    made: Mapping[str, bytes],
    localizer: ModelBundle | None = None,
    seeds: Sequence[int] = range(FIRST_SEED, FIRST_SEED + 3),
    scan: PhantomOptions = SCAN,
    allowed_loss: float = 0.005,
    force: bool = False,
) -> ModelBundle:
    """Score variants beside the plain weights, and add those that lose no more than is allowed.

    Args:
        bundle: of the network.
        made: what `make_variants` made of it.
        localizer: the other network of the cascade, for a bundle of stage "segment".
        seeds: of the phantoms to score on.
        scan: what they look like.
        allowed_loss: of Dice, of any structure.
        force: add what loses more, too.

    Returns:
        The bundle as it is then.

    Raises:
        InputError: a variant loses more than is allowed (the others are added).
    """
    runtimes = {FORMATS[name].scored_with for name in made}
    plain = bundle.weights.read_bytes()
    candidates = {f"plain on {runtime}": Weights(plain, runtime) for runtime in sorted(runtimes)}
    candidates |= {name: Weights(as_scored(name, model), FORMATS[name].scored_with) for name, model in made.items()}
    scores = mean_dice(bundle, localizer, candidates, seeds, scan)
    refused = []
    for name, model in made.items():
        form = FORMATS[name]
        plain_scores = scores[f"plain on {form.scored_with}"]
        loss = {structure: round(plain_scores[structure] - score, 4) for structure, score in scores[name].items()}
        worst = max(loss, key=lambda structure: loss[structure])
        if unknown := [structure for structure, score in plain_scores.items() if score < KNOWN]:
            _log.warning(
                "%s: the plain weights themselves find %s badly in phantoms (Dice below %g), so that a loss there says "
                "nothing; compare both on cases of your own: liver-seg evaluate",
                name,
                ", ".join(unknown),
                KNOWN,
            )
        _log.info("%s: Dice %s; loss %s", name, in_words(scores[name]), in_words(loss))
        if loss[worst] > allowed_loss and not force:
            refused.append(f"{name} loses {loss[worst]:.4f} of Dice for {worst}")
            continue
        words = _scored_on(seeds, scan, form.scored_with)
        bundle = add_variant(bundle, name, model, form.precision, form.runtimes, scores[name], loss, words)
    if refused:
        raise InputError(
            f"{'; '.join(refused)}: more than the {allowed_loss:g} allowed, so not added. Keep more layers as they are "
            "(--keep), calibrate on other CTs (--calibration), allow more (--allowed-loss) or add it anyway (--force)."
        )
    return bundle


def main(arguments: list[str] | None = None) -> None:
    """The command. Raises `InputError` as the two above, or where a bundle is missing or damaged."""
    parser = argparse.ArgumentParser(
        prog="python -m liver_seg_ros.deploy.quantize",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--bundle", type=Path, required=True, help="the model's folder, e.g. models/segmenter")
    parser.add_argument("--variant", nargs="+", choices=FORMATS, required=True, help="which to make")
    parser.add_argument("--calibration", type=Path, metavar="FOLDER", help="CTs to calibrate int8 on, not phantoms")
    parser.add_argument("--localizer", type=Path, help="for a segmenter: the localizer's folder (beside the bundle)")
    parser.add_argument("--keep", nargs="+", default=[], metavar="REGEX", help="names of nodes that are not to be int8")
    parser.add_argument("--cases", type=int, default=3, help="phantoms to score on (%(default)s)")
    parser.add_argument("--first-seed", type=int, default=FIRST_SEED, help="of the phantoms (%(default)s)")
    parser.add_argument("--allowed-loss", type=float, default=0.005, help="of Dice, of any structure (%(default)s)")
    parser.add_argument("--force", action="store_true", help="add what loses more, too")
    options = parser.parse_args(arguments)
    if options.cases < 1:
        raise InputError(f"--cases {options.cases}: at least one phantom is needed to score on")
    bundle = load_bundle(options.bundle)
    check_folder(bundle.folder, "--bundle")
    names = list(dict.fromkeys(options.variant))
    check_variants(bundle, names)
    localizer = None
    if bundle.spec.stage == "segment":
        localizer = load_bundle(options.localizer or bundle.folder.parent / LOCALIZER)
    made = make_variants(bundle, names, localizer, options.calibration, options.keep)
    seeds = range(options.first_seed, options.first_seed + options.cases)
    add_variants(bundle, made, localizer, seeds, allowed_loss=options.allowed_loss, force=options.force)


def _scored_on(seeds: Sequence[int], scan: PhantomOptions, runtime: str) -> str:
    size, spacing = ("x".join(f"{n:g}" for n in triple) for triple in (scan.size, scan.spacing_mm))
    phase = f", {scan.phase.replace('_', ' ')}" if scan.phase else ""
    count = f"{len(seeds)} phantoms" if len(seeds) > 1 else "1 phantom"
    return f"{count} (seeds {seeds[0]} to {seeds[-1]}), {size} voxels of {spacing} mm{phase}, computed by {runtime}"


if __name__ == "__main__":
    sys.exit(run_command(main))
