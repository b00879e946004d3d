"""`quant completion`: the script that makes a shell complete our verbs, flags and bots."""

from enum import StrEnum
from typing import Annotated

import typer

from quantcli.cli.output import note


class ShellKind(StrEnum):
    """Shells that have a script."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


_INTO = {
    ShellKind.BASH: "quant completion bash > ~/.local/share/bash-completion/completions/quant",
    ShellKind.ZSH: 'quant completion zsh > "${fpath[1]}/_quant"',
    ShellKind.FISH: "quant completion fish > ~/.config/fish/completions/quant.fish",
}


def command(shell: Annotated[ShellKind, typer.Argument(help="Which shell.")]) -> None:
    """Print the completion script of a shell."""
    import sys

    from typer._completion_shared import get_completion_script

    script = get_completion_script(prog_name="quant", complete_var="_QUANT_COMPLETE", shell=shell.value)
    sys.stdout.write(script + "\n")
    sys.stdout.flush()
    if sys.stdout.isatty():
        note(f"to have it in every new shell: {_INTO[shell]}")
