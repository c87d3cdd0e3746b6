# SPDX-License-Identifier: Apache-2.0
"""What a shell offers at TAB: typer's scripts, and what the one for zsh lacks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from liver_seg_ros.cli.help import HelpGroup

#: zsh loads the script at the first TAB of a session, as a function that is to complete; typer's gets ready.
ZSH_AT_ONCE = '[[ $zsh_eval_context[-1] == loadautofunc ]] && _liver_seg_completion "$@"'


class CompletingGroup(HelpGroup):
    """The command of commands; what it installs for zsh completes at the first TAB too."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """As typer does it, which ends the process where completion was installed."""
        try:
            return super().parse_args(ctx, args)
        except SystemExit:
            complete_at_once(Path("~/.zfunc/_liver-seg").expanduser())
            raise


def complete_at_once(script: Path) -> None:
    """Add the line to the script, where there is one without it."""
    if script.is_file() and ZSH_AT_ONCE not in script.read_text(encoding="utf-8"):
        with script.open("a", encoding="utf-8") as file:
            file.write(f"\n{ZSH_AT_ONCE}\n")
