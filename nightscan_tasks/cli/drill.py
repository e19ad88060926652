"""`nightscan drill`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click

from nightscan_tasks import wire
from nightscan_tasks.cli import broker, completing
from nightscan_tasks.cli.choices import TIER, local_option, unsigned_option
from nightscan_tasks.cli.colours import critical, good, state
from nightscan_tasks.cli.restored import timing_table
from nightscan_tasks.cli.session import Exit, Session, json_command
from nightscan_tasks.cli.tables import fold, table
from nightscan_tasks.cli.tasking import followed, watched
from nightscan_tasks.drill import drill, prove_key
from nightscan_tasks.model import Tier
from nightscan_tasks.wording import duration, encryption, size


@json_command(name="drill", short_help="restore into a scratch NightScan, compare, and measure", examples=(
    "nightscan drill",
    "nightscan drill --tier weekly --from offsite",
    "nightscan drill --simulate-loss",
    "nightscan drill --key",
))
@click.option("--tier", type=TIER, help="The newest complete set of this tier; else of any.")
@click.option("--from", "store", metavar="STORE", shell_complete=completing.stores,
              help="The store to read from.")
@click.option("--simulate-loss", is_flag=True,
              help="As if the server and the primary store were lost: recover all from an offsite copy.")
@click.option("--key", "key_only", is_flag=True, help="Only prove that the private key opens the newest set.")
@unsigned_option
@local_option
def command(session: Session, tier: str | None, store: str | None, *, simulate_loss: bool, key_only: bool,
            unsigned: bool, local: bool) -> None:
    """Restore the newest set into a scratch NightScan, compare it with what was saved, and measure.

    Servers of the versions that were saved are started for it, beside the live ones, and end with it.
    Nothing live is touched. The drill is recorded; exit status 1 when anything did not hold: damage,
    differences, rows without files, or an objective that was missed.
    """
    if key_only and (tier or simulate_loss or store or unsigned):
        raise click.UsageError("--key looks at the newest set of every store: it goes with no other option")
    which = {name: value for name, value in (
        ("tier", tier), ("store", session.store_name(store) if store else None),
        ("simulate_loss", simulate_loss), ("key", key_only), ("unsigned", unsigned)) if value}
    done = (_here if local else _there)(session, which)
    if key_only:
        fine = all(not each["problem"] for each in done)
        session.finish(Exit.DONE if fine else Exit.FAILED, done, _key_lines(done))
    session.finish(Exit.FAILED if done["problems"] else Exit.DONE, done, drill_lines(done))


def drill_lines(done: dict[str, Any]) -> Iterator[str]:
    """What was restored how fast, what would have been lost, and what did not hold."""
    yield (f"{done['drill_id']}  {done['kind']}, {done['set_id'] or 'no set'} from {done['store']}, "
           f"{duration(done['elapsed_seconds'])}  " + state("FAILED" if done["problems"] else "held"))
    if done["components"]:
        yield ""
        yield from ("  " + row for row in timing_table(done["components"]))
    yield ""
    if done["lost_since"] is not None:
        yield f"  A loss at this moment would cost the data of {duration(done['loss_seconds'])}."
    for problem in done["problems"]:
        yield from fold(critical("PROBLEM") + f": {problem}", indent="  ", hanging="    ")
    for note in done["notes"]:
        yield from fold(note, indent="  ")
    if not done["problems"]:
        yield "  " + good("Everything came back as it was saved, and in time.")


def _key_lines(done: list[dict[str, Any]]) -> Iterator[str]:
    rows = [[each["store"], each["set_id"] or "-", encryption(each["encrypted_for"]), critical("FAILED")
             if each["problem"] else f"{each['opened']} artifacts, {size(each['plain_bytes'])} read"]
            for each in done]
    yield from table(["STORE", "SET", "KEY", "OPENED"], rows)
    for each in done:
        if each["problem"]:
            yield from fold(f"{each['store']}: {each['problem']}", indent="  ")


def _there(session: Session, which: dict[str, Any]) -> Any:
    sent = broker.send(session.system.settings, "nightscan.drill", broker.RESTORE, **which)
    return followed(session, sent, "drill")


def _here(session: Session, which: dict[str, Any]) -> Any:
    if which.get("key"):
        return [wire.plain(each) for each in prove_key(session.system)]
    with watched(session, "drill") as watch:
        return wire.plain(drill(
            session.system, tier=Tier(which["tier"]) if "tier" in which else None, store=which.get("store"),
            simulate_loss=bool(which.get("simulate_loss")), unsigned=bool(which.get("unsigned")),
            watch=watch))
