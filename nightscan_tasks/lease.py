"""The right to be the only run on a resource, with a token, an expiry and a heartbeat.

A lease is a file `leases/<resource>/<token>.json`, created exclusively; the highest token is the lease.
Tokens only grow, so whoever holds a lower one has lost, however late it wakes up: that is the fence.
A heartbeat is a file beside it, written by the holder alone; no file is ever changed by two.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from nightscan_tasks import wire
from nightscan_tasks.errors import (
    AlreadyExists,
    Busy,
    LeaseLost,
    ManifestInvalid,
    NightscanError,
    NotFound,
    TransientError,
)
from nightscan_tasks.model import Json
from nightscan_tasks.stores.base import Store

PREFIX = "leases"
AHEAD = timedelta(minutes=5)
"""How far the clocks of hosts may differ. What is from later than that was written by one that jumped."""

_BEAT_SECONDS = 5  # at the latest: a heartbeat is also what `nightscan status` shows


@dataclass(frozen=True)
class Beat:
    """What a holder last said: until when it holds, how far it is, and whether it let go."""

    holder: str
    expires_at: datetime
    progress: dict[str, Json] = field(default_factory=dict)
    released: bool = False
    seconds: int = 0
    """How long it was given, so that one knows when; 0 in what an older version wrote."""


@dataclass(frozen=True)
class Held:
    """A lease as the store shows it now; `holder` names the run, or one try of a task."""

    resource: str
    token: int
    beat: Beat

    def live(self, now: datetime) -> bool:
        """Whether somebody holds it. One from the future does not count: it would bar the way for a day."""
        beat = self.beat
        ahead = beat.seconds > 0 and beat.expires_at - timedelta(seconds=beat.seconds) > now + AHEAD
        return not beat.released and now < beat.expires_at and not ahead


class Leases:
    """The leases of a store. `seconds` is how long a silent holder keeps one."""

    def __init__(self, store: Store, clock: Callable[[], datetime], *, seconds: int) -> None:
        self._store = store
        self._clock = clock
        self.seconds = seconds

    def acquire(self, resource: str, holder: str) -> Held:
        """Take the lease, or take it up again where `holder` has it already; `Busy` names who has it."""
        held = self.look(resource)
        if held is not None and held.live(self._clock()):
            if held.beat.holder == holder:
                return held
            raise Busy(f"{resource} is held by {held.beat.holder} until {held.beat.expires_at:%H:%M:%S} UTC")
        token = held.token + 1 if held else 1
        beat = self._beat(holder, {})
        try:
            self._store.put(_key(resource, token), [wire.encode(beat)], if_absent=True)
        except AlreadyExists:
            raise Busy(f"{resource} was taken by another at this moment") from None
        newest = max(self._tokens(resource), default=token)
        if newest != token:  # our look was old: others came and went, and theirs were tidied away
            self._store.delete(_key(resource, token))
            raise Busy(f"{resource} was taken by another at this moment")
        self._tidy(resource, token)
        return Held(resource, token, beat)

    def look(self, resource: str) -> Held | None:
        """The lease as it is now, or None where nobody ever took it."""
        for token in sorted(self._tokens(resource), reverse=True):
            for suffix in (".beat", ".json"):
                beat = self._read(_key(resource, token, suffix))
                if beat is not None:
                    return Held(resource, token, beat)
        return None

    def check(self, held: Held) -> None:
        """`LeaseLost` unless no one came after `held`. An expired lease that nobody took is still ours."""
        newest = max(self._tokens(held.resource), default=0)
        if newest != held.token:
            raise LeaseLost(f"{held.beat.holder} no longer holds {held.resource}: "
                            f"token {held.token} was followed by {newest}")

    def held(self, resource: str, token: int, holder: str) -> Held:
        """A lease that was taken elsewhere, by another process of the same run, from its token."""
        return Held(resource, token, self._beat(holder, {}))

    def renew(self, held: Held, progress: dict[str, Json] | None = None) -> None:
        """Prolong it, and tell how far the work is; `LeaseLost` where another has it."""
        self.check(held)
        self._store.put(_key(held.resource, held.token, ".beat"),
                        [wire.encode(self._beat(held.beat.holder, progress or {}))])

    def release(self, held: Held) -> None:
        """Let go, so that the next needs not wait for the expiry. One that was lost stays as it is."""
        beat = Beat(held.beat.holder, self._clock(), released=True)
        self._store.put(_key(held.resource, held.token, ".beat"), [wire.encode(beat)])

    def forget(self, prefix: str) -> None:
        """Remove the leases of all resources whose names begin with `prefix`, once none is needed."""
        for entry in list(self._store.list(f"{PREFIX}/{prefix}")):
            self._store.delete(entry.key)

    @contextmanager
    def hold(self, resource: str, holder: str, *, along: Sequence[Held] = (),
             progress: Callable[[], dict[str, Json]] = dict) -> Iterator[Callable[[], None]]:
        """Take a lease, keep it and those `along` with it alive, and let go of it, however it ends.

        Yields a check that raises `LeaseLost` once one of them is lost. `Busy` as for `acquire`.
        """
        held = self.acquire(resource, holder)
        try:
            with self.kept([held, *along], progress) as check:
                yield check
        finally:
            with suppress(TransientError):  # then it expires
                self.release(held)

    @contextmanager
    def kept(self, held: Sequence[Held],
             progress: Callable[[], dict[str, Json]]) -> Iterator[Callable[[], None]]:
        """Keep leases alive from a thread; yields a check that raises `LeaseLost` once one is lost.

        A store that does not answer is no loss yet: the heartbeat tries again until the lease expires.
        """
        keeping = _Keeping(self, held, progress)
        thread = threading.Thread(target=keeping.run, name="leases", daemon=True)
        thread.start()
        try:
            yield keeping.check
        finally:
            keeping.ended.set()
            thread.join()

    def _beat(self, holder: str, progress: dict[str, Json]) -> Beat:
        return Beat(holder, self._clock() + timedelta(seconds=self.seconds), progress, seconds=self.seconds)

    def _tokens(self, resource: str) -> Iterator[int]:
        for entry in self._store.list(f"{PREFIX}/{resource}/"):
            stem, _, suffix = entry.key.rpartition("/")[2].partition(".")
            if suffix == "json" and stem.isdigit():
                yield int(stem)

    def _read(self, key: str) -> Beat | None:
        try:
            with self._store.open(key) as chunks:
                return wire.decode(Beat, b"".join(map(bytes, chunks)), source=key)
        except (NotFound, ManifestInvalid):  # tidied away meanwhile, or not ours: as good as absent
            return None

    def _tidy(self, resource: str, token: int) -> None:
        for entry in list(self._store.list(f"{PREFIX}/{resource}/")):
            stem = entry.key.rpartition("/")[2].partition(".")[0]
            if stem.isdigit() and int(stem) < token:
                self._store.delete(entry.key)


def _elapsed_seconds() -> float:
    """A clock that goes on while a process is stopped and while the machine sleeps, and that nobody sets."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


