"""What every command needs: the system, where its result goes, and its exit status."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property, wraps
from typing import Any, NoReturn

import click

from nightscan_tasks import wire
from nightscan_tasks.audit import Doing, acting
from nightscan_tasks.cli import known
from nightscan_tasks.cli.colours import painted
from nightscan_tasks.cli.examples import Examples
from nightscan_tasks.cli.group import AS_JSON
from nightscan_tasks.errors import NightscanError, NotFound
from nightscan_tasks.ledger import Ending, Outcome
from nightscan_tasks.system import System
from nightscan_tasks.wording import nearest

_BEYOND_ASCII = re.compile("[^ -~\n]")


class Exit(IntEnum):
    """The exit status of a command. 2, wrong usage, is click's own."""

    DONE = 0
    FAILED = 1
    DEGRADED = 3


ENDINGS = {Ending.GOOD: Exit.DONE, Ending.DEGRADED: Exit.DEGRADED,
           Ending.INCOMPLETE: Exit.FAILED, Ending.FAILED: Exit.FAILED}


def ended(outcome: Outcome) -> Exit:
    """The exit status of a backup: a good set that is suspicious is a degraded one."""
    status = ENDINGS[outcome.ending]
    return Exit.DEGRADED if status is Exit.DONE and outcome.suspicious else status


@dataclass(frozen=True)
class Session:
    """One command being run."""

    as_json: bool

    @cached_property
    def system(self) -> System:
        """The system that the environment describes."""
        return System.from_env()

    @property
    def watched(self) -> bool:
        """Whether a person sees standard error as it is written."""
        return sys.stderr.isatty()

    def store_name(self, given: str) -> str:
        """The name of a store there is; wrong usage, with the nearest, for another."""
        names = self.system.store_names
        if given not in names:
            raise click.UsageError(f"there is no store {given}; {nearest(given, names)}")
        return given

    def tell(self, line: str) -> None:
        """What happens meanwhile: to standard error, so that results can be piped."""
        click.echo(painted(line), err=True)

    def finish(self, status: int, value: object, lines: Iterable[str]) -> NoReturn:
        """Print the result, as JSON if that was asked for, and end."""
        if self.as_json:
            click.echo(_readable_json(value))
        else:
            for line in lines:
                click.echo(painted(line))
        click.get_current_context().exit(status)
        raise AssertionError  # `exit` raised


def json_command(**options: Any) -> Callable[[Callable[..., Any]], click.Command]:
    """A command with `--json`, whose function is given a session first.

    `options` are click's, and `examples=("nightscan list --json", …)`: whole lines for the end of `--help`,
    at least two. A test has each of them understood by the command that it is an example of.
    """

    def decorate(function: Callable[..., Any]) -> click.Command:
        @wraps(function)
        def run(*args: Any, as_json: bool, **kwargs: Any) -> Any:
            context = click.get_current_context()
            context.meta[AS_JSON] = as_json
            with acting(Doing(context.command_path)):  # without its arguments, which may be secret
                try:
                    return function(Session(as_json), *args, **kwargs)
                except NotFound as exc:
                    raise _with_nearest(exc, kwargs.get("set_id"), kwargs.get("run_id")) from exc

        with_json = click.option("--json", "as_json", is_flag=True,
                                 help="Print the result as JSON, and nothing else on standard output.")
        made: click.Command = click.command(**{"cls": Examples, **options})(with_json(run))
        return made

    return decorate


def _with_nearest(error: NotFound, set_id: object, run_id: object) -> NotFound:
    """The same, with the set or the restore that was meant, if there is one that is nearly called so."""
    near = known.near_set(str(set_id)) if set_id else known.near_restore(str(run_id)) if run_id else ""
    return NotFound(f"{error}\ndid you mean {near}?") if near else error


def _readable_json(value: object) -> str:
    """Letters of every language as they are; what a terminal would obey as JSON escapes it."""
    text = json.dumps(jsonable(value), indent=2, ensure_ascii=False)
    return _BEYOND_ASCII.sub(lambda found: found[0] if found[0].isprintable() else json.dumps(found[0])[1:-1],
                             text)


def jsonable(value: object) -> Any:
    """A value as JSON: dicts and lists stay, everything else as it is on the wire."""
    if isinstance(value, dict):
        return {str(key): jsonable(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [jsonable(each) for each in value]
    return value if value is None or isinstance(value, (str, int, float, bool)) else wire.plain(value)


def interrupted(what: str, advice: str) -> NightscanError:
    """What is said when a person stops watching: the work goes on."""
    return NightscanError(f"stopped watching; {what} goes on without you\n{advice}")
