"""The Redis as something to be put back: load, compare, copy beside what is live, swap in one step.

The set is loaded into a scratch server first. Its keys are copied into databases of the live server that
are free, and bear a mark from then on; then each changes places with the one it is for, all at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pydantic import SecretStr

from nightscan_tasks.components.redis_marks import NOT_SWAPPED, Database, Mark, State, clear, marked
from nightscan_tasks.components.redis_outlook import (
    broker_problems,
    estimated_bytes,
    overview,
    rehearse,
    room_problem,
    server_problems,
    shortage_problem,
    told,
)
from nightscan_tasks.components.redis_places import Shortage, plan_places
from nightscan_tasks.components.redis_saved import Saved, kind_of, saved_databases
from nightscan_tasks.components.redis_scope import Scope
from nightscan_tasks.components.redis_server import Client, connected, flavour, info, server_at
from nightscan_tasks.components.redis_staging import Staging, databases_in_use
from nightscan_tasks.components.redis_swap import swap_databases, undo_swap
from nightscan_tasks.components.restorer import Outlook, Position, Source, Staged, Swapped
from nightscan_tasks.components.scratch_redis import choose_scratch, scratch_server
from nightscan_tasks.errors import NightscanError, RestoreRefused
from nightscan_tasks.model import Artifact

_KEPT = {State.BEFORE: "the old state of database {of}", State.UNDONE: "the restored database {of}"}


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class RedisRestorer:
    """Puts a Redis back at `url`: all of it, some `databases`, or the keys that match.

    `keys` are patterns as Redis has them. A whole restore replaces the databases that the set has, and
    that of the URL, which is the application's even when it was empty; others may be another
    application's, and stay. Only the first three values are needed once something is staged.
    """

    url: SecretStr
    run_id: str
    temp_dir: Path
    databases: tuple[int, ...] = ()
    keys: tuple[str, ...] = ()
    clock: Callable[[], datetime] = _now

    def examine(self, source: Source) -> Outlook:
        """What would be replaced, and all that is in the way."""
        target = server_at(self.url)
        (artifact,) = source.artifacts
        with connected(self.url) as client:
            problems = list(server_problems(client, self.url)) or list(self._unreadable(source, client))
            if problems:
                return Outlook(target, problems=tuple(problems))
            found, forbidden = overview(client, self.url)
            if forbidden:
                return Outlook(target, problems=(forbidden,))
            saved = saved_databases(source.report.fingerprint)
            wanted = self._wanted(saved, found)
            problems += self._scope.problems(saved, wanted, found)
            problems += self._in_the_way(client, found, wanted)
            problems.append(room_problem(client, self.url, _needed_bytes(artifact, saved, wanted)))
            used = info(client, "memory").get("used_memory_dataset")
        replaced = {each.number: each.keys for each in found if each.number in wanted and each.keys}
        is_all = not self.keys and all(each.number in wanted for each in found if each.keys)
        return Outlook(
            target, replaces=told(replaced, self.url) + self._which() if replaced else "",
            replaced_bytes=int(used) if used and is_all else None, problems=tuple(filter(None, problems)),
            notes=tuple(self._scope.notes(wanted, found, self.run_id)))

    def stage(self, source: Source) -> Staged:
        """Load the set into a scratch server, and copy what is wanted of it beside what is live."""
        (artifact,) = source.artifacts
        with connected(self.url) as client:
            self._require_unswapped(client)
            clear(client, self.run_id, NOT_SWAPPED)
            live = flavour(client)
        with source.open(artifact) as chunks:
            saved = Saved.of(chunks, kind_of(artifact))
            with scratch_server(saved.version or live.rdb_version, live=live,
                                temp_dir=self.temp_dir) as scratch:
                saved.load(scratch)
                with self._removed_if_it_fails():
                    return Staging(self._scope, self.run_id, self.clock()).fill(scratch, source.report)

    def swap(self) -> Swapped:
        """Let every staged database change places with the live one, in one step."""
        with connected(self.url) as client:
            exchange = swap_databases(client, self.run_id, now=self.clock())
            kept = {each.number: each.keys for each in marked(client, self.run_id)
                    if each.mark and each.mark.state is State.BEFORE}
        notes = (f"{exchange.celery_keys} keys that belong to Celery stayed with what is live",)
        return Swapped(told(kept, self.url) if any(kept.values()) else None,
                       notes if exchange.celery_keys else ())

    def undo(self) -> None:
        """Let them change places again; what Celery has stays with what is live."""
        with connected(self.url) as client:
            if not undo_swap(client, self.run_id, now=self.clock()):
                clear(client, self.run_id, NOT_SWAPPED)

    def accept(self) -> tuple[str, ...]:
        """Empty the databases that bear this run's mark."""
        with connected(self.url) as client:
            gone = clear(client, self.run_id, tuple(State))
        return tuple(f"database {each.number} of {server_at(self.url)}: {_said(each.mark)}, "
                     f"{each.keys:,} keys"
                     for each in gone if each.mark and each.mark.state is not State.SPENT)

    def discard(self) -> None:
        """Empty the databases that this run staged into and did not swap."""
        with connected(self.url) as client:
            clear(client, self.run_id, NOT_SWAPPED)

    def position(self) -> Position:
        """Read from the marks. There is no swap that is cut off."""
        with connected(self.url) as client:
            states = {each.mark.state for each in marked(client, self.run_id) if each.mark}
        for state, position in ((State.BEFORE, Position.SWAPPED), (State.UNDONE, Position.UNDONE)):
            if state in states:
                return position
        return Position.STAGED if states else Position.ABSENT

    @property
    def _scope(self) -> Scope:
        return Scope(self.url, self.databases, self.keys)

    def _wanted(self, saved: dict[int, int], found: tuple[Database, ...]) -> tuple[int, ...]:
        """As far as can be told before it is loaded: an old state was in the set, where it is live now."""
        kept = {each.number for each in found if each.mark} - set(self.databases)
        return self._scope.wanted(saved.keys() - kept)

    def _which(self) -> str:
        return f", of which those that match {' or '.join(self.keys)}" if self.keys else ""

    def _unreadable(self, source: Source, client: Client) -> Iterator[str]:
        """Whether its head names an RDB that cannot get into this server."""
        (artifact,) = source.artifacts
        live = flavour(client)
        with source.open(artifact) as chunks:
            version = Saved.of(chunks, kind_of(artifact)).version
        try:
            choose_scratch(version or live.rdb_version, live)
        except RestoreRefused as exc:
            yield str(exc)

    def _in_the_way(self, client: Client, found: tuple[Database, ...],
                    wanted: tuple[int, ...]) -> Iterator[str]:
        """A broker, too few free databases, commands that are refused."""
        there = tuple(number for number in wanted if number < len(found))
        yield from broker_problems(self.url, there)
        in_use = databases_in_use(client)
        if self.keys:  # of the set's keys nothing is known yet
            there = self._scope.matching(there, self.url) or there[:1]
        places = plan_places(there, found, in_use=in_use, per_database=self._scope.per_database)
        if isinstance(places, Shortage):
            yield shortage_problem(places, self.url)
        elif places:
            yield from rehearse(client, self.url, places[0])

    def _require_unswapped(self, client: Client) -> None:
        for each in marked(client, self.run_id):
            if each.mark and each.mark.state not in NOT_SWAPPED:
                raise RestoreRefused(f"restore {self.run_id} was swapped already, and keeps database "
                                     f"{each.number}: accept it, or begin a new one; nothing was changed")

    @contextmanager
    def _removed_if_it_fails(self) -> Iterator[None]:
        try:
            yield
        except BaseException:
            with suppress(NightscanError):  # the server may be gone; the marks say what is left there
                self.discard()
            raise


def _needed_bytes(artifact: Artifact, saved: dict[int, int], wanted: tuple[int, ...]) -> int:
    total = sum(saved.values())
    share = sum(saved.get(number, 0) for number in wanted) / total if total else 1
    return round(estimated_bytes(artifact.plain_bytes, total) * share)


def _said(mark: Mark) -> str:
    return _KEPT.get(mark.state, "what was staged for database {of}").format(of=mark.of)
