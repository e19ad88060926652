"""Every command that the documents tell people to type is one that there is."""

import re
import shlex
from pathlib import Path

import click
import pytest

from nightscan_tasks.cli import nightscan

ROOT = Path(__file__).parents[2]
_BLOCK = re.compile(r"```(?:bash|sh)\n(.*?)```", re.DOTALL)


def commands() -> list[str]:
    """What begins with `nightscan` in the documents' blocks of shell, without comments."""
    found = []
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))):
        for block in _BLOCK.findall(path.read_text(encoding="utf-8")):
            found += [line.strip() for line in block.splitlines() if line.strip().startswith("nightscan ")]
    return found


def test_there_are_commands_in_the_documents() -> None:
    assert len(commands()) > 30


@pytest.mark.parametrize("line", sorted(set(commands())))
def test_a_command_in_the_documents_can_be_typed(line: str) -> None:
    words = shlex.split(line, comments=True)[1:]
    command: click.Command = nightscan
    context = click.Context(command, info_name="nightscan")
    while isinstance(command, click.Group):
        name, found, words = command.resolve_command(context, words)
        assert found is not None
        command, context = found, click.Context(found, info_name=name, parent=context)
    command.make_context("nightscan", words)
