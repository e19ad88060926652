"""Examples at the end of `--help`: whole commands, one a line, so that they can be copied."""

from __future__ import annotations

from typing import Any

import click

from nightscan_tasks.cli.context import Context


class Examples(click.Command):
    """A command whose `--help` ends with examples. Each is a whole line, as it is typed: `nightscan list`."""

    context_class = Context

    def __init__(self, *args: Any, examples: tuple[str, ...] = (), **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.examples = examples

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The examples, unwrapped however narrow the terminal is; then whatever else there is to say."""
        if self.examples:
            with formatter.section("Examples"):
                indent = " " * formatter.current_indent
                formatter.write("".join(f"{indent}{each}\n" for each in self.examples))
        super().format_epilog(ctx, formatter)
