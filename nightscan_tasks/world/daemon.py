"""A process that outlives its starter, and can be found and ended later, whoever crashed meanwhile.

The process writes down who it is before it becomes the program, so that there is no moment at which
it runs and nobody knows; where somebody has written something there before it, it ends instead. It is
told from a later process of the same id by its start time.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from nightscan_tasks.errors import WorldError

NOTE_THEN_BECOME = (
    'cat /proc/sys/kernel/random/boot_id "/proc/$$/stat" >"$0.new" && ln "$0.new" "$0" && exec "$@"')
_NOTE_SECONDS = 20
_KILLED_SECONDS = 20
_PAUSE_SECONDS = 0.02
_PROC = Path("/proc")


@dataclass(frozen=True)
class Identity:
    """One process, and no later one that happens to get the same id."""

    pid: int
    started_ticks: int
    boot_id: str

    def alive(self) -> bool:
        """Whether it runs; a zombie does not."""
        stat = _stat(self.pid)
        return (stat is not None and stat.started_ticks == self.started_ticks
                and stat.state not in "ZX" and self.boot_id == boot_id())

    def started_at(self) -> datetime:
        """When it was started, by this machine's clock."""
        line = next(line for line in (_PROC / "stat").read_text().splitlines()
                    if line.startswith("btime "))
        seconds = self.started_ticks / os.sysconf("SC_CLK_TCK")
        return datetime.fromtimestamp(int(line.split()[1]), UTC) + timedelta(seconds=seconds)

    def send(self, number: signal.Signals) -> None:
        """Send a signal to this very process; one that is gone is no error."""
        try:
            handle = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return
        try:
            if self.alive():  # asked after the handle was taken: the id cannot change hands now
                signal.pidfd_send_signal(handle, number)
        except ProcessLookupError:
            return
        finally:
            os.close(handle)


@dataclass(frozen=True)
class _Stat:
    pid: int
    state: str
    session: int
    started_ticks: int


def boot_id() -> str:
    """What tells this boot of the machine from any other."""
    return (_PROC / "sys/kernel/random/boot_id").read_text().strip()


def spawn(argv: Sequence[str], *, note: Path, log: Path, cwd: Path,
          env: Mapping[str, str]) -> Identity:
    """Start a program in a session of its own, its output appended to `log`.

    `note` is written by the program's process itself; see `noted`. `argv[0]` is an absolute path.
    """
    note.unlink(missing_ok=True)
    _draft(note).unlink(missing_ok=True)
    with log.open("ab") as output:
        subprocess.run(["/usr/bin/setsid", "--fork", "/bin/sh", "-c", NOTE_THEN_BECOME, str(note),
                        *argv], check=True, stdin=subprocess.DEVNULL, stdout=output,
                       stderr=output, cwd=cwd, env=dict(env))
    wait_until(note.exists, _NOTE_SECONDS, f"{argv[0]} to be started")
    identity = noted(note)
    if identity is None:
        raise WorldError(f"{note} cannot be read: is the disk full?")
    return identity


def noted(note: Path) -> Identity | None:
    """Who wrote `note` as it was started; None if nobody did."""
    try:
        boot, _, text = note.read_text().partition("\n")
    except FileNotFoundError:
        return None
    stat = _parse(text)
    return None if stat is None else Identity(stat.pid, stat.started_ticks, boot)


def forestall(note: Path) -> Identity | None:
    """Whoever wrote `note`; or else whoever is about to, killed starter or not, will not start any more."""
    with suppress(FileExistsError):
        note.touch(exist_ok=False)
    return noted(note)


def stop(identity: Identity, *, gently: signal.Signals, patience_seconds: float,
         strays: Callable[[], list[Identity]] = list) -> None:
    """End a process: first gently, then, with all that is left of its session, at once.

    `strays` finds what else belongs to it.
    """
    identity.send(gently)
    deadline = time.monotonic() + patience_seconds
    while identity.alive() and time.monotonic() < deadline:
        time.sleep(_PAUSE_SECONDS)
    deadline = time.monotonic() + _KILLED_SECONDS
    while family := [*_family(identity), *strays()]:
        for member in family:
            member.send(signal.SIGKILL)
        if time.monotonic() > deadline:
            raise WorldError(f"process {family[0].pid} does not end, even when killed: see "
                             f"/proc/{family[0].pid}/stack")
        time.sleep(_PAUSE_SECONDS)


def running(program: Path, *, below: Path) -> list[Identity]:
    """The processes that run this very file, and work in this folder or below it."""
    boot = boot_id()
    return [Identity(stat.pid, stat.started_ticks, boot) for stat in _all() if stat.state not in "ZX"
            and _link(stat.pid, "exe") == program and _link(stat.pid, "cwd").is_relative_to(below)]


def wait_until(condition: Callable[[], object], seconds: float, what: str) -> None:
    """Return once `condition` is true; `WorldError` after `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise WorldError(f"waited {seconds:g} s in vain for {what}")
        time.sleep(_PAUSE_SECONDS)


def _draft(note: Path) -> Path:
    return note.with_name(f"{note.name}.new")


def _family(identity: Identity) -> list[Identity]:
    """The process and whatever else lives in the session it opened."""
    boot = boot_id()
    leader = _stat(identity.pid)
    recycled = leader is not None and leader.started_ticks != identity.started_ticks
    if identity.boot_id != boot or recycled:
        return []  # an id is given out again only when its whole session is gone
    return [Identity(stat.pid, stat.started_ticks, boot) for stat in _all()
            if stat.session == identity.pid and stat.state not in "ZX"
            and stat.started_ticks >= identity.started_ticks]


def _all() -> Iterator[_Stat]:
    for entry in _PROC.iterdir():
        if entry.name.isdigit() and (stat := _stat(int(entry.name))) is not None:
            yield stat


def _link(pid: int, name: str) -> Path:
    """Where a process's link leads; nowhere, when it is gone or another user's."""
    try:
        return (_PROC / str(pid) / name).readlink()
    except OSError:
        return Path()


def _stat(pid: int) -> _Stat | None:
    try:
        return _parse((_PROC / str(pid) / "stat").read_text())
    except (FileNotFoundError, ProcessLookupError):
        return None


def _parse(text: str) -> _Stat | None:
    """Read /proc/PID/stat (proc(5)): the name in brackets may hold anything, spaces too."""
    head, _, tail = text.rpartition(")")
    fields = tail.split()
    if not fields:
        return None
    return _Stat(pid=int(head.split()[0]), state=fields[0], session=int(fields[3]),
                 started_ticks=int(fields[19]))