@dataclass
class _Keeping:
    """Leases that a thread keeps alive, and what became of them."""

    leases: Leases
    held: Sequence[Held]
    progress: Callable[[], dict[str, Json]]
    ended: threading.Event = field(default_factory=threading.Event)
    lost: LeaseLost | None = None
    seen_at: float = field(default_factory=_elapsed_seconds)

    def run(self) -> None:
        """Renew them now and then, until the end or until one is lost."""
        while not self.ended.wait(min(self.leases.seconds / 6, _BEAT_SECONDS)):
            began = _elapsed_seconds()
            try:
                for each in self.held:
                    self.leases.renew(each, self.progress())
            except LeaseLost as exc:
                self.lost = exc
                return
            except NightscanError:
                continue
            self.seen_at = began

    def check(self) -> None:
        """`LeaseLost` once one is lost. Who stood still, or slept, looks for itself before it goes on."""
        if self.lost is None and _elapsed_seconds() - self.seen_at > self.leases.seconds / 2:
            with suppress(TransientError):  # no answer is no loss yet
                for each in self.held:
                    self.leases.check(each)
            self.seen_at = _elapsed_seconds()  # a store that is down is not asked with each buffer
        if self.lost is not None:
            raise self.lost


def _key(resource: str, token: int, suffix: str = ".json") -> str:
    return f"{PREFIX}/{resource}/{token:012d}{suffix}"
