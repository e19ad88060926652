"""`nightscan validate`."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import click

from nightscan_tasks.cli import broker
from nightscan_tasks.cli.choices import SET_ID, TIER, local_option
from nightscan_tasks.cli.colours import critical, good, hint
from nightscan_tasks.cli.session import Exit, Session, json_command
from nightscan_tasks.cli.tables import fold
from nightscan_tasks.cli.tasking import followed, watched
from nightscan_tasks.model import SetId
from nightscan_tasks.validation import validate_user_data
from nightscan_tasks.wording import count, size
from nightscan_tasks.workflows.validate import chosen

_WORDS = {"damaged": critical("DAMAGED") + ": another content, though nobody wrote it",
          "missing": critical("MISSING"), "unreadable": critical("UNREADABLE"),
          "changed": "written since", "new": "newer than the set"}


@json_command(name="validate", short_help="compare every file with the hash that was recorded of it",
              examples=(
    "nightscan validate",
    "nightscan validate --tier weekly --local",
    "nightscan validate --path 'uploads/2026/*'",
))
@click.option("--set", "set_id", type=SET_ID, metavar="ID", help="Compare with this set.")
@click.option("--tier", type=TIER, help="Compare with the newest complete set of this tier; else of any.")
@click.option("--path", "paths", multiple=True, metavar="PATTERN",
              help="Only files that fit; may be repeated.")
@local_option
def command(session: Session, set_id: SetId | None, tier: str | None, paths: tuple[str, ...], *,
            local: bool) -> None:
    """Read every file of user data, and compare it with its hash in a set.

    Tells apart what is damaged (another content, though size and time are as they were), what was
    written since, what is missing, and what is new. Exit status 1 when something is damaged, missing or
    cannot be read.
    """
    which: dict[str, Any] = {name: value for name, value in (
        ("set_id", str(set_id) if set_id else None), ("tier", tier), ("paths", list(paths))) if value}
    found = (_here if local else _there)(session, which)
    session.finish(Exit.DONE if found["ok"] else Exit.FAILED, found, _lines(found))


def _lines(found: dict[str, Any]) -> Iterator[str]:
    counts = found["counts"]
    yield (f"{count(counts['whole'], 'file')} in {found['root']} as they were saved in {found['set_id']}; "
           f"{size(found['read_bytes'])} read")
    for finding, words in _WORDS.items():
        if not counts[finding]:
            continue
        yield words + f": {count(counts[finding], 'file')}"
        for name in found["names"][finding]:
            yield f"  {name}"
        if counts[finding] > len(found["names"][finding]):
            yield "  …"
    yield from fold(good("Nothing is damaged, and nothing is missing.") if found["ok"] else
                    hint(f"Next: nightscan restore user_data --set {found['set_id']} --path NAME, or "
                         f"nightscan reconcile for what rows name"))


def _there(session: Session, which: dict[str, Any]) -> dict[str, Any]:
    sent = broker.send(session.system.settings, "nightscan.validate_user_data", broker.RESTORE, **which)
    done: dict[str, Any] = followed(session, sent, "validate")
    return done


def _here(session: Session, which: dict[str, Any]) -> dict[str, Any]:
    manifest, open_index = chosen(session.system, **{name: which[name] for name in ("set_id", "tier")
                                                     if name in which})
    with watched(session, "validate") as watch:
        seen = partial(_tell, watch, sum(each.plain_bytes for each in manifest.of("user_data")))
        return dict(validate_user_data(session.system, manifest, open_index,
                                       paths=tuple(which.get("paths", ())), seen=seen).as_json())


def _tell(watch: Any, of_bytes: int, read_bytes: int) -> None:
    watch({"phase": "validating", "bytes": read_bytes, "of_bytes": of_bytes})
