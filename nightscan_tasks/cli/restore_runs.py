"""What is decided after a restore: `nightscan restore rollback|accept|resume RUN`, and `runs`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import click

from nightscan_tasks import wire
from nightscan_tasks.cli import broker, completing
from nightscan_tasks.cli.choices import F, local_option
from nightscan_tasks.cli.session import Exit, Session, json_command
from nightscan_tasks.cli.tables import fold, table
from nightscan_tasks.cli.tasking import followed
from nightscan_tasks.errors import NightscanError, NotFound
from nightscan_tasks.ledger.restore_records import RestoreEnding, RestoreState
from nightscan_tasks.restore import Decided, Targets, accept, resume, rollback
from nightscan_tasks.restore.journal import journals
from nightscan_tasks.system import System
from nightscan_tasks.wording import ago, duration
from nightscan_tasks.workflows.restore import targets_of

_SHOWN = 20
_TARGETS: tuple[Callable[[F], F], ...] = (
    click.option("--target-db", metavar="URI", help="Where it went, if a password is needed to get there."),
    click.option("--target-redis", metavar="URL", help="The same for Redis."),
)


def _decision(name: str, text: str,
              decide: Callable[[System, str, Targets | None], Decided]) -> click.Command:
    """A command that decides about one restore."""

    def run(session: Session, run_id: str | None, *, local: bool, **targets: Any) -> None:
        run_id = run_id or _newest(session.system)
        given = {key: str(value) for key, value in targets.items() if value}
        if local:
            done: dict[str, Any] = wire.plain(decide(session.system, run_id, targets_of(**given)))
        else:
            sent = broker.send(session.system.settings, f"nightscan.restore_{name}", broker.RESTORE, run_id,
                               **given)
            done = followed(session, sent, f"{name} {run_id}")
        session.finish(Exit.DONE, done, _lines(done))

    for option in (*_TARGETS, local_option):
        run = option(run)
    run = click.argument("run_id", metavar="[RUN]", required=False, shell_complete=completing.restores)(run)
    return json_command(name=name, short_help=text, examples=(
        f"nightscan restore {name}", f"nightscan restore {name} restore-20261123T160255050525Z --local"),
                        help=f"{text[0].upper()}{text[1:]}. RUN is what the restore said at its end, or the "
                             f"newest that changed anything; `nightscan restore runs` lists them.")(run)


def _newest(system: System) -> str:
    """The newest restore that changed anything, or may have."""
    states, problems = _states(system)
    for state in states:
        if state.outcome is None or state.outcome.ending is not RestoreEnding.FAILED:
            return state.run.run_id
    raise NotFound("\n".join(["there is no restore that changed anything", *problems]))


def _lines(done: dict[str, Any]) -> Iterator[str]:
    what = f"{', '.join(done['components'])} from {done['set_id']}"
    yield from fold(f"{done['run_id']} ({what}): {done['told']}")
    for removed in done["removed"]:
        yield from fold(f"gone: {removed}", indent="  ")


@json_command(name="runs", short_help="the restores there were, and what is kept of them", examples=(
    "nightscan restore runs",
    "nightscan restore runs --json",
))
def _runs(session: Session) -> None:
    """List restores, the newest first: what was restored, how it ended, and whether an old state is kept.

    Read from the ledger alone. Exit status 3 when one was cut off: `nightscan restore resume` finishes it.
    """
    states, problems = _states(session.system)
    for problem in problems:
        session.tell(problem)
    cut_off = any(state.outcome is None for state in states)
    session.finish(Exit.DEGRADED if cut_off or problems else Exit.DONE,
                   [wire.plain(state) for state in states], _listed(states, session.system))


def _states(system: System) -> tuple[list[RestoreState], list[str]]:
    states, problems = [], []
    for journal in journals(system):
        try:
            states += [journal.restores.state(run_id) for run_id in journal.restores.run_ids()[-_SHOWN:]]
        except NightscanError as exc:
            problems.append(str(exc))
    return sorted(states, key=lambda state: state.run.opened_at, reverse=True), problems


def _listed(states: list[RestoreState], system: System) -> Iterator[str]:
    if not states:
        yield "Nothing was ever restored here."
        return
    now = system.clock()
    rows = [[state.run.run_id, str(state.run.set_id), ago(state.run.opened_at, now),
             duration(state.outcome.elapsed_seconds) if state.outcome else "-", standing(state)]
            for state in states]
    yield from table(["RUN", "SET", "BEGAN", "TOOK", "HOW"], rows, right=(3,))


def standing(state: RestoreState) -> str:
    """How a restore stands, in a few words."""
    if state.outcome is None:
        return "under way, or CUT OFF: then `nightscan restore resume`"
    if state.outcome.ending is not RestoreEnding.RESTORED:
        return state.outcome.ending.value.replace("_", " ")
    if state.undone:
        return "rolled back" + ("" if state.accepted else "; the restored state is kept")
    return "restored" + ("" if state.accepted else "; the old state is kept")


COMMANDS = (
    _decision("rollback", "put the state back that was live before a restore", rollback),
    _decision("accept", "let go of the state that a restore keeps and that is not live", accept),
    _decision("resume", "go on with a restore that was cut off, or take it back", resume),
    _runs,
)
"""The commands of `nightscan restore` that are about a restore, not about a set."""
