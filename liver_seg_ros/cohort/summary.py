# SPDX-License-Identifier: Apache-2.0
"""The page of a cohort: what came of it, how its figures are spread, and the cases to look at first."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from html import escape
from math import inf
from pathlib import Path

from liver_seg_ros import __version__
from liver_seg_ros.atomic import written_beside
from liver_seg_ros.cohort.rows import FAILED, FOUND, NO_LIVER, Row
from liver_seg_ros.cohort.run import CASES
from liver_seg_ros.cohort.work import LABELS
from liver_seg_ros.errors import InputError
from liver_seg_ros.files.volumes import read_labels, read_volume
from liver_seg_ros.labels import SEGMENTED
from liver_seg_ros.rendering.contact_sheet import contact_sheet
from liver_seg_ros.volume import LabelVolume, Volume

PAGE, PICTURE = "index.html", "worst.png"
#: How many cases are shown as pictures.
MOST_PICTURES = 8

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #1d2733; max-width: 76rem; margin: 2rem auto; padding: 0 1rem }
table { border-collapse: collapse } td, th { padding: .2rem .8rem .2rem 0; text-align: left; vertical-align: top }
th { border-bottom: 1px solid #c4ccd4 } img { max-width: 100% } .number { text-align: right }
"""


def read_ct(row: Row) -> Volume:
    """The CT of a row, where files are the cases."""
    return read_volume(row["ct"])


def worst_first(rows: Sequence[Row]) -> list[Row]:
    """The cases with a result, those to look at first in front.

    First those without a liver, then by the smallest Dice where the truth is known, then by the number of doubts.
    """

    def rank(row: Row) -> tuple[bool, float, int, str]:
        scores = [row[name] for name in row if name.startswith("dice_") and row[name] is not None]
        return row["status"] != NO_LIVER, min(scores, default=inf), -(row.get("doubts") or 0), row["case"]

    return sorted((row for row in rows if row["status"] != FAILED), key=rank)


def write_summary(
    folder: Path, source: Path, rows: Sequence[Row], results: Path, read_ct: Callable[[Row], Volume] = read_ct
) -> list[str]:
    """Write the page, and beside it a picture of the cases to look at first.

    Args:
        folder: to write into.
        source: what was worked on; its name is the page's title.
        rows: of all cases.
        results: the cohort's folder, which has the labels.
        read_ct: gives the CT of a row.

    Returns:
        The names of the files.
    """
    shown = worst_first(rows)[:MOST_PICTURES]
    pictured = _write_picture(folder, shown, results, read_ct)
    with written_beside(folder / PAGE) as beside:
        beside.write_text(_page(source, rows, pictured), encoding="utf-8")
    return [PAGE, *([PICTURE] if pictured else [])]


def _write_picture(folder: Path, rows: Sequence[Row], results: Path, read_ct: Callable[[Row], Volume]) -> bool:
    if not rows:
        return False
    try:
        with written_beside(folder / PICTURE) as beside:
            contact_sheet(_volumes(results, rows, read_ct), [_title(row) for row in rows], beside)
    except InputError:
        return False  # a CT that was there when it was worked on is gone: the page says all that it can
    return True


def _volumes(
    results: Path, rows: Sequence[Row], read_ct: Callable[[Row], Volume]
) -> Iterator[tuple[Volume, LabelVolume]]:
    for row in rows:
        yield read_ct(row), read_labels(results / CASES / row["case"] / LABELS)


def _title(row: Row) -> str:
    dice = [f"{of.name} {row[f'dice_{of.name}']:.2f}" for of in SEGMENTED if row.get(f"dice_{of.name}") is not None]
    return ", ".join([row["case"], *(dice or [row["status"]])])


def _page(source: Path, rows: Sequence[Row], pictured: bool) -> str:
    counts = {status: sum(row["status"] == status for row in rows) for status in (FOUND, NO_LIVER, FAILED)}
    synthetic = sum(bool(row.get("synthetic")) for row in rows)
    said = ", ".join(f"{count} {status}" for status, count in counts.items() if count)
    parts = [
        f"<h1>{escape(source.name)}</h1>",
        f"<p>{len(rows)} CTs: {said}. {f'{synthetic} of them are synthetic. ' if synthetic else ''}"
        f"liver_seg_ros {__version__}. Not for clinical use.</p>",
        _figures(rows),
    ]
    if pictured:
        parts += [
            "<h2>To look at first</h2>",
            "<p>No liver, then the smallest Dice where the truth is known, then the most doubts.</p>",
            f'<img src="{PICTURE}" alt="one slice of each case, through its largest tumor or its liver">',
        ]
    failed = [row for row in rows if row["status"] == FAILED]
    if failed:
        parts += ["<h2>Failed</h2>", _table(["case", "message"], [[row["case"], row["message"]] for row in failed])]
    head = "<meta name=viewport content='width=device-width'>"
    return (
        f"<!doctype html><html lang=en><meta charset=utf-8>{head}<title>{escape(source.name)}</title>"
        f"<style>{_STYLE}</style><body>{''.join(parts)}</body></html>\n"
    )


def _figures(rows: Sequence[Row]) -> str:
    """Histograms, a column each; what no case has is left out."""
    from plotly import graph_objects as go
    from plotly.io import to_html
    from plotly.subplots import make_subplots

    wanted = [
        *((f"{of.name}_ml", f"{of.name}, ml") for of in SEGMENTED),
        ("lesions", "lesions"),
        *((f"dice_{of.name}", f"Dice of the {of.name}") for of in SEGMENTED),
        ("doubts", "doubts"),
        ("seconds", "seconds"),
    ]
    values = {title: [row[name] for row in rows if row.get(name) is not None] for name, title in wanted}
    values = {title: numbers for title, numbers in values.items() if numbers}
    if not values:
        return ""
    columns = 4
    figure = make_subplots(-(-len(values) // columns), columns, subplot_titles=list(values))
    for place, numbers in enumerate(values.values()):
        histogram = go.Histogram(x=numbers, marker_color="#3d6f9e", nbinsx=30)
        figure.add_trace(histogram, row=place // columns + 1, col=place % columns + 1)
    figure.update_layout(
        height=260 * -(-len(values) // columns),
        showlegend=False,
        margin={"l": 40, "r": 20, "t": 40, "b": 30},
        bargap=0.05,
    )
    config = {"displayModeBar": False}
    return f"<h2>Cases by figure</h2>{to_html(figure, full_html=False, include_plotlyjs=True, config=config)}"


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    cells = "".join(f"<tr>{''.join(f'<td>{escape(str(cell))}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table><tr>{''.join(f'<th>{escape(head)}</th>' for head in heads)}</tr>{cells}</table>"
