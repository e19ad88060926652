"""What a restore would do: what is read, how much, what is replaced, how long it should take."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from nightscan_tasks.errors import NightscanError
from nightscan_tasks.ledger.restore_records import Part, Place, RestoredComponent
from nightscan_tasks.ledger.restores import Restores
from nightscan_tasks.restore.rates import forecast
from nightscan_tasks.restore.reading import SetSource
from nightscan_tasks.restore.restorers import Restorers
from nightscan_tasks.system import System


@dataclass(frozen=True)
class PlannedComponent:
    """One component: what is read of the set, what it meets at its target, how long it should take."""

    component: str
    artifacts: tuple[str, ...]
    plain_bytes: int
    stored_bytes: int
    target: str
    replaces: str
    replaced_bytes: int | None
    expected_seconds: float
    objective_seconds: int
    measured: bool
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class RestorePlan:
    """The whole of it. Nothing has been changed; with `problems`, each with its remedy, nothing would be."""

    set_id: str
    taken_at: datetime
    store: str
    store_url: str
    place: Place
    part: Part
    components: tuple[PlannedComponent, ...]
    safety: tuple[str, ...]
    services: tuple[str, ...]
    problems: tuple[str, ...] = ()
    expected_seconds: float = 0.0
    notes: tuple[str, ...] = ()


def plan_components(system: System, restores: Restores, sources: Mapping[str, SetSource],
                    restorers: Restorers) -> tuple[PlannedComponent, ...]:
    """Look at every source and target. A target that cannot be reached raises."""
    expected = {each.component: each for each in forecast(
        {name: source.plain_bytes for name, source in sources.items()}, _timed(restores), system.settings)}
    planned = []
    for component, source in sources.items():
        seen = restorers.of(component).examine(source)
        guess = expected[component]
        planned.append(PlannedComponent(
            component, tuple(artifact.name for artifact in source.artifacts), source.plain_bytes,
            sum(artifact.stored_bytes for artifact in source.artifacts), seen.target, seen.replaces,
            seen.replaced_bytes, guess.expected_seconds, guess.objective_seconds, guess.measured,
            seen.problems, seen.notes))
    return tuple(planned)


def _timed(restores: Restores) -> tuple[RestoredComponent, ...]:
    """How fast it was before; nothing is known of it while the records cannot be read."""
    try:
        return tuple(restores.timed())
    except NightscanError:
        return ()
