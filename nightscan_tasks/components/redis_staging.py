"""Staging: what was loaded into a scratch server is copied beside what is live, and compared."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime

from redis import exceptions

from nightscan_tasks.components.redis_copy import Databases, copy_database
from nightscan_tasks.components.redis_functions import FunctionsPlan, plan_functions
from nightscan_tasks.components.redis_marks import Database, Mark, State, claim, look, seal
from nightscan_tasks.components.redis_outlook import broker_problems, room_problem, shortage_problem
from nightscan_tasks.components.redis_places import Place, Shortage, plan_places
from nightscan_tasks.components.redis_saved import differences
from nightscan_tasks.components.redis_scope import Scope
from nightscan_tasks.components.redis_server import (
    Client,
    connected,
    count_functions,
    flavour,
    info,
    is_refusal,
    keyspace,
    server_at,
)
from nightscan_tasks.components.restorer import Staged
from nightscan_tasks.components.scratch_redis import Scratch
from nightscan_tasks.errors import RestoreRefused
from nightscan_tasks.model import Json, Report


@dataclass(frozen=True)
class Staging:
    """One run's copying out of a loaded scratch server into the live one."""

    scope: Scope
    run_id: str
    now: datetime

    def fill(self, scratch: Scratch, report: Report) -> Staged:
        """Copy and compare; `RestoreRefused` where it cannot be, or what was loaded is not what was saved."""
        with connected(scratch.url) as source, connected(self.scope.url) as client:
            _require_same(keyspace(source, scratch.url), report)
            loaded, live = look(source), look(client)
            saved = {each.number: each.keys for each in loaded if each.keys and not each.mark}
            wanted = self._wanted(scratch, saved, live)
            _refuse(list(self.scope.problems(saved, wanted, live)))
            _refuse(list(broker_problems(self.scope.url, wanted)))
            self._require_room(source, client, _share(saved, wanted))
            evicted = _evicted(client)
            places = self._claim(client, wanted, live)
            for place in places:
                self._copy(scratch, client, place)
            functions = plan_functions(source, client) if self.scope.is_whole else FunctionsPlan(None)
            if _evicted(client) > evicted:
                raise RestoreRefused(f"{server_at(self.scope.url)} threw keys away while the copy was made: "
                                     f"raise its maxmemory; the old state is live")
            seal(client, self.run_id, functions.payload)
            return self._staged(source, client, places, (*_left_out(loaded), *functions.notes,
                                                         *self.scope.notes(wanted, live, self.run_id)))

    def _wanted(self, scratch: Scratch, saved: dict[int, int], live: tuple[Database, ...]) -> tuple[int, ...]:
        there = {each.number for each in live}
        wanted = self.scope.wanted(saved)
        if not self.scope.keys or not there.issuperset(wanted):
            return wanted
        matching = self.scope.matching(wanted, scratch.url, self.scope.url)
        if not matching:
            raise RestoreRefused(f"no key matches {' or '.join(self.scope.keys)}, neither in the set nor in "
                                 f"{server_at(self.scope.url)}; nothing was changed")
        return matching

    def _require_room(self, source: Client, client: Client, share: float) -> None:
        needed = int(info(source, "memory").get("used_memory_dataset") or 0)
        if problem := room_problem(client, self.scope.url, int(needed * share)):
            raise RestoreRefused(f"{problem}; nothing was changed")

    def _claim(self, client: Client, wanted: tuple[int, ...],
               live: tuple[Database, ...]) -> tuple[Place, ...]:
        places = plan_places(wanted, live, in_use=databases_in_use(client),
                             per_database=self.scope.per_database)
        if isinstance(places, Shortage):
            raise RestoreRefused(f"{shortage_problem(places, self.scope.url)}; nothing was changed")
        if (taken := claim(client, dict(self._marks(places)))) is not None:
            raise RestoreRefused(f"somebody else wrote into database {taken}, which was free: try again; "
                                 f"nothing was changed")
        return places

    def _marks(self, places: tuple[Place, ...]) -> Iterator[tuple[int, Mark]]:
        at = self.now.isoformat(timespec="seconds")
        for place in places:
            yield place.staged, Mark(self.run_id, place.of, State.FILLING, at, self.scope.keys)
            if place.reserved is not None:
                yield place.reserved, Mark(self.run_id, place.of, State.RESERVED, at, self.scope.keys)

    def _copy(self, scratch: Scratch, client: Client, place: Place) -> None:
        with ExitStack() as stack:
            copy_database(Databases(
                source=stack.enter_context(connected(scratch.url, database=place.of)),
                target=stack.enter_context(connected(self.scope.url, database=place.staged)),
                source_version=scratch.flavour.version,
                target_version=flavour(client).version), self.scope.keys)

    def _staged(self, source: Client, client: Client, places: tuple[Place, ...],
                notes: tuple[str, ...]) -> Staged:
        counted = keyspace(client, self.scope.url)
        server = flavour(client)
        databases: dict[str, Json] = {}
        for place in places:
            keys, expires = counted.get(place.staged, (1, 0))
            if keys > 1:
                databases[str(place.of)] = {"keys": keys - 1, "expires": expires}
        return Staged({"databases": databases, "functions": count_functions(source),
                       "server": {"name": server.name, "version": server.dotted}}, notes)


def _require_same(found: dict[int, tuple[int, int | None]], report: Report) -> None:
    if lines := differences(found, report.fingerprint):
        raise RestoreRefused("the backup does not hold what was counted when it was made; nothing live "
                             "was touched: " + "; ".join(lines))


def _refuse(problems: list[str]) -> None:
    if problems:
        raise RestoreRefused("; ".join(problems) + "; nothing was changed")


def _left_out(loaded: tuple[Database, ...]) -> Iterator[str]:
    for each in loaded:
        if each.mark:
            yield (f"left out: database {each.number} of the set, {each.keys:,} keys that restore "
                   f"{each.mark.run_id} kept when the set was made")


def _share(saved: dict[int, int], wanted: tuple[int, ...]) -> float:
    """How much of the set is wanted, by keys."""
    total = sum(saved.values())
    return sum(saved.get(number, 0) for number in wanted) / total if total else 1


def _evicted(client: Client) -> int:
    return int(info(client, "stats").get("evicted_keys") or 0)


def databases_in_use(client: Client) -> set[int]:
    """The databases that clients are connected to now, as far as the server tells."""
    try:
        return {int(each["db"]) for each in client.client_list() if "db" in each}
    except exceptions.ResponseError as exc:
        if is_refusal(exc):
            return set()
        raise
