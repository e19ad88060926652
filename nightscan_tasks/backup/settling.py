"""A run whose work is done is settled: manifest, outcome, links; once, whoever calls it how often."""

from __future__ import annotations

import logging
from dataclasses import replace
from importlib.metadata import version

from nightscan_tasks.backup.dumping import unchanged, whole
from nightscan_tasks.backup.fencing import find_published, withdraw
from nightscan_tasks.backup.guide import write_guide
from nightscan_tasks.backup.opening import LEASE, lease_of
from nightscan_tasks.backup.sealing import unsealed
from nightscan_tasks.catalog import Catalog
from nightscan_tasks.codec import Signer
from nightscan_tasks.errors import LeaseLost, NightscanError, SigningFailed
from nightscan_tasks.hosts import HOSTS, host_of
from nightscan_tasks.ledger import Ending, Outcome, Run, RunState, Saved
from nightscan_tasks.model import FORMAT_VERSION, Failure, Manifest, PartRecord, Report, Tier
from nightscan_tasks.replication import has, lock_earlier
from nightscan_tasks.stores.base import Store
from nightscan_tasks.suspicion import plan_suspicion, read_earlier
from nightscan_tasks.system import System

_log = logging.getLogger(__name__)
_log.addHandler(logging.NullHandler())  # without a handler Python would print it into the progress bars


def settle(system: System, run_id: str, *, final: bool = False) -> Outcome | None:
    """Publish what a run saved, and record how it ended; None while work of it is still open.

    With `final`, for a run past its deadline, what is still open has failed. A run that lost its lease
    publishes nothing; until its deadline it may get the lease again.
    """
    state = system.ledger.state(run_id)
    if state.outcome is not None:
        return _tidy(system, state.run, state.outcome)
    if not final and unfinished(system, state):
        return None
    try:
        outcome = _publish(system, state)
    except LeaseLost as exc:
        if not final:
            return None
        outcome = _lost(system, state, exc)
    settled = system.ledger.settle(outcome)
    if settled.ending is Ending.FAILED:
        withdraw(system, outcome)  # another had given the run up before our manifest was there
    return _tidy(system, state.run, settled)


def unfinished(system: System, state: RunState) -> list[str]:
    """The work that neither succeeded nor failed: parts, and copies as `part@store`."""
    open_work = []
    for part in state.run.parts:
        if part in state.failures:
            continue
        record = whole(system, state.run, part)
        if record is None:
            open_work.append(part)
            continue
        open_work += [f"{part}@{store}" for store in state.run.offsites
                      if not state.is_copied(record, store) and f"{part}@{store}" not in state.failures]
    return open_work


def _publish(system: System, state: RunState) -> Outcome:
    run = state.run
    if state.started is None:
        raise LeaseLost(f"{run.run_id} never started")
    system.leases.check(lease_of(system, run, state.started))
    records = [state.parts[part] for part in run.parts if part in state.parts]
    records = [record for record in records if unchanged(system, run, record)]
    failures = _failures(system, state, records)
    if not records:
        return _outcome(system, state, Ending.FAILED, failures=failures)
    manifest = _manifest(system, state, records, failures)
    signer, unsigned = _signing(system, run.run_id, records)
    _write_guide(system.primary, manifest, signer)
    system.catalog().publish(manifest, sign=signer.sign if signer else None)
    stores, notes = _write_offsite(system, state, manifest, records, signer)
    notes += _lock_earlier(system, manifest, stores)
    if run.set_id.tier is not Tier.PRE_RESTORE:  # what somebody wants to be rid of is not the latest
        system.primary.link_latest(_links(manifest))
    ending = _ending(manifest, lacking=bool(unsigned) or len(stores) - 1 < len(run.offsites))
    return _outcome(system, state, ending, manifest=manifest, stores=stores,
                    notes=(*(f"suspicious: {reason}" for reason in manifest.suspicious), *unsigned, *notes),
                    failures=(*failures, *_copy_failures(state)))


