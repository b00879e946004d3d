"""A verb with subcommands that means `list` when none is named."""

from typing import Any

import typer
from typer.core import TyperGroup


class ListByDefault(TyperGroup):
    """A group that means `list` when no subcommand is named."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put `list` before options that stand where a subcommand would."""
        names_none = not args or (args[0].startswith("-") and args[0] != "--help")
        if names_none and not ctx.resilient_parsing:  # a shell that completes wants to know of all
            args = ["list", *args]
        return super().parse_args(ctx, args)


def listing(summary: str) -> typer.Typer:
    """A group whose `list` may be left out."""
    return typer.Typer(
        cls=ListByDefault,
        help=f"{summary}; without a subcommand, the list.",
        rich_markup_mode=None,
        add_completion=False,
    )
