# SPDX-License-Identifier: Apache-2.0
"""How `--help` looks: plain text that fits any terminal, options in groups, examples that can be copied at the end.

Nothing is drawn around it, so that it reads the same through a pager, in a log, and on a terminal without UTF-8.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Any

from typer.core import TyperCommand, TyperGroup

#: Below so many columns what an option does stands below its name, not beside it.
LEAST_BESIDE = 70

#: Longer names have a line of their own.
NAME_WIDTH = 24

#: Groups of options that several commands have; COMMON is for those that name no group.
INPUT, NETWORKS, OUTPUT, COMMON = "Input", "Networks", "Output", "Common options"

#: The widest help; lines of words that are longer read badly.
SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


def examples(*commands: str) -> str:
    """The epilog of a command: lines to copy, as Markdown has code, for the documentation site shows it too."""
    return "\n".join(("Examples:", "", *(f"    {command}" for command in commands)))


class HelpCommand(TyperCommand):
    """A command whose help is set as this module says. `typer.Option(rich_help_panel=...)` names an option's group."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write arguments, then options group by group: what goes in, what is chosen, what comes out, common ones."""
        groups: dict[str, list[tuple[str, str]]] = {"Arguments": [], INPUT: []}
        parameters: list[Any] = self.get_params(ctx)
        for parameter in parameters:
            record = parameter.get_help_record(ctx)
            if record is None:
                continue
            if parameter.param_type_name == "argument":
                groups["Arguments"].append((parameter.metavar or record[0], record[1].removesuffix("  [required]")))
            else:
                groups.setdefault(parameter.rich_help_panel or COMMON, []).append(record)
        for last in (OUTPUT, COMMON):
            groups[last] = groups.pop(last, [])
        write_groups(formatter, {group: rows for group, rows in groups.items() if rows})

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """Write the examples."""
        write_examples(formatter, self.epilog or "")

    def get_short_help_str(self, limit: int = 1000) -> str:
        """The first sentence, whole, wherever commands are listed."""
        return super().get_short_help_str(1000)

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """What is needed stands as it is, what may be left out in brackets."""
        return [piece.strip("{}") for piece in super().collect_usage_pieces(ctx)]


class HelpGroup(TyperGroup):
    """The command of commands, set in the same way."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the commands, then the options."""
        commands = [self.commands[name] for name in self.list_commands(ctx)]
        records = [parameter.get_help_record(ctx) for parameter in self.get_params(ctx)]
        groups = {
            "Commands": [(command.name or "", command.get_short_help_str()) for command in commands],
            "Options": [record for record in records if record is not None],
        }
        write_groups(formatter, groups)

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """Write the examples."""
        write_examples(formatter, self.epilog or "")


def write_groups(formatter: Any, groups: dict[str, list[tuple[str, str]]]) -> None:
    """Write each group below its name; what options do begins in the same column in all of them, if there is room."""
    beside = formatter.width >= LEAST_BESIDE
    names = [len(name) for rows in groups.values() for name, _ in rows]
    column = max((length for length in names if length <= NAME_WIDTH), default=0) if beside else 0
    for group, rows in groups.items():
        with formatter.section(group):
            if beside:
                formatter.write_dl([(name.ljust(column), text) for name, text in rows], col_max=column)
                continue
            for name, text in rows:
                formatter.write_text(name)
                with formatter.indentation():
                    formatter.write_text(text)


def write_examples(formatter: Any, epilog: str) -> None:
    """Write the lines of `examples`; a long one goes on behind a backslash, so that a shell takes it as it stands."""
    commands = [line.strip() for line in epilog.splitlines() if line.startswith("    ")]
    if not commands:
        return
    with formatter.section("Examples"):
        for command in commands:
            formatter.write("\n".join(_continued(command, formatter.width)) + "\n")


def _continued(command: str, width: int) -> Sequence[str]:
    lines = textwrap.wrap(
        command, width - 2, initial_indent="  ", subsequent_indent="      ", break_long_words=False,
        break_on_hyphens=False,
    )  # fmt: skip
    return [*(f"{line} \\" for line in lines[:-1]), lines[-1]]
