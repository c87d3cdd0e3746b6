# SPDX-License-Identifier: Apache-2.0
"""A comparison as Markdown and CSV: ours with its budget, and what the papers print beside it, labelled as theirs."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from math import inf, isnan, nan
from pathlib import Path

from liver_seg_ros.atomic import written_beside
from liver_seg_ros.evaluation.case_scores import ALL
from liver_seg_ros.machine import machine
from liver_seg_ros.networks import NETWORKS
from liver_seg_ros.training.comparison import AVERAGE_PRECISION, Budget, Run, Spread, spread
from liver_seg_ros.training.printed import Cost, Published
from liver_seg_ros.training.published import costs_of, published_of
from liver_seg_ros.training.recipe import Recipe

COLUMNS = ("recipe", "seed", "structure", "metric", "value")

#: What tables always show, and what where it was measured; besides them all that the networks' papers print.
SHOWN = ("dice", "iou")
WHERE_MEASURED = (AVERAGE_PRECISION, "hd95_mm", "assd_mm", "surface_dice")
#: Metric -> head of its table, where its name alone does not say it.
_TITLES = {
    "dice": "Dice",
    "iou": "IoU",
    "volume_similarity": "volume similarity, 0 for equal volumes",
    "recall": "recall (sensitivity)",
    "mcc": "Matthews correlation coefficient",
    "hd95_mm": "HD95, mm",
    "assd_mm": "ASSD, mm",
    "surface_dice": "surface Dice",
    AVERAGE_PRECISION: "average precision, over the voxels of all cases",
}


def write_comparison_csv(path: Path, runs: Iterable[Run]) -> None:
    """One row for each figure of each training; the value is empty where a metric has none."""
    with written_beside(path) as beside, beside.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for run in runs:
            for structure, metrics in run.scores.items():
                for metric, value in metrics.items():
                    writer.writerow((run.variant, run.seed, structure, metric, "" if isnan(value) else repr(value)))


def write_comparison_markdown(
    path: Path,
    title: str,
    recipes: Mapping[str, Recipe],
    runs: Sequence[Run],
    budget: Budget,
    part: str,
    pictures: Mapping[str, str] | None = None,
) -> None:
    """See `comparison_in_words`."""
    with written_beside(path) as beside:
        beside.write_text(comparison_in_words(title, recipes, runs, budget, part, pictures), encoding="utf-8")


def comparison_in_words(
    title: str,
    recipes: Mapping[str, Recipe],
    runs: Sequence[Run],
    budget: Budget,
    part: str,
    pictures: Mapping[str, str] | None = None,
) -> str:
    """The page: budget, a table for each metric, times and sizes, pictures, and the papers' figures.

    Args:
        title: of the page.
        recipes: by name, in the order of the tables' rows.
        runs: what came of them.
        budget: what each training got.
        part: of the split, that was judged on.
        pictures: name of a file beside the page -> what it shows.
    """
    names = [str(recipe.network["name"]) for recipe in recipes.values()]
    theirs = [*dict.fromkeys(figure for name in names for figure in published_of(name))]
    costs = [*dict.fromkeys(cost for name in names for cost in costs_of(name))]
    lines = [f"# {title}", "", *_budget_in_words(recipes, runs, budget, part), ""]
    for metric in dict.fromkeys((*SHOWN, *(figure.metric for figure in theirs), *WHERE_MEASURED)):
        lines += _metric(metric, recipes, runs)
    lines += _sizes(recipes, runs)
    for file, shows in (pictures or {}).items():
        lines += ["", f"## {shows}", "", f"![{shows}]({file})"]
    if theirs:
        lines += ["", *_published(theirs)]
    if costs:
        lines += ["", *_costs(costs)]
    return "\n".join(lines) + "\n"


def _budget_in_words(recipes: Mapping[str, Recipe], runs: Sequence[Run], budget: Budget, part: str) -> list[str]:
    seeds = ", ".join(map(str, budget.seeds))
    limit = "" if budget.max_minutes == inf else f", at most {budget.max_minutes:g} minutes each"
    sources = list(dict.fromkeys(run.checkpoint.source.partition("; taught by")[0] for run in runs))
    return [
        f"Every network was trained with the seeds {seeds}{limit}, and its last weights judged on the part '{part}'. "
        "This says how these networks do under this budget on this data, and nothing about any of them beyond it.",
        "",
        *(f"- Trained on {source}." for source in sources),
        *(
            f"- {name}: {budget.steps or r.optimization.steps} steps of {r.optimization.batch} patches of"
            f" {' x '.join(map(str, r.optimization.patch))} voxels, loss `{r.loss['name']}`, "
            f"{r.optimization.optimizer}, {r.optimization.schedule}."
            for name, r in recipes.items()
        ),
    ]


def _metric(metric: str, recipes: Mapping[str, Recipe], runs: Sequence[Run]) -> list[str]:
    """A table with a column for each structure that has the metric; none where no structure has it."""
    columns = {s: (s, metric) for s in dict.fromkeys(s for run in runs for s in run.scores if metric in run.scores[s])}
    if not columns:
        return []
    if metric == "iou" and any("mean_iou" in run.scores.get(ALL, {}) for run in runs):
        columns["mean of a case"] = (ALL, "mean_iou")
    over_cases = "" if metric == AVERAGE_PRECISION else ", mean over the cases"
    lines = [f"## {_TITLES.get(metric, metric)}{over_cases}; mean ± SD over the seeds", ""]
    lines += [_row("recipe", *columns), _row(*["---"] * (len(columns) + 1))]
    for name in recipes:
        own = _of(runs, name)
        figures = (spread([run.scores.get(s, {}).get(m, nan) for run in own]) for s, m in columns.values())
        lines.append(_row(name, *(_shown(figure, len(own)) for figure in figures)))
    return [*lines, ""]


def _sizes(recipes: Mapping[str, Recipe], runs: Sequence[Run]) -> list[str]:
    times = ("training, s", "training, CPU s", "a case, CPU s")
    heads = ("recipe", "network", "parameters", "printed", "checkpoint, MB", *times)
    lines = [
        "## Sizes and times",
        "",
        f"Judged on: {machine()}. Where a training was done before, its time is that of the machine that did it.",
        "A checkpoint holds the optimizer's state beside the weights. Parameters as printed are of the network's full "
        "width.",
        "",
        _row(*heads),
        _row(*["---"] * len(heads)),
    ]
    for name, recipe in recipes.items():
        own = _of(runs, name)
        options = ", ".join(f"{key} {value}" for key, value in recipe.network.items() if key != "name")
        network = f"`{recipe.network['name']}`" + (f" ({options})" if options else "")
        printed = NETWORKS[recipe.network["name"]].parameters_published
        checkpoints = [run.checkpoint for run in own]
        lines.append(
            _row(
                *(name, network, f"{own[0].parameters:,}", "" if printed is None else f"{printed:,}"),
                _mean([run.file_mb for run in own], 1),
                _mean([checkpoint.seconds for checkpoint in checkpoints], 0),
                _mean([checkpoint.cpu_seconds for checkpoint in checkpoints if checkpoint.cpu_seconds > 0], 0),
                _mean([run.case_cpu_s for run in own], 2),
            )
        )
    return lines


def _published(figures: Sequence[Published]) -> list[str]:
    lines = [
        "## What the papers print",
        "",
        "Theirs, on their data, with their training: to be read beside ours, and not as if they were alike.",
        "",
        _row("network", "structure", "metric", "published", "data", "where"),
        _row(*["---"] * 6),
    ]
    for figure in figures:
        value = f"{figure.value:g}" + ("" if figure.deviation is None else f" ± {figure.deviation:g} (over cases)")
        metric = figure.metric + (f" (as {figure.word})" if figure.word else "")
        place = f"{figure.paper}, {figure.table}"
        lines.append(_row(f"`{figure.network}`", figure.structure, metric, value, figure.data, place))
    return lines


def _costs(costs: Sequence[Cost]) -> list[str]:
    lines = ["### Times and sizes", "", _row("network", "what", "published", "where"), _row(*["---"] * 4)]
    for cost in costs:
        value = f"{cost.value:,} {cost.unit}".rstrip()
        lines.append(_row(f"`{cost.network}`", cost.what, value, f"{cost.paper}, {cost.table}"))
    return lines


def _of(runs: Sequence[Run], name: str) -> list[Run]:
    return [run for run in runs if run.variant == name]


def _mean(values: Sequence[float], digits: int) -> str:
    return f"{spread(values).mean:.{digits}f}" if values else ""


def _shown(figure: Spread, trainings: int) -> str:
    """With how many of the trainings have a value, where not all have."""
    if figure.count == 0:
        return "none"
    known = "" if figure.count == trainings else f" ({figure.count} of {trainings})"
    return f"{figure.mean:.3f}" + ("" if isnan(figure.deviation) else f" ± {figure.deviation:.3f}") + known


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"
