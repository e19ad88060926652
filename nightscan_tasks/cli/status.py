"""`nightscan status`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from nightscan_tasks import wire
from nightscan_tasks.cli.following import picture
from nightscan_tasks.cli.pictures import Picture, sentence
from nightscan_tasks.cli.restore_runs import standing
from nightscan_tasks.cli.session import Exit, Session, json_command
from nightscan_tasks.cli.tables import fold, table
from nightscan_tasks.ledger import Ending, Hold, Outcome
from nightscan_tasks.ledger.reads import Reads, Scrubbed
from nightscan_tasks.ledger.restore_records import RestoreEnding, RestoreState
from nightscan_tasks.model import SetId, Tier
from nightscan_tasks.restore.journal import journals
from nightscan_tasks.restore.rates import Recovery, forecast_recovery
from nightscan_tasks.rotation import RESTORE_LEASES
from nightscan_tasks.system import System
from nightscan_tasks.watch.overview import Phase
from nightscan_tasks.wording import age, ago, count, duration, size

_RESTORES = 20


@dataclass(frozen=True)
class State:
    """What is under way, and how the last run of each tier ended."""

    under_way: tuple[tuple[str, Picture], ...]
    restoring: tuple[str, ...]
    last: tuple[Outcome, ...]
    kept: tuple[RestoreState, ...]
    recovery: Recovery | None
    holds: tuple[Hold, ...] = ()
    trusted: frozenset[SetId] = frozenset()
    scrubs: tuple[Scrubbed, ...] = ()

    def suspicious(self, outcome: Outcome) -> bool:
        """Whether a set is far too small, and nobody said yet that it is as it should be."""
        return bool(outcome.suspicious) and outcome.set_id not in self.trusted

    @property
    def good(self) -> bool:
        """Whether the last run of each tier ended well, and nothing stored was found damaged since."""
        return not any(each.unsettled for each in self.scrubs) and all(
            each.ending is Ending.GOOD and not self.suspicious(each) for each in self.last)


@json_command(name="status", short_help="runs under way, and how the last ones ended")
def command(session: Session) -> None:
    """Show the runs that are under way, and how the last run of each tier ended.

    Read from the ledger alone: it works without a broker. Exit status 3 when the last run of a
    tier did not end well, its set is suspicious, or a scrub found damage that nobody has read whole since.
    """
    state = look(session.system)
    session.finish(Exit.DONE if state.good else Exit.DEGRADED, _as_json(state),
                   lines(state, now=session.system.clock()))


def look(system: System) -> State:
    """The state now."""
    runs = system.ledger.open_runs(now=system.clock())
    pictures = tuple((run.run_id, picture(system, system.ledger.state(run.run_id))) for run in runs)
    decisions, now = system.ledger.decisions, system.clock()
    return State(pictures, tuple(_restoring(system)), tuple(_last(system)), tuple(_kept(system)),
                 forecast_recovery(system), tuple(hold for hold in decisions.holds() if hold.live(now)),
                 frozenset(decisions.trusted()), tuple(_scrubs(system)))


def lines(state: State, *, now: datetime) -> Iterator[str]:
    """The state as an operator reads it."""
    if not state.under_way and not state.restoring:
        yield "Nothing is under way."
    for _, shown in state.under_way:
        yield shown.headline
        rows = [[f"  {work.name}", sentence(work)] for work in shown.works]
        yield from (f"{name.ljust(max(len(row[0]) for row in rows))}  {words}" for name, words in rows)
    for set_id in state.restoring:
        yield f"a restore reads {set_id}"
    for kept in state.kept:
        yield from fold(f"{kept.run.run_id} of {kept.run.set_id}: {standing(kept)}", hanging="    ")
    if state.holds:
        yield f"{count(len({each.set_id for each in state.holds}), 'set')} held: nightscan hold"
    yield from _scrub_lines(state, now)
    yield ""
    if not state.last:
        yield "No run has ended yet. Next: nightscan backup daily --wait"
        return
    rows = [[each.set_id.tier.value, str(each.set_id), ago(each.settled_at, now), _how(state, each),
             duration(each.elapsed_seconds), size(each.stored_bytes)] for each in state.last]
    head, *told = table(["TIER", "LAST SET", "ENDED", "HOW", "TOOK", "STORED"], rows, right=(4, 5))
    yield head
    for line, outcome in zip(told, state.last, strict=True):
        yield line
        for failure in outcome.failures:
            yield from fold(f"{failure.part}: {failure.message}", indent="    ")
        for note in outcome.notes:
            yield from fold(note, indent="    ")
    yield from _recovery(state, now)


def _scrub_lines(state: State, now: datetime) -> Iterator[str]:
    """How far reading is, and what it found that nobody has read whole since."""
    for each in state.scrubs:
        how = "is under way, or was cut off" if each.ended_at is None else (
            f"{ago(each.ended_at, now)}" + (", which ended early" if each.problem else ""))
        oldest = f"; the oldest reading is {age(each.oldest_at, now)} old" if each.oldest_at else ""
        yield from fold(f"scrub of {each.store}: {how}{oldest}{'; BEHIND' if each.behind else ''}",
                        hanging="    ")
        for finding in each.unsettled:
            source = f", replaced from {finding.source}" if finding.source else ""
            yield from fold(f"{finding.kind.value.upper()} {finding.key}{source}", indent="    ")


def _scrubs(system: System) -> Iterator[Scrubbed]:
    """The last scrub of each store."""
    for store in system.stores:
        scrubbed = Reads(system.primary).scrubbed(store)
        if scrubbed is not None:
            yield scrubbed


def _how(state: State, outcome: Outcome) -> str:
    """How a run ended, in a word; what is not good is in capitals."""
    if outcome.ending is not Ending.GOOD:
        return outcome.ending.value.upper()
    return "SUSPICIOUS" if state.suspicious(outcome) else "good"


def _recovery(state: State, now: datetime) -> Iterator[str]:
    """What a loss at this moment would cost."""
    recovery = state.recovery
    if recovery is None:
        return
    yield ""
    yield (f"A loss now would cost the data of {age(recovery.lost_since, now)}, and a recovery from "
           f"{recovery.set_id} about {duration(recovery.expected_seconds)}:")
    rows = [[f"  {each.component}", duration(each.expected_seconds), f"of {duration(each.objective_seconds)}",
             "" if each.met else "TOO LONG", "" if each.measured else "a guess: nightscan drill"]
            for each in recovery.components]
    yield from table(["  COMPONENT", "EXPECTED", "ALLOWED", "", ""], rows, right=(1,))


def _kept(system: System) -> Iterator[RestoreState]:
    """Restores that were cut off, or whose old state is still kept."""
    for journal in journals(system):
        for run_id in journal.restores.run_ids()[-_RESTORES:]:
            state = journal.restores.state(run_id)
            ended_badly = state.outcome is not None and state.outcome.ending is RestoreEnding.FAILED
            if not ended_badly and state.accepted is None:
                yield state


def _last(system: System) -> Iterator[Outcome]:
    """The newest ended run of each tier."""
    run_ids = system.ledger.run_ids()
    for tier in Tier:
        for run_id in reversed([each for each in run_ids if each.rpartition("-")[0] == tier.value]):
            outcome = system.ledger.outcome(run_id)
            if outcome is not None:
                yield outcome
                break


def _restoring(system: System) -> Iterator[str]:
    resources = {entry.key.removeprefix("leases/").rpartition("/")[0]
                 for entry in system.primary.list(f"{RESTORE_LEASES}/")}
    for resource in sorted(resources):
        held = system.leases.look(resource)
        if held is not None and held.live(system.clock()):
            yield "/".join(resource.split("/")[1:3])


def _as_json(state: State) -> dict[str, object]:
    return {
        "under_way": [{"run_id": run_id, "works": [
            {"name": work.name, "phase": work.phase.value, "doing": work.doing, "bytes": work.done_bytes,
             "of_bytes": work.of_bytes, "bytes_per_second": work.bytes_per_second,
             "stored_bytes": work.stored_bytes, "problem": work.message
             if work.phase is Phase.FAILED else None} for work in shown.works]}
            for run_id, shown in state.under_way],
        "restoring": list(state.restoring),
        "last": {each.set_id.tier.value: each for each in state.last},
        "scrubs": list(state.scrubs), "holds": list(state.holds), "trusted": sorted(map(str, state.trusted)),
        "restores": [{"run_id": each.run.run_id, "set_id": str(each.run.set_id), "state": standing(each)}
                     for each in state.kept],
        "recovery": None if state.recovery is None else {
            **wire.plain(state.recovery), "expected_seconds": state.recovery.expected_seconds},
    }
