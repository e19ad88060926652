"""What is decided after a restore: the old state comes back, or is let go; or a cut off one is finished."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from nightscan_tasks.audit import Action
from nightscan_tasks.errors import RestoreRefused
from nightscan_tasks.ledger.restore_records import Aftermath, RestoreEnding, RestoreState
from nightscan_tasks.restore.application import stopped
from nightscan_tasks.restore.interrupted import finish, refuse_later
from nightscan_tasks.restore.journal import Journal, find, holding
from nightscan_tasks.restore.request import Targets, spelled, targets_of
from nightscan_tasks.restore.restorers import Restorers
from nightscan_tasks.system import System


@dataclass(frozen=True)
class Decided:
    """What became of a restore."""

    run_id: str
    set_id: str
    components: tuple[str, ...]
    told: str
    removed: tuple[str, ...] = ()


def rollback(system: System, run_id: str, targets: Targets | None = None) -> Decided:
    """Put the old state back, component by component; the restored one is kept until `accept`.

    Again is no error. `RestoreRefused` where there is nothing to go back to. `targets` are needed only
    where a password of theirs is known to nobody else.
    """
    with _open(system, run_id, targets) as (journal, state, restorers):
        ending = state.outcome.ending if state.outcome else None
        if ending is RestoreEnding.FAILED:
            raise RestoreRefused(f"{run_id} changed nothing: there is nothing to put back")
        if state.accepted:
            raise RestoreRefused(
                f"the old state of {run_id} was let go at {state.accepted.decided_at:%Y-%m-%d %H:%M} UTC: "
                f"restore its safety set, which `nightscan list --tier pre_restore` shows")
        refuse_later(journal, state)
        _record(system, Action.ROLLBACK, state)
        with stopped(system.settings, live=state.run.place.live):
            for component in reversed(state.run.components):
                restorers.of(component).undo()
        system.audit.ended(Action.ROLLBACK, run_id)
        journal.restores.undo(run_id, Aftermath(system.clock()))
        return _decided(state, "the old state is live again; what was restored is kept until "
                               f"`nightscan restore accept {run_id}`")


def accept(system: System, run_id: str, targets: Targets | None = None) -> Decided:
    """Let go of the state of this restore that is kept and not live."""
    with _open(system, run_id, targets) as (journal, state, restorers):
        _record(system, Action.ACCEPT, state)
        removed = tuple(name for component in state.run.components
                        for name in restorers.of(component).accept())
        system.audit.ended(Action.ACCEPT, run_id, removed=", ".join(removed))
        journal.restores.accept(run_id, Aftermath(system.clock(), removed))
        kept = "the old state is live" if state.undone else "the restored state is live"
        return _decided(state, f"{kept}, and nothing else is kept", removed)


def resume(system: System, run_id: str, targets: Targets | None = None) -> Decided:
    """Go on with a restore that was cut off, or take it back, whichever leaves one whole state."""
    with _open(system, run_id, targets) as (_, state, _restorers):
        told = state.outcome.notes[-1] if state.outcome and state.outcome.notes else "it had ended already"
        return _decided(state, told)


@contextmanager
def _open(system: System, run_id: str,
          given: Targets | None) -> Iterator[tuple[Journal, RestoreState, Restorers]]:
    """The restore, alone at its place, and brought to an end if it had none."""
    journal, state = find(system, run_id)
    targets = given if given is not None and not given.live else targets_of(state.run.place, system.settings)
    with holding(journal, state.run.place, run_id, system.host):
        if state.outcome is None:
            finish(system, journal, state, targets)
            state = journal.restores.state(run_id)
        yield journal, state, Restorers(system, run_id, targets, state.run.part)


def _record(system: System, action: Action, state: RestoreState) -> None:
    system.audit.record(action, state.run.run_id, phase="begins", set=str(state.run.set_id),
                        components=", ".join(state.run.components), into=spelled(state.run.place))


def _decided(state: RestoreState, told: str, removed: tuple[str, ...] = ()) -> Decided:
    return Decided(state.run.run_id, str(state.run.set_id), state.run.components, told, removed)
