"""`nightscan rotate`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import click

from nightscan_tasks import rotation
from nightscan_tasks.cli import broker
from nightscan_tasks.cli.choices import local_option
from nightscan_tasks.cli.colours import state, warning
from nightscan_tasks.cli.session import Exit, Session, json_command
from nightscan_tasks.cli.tables import fold
from nightscan_tasks.cli.tasking import followed
from nightscan_tasks.retention import Rotation
from nightscan_tasks.system import System
from nightscan_tasks.wording import count
from nightscan_tasks.workflows import RETENTION


@json_command(name="rotate", short_help="remove the sets that are past their time", examples=(
    "nightscan rotate --dry-run",
    "nightscan rotate",
    "nightscan rotate --local",
))
@click.option("--dry-run", is_flag=True, help="Only say what would go and what would stay, and why.")
@local_option
def command(session: Session, *, dry_run: bool, local: bool) -> None:
    """Remove, in every store, the sets that are past their time, and what crashed runs left behind.

    Nothing goes without proof: while the newest set is not verified, incomplete or suspicious, or the
    clock looks wrong, everything stays, and exit status is 3; while that is so of the newest set of a
    tier, that tier stays. --dry-run tells of each set what happens to it and why, and asks no worker.
    """
    if dry_run:
        plans = [rotation.plan(session.system, store, RETENTION) for store in session.system.stores]
        session.finish(Exit.DONE, [_plan_json(plan) for plan in plans], plan_lines(plans))
    if local:
        done = [_rotate(session.system, name) for name in (store.name for store in session.system.stores)]
    else:
        sent = broker.send(session.system.settings, "nightscan.rotate", broker.CONTROL)
        done = followed(session, sent, "rotate")
    stopped = any(each.get("held") or each.get("frozen") for each in done)
    session.finish(Exit.DEGRADED if stopped else Exit.DONE, done,
                   done_lines(done))


def plan_lines(plans: list[Rotation]) -> Iterator[str]:
    """What would happen to each set, and why."""
    for plan in plans:
        yield (f"{plan.store}: {count(len(plan.remove), 'set')} to remove, "
               f"{count(len(plan.keep), 'set')} to keep")
        yield from _stopped(plan.held, {tier.value: why for tier, why in plan.frozen.items()})
        column = max((len(str(each.set_id)) for each in plan.verdicts), default=0)
        for each in plan.verdicts:
            what = "remove" if each.remove else "keep"
            blanks = " " * (8 - len(what))
            yield from fold(f"  {each.set_id!s:<{column}}  " + state(what) + f"{blanks}{each.reason}",
                            hanging=" " * (column + 12))


def done_lines(done: list[dict[str, Any]]) -> Iterator[str]:
    """What was done in each store."""
    for each in done:
        if each.get("state") == "verifying":
            yield (f"{each['store']}: the newest set, {each['set_id']}, is being verified first; "
                   f"what is past its time goes after that")
            continue
        if "removed" not in each:
            yield f"{each['store']}: {each['state']}"
            continue
        swept = f", {count(each['swept'], 'leftover')} swept" if each.get("swept") else ""
        yield (f"{each['store']}: {count(len(each['removed']), 'set')} removed, "
               f"{count(each['kept'], 'set')} kept{swept}")
        yield from (f"  removed {set_id}" for set_id in each["removed"])
        yield from _stopped(each.get("held"), each.get("frozen", {}))


def _stopped(held: str | None, frozen: Mapping[str, str]) -> Iterator[str]:
    """Why nothing may go, at all or of a tier."""
    if held:
        yield from fold(warning("nothing may go") + f": {held}", indent="  ")
    for tier, why in frozen.items():
        if why != held:
            yield from fold(warning(f"nothing of {tier} may go") + f": {why}", indent="  ")


def _rotate(system: System, name: str) -> dict[str, Any]:
    store = system.store(name)
    done = rotation.rotate(system, store, RETENTION)
    swept = rotation.sweep(system, store, RETENTION)
    return {"store": name, "held": done.held,
            "frozen": {str(tier): why for tier, why in done.frozen.items()},
            "removed": [str(each) for each in done.remove], "kept": len(done.keep), "swept": len(swept)}


def _plan_json(plan: Rotation) -> dict[str, object]:
    return {"store": plan.store, "held": plan.held,
            "frozen": {str(tier): why for tier, why in plan.frozen.items()},
            "sets": [{"set_id": str(each.set_id), "remove": each.remove, "reason": each.reason}
                     for each in plan.verdicts]}
