"""A program with helpers of its own, all of which stand still, go on and end together.

Its helpers would outlive it where this process is killed: a shell that waits for our end kills them then, and
removes their folder.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from nightscan_tasks.process import Program
from nightscan_tasks.programs import ProgramMissing

_WATCH = 'read -r _ || { kill -s KILL -- "-$1"; rm -rf -- "$2"; }'
_GONE_SECONDS = 5


class Group:
    """The program and its helpers."""

    def __init__(self, program: Program) -> None:
        self.program = program

    def ended(self) -> bool:
        """Whether the program has ended, however."""
        found = os.waitid(os.P_PID, self.program.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        return found is not None

    def stand_still(self) -> None:
        """Hold all of them up."""
        self._tell(signal.SIGSTOP)

    def go_on(self) -> None:
        """Let them go on."""
        self._tell(signal.SIGCONT)

    def end(self) -> None:
        """End all of them, and wait until they have."""
        self.go_on()
        self.program.end()  # which tells its helpers
        self._tell(signal.SIGKILL)
        deadline = time.monotonic() + _GONE_SECONDS
        while self._tell(0) and time.monotonic() < deadline:
            time.sleep(0.01)

    def _tell(self, number: int) -> bool:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.program.pid, number)
            return True
        return False


@contextmanager
def group(argv: Sequence[str], *, env: Mapping[str, str], folder: Path) -> Iterator[Group]:
    """Run a program in a group of its own, which writes to `folder`; leaving it ends all of them."""
    setsid = _required("setsid")
    with ExitStack() as stack:
        program = stack.enter_context(Program([setsid, *argv], env=env))
        program.name = Path(argv[0]).name
        together = Group(program)
        stack.callback(together.end)
        stack.enter_context(_watched(program.pid, folder))
        yield together


def _required(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise ProgramMissing(f"there is no {name}: `apt-get install util-linux dash`")
    return found


@contextmanager
def _watched(leader: int, folder: Path) -> Iterator[None]:
    """Meanwhile our end is theirs: the pipe that the shell reads from has no other writer."""
    watcher = subprocess.Popen([_required("sh"), "-c", _WATCH, "nightscan-watch", str(leader), str(folder)],
                               stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                               start_new_session=True)
    try:
        yield
    finally:
        with suppress(BrokenPipeError):
            watcher.communicate(b"all is well\n")
