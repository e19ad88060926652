"""Work done apart: in a Python process of its own, so that it has an interpreter to itself.

Threads that move bytes take turns at one interpreter, and two archives made side by side in threads are
hardly quicker than one after the other. The process is started afresh, or is a copy of this one that
`at_hand` made while it had no threads. What to do goes to it through a pipe, never by its arguments, which
everybody can read; what it tells meanwhile, and its result or its error, come back through another. It ends
with whoever started it.
"""

from __future__ import annotations

import contextvars
import gc
import io
import os
import pickle
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import IO, Any, Concatenate, ParamSpec, Self, TypeVar, cast

from nightscan_tasks.copied import Copied
from nightscan_tasks.errors import NightscanError, ProcessFailed
from nightscan_tasks.process import Program

T = TypeVar("T")
P = ParamSpec("P")
Tell = Callable[[Any], None]

# Few arenas, so that buffers which threads free are found again, and buffers of a mebibyte from there rather
# than from the system: to be given new pages for each costs a sixth of what unpacking does.
_ARENAS, _MMAP_BYTES, _TRIM_BYTES = 2, 4 << 20, 64 << 20
_MEMORY = {"MALLOC_ARENA_MAX": str(_ARENAS), "MALLOC_MMAP_THRESHOLD_": str(_MMAP_BYTES),
           "MALLOC_TRIM_THRESHOLD_": str(_TRIM_BYTES)}
_MALLOPT = {-8: _ARENAS, -3: _MMAP_BYTES, -1: _TRIM_BYTES}  # the same, by mallopt(3)'s numbers
_NAME = "nightscan_apart"  # the kernel keeps 15 letters of it
_copies: list[Program] = []
_AWAKE_SECONDS = 1  # a signal that comes just before a wait begins is seen only when the wait ends
_TOLD, _DONE, _RAISED = "told", "done", "raised"


class Apart:
    """`function(tell, *arguments)` in a process of its own, which leaving the context ends.

    The function is one of a module's own, and it, its arguments, its result, and what it tells and raises
    can be pickled.
    """

    def __init__(self, function: Callable[Concatenate[Tell, P], T], *arguments: P.args,
                 **more: P.kwargs) -> None:
        self._task = pickle.dumps((function, arguments, more))
        self._program = _copy() or Program(
            [sys.executable, "-P", "-m", __name__], stdin=True,  # -P: not what lies in the folder we stand in
            env={**os.environ, **_MEMORY, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))})

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._program.stop()

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._program.pid

    def end(self) -> None:
        """End it now, from any thread: `result` raises then."""
        self._program.end()

    def result(self, told: Tell | None = None) -> Any:
        """Wait for what the function returns, or raise what it raised; what it tells goes to `told`.

        `ProcessKilled` where the process was ended by a signal, `ProcessFailed` where it broke.
        """
        with suppress(BrokenPipeError):  # its exit status says more
            self._program.write([self._task])
            self._program.stdin.close()
        for kind, value in _messages(self._program.stdout):
            if kind == _DONE:
                return value
            if kind == _RAISED:
                raise value
            if told:
                told(value)
        self._program.finish()
        raise ProcessFailed(f"a process of ours ended without a word: {self._program.stderr_tail}")


@contextmanager
def at_hand(number: int) -> Iterator[None]:
    """Copy this process so many times now, for the first that are begun within the block.

    Call it before anything that begins a thread; a process that has several is not copied.
    """
    if threading.active_count() == 1:
        copies = [Copied(serve, _NAME, options=_MALLOPT) for _ in range(number)]
        _copies.extend(Program.of(_NAME, copy) for copy in copies)  # which begins threads
    try:
        yield
    finally:
        while unused := _copy():
            unused.stop()


def _copy() -> Program | None:
    try:
        return _copies.pop()
    except IndexError:
        return None


def side_by_side(works: Sequence[Callable[[], None]], *, threads: int,
                 stop: Callable[[], None] = lambda: None) -> list[BaseException]:
    """Do all of them, in their order and so many at a time; what they raised.

    One thread is this one. When somebody wants this one to end meanwhile, `stop` is called, and nothing
    more is begun; what is under way is not waited for.
    """
    if min(threads, len(works)) <= 1:
        return [error for work in works if (error := _error_of(work)) is not None]
    waiting, errors = list(enumerate(works)), dict[int, BaseException]()
    waiting.reverse()

    def run() -> None:
        while waiting:
            with suppress(IndexError):  # another took the last one
                number, work = waiting.pop()
                if error := _error_of(work):
                    errors[number] = error

    others = [threading.Thread(target=contextvars.copy_context().run, args=(run,), daemon=True,
                               name=f"side {number}") for number in range(min(threads, len(works)))]
    try:
        for other in others:
            other.start()
        for other in others:
            while other.is_alive():
                other.join(_AWAKE_SECONDS)
    except BaseException:
        waiting.clear()
        stop()
        raise
    return [errors[number] for number in sorted(errors)]


def _error_of(work: Callable[[], None]) -> BaseException | None:
    try:
        work()
    except BaseException as exc:  # noqa: BLE001 - raised where it is waited for
        return exc
    return None


def _messages(pipe: IO[bytes]) -> Iterator[tuple[str, Any]]:
    reader = io.BufferedReader(cast("io.RawIOBase", pipe))
    try:
        while True:
            try:
                yield pickle.load(reader)  # noqa: S301 - from a process that we started
            except (EOFError, pickle.UnpicklingError):  # it was ended, perhaps in the middle of a word
                return
    finally:
        reader.detach()  # the pipe is the program's to close


def serve() -> None:
    """Do what is asked on standard input, and answer on standard output."""
    # Who types Ctrl-C reaches the whole group; whoever started this process ends it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _leave)
    # What a library prints must not stand between the answers. By number: what `sys` has is a terminal's, or
    # nothing, in a copy of whoever was started so.
    with os.fdopen(os.dup(1), "wb") as answers, os.fdopen(os.dup(0), "rb") as asked:
        os.dup2(2, 1)

        def send(kind: str, value: Any) -> None:
            answers.write(pickle.dumps((kind, value)))
            answers.flush()

        function, arguments, more = pickle.load(asked)  # noqa: S301 - from whoever started us
        gc.freeze()  # what was imported stays: it need not be looked through again and again
        try:
            result = function(lambda value: send(_TOLD, value), *arguments, **more)
        except Exception as exc:  # noqa: BLE001 - raised where it is waited for
            send(_RAISED, _portable(exc))
        else:
            send(_DONE, result)


def _leave(_signal: int, _frame: object) -> None:
    raise SystemExit(128 + signal.SIGTERM)  # so that contexts are left, and leases let go


def _portable(error: Exception) -> Exception:
    """The same, or where it cannot be sent, what it says."""
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301 - our own
    except Exception:  # noqa: BLE001 - whatever it is that does not come through
        return NightscanError(f"{type(error).__name__}: {error}")
    return error


if __name__ == "__main__":
    serve()
