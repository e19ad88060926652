"""What can go wrong: each fault is struck at one moment, and mended at another."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import redis

from chaos.proxy import Mood
from chaos.site import Site
from nightscan_tasks.ledger import Ending
from nightscan_tasks.world.world import World

_GOOD = frozenset({Ending.GOOD})
_COPIES_LATER = frozenset({Ending.GOOD, Ending.DEGRADED})
_PARTS_LOST = frozenset({Ending.GOOD, Ending.DEGRADED, Ending.INCOMPLETE, Ending.FAILED})

Mend = Callable[[], None]


@dataclass(frozen=True)
class Fault:
    """`strike` breaks something, picked by a chance from 0 to 1, and returns how to mend it, if that must be.

    `endings` are how a run may end that meets it: less than good only where work was really impossible.
    """

    strike: Callable[[Site, float], Mend | None]
    endings: frozenset[Ending] = _GOOD
    possible: Callable[[Site], bool] = lambda _site: True


def _worker(site: Site, chance: float) -> Any:
    names = ("fast", "heavy", "control")
    return site.crew.hands[names[int(chance * len(names)) % len(names)]]


def kill_child(site: Site, chance: float) -> None:
    """Kill -9 of a child of a worker's pool: what the kernel does when memory is short."""
    children = _worker(site, chance).children()
    if children:
        _kill(children[int(chance * 97) % len(children)])


def kill_worker(site: Site, chance: float) -> None:
    """Kill -9 of a whole worker."""
    _worker(site, chance).send(signal.SIGKILL)


def kill_beat(site: Site, _chance: float) -> None:
    """Kill -9 of beat."""
    site.crew.hands["beat"].send(signal.SIGKILL)


def kill_pg_dump(site: Site, _chance: float) -> None:
    """Kill -9 of pg_dump, as soon as one runs."""
    _kill_program(site, "pg_dump")


def kill_gpg(site: Site, _chance: float) -> None:
    """Kill -9 of gpg, as soon as one runs."""
    _kill_program(site, "gpg")


def stop_worker(site: Site, chance: float) -> None:
    """SIGTERM: a worker is to end when its work is done, and is started again."""
    _worker(site, chance).send(signal.SIGTERM)


def quit_worker(site: Site, chance: float) -> None:
    """SIGQUIT: a worker is to end at once."""
    _worker(site, chance).send(signal.SIGQUIT)


def freeze_worker(site: Site, chance: float) -> Mend:
    """A worker stands still, longer than its leases last, and then wakes up."""
    hand = _worker(site, chance)
    pids = [hand.pid, *hand.children()]
    for pid in pids:
        _signal(pid, signal.SIGSTOP)

    def mend() -> None:
        for pid in pids:
            _signal(pid, signal.SIGCONT)

    return mend


def restart_broker(site: Site, _chance: float) -> Mend:
    """The broker goes, and comes back with what it had written down."""
    return _restart(site, "broker")


def restart_database(site: Site, _chance: float) -> Mend:
    """PostgreSQL goes, and comes back."""
    return _restart(site, "postgres")


def flush_broker(site: Site, _chance: float) -> None:
    """The broker loses every message."""
    with redis.Redis.from_url(site.environ["NIGHTSCAN_BROKER_URL"]) as broker:
        broker.flushdb()


def flush_results(site: Site, _chance: float) -> None:
    """The result backend loses everything, in mid-chord too."""
    with redis.Redis.from_url(site.environ["NIGHTSCAN_RESULT_BACKEND"]) as results:
        results.flushdb()


def redeliver(site: Site, _chance: float) -> None:
    """Every message that is being worked on is delivered once more."""
    with (site.app.connection_for_write() as connection, connection.channel() as channel,
          channel.conn_or_acquire() as broker):
        for key in (key.decode() for key in broker.keys("unacked*") if broker.type(key) == b"hash"):
            channel.unacked_key, channel.unacked_index_key = key, key.replace("unacked", "unacked_index", 1)
            for tag in broker.hkeys(key):
                channel.qos.restore_by_tag(tag.decode(), broker)


def two_beats(site: Site, _chance: float) -> Mend:
    """A second beat, which knows nothing of the first."""
    name = f"beat-{time.monotonic_ns()}"
    site.crew.beat(name)
    return lambda: site.crew.dismiss(name)


