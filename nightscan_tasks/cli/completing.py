"""What may be typed next, for the shells that ask: bash, zsh and fish.

The shell's script runs the program with `_NIGHTSCAN_COMPLETE` set, which is click's way; commands, options
and fixed words are known from the program itself, and the rest from `known`. Nothing is ever printed but
what may follow: `quietly` sees to that.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

import click
from click.shell_completion import (
    BashComplete,
    CompletionItem,
    FishComplete,
    ShellComplete,
    ZshComplete,
    add_completion_class,
)

from nightscan_tasks.cli import known
from nightscan_tasks.wording import ago

VARIABLE = "_NIGHTSCAN_COMPLETE"
SHELLS = ("bash", "zsh", "fish")
_MOST_SETS = 50


def quietly() -> None:
    """Where a shell asks: no warning and no error reaches the terminal, on which somebody is typing."""
    if os.environ.get(VARIABLE, "").endswith("_complete"):
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        for each in (Bash, Zsh, Fish):
            add_completion_class(each)


def script(shell: str, program: click.Command) -> str:
    """What the shell has to read."""
    kinds: dict[str, type[ShellComplete]] = {"bash": BashComplete, "zsh": ZshComplete, "fish": FishComplete}
    return kinds[shell](program, {}, "nightscan", VARIABLE).source()


def words(known_words: Iterable[str], incomplete: str) -> list[CompletionItem[str]]:
    """Those that begin with what is typed; `-` and `_` are the same."""
    typed = incomplete.replace("-", "_").lower()
    return [CompletionItem(word) for word in known_words if word.startswith(typed)]


def stores(_context: click.Context, _parameter: click.Parameter,
           incomplete: str) -> list[CompletionItem[str]]:
    """The names of stores; where a path begins, files."""
    if incomplete.startswith(("/", ".")):
        return [CompletionItem(incomplete, type="dir")]
    return _beginning(known.stores(), incomplete)


def restores(_context: click.Context, _parameter: click.Parameter,
             incomplete: str) -> list[CompletionItem[str]]:
    """The ids of restores."""
    return _beginning(known.restores(), incomplete)


def channels(_context: click.Context, _parameter: click.Parameter,
             incomplete: str) -> list[CompletionItem[str]]:
    """The names of those who are told of trouble."""
    return _beginning(known.channels(), incomplete)


def set_ids(incomplete: str) -> list[CompletionItem[str]]:
    """The ids of sets, the newest first, each with its age; of very many those alone."""
    now = datetime.now(UTC)
    found = [each for each in known.set_ids() if each.startswith(incomplete)]
    return [CompletionItem(each, help=ago(_taken_at(each), now)) for each in found[:_MOST_SETS]]


def _taken_at(set_id: str) -> datetime:
    from nightscan_tasks.model import SetId  # late: pydantic comes with it

    return SetId.parse(set_id).taken_at


def _beginning(names: Sequence[str], incomplete: str) -> list[CompletionItem[str]]:
    return [CompletionItem(name) for name in names if name.startswith(incomplete)]


class Bash(BashComplete):
    """Bash takes `--tier=da` for three words, of which it replaces the last."""

    def get_completion_args(self) -> tuple[list[str], str]:
        """The words before the one that is being typed, and that one."""
        args, incomplete = super().get_completion_args()
        return [each for number, each in enumerate(args)
                if each != "=" or not number or not args[number - 1].startswith("--")], incomplete


class _OneWord(ShellComplete):
    """The others take it for one word, which they replace as a whole."""

    def get_completions(self, args: list[str], incomplete: str) -> list[CompletionItem[str]]:
        option, equals, _ = incomplete.partition("=")
        found = super().get_completions(args, incomplete)
        if not equals or not option.startswith("--"):
            return found
        return [CompletionItem(f"{option}={each.value}", each.type, each.help) for each in found]


class Zsh(_OneWord, ZshComplete):
    """Zsh's."""


class Fish(_OneWord, FishComplete):
    """Fish's."""
