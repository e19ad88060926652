"""Every command tells by example how it is used, and every example can be typed."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner

from nightscan_tasks.cli import nightscan


def commands(command: click.Command, *words: str) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """A command and all below it, each with the words that call it."""
    yield words, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None
            yield from commands(below, *words, name)


def understood(line: str) -> tuple[str, ...]:
    """The words of the command that `line` calls; it is parsed with all its values, and not run."""
    program, *args = shlex.split(line)
    command: click.Command = nightscan
    context = command.make_context(program, args)
    found: tuple[str, ...] = (program,)
    while isinstance(command, click.Group) and (args := [*context._protected_args, *context.args]):
        name, below, args = command.resolve_command(context, args)
        assert below is not None
        command, found = below, (*found, str(name))
        context = command.make_context(name, args, parent=context)
    return found


EVERY = dict(commands(nightscan, "nightscan"))


@pytest.mark.parametrize("words", EVERY, ids=" ".join)
def test_help_ends_with_examples_that_can_be_typed(words: tuple[str, ...],
                                                   monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")  # however narrow: an example is copied, so it is one line
    result = CliRunner().invoke(nightscan, [*words[1:], "--help"], prog_name="nightscan")
    text, _, end = result.stdout.partition("\nExamples:\n")
    assert "Options:" in text
    examples = [line.removeprefix("  ") for line in end.partition("\n\n")[0].splitlines()]
    assert len(examples) >= 2, f"{' '.join(words)} needs examples=(…): two at least"
    assert len(set(examples)) == len(examples)
    for example in examples:
        assert understood(example)[:len(words)] == words  # a group's examples are of its commands
        assert isinstance(EVERY[words], click.Group) or understood(example) == words


def test_an_option_that_does_not_exist_would_be_noticed() -> None:
    assert understood("nightscan restore redis --db 1") == ("nightscan", "restore", "redis")
    for wrong in ("nightscan restore redis --table x", "nightscan backup dialy", "nightscan lst"):
        with pytest.raises(click.UsageError):
            understood(wrong)