def _lost(system: System, state: RunState, exc: LeaseLost) -> Outcome:
    """How a run ends that lost its lease and has no time left: as its manifest says, if it wrote one."""
    failure = Failure("settle", "LeaseLost", str(exc), system.clock())
    manifest = find_published(system.catalog(), state.run.set_id, state.run.run_id)
    if manifest is None:
        return _outcome(system, state, Ending.FAILED, failures=(failure,))
    return _outcome(system, state, _ending(manifest, lacking=True), manifest=manifest,
                    stores=(system.primary.name,), failures=(*manifest.failures, failure))


def _failures(system: System, state: RunState, records: list[PartRecord]) -> tuple[Failure, ...]:
    """Why each part that is not whole is not."""
    good = {record.part for record in records if not record.problem and whole(system, state.run, record.part)}
    return tuple(state.failures.get(part) or Failure(
        part, "Unfinished", _why_unfinished(system, state.run, part), system.clock())
        for part in state.run.parts if part not in good)


def _why_unfinished(system: System, run: Run, part: str) -> str:
    within = f"before the run's deadline, {run.deadline_seconds} s after its start"
    if system.leases.look(f"{run.run_id}/{part}") is None:
        host = host_of(part)
        where = f"on {host} that takes from nightscan.heavy.{host}" if host else "that takes from its queue"
        return (f"no worker {f'on {host} ' if host else ''}took it up {within}: start one {where}; "
                f"`nightscan doctor` says which queues have none")
    return f"its work was begun, and did not end {within}; NIGHTSCAN_DEADLINE_SECONDS sets that"


def _copy_failures(state: RunState) -> tuple[Failure, ...]:
    return tuple(failure for failure in state.failures.values() if "@" in failure.part)


def _manifest(system: System, state: RunState, records: list[PartRecord],
              failures: tuple[Failure, ...]) -> Manifest:
    run = state.run
    versions = {"nightscan-tasks": version("nightscan-tasks")}
    for record in records:
        versions |= record.report.versions
    manifest = Manifest(
        set_id=run.set_id, run_id=run.run_id, complete=not failures, opened_at=run.opened_at,
        settled_at=system.clock(), encrypted_for=system.settings.gpg_recipient or None, host=run.host,
        tag=run.tag, components=_reports(records), failures=failures, versions=versions,
        artifacts=(artifacts := tuple(artifact for record in records for artifact in record.artifacts)),
        format_version=FORMAT_VERSION if any(each.set_id for each in artifacts) else 1)
    return replace(manifest, suspicious=_suspicious(system, manifest))


def _suspicious(system: System, manifest: Manifest) -> tuple[str, ...]:
    """Why the set is suspicious; an error in the log, which is where Sentry takes them from."""
    reasons = plan_suspicion(manifest, read_earlier(system.catalog(), manifest),
                             percent=system.settings.suspicious_percent,
                             trusted=system.ledger.decisions.trusted().keys())
    for reason in reasons:
        _log.error("%s is suspicious: %s", manifest.set_id, reason)
    return reasons


def _reports(records: list[PartRecord]) -> dict[str, Report]:
    """One report a component; the fingerprints of its parts are added up."""
    reports: dict[str, Report] = {}
    for record in records:
        earlier = reports.get(record.component)
        reports[record.component] = record.report if earlier is None else _joined(earlier, record.report)
    return {component: _with_hosts(report, [each for each in records if each.component == component])
            for component, report in reports.items()}


def _with_hosts(report: Report, records: list[PartRecord]) -> Report:
    """A report that also says what each host had, for that is what a restore of one is compared with."""
    hosts: dict[str, list[PartRecord]] = {}
    for record in records:
        hosts.setdefault(host_of(record.part), []).append(record)
    if not any(hosts):
        return report
    from nightscan_tasks.components.treeprint import combine  # late, as below
    return replace(report, facts={**report.facts, HOSTS: {
        host: combine([each.report.fingerprint for each in found]) for host, found in hosts.items()}})


def _joined(one: Report, other: Report) -> Report:
    from nightscan_tasks.components.treeprint import combine  # late: only components in parts need it
    return Report(fingerprint=combine([one.fingerprint, other.fingerprint]),
                  versions={**one.versions, **other.versions}, notes=one.notes + other.notes,
                  facts={**one.facts, **other.facts})


