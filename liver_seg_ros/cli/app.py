# SPDX-License-Identifier: Apache-2.0
"""The commands of `liver-seg`, and how each end becomes an exit code (see `main.py`) and one line.

Command modules import what is heavy inside their function, so that `--help` and a mistyped option answer at once.
"""

from __future__ import annotations

import json
import traceback
from collections.abc import Sequence
from contextlib import suppress
from typing import Annotated

import typer

from liver_seg_ros import __version__
from liver_seg_ros.cli import (
    build,
    cohort,
    compare,
    couinaud,
    data,
    doctor,
    evaluate,
    export,
    import_,
    info,
    measure,
    phantom,
    plan,
    query,
    receive,
    reconstruct,
    record,
    register,
    render,
    replay,
    retrieve,
    segment,
    send,
    territories,
    train,
    veins,
)
from liver_seg_ros.cli.completion import CompletingGroup
from liver_seg_ros.cli.help import SETTINGS, HelpCommand, examples
from liver_seg_ros.errors import InputError, WriteError, memory_message
from liver_seg_ros.extras import missing_extra

OK, FAILED, BAD_INPUT = 0, 1, 2

app = typer.Typer(
    name="liver-seg",
    help="From a CT of the liver to labels, meshes and pictures. Not for clinical use.",
    cls=CompletingGroup,
    rich_markup_mode=None,
    context_settings=SETTINGS,
    epilog=examples(
        "liver-seg phantom -o case --seed 7",
        "liver-seg segment case/ct.nii.gz -o found",
        "liver-seg reconstruct found/labels.nii.gz --ct case/ct.nii.gz -o meshes --html",
        "liver-seg segment --help",
    ),
)
for _module in (
    segment,
    measure,
    reconstruct,
    plan,
    veins,
    territories,
    couinaud,
    register,
    render,
    export,
    receive,
    query,
    retrieve,
    send,
    evaluate,
    train,
    compare,
    info,
    doctor,
    build,
    cohort,
    phantom,
    data,
    import_,
    record,
    replay,
):
    app.command(
        name=_module.__name__.rpartition(".")[2].rstrip("_"),
        cls=HelpCommand,
        context_settings=SETTINGS,
        epilog=examples(*_module.EXAMPLES),
    )(_module.command)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"liver-seg {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _options(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    """What comes before the command's name. Without one: the help, and the exit code of wrong usage."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help(), err=True)
        raise typer.Exit(BAD_INPUT)


def run_app(arguments: Sequence[str]) -> int:
    """Run one command line (without the program's name); returns the exit code. Errors become one line on stderr."""
    try:
        return app(args=list(arguments), prog_name="liver-seg", standalone_mode=False) or OK
    except typer.TyperException as error:  # a wrong option, argument or command
        return _fail(arguments, BAD_INPUT, f"{error.format_message()} (see {_command_of(error)} --help)")
    except InputError as error:
        return _fail(arguments, BAD_INPUT, str(error))
    except WriteError as error:
        return _fail(arguments, FAILED, str(error))
    except ModuleNotFoundError as error:
        without = missing_extra(error)
        return _fail(arguments, BAD_INPUT, str(without)) if without else _fail(arguments, FAILED, _bug(error))
    except MemoryError as error:
        return _fail(arguments, FAILED, memory_message(error))
    except Exception as error:  # noqa: BLE001  the last door: a bug or the machine's fault, and it says so in one line
        return _fail(arguments, FAILED, _bug(error))


def _bug(error: Exception) -> str:
    return f"{type(error).__name__}: {error} (run again with --debug for the traceback)"


def _command_of(error: typer.TyperException) -> str:
    """The command that was used in a wrong way, as far as it is known."""
    context = getattr(error, "ctx", None)
    return "liver-seg" if context is None else context.command_path


def _fail(arguments: Sequence[str], exit_code: int, message: str) -> int:
    """Report the exception being handled; with --json also as the one object on stdout that a reader waits for."""
    if "--debug" in arguments:
        traceback.print_exc()
    line = " ".join(message.split())
    typer.echo(f"liver-seg: {line}", err=True)
    if "--json" in arguments:
        with suppress(OSError):  # where it is stdout that cannot be written, it has been said
            typer.echo(json.dumps({"error": line, "exit_code": exit_code}))
    return exit_code
