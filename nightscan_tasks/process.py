"""A program as a byte stream, whose exit status counts.

A program started here dies with the process that started it, however that dies: a `pg_dump` that
outlived a killed worker would hold its snapshot and its locks for hours.
"""

from __future__ import annotations

import fcntl
import io
import os
import shutil
import signal
import subprocess
import sys
import termios
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import IO, Protocol, Self, cast

from nightscan_tasks.errors import ProcessFailed, ProcessKilled
from nightscan_tasks.model import Buffer, Chunks

CHUNK_BYTES = 1 << 20
_PIPE_BYTES = 1 << 20
# gpg and pg_dump write 8 KiB at a time, and each time would wake whoever waits for it: twenty times as
# many switches, and a fifth of the speed. Whoever finds little in a pipe lets it fill first.
_PAUSE_SECONDS = 0.001
_MOST_PIECES = 64  # in one call; the system takes up to 1024
_STDERR_LINES = 40
_KILL_AFTER_SECONDS = 5


class Process(Protocol):
    """A process with pipes to it: what a `subprocess.Popen` has that a `Program` needs."""

    pid: int
    stdin: IO[bytes] | None
    stdout: IO[bytes] | None
    stderr: IO[bytes] | None

    def poll(self) -> int | None:
        """Its exit status, once it has ended."""

    def wait(self, timeout: float | None = None) -> int:
        """The same, waited for."""

    def terminate(self) -> None:
        """Ask it to end."""

    def kill(self) -> None:
        """End it."""


