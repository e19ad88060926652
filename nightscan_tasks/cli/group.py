"""A group of commands that are imported when they are asked for, and errors a person can act on."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import IO, Any

import click
from click.shell_completion import CompletionItem

from nightscan_tasks.cli.colours import critical, painted
from nightscan_tasks.cli.examples import Examples
from nightscan_tasks.errors import NightscanError
from nightscan_tasks.wording import nearest

AS_JSON = "nightscan.json"
"""The key in a context's `meta` that says that standard output is JSON."""
DEBUG = "nightscan.debug"
"""The key that says that an error is shown with its traceback."""
_WHOLE = 120  # the columns of a command's one line of help: never cut


@dataclass(frozen=True)
class Lazy:
    """A command that is not imported yet: its name, one line of help, and its module in this package."""

    name: str
    help: str
    module: str = ""

    def load(self) -> click.Command:
        """The command itself: the object called `command` in its module."""
        module = import_module(f"nightscan_tasks.cli.{self.module or self.name}")
        command: click.Command = module.command
        return command


class Failed(click.ClickException):
    """An error of ours as click shows it: the message on standard error, exit status 1."""

    def __init__(self, error: NightscanError, *, as_json: bool) -> None:
        super().__init__(str(error) or type(error).__name__)
        self._kind = type(error).__name__
        self._as_json = as_json

    def show(self, file: IO[Any] | None = None) -> None:
        """The message, its further lines indented; with `--json` also as JSON on standard output."""
        first, *rest = self.message.splitlines()
        for line in (critical("nightscan:") + f" {first}", *(f"  {line.strip()}" for line in rest)):
            click.echo(painted(line), err=True, file=file, color=self.show_color)
        if self._as_json:
            click.echo(json.dumps({"error": {"kind": self._kind, "message": self.message}}, indent=2))


class Group(Examples, click.Group):
    """Knows its commands' names and help without importing them; turns our errors into messages.

    `lazy` are the commands by the heading that they stand below in `--help`; `examples` as for a command.
    """

    def __init__(self, *args: Any, lazy: Mapping[str, Sequence[Lazy]] | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._sections = lazy or {}
        self._lazy = {each.name: each for section in self._sections.values() for each in section}

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """The order is that of their declaration: what is needed first comes first."""
        return [*self._lazy, *self.commands]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the one that is asked for."""
        lazy = self._lazy.get(cmd_name)
        return lazy.load() if lazy else super().get_command(ctx, cmd_name)

    def resolve_command(self, ctx: click.Context,
                        args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        """A misspelled command names the nearest."""
        if args and not args[0].startswith("-") and args[0] not in self.list_commands(ctx):
            ctx.fail(f"there is no command {args[0]}; {nearest(args[0], self.list_commands(ctx))}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's signature
        """The lists in `--help`, from what is known without an import; all of them with one second column."""
        rows = {heading: [(each.name, each.help) for each in section]
                for heading, section in self._sections.items()}
        if self.commands:
            rows["Commands"] = [(name, command.get_short_help_str(_WHOLE))
                                for name, command in self.commands.items()]
        widest = max((len(name) for section in rows.values() for name, _ in section), default=0)
        for heading, section in rows.items():
            with formatter.section(heading):
                formatter.write_dl([(name.ljust(widest), text) for name, text in section])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem[str]]:
        """Commands and options that begin so, without importing a command."""
        commands = [(each.name, each.help) for each in self._lazy.values()]
        commands += [(name, command.get_short_help_str(_WHOLE)) for name, command in self.commands.items()]
        return [*(CompletionItem(name, help=text) for name, text in commands
                  if name.startswith(incomplete)),
                *click.Command.shell_complete(self, ctx, incomplete)]

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command. Our errors become messages, except with `--debug`."""
        try:
            return super().invoke(ctx)
        except NightscanError as exc:
            if ctx.meta.get(DEBUG):
                raise
            raise Failed(exc, as_json=bool(ctx.meta.get(AS_JSON))) from exc
        finally:
            sys.stdout.flush()
