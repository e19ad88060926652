"""`nightscan backup TIER`."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import Future, wait
from dataclasses import replace
from typing import Any

import click

from nightscan_tasks.apart import at_hand
from nightscan_tasks.backup import Request, open_run, run_local
from nightscan_tasks.cli import summary
from nightscan_tasks.cli.choices import COMPONENT, Word, local_option
from nightscan_tasks.cli.colours import hint
from nightscan_tasks.cli.display import show
from nightscan_tasks.cli.following import follow, picture
from nightscan_tasks.cli.pictures import Picture
from nightscan_tasks.cli.session import Exit, Session, ended, interrupted, json_command
from nightscan_tasks.errors import NightscanError
from nightscan_tasks.ledger import Outcome, Run
from nightscan_tasks.model import Json, Tier
from nightscan_tasks.system import System
from nightscan_tasks.watch.signalling import run_told, tells
from nightscan_tasks.workflows import PLANS
from nightscan_tasks.workflows.manual import manual
from nightscan_tasks.workflows.pre_deploy import pre_deploy

_ANSWER_SECONDS = 60
_LOOK_SECONDS = 0.5
TAKEN = Word("tier", tuple(tier.value for tier in PLANS))


@json_command(name="backup", short_help="take a backup set", examples=(
    "nightscan backup daily --wait",
    "nightscan backup pre_deploy --tag v1.2.3 --wait",
    "nightscan backup pre_deploy --full --wait",
    "nightscan backup manual --component database --local",
    "nightscan backup daily --rehash --wait",
))
@click.argument("tier", type=TAKEN)
@click.option("--tag", help="A name for the set, for example the release (pre_deploy, manual).")
@click.option("--full", is_flag=True, help="Everything, user data too (pre_deploy).")
@click.option("--component", "components", type=COMPONENT, multiple=True,
              help="Only this component; may be repeated (manual).")
@click.option("--rehash", is_flag=True,
              help="Read user data that seems not to have changed all the same, and compare (daily).")
@click.option("--wait", "wait_", is_flag=True, help="Follow the run to its end, and tell how it ended.")
@local_option
def command(session: Session, tier: str, tag: str | None, *, full: bool, rehash: bool,  # noqa: PLR0913 - click passes each option
            components: tuple[str, ...], wait_: bool, local: bool) -> None:
    """Take a backup set of TIER: daily, weekly, monthly, pre_deploy or manual.

    Without --wait it prints the id of the run and ends: the workers do the rest. With --wait it
    shows their progress; Ctrl-C stops watching, not the run. A run of the same kind that is
    already under way is joined.
    """
    request = _request(tier, tag, full=full, rehash=rehash, components=components)
    if local:
        outcome = _done_here(session, request)
    else:
        begun = _begin(session, request, full=full)
        if not wait_:
            session.finish(Exit.DONE, begun, _begun(begun))
        outcome = _followed(session, str(begun["run_id"]))
    if outcome is None:
        raise NightscanError("the run was not settled; `nightscan status` shows it")
    told = summary.summarise(session.system, outcome)
    session.finish(ended(outcome), told.as_json(), summary.lines(told))


def _request(tier: str, tag: str | None, *, full: bool, rehash: bool, components: tuple[str, ...]) -> Request:
    """What was asked for; wrong usage where an option has no meaning for that tier."""
    if full and tier != Tier.PRE_DEPLOY:
        raise click.UsageError("--full belongs to pre_deploy; the other tiers save what they always save")
    if components and tier != Tier.MANUAL:
        raise click.UsageError("--component belongs to manual; the other tiers save what they always save")
    if rehash and not PLANS[Tier(tier)].builds_on:
        raise click.UsageError("--rehash belongs to daily; the other tiers read everything anyway")
    if tag and tier not in {Tier.PRE_DEPLOY, Tier.MANUAL}:
        raise click.UsageError("--tag belongs to pre_deploy and manual")
    plan = PLANS[Tier(tier)]
    if tier == Tier.PRE_DEPLOY:
        plan = pre_deploy(full=full)
    if tier == Tier.MANUAL:
        plan = manual(components)
    return Request(plan, tag, rehash)


def _begin(session: Session, request: Request, *, full: bool) -> dict[str, Json]:
    tier = request.plan.tier
    options: dict[str, Json] = {}
    if tier is Tier.PRE_DEPLOY:
        options = {"tag": request.tag, "full": full}
    if request.plan.builds_on:
        options = {"rehash": request.rehash}
    if tier is Tier.MANUAL:
        options = {"tag": request.tag, "components": list(request.plan.components)}
    from nightscan_tasks.cli import broker  # late: a run in this process has no use for Celery

    sent = broker.send(session.system.settings, f"nightscan.backup_{tier}", broker.CONTROL, **options)
    begun: dict[str, Json] = broker.answer(sent, seconds=_ANSWER_SECONDS)
    return begun


def _begun(begun: dict[str, Json]) -> Iterator[str]:
    words = {"started": "started", "joined": "was under way already, and is this backup's run too",
             "waiting": "waits for its turn"}
    state = str(begun["state"])
    yield f"{begun['run_id']}  {words.get(state, state)}"
    if begun.get("why"):
        yield f"  {begun['why']}"
    yield hint("Next: nightscan status")


def _followed(session: Session, run_id: str) -> Outcome | None:
    try:
        return show(session, follow(session.system, run_id)).outcome
    except KeyboardInterrupt:
        raise interrupted(f"the run {run_id}", "how far it is: nightscan status") from None


def _schedules() -> dict[Tier, str]:
    from nightscan_tasks.tasks.signalling import tiers_due  # late: Celery's timetable is of no other use here

    return tiers_due()


def _copies(session: Session, request: Request) -> int:
    """How many processes of their own a run here may want."""
    settings = session.system.settings
    parts = settings.user_data_archives if "user_data" in request.plan.components else 0
    return min(settings.jobs, parts) if parts > 1 else 0


def _done_here(session: Session, request: Request) -> Outcome | None:
    with at_hand(_copies(session, request)):
        opened = open_run(session.system, request).run  # the thread joins it: so its name is known before
        try:
            return show(session, _pictures(session.system, request, opened)).outcome
        except KeyboardInterrupt:  # wherever it came: while a picture was drawn, too
            raise NightscanError(f"{opened.run_id} was interrupted, and is not settled\n"
                                 f"the same command again goes on where it was") from None


def _pictures(system: System, request: Request, opened: Run) -> Iterator[Picture]:
    """Pictures of a run that a thread of this process does; what it raises is raised here."""
    due = _schedules() if tells(system) else {}
    run_id = opened.run_id
    told: dict[str, dict[str, Any]] = {}
    ended: Future[Outcome] = Future()

    def watch(progress: dict[str, Any]) -> None:
        told[str(progress["part"])] = progress

    def run() -> None:
        try:
            ended.set_result(run_told(system, opened, lambda: run_local(system, request, watch=watch), due))
        except BaseException as exc:  # noqa: BLE001 - raised again where it is waited for
            ended.set_exception(exc)

    threading.Thread(target=run, name="backup", daemon=True).start()
    while not ended.done():
        yield picture(system, system.ledger.state(run_id), told)
        wait([ended], timeout=_LOOK_SECONDS)
    outcome = ended.result()
    yield replace(picture(system, system.ledger.state(run_id), told), outcome=outcome)