def _signing(system: System, run_id: str,
             records: list[PartRecord]) -> tuple[Signer | None, tuple[str, ...]]:
    """What signs this set, or why it is not signed: a set that nobody signed is better than none."""
    if system.signer is None:
        return None, ()
    try:
        system.signer.sign(b"")
    except SigningFailed as exc:
        return None, (f"the set is not signed: {exc}",)
    doubts = tuple(f"the set is not signed: {why}" for why in unsealed(system, run_id, records))
    return (None if doubts else system.signer), doubts


def _write_guide(store: Store, manifest: Manifest, signer: Signer | None) -> None:
    text = write_guide(manifest, store.url, signer=signer.fingerprint if signer else "")
    Catalog(store).write_guide(manifest.set_id, text, sign=signer.sign if signer else None)


def _write_offsite(system: System, state: RunState, manifest: Manifest, records: list[PartRecord],
                   signer: Signer | None) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The names of the stores that have the set now, and why another has it not.

    The manifest is copied from the primary store: another settler may have written that one.
    """
    stores, notes = [system.primary.name], []
    for name in state.run.offsites:
        try:
            store = system.store(name)
            lacking = [record.part for record in records if not state.is_copied(record, name)
                       or not has(store, manifest.set_id, record)]
            if not lacking:
                _write_guide(store, manifest, signer)
                system.catalog().copy_manifest(manifest.set_id, Catalog(store))
                stores.append(name)
            notes += [f"{name}: the copy of {part} was not finished before the run's deadline; the next "
                      f"replication makes it" for part in lacking if f"{part}@{name}" not in state.failures]
        except NightscanError as exc:
            notes.append(f"{name}: {exc}")
    return tuple(stores), tuple(notes)


def _lock_earlier(system: System, manifest: Manifest, stores: tuple[str, ...]) -> tuple[str, ...]:
    """Where locks end before the set's do, and why: the set is there all the same."""
    notes = []
    for name in stores:
        try:
            lock_earlier(system.store(name), manifest)
        except NightscanError as exc:
            notes.append(f"{name}: what lies with earlier sets is not locked for as long as this one: {exc}")
    return tuple(notes)


def _ending(manifest: Manifest, *, lacking: bool) -> Ending:
    """`lacking` a copy or a signature, a whole set is not all that was asked for."""
    if not manifest.complete:
        return Ending.INCOMPLETE
    return Ending.DEGRADED if lacking else Ending.GOOD


def _outcome(system: System, state: RunState, ending: Ending, *, manifest: Manifest | None = None,
             stores: tuple[str, ...] = (), notes: tuple[str, ...] = (),
             failures: tuple[Failure, ...] = ()) -> Outcome:
    now = system.clock()
    since = state.started.started_at if state.started else state.run.opened_at
    return Outcome(state.run.run_id, state.run.set_id, ending, now, (now - since).total_seconds(),
                   plain_bytes=manifest.plain_bytes if manifest else 0,
                   stored_bytes=manifest.own_bytes if manifest else 0,
                   stores=stores, failures=failures, notes=notes,
                   suspicious=manifest.suspicious if manifest else (),
                   components=_saved(state, manifest) if manifest else {}, tag=state.run.tag)


def _saved(state: RunState, manifest: Manifest) -> dict[str, Saved]:
    """What the manifest lists of each component, in sums: history, when the set itself is long gone."""
    seconds: dict[str, float] = {}
    for record in state.parts.values():
        took = (record.finished_at - record.started_at).total_seconds()
        seconds[record.component] = seconds.get(record.component, 0.0) + took
    return {component: Saved(sum(each.plain_bytes for each in artifacts),
                             sum(each.stored_bytes for each in artifacts if each.set_id is None),
                             seconds.get(component, 0.0), len(artifacts))
            for component in manifest.components if (artifacts := manifest.of(component))}


def _links(manifest: Manifest) -> dict[str, str]:
    if not manifest.complete:
        return {}
    return {f"latest_{artifact.name}": manifest.key(artifact) for artifact in manifest.artifacts}


def _tidy(system: System, run: Run, outcome: Outcome) -> Outcome:
    """Let go of what only a running run needs; it may have been done before."""
    started = system.ledger.started(run.run_id)
    held = system.leases.look(LEASE)
    if started and held and held.token == started.token and not held.beat.released:
        system.leases.release(held)
    system.leases.forget(f"{run.run_id}/")
    system.ledger.forget_listings(run.run_id)
    return outcome
