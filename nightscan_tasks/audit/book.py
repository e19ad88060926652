"""The audit record as everybody uses it."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import datetime

from nightscan_tasks.audit.actor import Doing, actor
from nightscan_tasks.audit.chain import Chain
from nightscan_tasks.audit.checking import Checked, Listed, check, listed
from nightscan_tasks.audit.local import LocalCopy
from nightscan_tasks.audit.records import Action, Line, Record
from nightscan_tasks.errors import NightscanError, StoreRefused
from nightscan_tasks.stores.base import Store

_LONGEST = 2000
_AGAIN_SECONDS = 60  # a store that was down a moment ago is not waited for with each record


class Audit:
    """The record in `store`, of what this process does on `host`; `local` is the host's own copy."""

    def __init__(self, store: Store, local: LocalCopy, clock: Callable[[], datetime], *, host: str,
                 doing: Doing) -> None:
        self._store = store
        self._local = local
        self._clock = clock
        self._host = host
        self._chain = Chain(store, host)
        self._doing = doing
        self._down_until = 0.0
        self._used: set[tuple[str, str]] = set()

    def record(self, action: Action, subject: str, **facts: str) -> None:
        """Record what is about to be done, or how it ended; `subject` is a set or a run.

        When it returns, the record is in the primary store, or, while that is down, on this host, from
        where it is carried over later. `StoreRefused` where neither takes it: then it must not be done.
        Neither subject nor facts may hold a secret.
        """
        record = Record(
            secrets.token_hex(8), self._clock(), action, subject, actor(self._doing),
            {name: value[:_LONGEST] for name, value in facts.items()}, self._doing.asker)
        try:
            self._carry_over()
            kept = self._keep(record)
        except NightscanError as exc:
            self._wait(record, exc)
        else:
            with suppress(OSError, NightscanError):  # the store has it; `check` tells what the copy lacks
                self._local.add(kept)

    def ended(self, action: Action, subject: str, **facts: str) -> None:
        """Record how something ended. Never raises: it is done, and its beginning is on record."""
        with suppress(NightscanError):
            self.record(action, subject, phase="ended", **facts)

    def of_keys(self) -> Audit:
        """The same for a scratch NightScan: what is done to it is no matter, the use of the key is."""
        return _OfKeys(self._store, self._local, self._clock, host=self._host, doing=self._doing)

    def key_used(self, set_id: str, store: str, **facts: str) -> None:
        """Record, once for each set and store, that the private key is about to open it."""
        if (set_id, store) not in self._used:
            self.record(Action.KEY_USE, set_id, store=store, **facts)
            self._used.add((set_id, store))

    def records(self, *, last: int | None = None) -> Listed:
        """The records of all hosts in the order of their times, the `last` of each host or all."""
        return listed(self._store, self._local, last=last)

    def check(self) -> Checked:
        """Whether any record of any host was changed or removed."""
        return check(self._store, self._local)

    def _keep(self, record: Record) -> Line:
        if time.monotonic() < self._down_until:
            raise StoreRefused(f"{self._store.name} was down a moment ago")
        try:
            key, digest = self._chain.append(record)
        except NightscanError:
            self._down_until = time.monotonic() + _AGAIN_SECONDS
            raise
        return Line(record, self._store.url, key, digest)

    def _wait(self, record: Record, error: NightscanError) -> None:
        line = Line(record, self._store.url)
        try:
            self._local.wait(line)
        except (OSError, NightscanError) as exc:
            raise StoreRefused(
                f"{record.action} of {record.subject} cannot be recorded, and what is not recorded is not "
                f"done: {error}; nor can {self._local.path} be written: {exc}\nlet NIGHTSCAN_AUDIT_FILE name "
                f"a file in a folder that {record.actor.user} may write") from exc
        with suppress(OSError, NightscanError):
            self._local.add(line)

    def _carry_over(self) -> None:
        """Bring what waits on this host to the store, before anything newer."""
        try:
            with self._local.taking() as waiting:
                for line in waiting:
                    kept = self._keep(replace(line.record, carried_at=self._clock()))
                    with suppress(OSError):
                        self._local.add(kept)
        except OSError:  # the copy cannot be read now: what is new has to be kept all the same
            return


class _OfKeys(Audit):
    """An audit record of the use of the private key alone."""

    def record(self, action: Action, subject: str, **facts: str) -> None:
        """See `Audit.record`; what is no use of the key is not recorded."""
        if action is Action.KEY_USE:
            super().record(action, subject, **facts)
