"""What a person may give on the command line; a misspelled one names the nearest."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TypeVar

import click
from click.shell_completion import CompletionItem

from nightscan_tasks.cli import completing, known
from nightscan_tasks.model import COMPONENTS, SetId, Tier
from nightscan_tasks.wording import nearest

F = TypeVar("F", bound=Callable[..., Any])


class Word(click.ParamType):  # type: ignore[type-arg]  # generic since click 8.4 only
    """One of a few words. `-` and `_` are the same in them."""

    def __init__(self, noun: str, known: tuple[str, ...]) -> None:
        self.name = noun
        self._known = known

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The word as the program spells it."""
        word = str(value).replace("-", "_").lower()
        if word not in self._known:
            self.fail(f"there is no {self.name} {value}; {nearest(word, self._known)}", param, ctx)
        return word

    def shell_complete(self, ctx: click.Context, param: click.Parameter,  # noqa: ARG002 - click's signature
                       incomplete: str) -> list[CompletionItem[str]]:
        """The words that begin so."""
        return completing.words(self._known, incomplete)

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str | None:  # noqa: ARG002 - click's signature
        """In the usage line: `TIER`."""
        return self.name.upper()


class SetIdType(click.ParamType):  # type: ignore[type-arg]  # generic since click 8.4 only
    """A set's id."""

    name = "set id"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> SetId:
        """`daily/20261123T020000Z` as a value."""
        try:
            return value if isinstance(value, SetId) else SetId.parse(str(value))
        except ValueError as exc:
            near = known.near_set(str(value))
            self.fail(f"{exc}{f'; did you mean {near}?' if near else ''}", param, ctx)

    def shell_complete(self, ctx: click.Context, param: click.Parameter,  # noqa: ARG002 - click's signature
                       incomplete: str) -> list[CompletionItem[str]]:
        """The sets there are, the newest first."""
        return completing.set_ids(incomplete)


class Moment(click.ParamType):  # type: ignore[type-arg]  # generic since click 8.4 only
    """A moment, in UTC unless it says otherwise."""

    name = "moment"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """`2026-11-23`, `2026-11-23T02:00`, `2026-11-23 02:00+01:00` as an aware moment."""
        try:
            moment = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
        except ValueError:
            self.fail(f"not a moment: {value!r}; for example 2026-11-23T02:00, which is UTC, or "
                      f"2026-11-23T02:00+01:00", param, ctx)
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


class Size(click.ParamType):  # type: ignore[type-arg]  # generic since click 8.4 only
    """A number of bytes."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """`250MB`, `1.5GiB`, `4096` in bytes."""
        from nightscan_tasks.world.sample import parse_size  # late: only a world has a size

        try:
            return value if isinstance(value, int) else parse_size(str(value))
        except ValueError as exc:
            self.fail(str(exc), param, ctx)


TIER = Word("tier", tuple(tier.value for tier in Tier))
COMPONENT = Word("component", COMPONENTS)
SET_ID = SetIdType()
MOMENT = Moment()
SIZE = Size()


def local_option(command: F) -> F:
    """`--local`."""
    return click.option("--local", is_flag=True,
                        help="Do it in this process: needs no broker and no worker.")(command)


def unsigned_option(command: F) -> F:
    """`--unsigned`."""
    return click.option("--unsigned", is_flag=True,
                        help="Use a set that nobody trusted signed: you answer for what is in it.")(command)


def store_option(text: str) -> Callable[[F], F]:
    """`--store NAME`, and its help."""
    return click.option("--store", metavar="NAME", help=text, shell_complete=completing.stores)