def disk_full(site: Site, _chance: float) -> Mend:
    """Somebody else fills the disk of the primary store."""
    filler = _disk(site) / "filler"
    with filler.open("wb", buffering=0) as file, suppress(OSError):
        while file.write(bytes(65536)):
            pass
    return lambda: filler.unlink(missing_ok=True)


def cut_host(site: Site, _chance: float) -> Mend:
    """A host is cut off from broker and S3: no packet goes or comes, and nobody is told."""
    remote = site.remote
    if remote is None:
        raise RuntimeError("there is no other host")
    remote.cut()
    return remote.mend


def _s3(mood: Mood) -> Callable[[Site, float], Mend]:
    """The S3 is in a mood."""

    def strike(site: Site, _chance: float) -> Mend:
        site.s3.turn(mood)
        return lambda: site.s3.turn(Mood.WELL)

    return strike


def _clock(offset: str) -> Callable[[Site, float], Mend]:
    """The clock jumps, and back."""

    def strike(site: Site, _chance: float) -> Mend:
        site.move_clock(offset)
        return lambda: site.move_clock("+0")

    return strike


FAULTS: dict[str, Fault] = {
    "kill a pool child": Fault(kill_child),
    "kill a worker": Fault(kill_worker),
    "kill beat": Fault(kill_beat),
    "kill pg_dump": Fault(kill_pg_dump),
    "kill gpg": Fault(kill_gpg),
    "SIGTERM a worker": Fault(stop_worker),
    "SIGQUIT a worker": Fault(quit_worker),
    "freeze a worker": Fault(freeze_worker),
    "restart the broker": Fault(restart_broker),
    "flush the broker": Fault(flush_broker),
    "flush the results": Fault(flush_results),
    "deliver again": Fault(redeliver),
    "two beats": Fault(two_beats),
    "restart the database": Fault(restart_database),
    "S3 down": Fault(_s3(Mood.DOWN), _COPIES_LATER),
    "S3 slow": Fault(_s3(Mood.SLOW), _COPIES_LATER),
    "S3 cuts": Fault(_s3(Mood.CUT), _COPIES_LATER),
    "S3 silent": Fault(_s3(Mood.SILENT), _COPIES_LATER),
    "S3 500": Fault(_s3(Mood.ERROR_500), _COPIES_LATER),
    "S3 403": Fault(_s3(Mood.ERROR_403), _COPIES_LATER),
    "a host cut off": Fault(cut_host, _COPIES_LATER, lambda site: site.remote is not None),
    "disk full": Fault(disk_full, _PARTS_LOST, lambda site: site.disk is not None),
    "clock a day forward": Fault(_clock("+1d"), _PARTS_LOST, lambda site: site.clock is not None),
    "clock a day back": Fault(_clock("-1d"), _PARTS_LOST, lambda site: site.clock is not None),
}
"""Every fault by its name."""


def endings(site: Site, fault: str) -> frozenset[Ending]:
    """How a run may end that meets a fault. Where the ledger is in S3, its faults are the primary store's."""
    found = FAULTS[fault].endings
    return _PARTS_LOST if site.system.primary.url.startswith("s3:") and found == _COPIES_LATER else found


def _kill(pid: int) -> None:
    _signal(pid, signal.SIGKILL)


def _signal(pid: int, number: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def _kill_program(site: Site, program: str) -> None:
    """Kill the first process of that name below the site's workers; none may run for a while."""
    for _ in range(100):
        for pid in descendants([hand.pid for hand in site.crew.hands.values()]):
            with suppress(OSError):
                if Path(f"/proc/{pid}/comm").read_text(encoding="utf-8").strip() == program:
                    return _kill(pid)
        time.sleep(0.02)
    return None


def descendants(pids: list[int]) -> Iterator[int]:
    """All processes below these, however deep."""
    for pid in pids:
        for listed in Path(f"/proc/{pid}/task").glob("*/children"):
            with suppress(OSError):
                below = [int(each) for each in listed.read_text(encoding="ascii").split()]
                yield from below
                yield from descendants(below)


def _restart(site: Site, name: str) -> Mend:
    site.world.stop(name)
    return lambda: void(World.up(site.world.folder, services=(name,), celery=False))


def void(_value: object) -> None:
    """Nothing comes of it."""


def _disk(site: Site) -> Path:
    if site.disk is None:
        raise RuntimeError("there is no small disk")
    return site.disk
