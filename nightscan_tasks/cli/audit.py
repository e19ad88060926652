"""`nightscan audit`."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import click

from nightscan_tasks import wire
from nightscan_tasks.audit import Action, Actor, Checked, Record
from nightscan_tasks.cli.choices import MOMENT, Word
from nightscan_tasks.cli.colours import critical, good
from nightscan_tasks.cli.session import Exit, Session, json_command
from nightscan_tasks.cli.tables import fold, table
from nightscan_tasks.wording import count, stamp

_HEAD = ("WHEN", "HOST", "WHO", "WHAT", "SUBJECT")
_LAST = 50
_ACTION = Word("action", tuple(action.value for action in Action))


@json_command(name="audit", short_help="who restored, deleted, held, or used the private key, and when",
              examples=(
    "nightscan audit",
    "nightscan audit --since 2026-11-01 --action restore",
    "nightscan audit --check",
))
@click.option("--since", type=MOMENT, help="Only what was recorded since then.")
@click.option("--action", type=_ACTION, help="Only this: restore, delete, key_use, …")
@click.option("--last", type=click.IntRange(1), default=_LAST, show_default=True,
              help="How many records of each host are read, where neither --since nor --action is given.")
@click.option("--check", "checking", is_flag=True,
              help="Look for records that were changed or removed, in all chains.")
def command(session: Session, since: datetime | None, action: str | None, last: int, *,
            checking: bool) -> None:
    """List who did what, when, and from where, the newest last; or with --check prove that the list is whole.

    Read from the primary store, of all hosts. --check compares each record with the hash in the one that
    follows it, and with this host's own copy. Exit status 1 when a record was changed or is missing; without
    --check 3 when one could not be read.
    """
    if checking:
        checked = session.system.audit.check()
        session.finish(Exit.FAILED if checked.problems else Exit.DONE, checked, _checked(checked))
    listed = session.system.audit.records(last=None if since or action else last)
    found = [each for each in listed.records if (since is None or each.recorded_at >= since)
             and (action is None or each.action == action)]
    for problem in listed.problems:
        session.tell(problem)
    session.finish(Exit.DEGRADED if listed.problems else Exit.DONE,
                   {"records": [_as_json(each) for each in found], "problems": list(listed.problems)},
                   lines(found))


def lines(records: list[Record]) -> Iterator[str]:
    """The records as an operator reads them: a line for each, and below it what else is known."""
    if not records:
        yield "Nothing is on record."
        return
    head, *rows = table(_HEAD, [
        [stamp(each.recorded_at), *map(_printable, (each.actor.host, _who(each), each.action, each.subject))]
        for each in records])
    yield head
    for row, each in zip(rows, records, strict=True):
        yield row
        for line in _details(each):
            yield from fold(_printable(line), indent="    ", hanging="      ")


def _who(record: Record) -> str:
    """The person: for a task whoever the message says, with a question mark unless that was signed."""
    claims = record.asker.claims if record.asker else None
    if claims is None:
        return _person(record.actor)
    return _person(claims) if record.asker and record.asker.signed_by else f"{_person(claims)}?"


def _person(actor: Actor) -> str:
    return _printable(actor.login or actor.sudo_user or actor.user)


def _details(record: Record) -> Iterator[str]:
    facts = dict(record.facts)
    phase = facts.pop("phase", "")
    told = "; ".join(filter(None, (phase, *(f"{name} {value}" for name, value in facts.items() if value))))
    if told:
        yield told
    yield f"by {_spelled(record.actor)}"
    if record.asker and record.asker.claims:
        yield f"asked for, as the message says, by {_spelled(record.asker.claims)}"
    elif record.asker:
        yield f"asked for, as the message says, from {record.asker.origin or 'nowhere'}"
    if record.asker and record.asker.signed_by:
        yield f"signed by {record.asker.signed_by}"
    if not record.number:
        yield "waits on this host: the primary store was down"


def _spelled(actor: Actor) -> str:
    facts = (("", actor.doing), ("task", actor.task_id), ("as", actor.user), ("of", _login(actor)),
             ("on", actor.host), ("at", actor.terminal), ("from", actor.address))
    return " ".join(f"{word} {value}".strip() for word, value in facts if value)


def _login(actor: Actor) -> str:
    person = _person(actor)
    return "" if person == actor.user else person


def _printable(text: str) -> str:
    """Without what a terminal would obey: a message's header is anybody's."""
    return "".join(char if char.isprintable() else "?" for char in text)


def _checked(checked: Checked) -> Iterator[str]:
    for host, number in checked.hosts.items():
        yield f"{host}: {count(number, 'record')}"
    yield f"{count(checked.compared, 'record')} compared with this host's own copy"
    for problem in checked.problems:
        yield from fold(critical("PROBLEM") + f"  {problem}", hanging="         ")
    if not checked.problems:
        yield good("Nothing was changed, and nothing is missing.")


def _as_json(record: Record) -> dict[str, Any]:
    found: dict[str, Any] = wire.plain(record)
    return found
