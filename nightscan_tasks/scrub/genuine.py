"""Which of two manifests is the one that was written: what a signature says, and what the ledger says."""

from __future__ import annotations

from nightscan_tasks.catalog import Catalog
from nightscan_tasks.components.treeprint import combine
from nightscan_tasks.errors import NightscanError, NotFound, TransientError
from nightscan_tasks.ledger import Ending, RunState
from nightscan_tasks.model import Manifest
from nightscan_tasks.system import System

_COMPLETE = {Ending.GOOD, Ending.DEGRADED}


def is_genuine(system: System, catalog: Catalog, manifest: Manifest, data: bytes) -> bool | None:
    """Whether a manifest is what its run wrote; None where neither signature nor ledger tells."""
    if system.signatures.wanted and system.signatures.of(catalog, manifest.set_id, data).sound:
        return True
    try:
        state = system.ledger.state(manifest.run_id)
    except NotFound:
        return None
    except TransientError:
        raise
    except NightscanError:  # a record of the run cannot be read
        return None
    return None if state.outcome is None or not state.parts else _matches(manifest, state)


def _matches(manifest: Manifest, state: RunState) -> bool:
    run, failed = state.run, {failure.part for failure in state.outcome.failures} if state.outcome else set()
    parts = [part for part in state.parts.values() if part.problem or part.part not in failed]
    saved = {each.name: each for part in parts for each in part.artifacts}
    same = (run.set_id, run.opened_at, run.tag, run.host) == (
        manifest.set_id, manifest.opened_at, manifest.tag, manifest.host)
    complete = state.outcome is not None and state.outcome.ending in _COMPLETE
    return (same and complete == manifest.complete
            and {each.name: each for each in manifest.artifacts} == saved
            and set(manifest.components) == {part.component for part in parts}
            and all(report.fingerprint == _fingerprint(state, name)
                    for name, report in manifest.components.items()))


def _fingerprint(state: RunState, component: str) -> object:
    found = [state.parts[part].report.fingerprint for part in state.run.parts
             if part in state.parts and state.parts[part].component == component]
    return combine(found) if len(found) > 1 else next(iter(found), None)
