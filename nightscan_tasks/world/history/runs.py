"""One run of the past, as values: its opening, its manifest, and how it ended."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from nightscan_tasks.ledger import Ending, Outcome, Run, Saved
from nightscan_tasks.model import Artifact, Failure, Manifest, Plan, Report, SetId
from nightscan_tasks.suspicion import plan_suspicion
from nightscan_tasks.system import PRIMARY, System
from nightscan_tasks.world.history.sizes import Day, elapsed_seconds, fingerprint, saved
from nightscan_tasks.world.history.story import Trouble

HOST = "nightscan-1"
_FILES = {"database": "database.sql", "redis": "redis.rdb", "system_config": "system_config.tar",
          "source_code": "source_code.tar"}
_VERSIONS = {"nightscan-tasks": "0.1.0", "postgresql": "16.4", "redis": "7.2.5", "tar": "1.34"}
_LEFT_OF_WIPED = 0.2
_FULL = "primary: the disk is full: 1.1 GB are free, 4.9 GB are needed; make room, then run it again"
_REFUSED = "redis://localhost:6379: connection refused; is the server running?"
_DOWN = "offsite: no answer within 60 s: connection timed out"


@dataclass(frozen=True)
class Past:
    """One run that is over; without a manifest it made no set. `stores` have the set."""

    run: Run
    outcome: Outcome
    manifest: Manifest | None

    @property
    def stores(self) -> tuple[str, ...]:
        """The stores to which the run itself brought its set."""
        return self.outcome.stores


@dataclass
class Maker:
    """Makes runs one after the other, and judges each by those before it, as `settle` does."""

    system: System
    chance: random.Random

    def __post_init__(self) -> None:
        self.before: list[Manifest] = []

    def make(self, plan: Plan, at: datetime, day: Day, trouble: Trouble | None = None, *,
             waited_seconds: float = 0.0, tag: str | None = None) -> Past:
        """The run of a plan that was opened at `at`."""
        run = self._run(plan, at, tag)
        done = {component: self._saved(component, day, trouble) for component in plan.components
                if not (trouble is Trouble.INCOMPLETE and component == "redis")}
        if trouble is Trouble.FAILED:
            return Past(run, self._failed(run), None)
        took = elapsed_seconds(done)
        ended = at + timedelta(seconds=waited_seconds + took)
        manifest = self._manifest(run, done, ended, trouble)
        self.before = [manifest, *self.before][:20]
        return Past(run, self._outcome(run, manifest, done, took, trouble), manifest)

    def _run(self, plan: Plan, at: datetime, tag: str | None) -> Run:
        set_id, settings = SetId.at(plan.tier, at), self.system.settings
        archives = settings.user_data_archives
        parts = tuple(part for component in plan.components for part in _parts(component, archives))
        return Run(set_id.run_id, set_id, plan, parts, archives,
                   tuple(store.name for store in self.system.offsites), at, settings.deadline_seconds, HOST,
                   tag)

    def _saved(self, component: str, day: Day, trouble: Trouble | None) -> Saved:
        plain = day.plain_bytes[component]
        if trouble is Trouble.WIPED and component == "database":
            plain = round(plain * _LEFT_OF_WIPED)
        artifacts = len(_parts(component, self.system.settings.user_data_archives))
        return saved(component, plain, self.chance, slower=day.slower, artifacts=artifacts)

    def _manifest(self, run: Run, done: Mapping[str, Saved], ended: datetime,
                  trouble: Trouble | None) -> Manifest:
        recipient = self.system.settings.gpg_recipient
        failures = (Failure("redis", "SourceUnavailable", _REFUSED, run.opened_at + timedelta(seconds=41)),
                    ) if trouble is Trouble.INCOMPLETE else ()
        manifest = Manifest(
            run.set_id, run.run_id, complete=not failures, opened_at=run.opened_at, settled_at=ended,
            encrypted_for=recipient or None, host=HOST, tag=run.tag, failures=failures, versions=_VERSIONS,
            components={name: Report(fingerprint(name, each.plain_bytes), _VERSIONS)
                        for name, each in done.items()},
            artifacts=tuple(artifact for name, each in done.items()
                            for artifact in self._artifacts(run, name, each)))
        reasons = plan_suspicion(manifest, self.before, percent=self.system.settings.suspicious_percent)
        return replace(manifest, suspicious=reasons)

    def _artifacts(self, run: Run, component: str, each: Saved) -> Iterator[Artifact]:
        parts, suffix = _parts(component, each.artifacts), self.system.codec.suffix
        for number, part in enumerate(parts):
            name = _FILES.get(component, f"{part}.tar") + suffix
            yield Artifact(
                name, component, part, _share(each.plain_bytes, len(parts), number),
                _digest(run.run_id, name, "plain"), _share(each.stored_bytes, len(parts), number),
                _digest(run.run_id, name, "stored"))

    def _outcome(self, run: Run, manifest: Manifest, done: Mapping[str, Saved], took: float,
                 trouble: Trouble | None) -> Outcome:
        lacking = run.offsites[:1] if trouble is Trouble.OUTAGE else ()
        failures = tuple(Failure(f"{part}@{store}", "StoreError", _DOWN, manifest.settled_at)
                         for store in lacking for part in run.parts)
        ending = Ending.INCOMPLETE if not manifest.complete else (
            Ending.DEGRADED if lacking else Ending.GOOD)
        return Outcome(
            run.run_id, run.set_id, ending, manifest.settled_at, took, manifest.plain_bytes,
            manifest.stored_bytes, (PRIMARY, *(name for name in run.offsites if name not in lacking)),
            (*manifest.failures, *failures), tuple(f"suspicious: {why}" for why in manifest.suspicious),
            manifest.suspicious, done, run.tag)

    def _failed(self, run: Run) -> Outcome:
        ended = run.opened_at + timedelta(seconds=self.chance.randint(50, 90))
        return Outcome(run.run_id, run.set_id, Ending.FAILED, ended,
                       (ended - run.opened_at).total_seconds(), tag=run.tag,
                       failures=tuple(Failure(part, "StoreRefused", _FULL, ended) for part in run.parts))


def _parts(component: str, archives: int) -> tuple[str, ...]:
    if component != "user_data":
        return (component,)
    return tuple(f"{component}.{number:02}" for number in range(archives))


def _share(total: int, parts: int, number: int) -> int:
    return total // parts + (total % parts if number == 0 else 0)


def _digest(*words: str) -> str:
    return hashlib.sha256("/".join(words).encode()).hexdigest()
