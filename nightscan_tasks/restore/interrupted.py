"""Restores that were cut off: gone on with once their swap had begun, taken back before that."""

from __future__ import annotations

from dataclasses import replace

from nightscan_tasks.audit import Action
from nightscan_tasks.components.restorer import Position
from nightscan_tasks.errors import NightscanError, RestoreRefused
from nightscan_tasks.ledger.restore_records import (
    RestoredComponent,
    RestoreEnding,
    RestoreOutcome,
    RestoreRun,
    RestoreState,
)
from nightscan_tasks.restore.application import stopped, unwell
from nightscan_tasks.restore.journal import Journal, resource_of
from nightscan_tasks.restore.request import Targets
from nightscan_tasks.restore.restorers import Restorers
from nightscan_tasks.system import System


def finish_interrupted(system: System, journal: Journal, targets: Targets) -> list[str]:
    """Bring every restore that was cut off at this place to an end, and say to which.

    Whoever calls it holds the place's lease: so none of them is under way any more.
    """
    here = resource_of(targets.place)
    return [finish(system, journal, state, targets) for state in journal.restores.unsettled()
            if resource_of(state.run.place) == here]


def finish(system: System, journal: Journal, state: RestoreState, targets: Targets) -> str:
    """Go on with one restore that was cut off, or take it back; the sentence that says which."""
    system.audit.record(Action.RESTORE, state.run.run_id, phase="was cut off: goes on, or back",
                        set=str(state.run.set_id), components=", ".join(state.run.components))
    restorers = Restorers(system, state.run.run_id, targets, state.run.part)
    if state.swapping is None:
        for component in state.run.components:
            restorers.of(component).discard()
        return _settle(system, journal, state, RestoreEnding.FAILED, (),
                       "it was cut off before anything was changed: the old state is live, and what was "
                       "staged is removed")
    return _go_on(system, journal, state, restorers, _found(state, restorers))


def _found(state: RestoreState, restorers: Restorers) -> dict[str, Position]:
    return {component: restorers.of(component).position() for component in state.run.components}


def _go_on(system: System, journal: Journal, state: RestoreState, restorers: Restorers,
           found: dict[str, Position]) -> str:
    """Everything was staged and compared, and some of it may be live: the rest follows, or all goes back."""
    done: list[RestoredComponent] = []
    with stopped(system.settings, live=state.run.place.live):
        try:
            for each in state.swapping.staged if state.swapping else ():
                swapped = restorers.of(each.component).swap()
                done.append(replace(each, before=swapped.before, notes=each.notes + swapped.notes))
        except NightscanError as exc:
            return _go_back(system, journal, state, restorers,
                            f"could not be completed ({_words(found)}): {exc}")
    if problems := _unwell(system, state.run):
        with stopped(system.settings, live=True):
            return _go_back(system, journal, state, restorers,
                            f"was completed ({_words(found)}), and was not well: {'; '.join(problems)}")
    return _settle(system, journal, state, RestoreEnding.RESTORED, tuple(done),
                   f"it was cut off in its swap ({_words(found)}): it is completed now, the new state is "
                   f"live; `nightscan restore rollback {state.run.run_id}` puts the old one back")


def _go_back(system: System, journal: Journal, state: RestoreState, restorers: Restorers, why: str) -> str:
    for component in reversed(state.run.components):
        restorers.of(component).undo()
    return _settle(system, journal, state, RestoreEnding.ROLLED_BACK, (),
                   f"it was cut off in its swap, {why}; the old state is live again")


def _unwell(system: System, run: RestoreRun) -> tuple[str, ...]:
    """What fails now of what was restored, if that is the application and its set can still be read."""
    if not run.place.live or run.part:
        return ()
    try:
        manifest = system.catalog(run.store_url).get(run.set_id)
    except NightscanError:
        return ()
    return unwell(system, run.components, manifest, only_ours=True)


def _words(found: dict[str, Position]) -> str:
    words = {Position.SWAPPED: "new", Position.SWAPPING: "half-way", Position.UNDONE: "old"}
    return ", ".join(f"{component} {words.get(position, 'old')}" for component, position in found.items())


def _settle(system: System, journal: Journal, state: RestoreState, ending: RestoreEnding,
            done: tuple[RestoredComponent, ...], told: str) -> str:
    now = system.clock()
    system.audit.ended(Action.RESTORE, state.run.run_id, ending=ending.value, told=told)
    journal.restores.settle(RestoreOutcome(
        state.run.run_id, ending, now, (now - state.run.opened_at).total_seconds(), done,
        None if ending is RestoreEnding.RESTORED else told, (told,)))
    return f"{state.run.run_id}: {told}"


def refuse_later(journal: Journal, state: RestoreState) -> None:
    """`RestoreRefused` where a later restore replaced what this one made live: that one goes back first."""
    run = state.run
    for run_id in journal.restores.run_ids():
        if run_id <= run.run_id:
            continue
        other = journal.restores.state(run_id)
        same = resource_of(other.run.place) == resource_of(run.place)
        if (same and set(other.run.components) & set(run.components) and other.outcome
                and other.outcome.ending is RestoreEnding.RESTORED and other.undone is None):
            raise RestoreRefused(f"{run_id} came after {run.run_id} and replaced what it restored: roll "
                                 f"that back first, `nightscan restore rollback {run_id}`")