class Program:
    """A running program. Use it as a context manager: leaving it ends the program, whatever happened.

    Start it in a thread that outlives it: the kernel sends the parent-death signal when the *thread*
    that started a child ends. Secrets belong in `env`, never in `argv`.
    """

    def __init__(self, argv: Sequence[str], *, env: Mapping[str, str] | None = None,
                 stdin: bool = False, cwd: Path | None = None) -> None:
        self._adopt(Path(argv[0]).name, subprocess.Popen(
            [*dies_with_parent(), *argv], env=None if env is None else dict(env), cwd=cwd, bufsize=0,
            stdin=subprocess.PIPE if stdin else subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE))

    @classmethod
    def of(cls, name: str, process: Process) -> Self:
        """A process that runs already, and whose streams are ours, as a program of that name."""
        program = cls.__new__(cls)
        program._adopt(name, process)  # noqa: SLF001 - one of ours
        return program

    def _adopt(self, name: str, process: Process) -> None:
        self.name = name
        self._stderr: deque[str] = deque(maxlen=_STDERR_LINES)
        self._process = process
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                _widen(pipe)
        self._drain = threading.Thread(target=self._read_stderr, daemon=True)
        self._drain.start()

    @property
    def pid(self) -> int:
        """The program's process id."""
        return self._process.pid

    @property
    def stdin(self) -> IO[bytes]:
        """Where the program reads; close it to end its input."""
        if self._process.stdin is None:
            raise ValueError(f"{self.name} was started without an input")
        return self._process.stdin

    @property
    def stdout(self) -> IO[bytes]:
        """What the program writes."""
        if self._process.stdout is None:
            raise ValueError(f"{self.name} was started without an output")
        return self._process.stdout

    @property
    def stderr_tail(self) -> str:
        """The last lines the program wrote to its standard error."""
        return "\n".join(self._stderr).strip()

    def write(self, pieces: Sequence[Buffer]) -> None:
        """Write all of the pieces to the program's input; `BrokenPipeError` when it has closed that."""
        half = _capacity_bytes(self.stdin) // 2
        rest = deque(memoryview(piece) for piece in pieces)
        while rest:
            if _waiting_bytes(self.stdin) > half:
                time.sleep(_PAUSE_SECONDS)
            _drop(rest, os.writev(self.stdin.fileno(), list(islice(rest, _MOST_PIECES))))

    def output(self) -> Iterator[bytes]:
        """The output to its end, in pieces of at most 1 MiB; says nothing of how the program ended."""
        buffer = memoryview(bytearray(CHUNK_BYTES))
        while count := self.readinto(buffer):
            yield bytes(buffer[:count])

    def readinto(self, buffer: memoryview) -> int:
        """The next of the output into `buffer`; 0 at its end, which says nothing of how the program ended."""
        count: int = self.stdout.readinto(buffer)  # type: ignore[attr-defined]  # unbuffered
        if 0 < count < min(len(buffer), _capacity_bytes(self.stdout) // 2):
            time.sleep(_PAUSE_SECONDS)
        return count

    def chunks(self) -> Chunks:
        """The output to its end, then the exit status: a stream that ends without an error is whole."""
        yield from self.output()
        self.finish()

    def finish(self) -> None:
        """Wait for the end; `ProcessFailed` with status and the last lines of its errors if it was bad."""
        status = self._process.wait()
        self._drain.join()
        if status:
            kind = ProcessKilled if status < 0 else ProcessFailed
            raise kind(f"{self.name} {_ended(status)}: {self.stderr_tail or 'no message'}")

    def end(self) -> None:
        """End the program now if it still runs; its pipes stay open for whoever is using them."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(_KILL_AFTER_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    def stop(self) -> None:
        """End the program now if it still runs, and take back every pipe."""
        self.end()
        self._drain.join()
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            if pipe is not None:
                _close(pipe)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.stop()

    def _read_stderr(self) -> None:
        if self._process.stderr is None:
            return
        # Buffered: read a byte at a time, a talkative program would wait for us.
        reader = io.BufferedReader(cast("io.RawIOBase", self._process.stderr))
        for line in reader:
            self._stderr.append(line.decode(errors="replace").rstrip())
        reader.detach()  # the pipe is closed by `stop`, not with the reader


class Feed:
    """A stream written to a program's input from a thread of its own, so that its output can be read.

    The stream gives lists of buffers that are written together; the input ends with it. A program
    that stops reading early is not this class's error: its exit status says more. The stream's own
    error is kept for `check`.
    """

    def __init__(self, program: Program, pieces: Iterable[Sequence[Buffer]]) -> None:
        self._program = program
        self._pieces = pieces
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name=f"feed-{program.name}", daemon=True)

    def check(self) -> None:
        """Raise what the stream raised. Call it once the program's output has ended."""
        if self._error is not None:
            raise self._error

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        # A write that waits ends with the program. Its pipe is closed only afterwards: a descriptor
        # that is closed below a write might already be another file.
        self._program.end()
        self._thread.join(_KILL_AFTER_SECONDS)

    def _run(self) -> None:
        try:
            for pieces in self._pieces:
                if not self._written(pieces):
                    break
        except BaseException as exc:  # noqa: BLE001 - `check` raises it where it is waited for
            self._error = exc
        finally:
            _close(self._program.stdin)

    def _written(self, pieces: Sequence[Buffer]) -> bool:
        try:
            self._program.write(pieces)
        except (BrokenPipeError, ValueError):  # the program ended, or was stopped
            return False
        return True


def run(argv: Sequence[str], *, env: Mapping[str, str] | None = None,
        feed: Iterator[bytes] | None = None, cwd: Path | None = None) -> bytes:
    """Run a program whose output is small; its output, or `ProcessFailed`.

    `feed` is written to its input, which must not make it write more than a pipe holds meanwhile.
    """
    with Program(argv, env=env, stdin=feed is not None, cwd=cwd) as program:
        try:
            for chunk in feed or ():
                program.stdin.write(chunk)
            if feed is not None:
                program.stdin.close()
        except BrokenPipeError:
            pass  # its exit status says more than the broken pipe does
        output = program.stdout.read()
        program.finish()
        return output


def dies_with_parent() -> list[str]:
    """What to run a program under so that it ends with the thread that started it; [] where there is none."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "KILL", "--"] if setpriv else []


def _widen(pipe: IO[bytes]) -> None:
    """A larger pipe means fewer switches between two programs; where it is refused, it is slower."""
    try:
        fcntl.fcntl(pipe.fileno(), fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
    except OSError:
        return


def _drop(pieces: deque[memoryview], count: int) -> None:
    """Take away what was written: a pipe takes less than it is given when a signal comes between."""
    while pieces and len(pieces[0]) <= count:
        count -= len(pieces.popleft())
    if count:
        pieces[0] = pieces[0][count:]


def _capacity_bytes(pipe: IO[bytes]) -> int:
    return fcntl.fcntl(pipe.fileno(), fcntl.F_GETPIPE_SZ)


def _waiting_bytes(pipe: IO[bytes]) -> int:
    return int.from_bytes(fcntl.ioctl(pipe.fileno(), termios.FIONREAD, bytes(4)), sys.byteorder)


def _close(pipe: IO[bytes]) -> None:
    try:
        pipe.close()
    except BrokenPipeError:
        return  # unbuffered: nothing was left to write, and the descriptor is closed


def _ended(status: int) -> str:
    if status < 0:
        return f"was ended by signal {signal.Signals(-status).name}"
    return f"failed with exit status {status}"
