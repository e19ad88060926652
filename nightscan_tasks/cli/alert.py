"""`nightscan alert`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click

from nightscan_tasks import wire
from nightscan_tasks.cli import broker, completing
from nightscan_tasks.cli.alert_list import command as listed
from nightscan_tasks.cli.choices import local_option
from nightscan_tasks.cli.group import Group
from nightscan_tasks.cli.session import Exit, Session, json_command
from nightscan_tasks.cli.tables import fold
from nightscan_tasks.watch.trial import try_channels

_ANSWER_SECONDS = 300


@click.group(name="alert", cls=Group,
             short_help="who is told when something is not well, and whether it works",
             examples=("nightscan alert test", "nightscan alert test --channel mail"))
def command() -> None:
    """Tell people when something is not well: try whether that works.

    Who is told is set by BACKUP_EMAIL, SLACK_WEBHOOK_URL and NIGHTSCAN_ALERT_URLS.
    """


@json_command(name="test", short_help="send a test through each channel", examples=(
    "nightscan alert test", "nightscan alert test --channel slack", "nightscan alert test --local --json"))
@click.option("--channel", metavar="NAME", shell_complete=completing.channels,
              help="Only this one: mail, mail2, slack, ntfy …")
@local_option
def test(session: Session, channel: str | None, *, local: bool) -> None:
    """Send a message that says that it is a test, and say of each channel whether it was taken.

    A worker sends it, for that is who sends alerts; with --local this process does. Exit status 1 when a
    channel did not take it, 3 when there is no channel at all.
    """
    if local:
        tried: list[dict[str, Any]] = [wire.plain(each) for each in try_channels(session.system, channel)]
    else:
        sent = broker.send(session.system.settings, "nightscan.alert_test", broker.CONTROL, channel=channel)
        tried = broker.answer(sent, seconds=_ANSWER_SECONDS)
    session.finish(_status(tried), {"channels": tried}, _lines(tried))


def _status(tried: list[dict[str, Any]]) -> Exit:
    if not tried:
        return Exit.DEGRADED
    return Exit.DONE if all(each["ok"] for each in tried) else Exit.FAILED


def _lines(tried: list[dict[str, Any]]) -> Iterator[str]:
    for each in tried:
        told = "sent" if each["ok"] else f"NOT SENT: {each['problem']}"
        yield from fold(f"{each['channel']}  {each['place']}: {told}", hanging="    ")
        if each["advice"]:
            yield from fold(each["advice"], indent="    ")
    if not tried:
        yield "Nobody is told when something is not well: there is no channel."
        yield "Next: set BACKUP_EMAIL, SLACK_WEBHOOK_URL or NIGHTSCAN_ALERT_URLS (docs/ALERTS.md)"
    elif all(each["ok"] for each in tried):
        yield "Look whether it arrived: a server that takes a message may still hold it back."


command.add_command(listed)
command.add_command(test)
