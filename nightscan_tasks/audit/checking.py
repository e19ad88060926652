"""Reading the audit record, and finding what was changed or removed."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256

from nightscan_tasks import wire
from nightscan_tasks.audit.chain import Chain, hosts
from nightscan_tasks.audit.local import LocalCopy
from nightscan_tasks.audit.records import Head, Line, Record
from nightscan_tasks.errors import ManifestInvalid, NightscanError
from nightscan_tasks.stores.base import Store


@dataclass(frozen=True)
class Listed:
    """Records, the newest last; those that wait on this host have the number 0. `problems` are unread."""

    records: tuple[Record, ...]
    problems: tuple[str, ...] = ()


@dataclass(frozen=True)
class Checked:
    """How many records each host has, and what was found to be changed or missing."""

    hosts: dict[str, int]
    compared: int
    problems: tuple[str, ...]


def listed(store: Store, local: LocalCopy, *, last: int | None = None) -> Listed:
    """The records of all hosts, or the `last` of each, and those that wait here."""
    found: list[Record] = []
    problems: list[str] = []
    try:
        for host in hosts(store):
            chain = Chain(store, host)
            numbers = [number for _, number in chain.names() if number]
            for number in numbers[-last:] if last else numbers:
                _read_into(chain, number, found, problems)
    except NightscanError as exc:
        problems.append(str(exc))
    try:
        found += [line.record for line in local.waiting()]
    except OSError as exc:
        problems.append(f"what waits on this host cannot be read: {exc}")
    unique = {record.record_id: record for record in reversed(found)}  # carried over twice is there twice
    return Listed(tuple(sorted(unique.values(), key=lambda record: record.recorded_at)), tuple(problems))


def _read_into(chain: Chain, number: int, found: list[Record], problems: list[str]) -> None:
    data = chain.read(number)
    if data is None:
        return
    try:
        found.append(wire.decode(Record, data, source=chain.key(number)))
    except ManifestInvalid as exc:
        problems.append(str(exc))


def check(store: Store, local: LocalCopy) -> Checked:
    """Compare every chain with itself, with its head, and with this host's own copy."""
    problems: list[str] = []
    ours = _copies(local, store.url, problems)  # before the store is read: what comes later is no loss
    counts: dict[str, int] = {}
    digests: dict[str, str] = {}
    waiting = _waiting(local, problems)
    ids: set[str] = set()
    for host in hosts(store):
        chain = _Checked(Chain(store, host), problems)
        counts[host] = chain.walk(digests, ids)
    compared = 0
    for line in ours:
        problem = _compare(line, digests, ids | waiting)
        compared += problem is None
        problems += [problem] if problem else []
    return Checked(counts, compared, tuple(problems))


class _Checked:
    """One chain while it is walked through."""

    def __init__(self, chain: Chain, problems: list[str]) -> None:
        self._chain = chain
        self._problems = problems

    def walk(self, digests: dict[str, str], ids: set[str]) -> int:
        """Compare every link; how many there are. Adds each record's hash by its key, and its id."""
        head = self._head()  # first: what is recorded meanwhile comes behind it
        expected, before, count = 1, "", 0
        for key, number in self._chain.names():
            if number is None:
                self._problems.append(f"{key} is no audit record: somebody put it there")
                continue
            data = self._chain.read(number) or b""
            digest = sha256(data).hexdigest()
            self._gap(expected, number)
            self._link(key, number, data, before if number == expected else None, ids)
            if head and head.number == number and head.sha256 != digest:
                self._problems.append(f"{key} is not the record that was written there: its head says so")
            digests[key] = digest
            expected, before, count = number + 1, digest, count + 1
        if head and head.number >= expected:
            self._gap(expected, head.number + 1)
        if head is None and count:
            self._problems.append(f"{self._chain.folder}/head.json is missing or changed: it no longer says "
                                  f"whether records are missing at the end")
        return count

    def _head(self) -> Head | None:
        try:
            return self._chain.head()
        except ManifestInvalid:
            return None

    def _gap(self, expected: int, number: int) -> None:
        if number > expected:
            last = f" to {self._chain.key(number - 1)}" if number - 1 > expected else ""
            self._problems.append(f"{self._chain.key(expected)}{last} is missing: removed after it was "
                                  f"written")

    def _link(self, key: str, number: int, data: bytes, before: str | None, ids: set[str]) -> None:
        try:
            record = wire.decode(Record, data, source=key)
        except ManifestInvalid as exc:
            self._problems.append(f"{exc}: it was changed after it was written")
            return
        ids.add(record.record_id)
        if record.number != number:
            self._problems.append(f"{key} calls itself {record.number}: it was written for another place")
        if before is not None and record.before != before:
            self._problems.append(f"{key} does not follow the record before it: one of the two was changed")


def _copies(local: LocalCopy, url: str, problems: list[str]) -> list[Line]:
    try:
        return [line for line in local.lines() if line.store == url]
    except OSError as exc:
        problems.append(f"this host's own copy cannot be read, and was not compared: {exc}")
        return []


def _waiting(local: LocalCopy, problems: list[str]) -> set[str]:
    try:
        return {line.record.record_id for line in local.waiting()}
    except OSError as exc:
        problems.append(f"what waits on this host cannot be read: {exc}")
        return set()


def _compare(line: Line, digests: dict[str, str], ids: set[str]) -> str | None:
    """What this host's own copy says of a record that the store does not."""
    told = f"{line.record.action} of {line.record.subject} at {line.record.recorded_at:%Y-%m-%d %H:%M:%S}"
    if not line.key:
        if line.record.record_id in ids:
            return None
        return f"{told} was recorded on this host while the store was down, and is in no chain"
    found = digests.get(line.key)
    if found is None:
        return f"{line.key} is missing: this host's own copy has it ({told})"
    return None if found == line.sha256 else f"{line.key} was changed: this host's own copy differs ({told})"
