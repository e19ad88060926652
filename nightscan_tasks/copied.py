"""A copy of this process as a program: it has everything imported already, and nothing else of ours.

To begin Python afresh, and import what an archive needs, takes a third of a second of a processor; to copy
a process takes milliseconds. Only a process with one thread may be copied: whatever lock another thread
held would stay locked in the copy.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import IO, Any, NoReturn

_LOOK_SECONDS = 0.01
_SET_PDEATHSIG, _SET_NAME = 1, 15  # prctl(2)
_MOST_DESCRIPTORS = 1 << 20


class Copied:
    """A copy of this process that does `work`, with its end of three pipes as its standard streams.

    It dies with this one, and takes `options` of mallopt(3) where the system has that. In the shape of
    `subprocess.Popen`: `process.Program` does the rest.
    """

    def __init__(self, work: Callable[[], object], name: str, *, options: Mapping[int, int]) -> None:
        (read_in, write_in), (read_out, write_out), (read_err, write_err) = (os.pipe() for _ in range(3))
        ours, theirs = os.getpid(), (read_in, write_out, write_err)
        self.pid = os.fork()
        if self.pid == 0:
            _become(work, name, ours, theirs, options)
        for descriptor in theirs:
            os.close(descriptor)
        self.stdin: IO[bytes] | None = os.fdopen(write_in, "wb", buffering=0)
        self.stdout: IO[bytes] | None = os.fdopen(read_out, "rb", buffering=0)
        self.stderr: IO[bytes] | None = os.fdopen(read_err, "rb", buffering=0)
        self._status: int | None = None

    def poll(self) -> int | None:
        """Its exit status once it has ended, a signal's as a negative number."""
        if self._status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self._status = os.waitstatus_to_exitcode(status)
        return self._status

    def wait(self, timeout: float | None = None) -> int:
        """The same, waited for; `subprocess.TimeoutExpired` after so many seconds."""
        until = None if timeout is None else time.monotonic() + timeout
        while (status := self.poll()) is None:
            if until is not None and time.monotonic() > until:
                raise subprocess.TimeoutExpired("a copy of this process", timeout or 0)
            time.sleep(_LOOK_SECONDS)
        return status

    def terminate(self) -> None:
        """Ask it to end."""
        self._send(signal.SIGTERM)

    def kill(self) -> None:
        """End it."""
        self._send(signal.SIGKILL)

    def _send(self, number: signal.Signals) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)


def _become(work: Callable[[], object], name: str, parent: int, streams: tuple[int, int, int],
            options: Mapping[int, int]) -> NoReturn:
    status = 1
    try:
        _settle(name, options)
        if os.getppid() != parent:  # it died before this one was to die with it
            os._exit(status)
        for number, descriptor in enumerate(streams):
            os.dup2(descriptor, number)
        os.closerange(3, _MOST_DESCRIPTORS)  # other copies' pipes too, which would never end otherwise
        work()
        status = 0
    except SystemExit as exc:
        status = exc.code if isinstance(exc.code, int) else status
    except BaseException:  # noqa: BLE001 - nothing above this may go on in two processes
        traceback.print_exc()
    finally:
        with suppress(OSError, ValueError):
            sys.stderr.flush()
        os._exit(status)  # what this process left to do at its end is not for the copy to do


def _settle(name: str, options: Mapping[int, int]) -> None:
    libc: Any = ctypes.CDLL(None)
    libc.prctl(_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    libc.prctl(_SET_NAME, name.encode(), 0, 0, 0)
    with suppress(AttributeError):  # not every libc has it
        for option, value in options.items():
            libc.mallopt(option, value)
