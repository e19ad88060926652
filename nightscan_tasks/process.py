"""A program as a byte stream, whose exit status counts.

A program started here dies with the process that started it, however that dies: a `pg_dump` that
outlived a killed worker would hold its snapshot and its locks for hours.
"""

from __future__ import annotations

import fcntl
import shutil
import signal
import subprocess
import threading
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from nightscan_tasks.errors import ProcessFailed
from nightscan_tasks.model import Chunks

CHUNK_BYTES = 1 << 20
_PIPE_BYTES = 1 << 20
_STDERR_LINES = 40
_KILL_AFTER_SECONDS = 5


class Program:
    """A running program. Use it as a context manager: leaving it ends the program, whatever happened.

    Start it in a thread that outlives it: the kernel sends the parent-death signal when the *thread*
    that started a child ends. Secrets belong in `env`, never in `argv`.
    """

    def __init__(self, argv: Sequence[str], *, env: Mapping[str, str] | None = None,
                 stdin: bool = False, cwd: Path | None = None) -> None:
        self.name = Path(argv[0]).name
        self._stderr: deque[str] = deque(maxlen=_STDERR_LINES)
        self._process = subprocess.Popen(
            [*_dies_with_parent(), *argv], env=None if env is None else dict(env), cwd=cwd, bufsize=0,
            stdin=subprocess.PIPE if stdin else subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE)
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

    def chunks(self) -> Chunks:
        """The output to its end, then the exit status: a stream that ends without an error is whole."""
        while chunk := self.stdout.read(CHUNK_BYTES):
            yield chunk
        self.finish()

    def finish(self) -> None:
        """Wait for the end; `ProcessFailed` with status and the last lines of its errors if it was bad."""
        status = self._process.wait()
        self._drain.join()
        if status:
            raise ProcessFailed(f"{self.name} {_ended(status)}: {self.stderr_tail or 'no message'}")

    def stop(self) -> None:
        """End the program now if it still runs, and take back every pipe."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(_KILL_AFTER_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
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
        for line in self._process.stderr:
            self._stderr.append(line.decode(errors="replace").rstrip())


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


def _dies_with_parent() -> list[str]:
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "KILL", "--"] if setpriv else []


def _widen(pipe: IO[bytes]) -> None:
    """A larger pipe means fewer switches between two programs; where it is refused, it is slower."""
    try:
        fcntl.fcntl(pipe.fileno(), fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
    except OSError:
        return


def _close(pipe: IO[bytes]) -> None:
    try:
        pipe.close()
    except BrokenPipeError:
        return  # unbuffered: nothing was left to write, and the descriptor is closed


def _ended(status: int) -> str:
    if status < 0:
        return f"was ended by signal {signal.Signals(-status).name}"
    return f"failed with exit status {status}"
