# SPDX-License-Identifier: Apache-2.0
"""A comparison as Markdown and CSV: ours with its budget, and what the papers print beside it, labelled as theirs."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from math import inf, isnan, nan
from pathlib import Path

from liver_seg_ros.atomic import written_beside
from liver_seg_ros.training.comparison import Budget, Run, Spread, spread
from liver_seg_ros.training.published import Published, published_of
from liver_seg_ros.training.recipe import Recipe

COLUMNS = ("recipe", "seed", "structure", "metric", "value")
#: What the tables show; the CSV has all.
SHOWN = ("dice", "iou")


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
    path: Path, title: str, recipes: Mapping[str, Recipe], runs: Sequence[Run], budget: Budget, part: str
) -> None:
    """See `comparison_in_words`."""
    with written_beside(path) as beside:
        beside.write_text(comparison_in_words(title, recipes, runs, budget, part), encoding="utf-8")


def comparison_in_words(
    title: str, recipes: Mapping[str, Recipe], runs: Sequence[Run], budget: Budget, part: str
) -> str:
    """The page: budget, a table for each metric of `SHOWN`, the networks' sizes, and the papers' figures."""
    structures = list(dict.fromkeys(s for run in runs for s in run.scores if "dice" in run.scores[s]))
    lines = [f"# {title}", "", *_budget_in_words(recipes, runs, budget, part), ""]
    for metric in SHOWN:
        lines += [f"## {metric}, mean over the cases; mean ± SD over the seeds", "", _row("recipe", *structures)]
        lines += [_row(*("---" for _ in range(len(structures) + 1)))]
        for name in recipes:
            lines.append(_row(name, *(_shown(_figure(_of(runs, name), s, metric)) for s in structures)))
        lines.append("")
    lines += _sizes(recipes, runs)
    theirs = [figure for name in recipes for figure in published_of(str(recipes[name].network["name"]))]
    if theirs:
        lines += ["", *_published(list(dict.fromkeys(theirs)))]
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


def _sizes(recipes: Mapping[str, Recipe], runs: Sequence[Run]) -> list[str]:
    lines = ["## Sizes", "", _row("recipe", "network", "parameters", "CPU seconds of a training")]
    lines.append(_row("---", "---", "---", "---"))
    for name, recipe in recipes.items():
        own = _of(runs, name)
        options = ", ".join(f"{key} {value}" for key, value in recipe.network.items() if key != "name")
        network = f"`{recipe.network['name']}`" + (f" ({options})" if options else "")
        cpu = spread([run.cpu_s for run in own if run.cpu_s > 0])
        lines.append(_row(name, network, f"{own[0].parameters:,}", "" if cpu.count == 0 else f"{cpu.mean:.0f}"))
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
        place = f"{figure.paper}, {figure.table}"
        lines.append(_row(f"`{figure.network}`", figure.structure, figure.metric, value, figure.data, place))
    return lines


def _figure(runs: Sequence[Run], structure: str, metric: str) -> Spread:
    return spread([run.scores.get(structure, {}).get(metric, nan) for run in runs])


def _of(runs: Sequence[Run], name: str) -> list[Run]:
    return [run for run in runs if run.variant == name]


def _shown(figure: Spread) -> str:
    if figure.count == 0:
        return "none"
    return f"{figure.mean:.3f}" + ("" if isnan(figure.deviation) else f" ± {figure.deviation:.3f}")


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"
