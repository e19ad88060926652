"""Which databases of a Redis a restore replaces, and which it leaves alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from pydantic import SecretStr

from nightscan_tasks.components.redis_marks import Database, State
from nightscan_tasks.components.redis_server import Client, connect, connected, server_at


@dataclass(frozen=True)
class Scope:
    """All that was saved, some databases of it, or the keys that match.

    A whole restore replaces the databases that the set has, and that of the URL, which is the
    application's even when it was empty. Others may be somebody else's: they stay.
    """

    url: SecretStr
    databases: tuple[int, ...] = ()
    keys: tuple[str, ...] = ()

    @property
    def is_whole(self) -> bool:
        """Whether everything that was saved is wanted, functions too."""
        return not self.databases and not self.keys

    @property
    def per_database(self) -> int:
        """How many free databases each wanted one needs."""
        return 2 if self.keys else 1

    def wanted(self, saved: Iterable[int]) -> tuple[int, ...]:
        """The databases to replace, of a set that has `saved`."""
        return tuple(sorted(set(self.databases) or {*saved, self._own()}))

    def matching(self, numbers: Iterable[int], *servers: SecretStr) -> tuple[int, ...]:
        """Those of the databases in which some key matches on one of the servers; all without patterns."""
        return tuple(number for number in numbers
                     if not self.keys or any(self._matches(url, number) for url in servers))

    def problems(self, saved: Iterable[int], wanted: Iterable[int],
                 live: Iterable[Database]) -> Iterator[str]:
        """Databases that the set lacks, or the live server; or that hold what another restore keeps."""
        known, there = set(saved), {each.number: each for each in live}
        for number in self.databases:
            if number not in known:
                yield (f"the set has no keys in database {number}: it has some in "
                       f"{', '.join(map(str, sorted(known))) or 'none'}")
        for number in wanted:
            if number not in there:
                yield (f"{server_at(self.url)} has no database {number}: raise its setting `databases` "
                       f"above {number} and restart it")
            elif mark := there[number].mark:
                yield (f"database {number} of {server_at(self.url)} holds what restore {mark.run_id} keeps: "
                       f"let it go with `nightscan restore accept {mark.run_id}`, or go back with `rollback`")

    def notes(self, wanted: Iterable[int], live: Iterable[Database], run_id: str) -> Iterator[str]:
        """What stays although it is there."""
        others = [each for each in live if each.keys and not each.mark and each.number not in set(wanted)]
        if others and not self.databases:
            listed = ", ".join(f"{each.number} ({each.keys:,} keys)" for each in others)
            yield f"left as they are, since the set does not have them: databases {listed}"
        for other in sorted({each.mark.run_id for each in live if each.mark} - {run_id}):
            kept = [str(each.number) for each in live
                    if each.mark and each.mark.run_id == other and each.mark.state is not State.SPENT]
            yield (f"restore {other} still keeps databases {', '.join(kept)}: `nightscan restore accept "
                   f"{other}` lets them go")

    def _own(self) -> int:
        client = connect(self.url)
        try:
            return int(client.connection_pool.connection_kwargs.get("db") or 0)
        finally:
            client.close()

    def _matches(self, url: SecretStr, number: int) -> bool:
        with connected(url, database=number) as client:
            return any(_some(client, pattern) for pattern in self.keys)


def _some(client: Client, pattern: str) -> bool:
    return next(iter(client.scan_iter(match=pattern, count=10_000)), None) is not None
