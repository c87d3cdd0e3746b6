"""The command `liver-seg`: its commands, and how each way of ending becomes an exit code and one line.

Exit codes: 0 done; 2 bad input or usage; 1 anything else, `segment` finding no liver included; 130 interrupted.

Command modules import what is heavy inside their function, so that `--help` and a mistyped option answer at once.
"""

from __future__ import annotations

import io
import json
import os
import signal
import sys
import threading
import traceback
from collections.abc import Sequence
from typing import Annotated

import typer

from liver_seg_ros import __version__
from liver_seg_ros.cli import build, info, measure, phantom, plan, reconstruct, render, segment
from liver_seg_ros.cli.logs import show_logs
from liver_seg_ros.errors import InputError, memory_message

OK, FAILED, BAD_INPUT, INTERRUPTED = 0, 1, 2, 130

_interrupted = threading.Event()

app = typer.Typer(
    name="liver-seg",
    help="From a CT of the liver to labels, meshes and pictures. Not for clinical use.",
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for _module in (phantom, segment, reconstruct, measure, plan, render, build, info):
    app.command(name=_module.__name__.rpartition(".")[2])(_module.command)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"liver-seg {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    """What comes before the command's name."""


def run(arguments: Sequence[str]) -> int:
    """Run one command line (without the program's name); returns the exit code. Errors become one line on stderr."""
    try:
        exit_code = app(args=list(arguments), prog_name="liver-seg", standalone_mode=False) or OK
    except typer.TyperException as error:  # a wrong option, argument or command
        return _fail(arguments, BAD_INPUT, f"{error.format_message()} (see liver-seg --help)")
    except InputError as error:
        return _fail(arguments, BAD_INPUT, str(error))
    except MemoryError as error:
        return _fail(arguments, FAILED, memory_message(error))
    except Exception as error:  # noqa: BLE001  the last door: a bug or the machine's fault, and it says so in one line
        if _interrupted.is_set():
            return INTERRUPTED
        return _fail(arguments, FAILED, f"{type(error).__name__}: {error} (run again with --debug for the traceback)")
    return INTERRUPTED if _interrupted.is_set() else exit_code


def main() -> None:
    """The console script's entry point."""
    show_logs()
    for stream in (sys.stdout, sys.stderr):  # a name that the terminal cannot show ends no command
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    signal.signal(signal.SIGINT, _on_interrupt)
    exit_code = run(sys.argv[1:])
    if exit_code == INTERRUPTED:
        typer.echo("liver-seg: interrupted", err=True)
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(INTERRUPTED)  # the interpreter's own way out waits for threads and may answer with another code
    sys.exit(exit_code)


def _on_interrupt(signal_number: int, frame: object) -> None:
    """Ctrl-C: remembered, because an extension module in the middle of its import may swallow the exception."""
    _interrupted.set()
    raise KeyboardInterrupt


def _fail(arguments: Sequence[str], exit_code: int, message: str) -> int:
    """Report the exception being handled; with --json also as the one object on stdout that a reader waits for."""
    if "--debug" in arguments:
        traceback.print_exc()
    line = " ".join(message.split())
    typer.echo(f"liver-seg: {line}", err=True)
    if "--json" in arguments:
        typer.echo(json.dumps({"error": line, "exit_code": exit_code}))
    return exit_code


if __name__ == "__main__":
    main()
