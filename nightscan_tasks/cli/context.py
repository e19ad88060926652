"""One command as click runs it: whether it is coloured, and how its help is set."""

from __future__ import annotations

from typing import Any

import click

from nightscan_tasks.cli.colours import When, painted, wanted
from nightscan_tasks.cli.colours import heading as bold


class Formatter(click.HelpFormatter):
    """Headings are bold, where there are colours."""

    def write_heading(self, heading: str) -> None:
        """`Options:`."""
        self.write(f"{'':>{self.current_indent}}{painted(bold(heading + ':'))}\n")


class Context(click.Context):
    """Knows of the environment, and of `celery --no-color`, from the start: `--help` is an option too."""

    formatter_class = Formatter

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        if self.color is None:
            self.colour("auto")

    def colour(self, when: When) -> None:
        """Have colours as `--color` says."""
        self.color = wanted(when)
        if self.color is None and getattr(self.obj, "no_color", False):
            self.color = False


def colour_option(context: click.Context, _option: click.Parameter, when: When) -> None:
    """The callback of `--color`."""
    if isinstance(context, Context) and when != "auto":
        context.colour(when)
