"""The commands of the settings that stop, start and look at the application."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from typing import IO

from nightscan_tasks.doctor.finding import Finding, fail, ok
from nightscan_tasks.errors import ProcessFailed, SettingsError
from nightscan_tasks.system import System

_TAIL_BYTES = 2000
_TAIL_LINES = 5


def run_services(command: str, seconds: float) -> None:
    """Run a command, its words split as a shell does, but by no shell; an empty one is nothing to do.

    `ProcessFailed` with its last lines when it ends with another status than 0, cannot be started, or is
    not done in `seconds`; then it is ended, with all that it started. `SettingsError` when a quote is open.
    """
    argv = _words(command)
    if not argv:
        return
    name = os.path.basename(argv[0])  # noqa: PTH119 - a word, not a path
    # Into a file, not a pipe: a service that a start command leaves behind would hold the pipe open.
    with tempfile.TemporaryFile() as output:
        try:
            process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=output,
                                       stderr=subprocess.STDOUT, start_new_session=True)
        except OSError as exc:
            raise ProcessFailed(f"{name} cannot be started: {exc.strerror}") from exc
        try:
            status = process.wait(seconds)
        except BaseException as exc:
            _end(process)
            if isinstance(exc, subprocess.TimeoutExpired):
                raise ProcessFailed(f"{name} was not done in {seconds:g} s, and was ended: {_tail(output)}; "
                                    f"NIGHTSCAN_SERVICES_SECONDS allows more") from None
            raise
        if status:
            ended = f"signal {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"
            raise ProcessFailed(f"{name} ended with {ended}: {_tail(output)}")


def running(system: System) -> Iterator[Finding]:
    """Whether the application runs, by the exit status of NIGHTSCAN_SERVICES_CHECK."""
    command = system.settings.services_check
    if not command.strip():
        yield ok("services", "not checked: set NIGHTSCAN_SERVICES_CHECK")
        return
    try:
        run_services(command, system.settings.services_seconds)
    except ProcessFailed as exc:
        start = "NIGHTSCAN_SERVICES_START" if system.settings.services_start else "the services' own command"
        yield fail("services", str(exc), f"start them by {start}, and look at their logs")
    else:
        yield ok("services", "NIGHTSCAN_SERVICES_CHECK says that they run")


def _words(command: str) -> list[str]:
    try:
        return shlex.split(command)
    except ValueError as exc:
        raise SettingsError(f"a command of NIGHTSCAN_SERVICES_… cannot be read: {exc}; for example "
                            f"systemctl stop nightscan-web nightscan-api") from exc


def _end(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _tail(output: IO[bytes]) -> str:
    output.seek(0, os.SEEK_END)
    output.seek(max(output.tell() - _TAIL_BYTES, 0))
    lines = output.read().decode(errors="replace").strip().splitlines()
    return " | ".join(lines[-_TAIL_LINES:]) or "it said nothing"
