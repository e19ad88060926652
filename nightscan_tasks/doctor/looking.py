"""Checks side by side, each with a time limit: one that fails or hangs hides no other."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from nightscan_tasks.doctor.finding import Check, Finding, fail
from nightscan_tasks.errors import NightscanError
from nightscan_tasks.system import System


def look(system: System, checks: Iterable[Check]) -> Iterator[Finding]:
    """Every finding, in the order of the checks, as soon as it is known."""
    looks = [_Look(check, system) for check in checks]
    for each in looks:
        each.start()
    for each in looks:
        yield from each.findings()


@dataclass
class _Look:
    """One check in a thread of its own. One that hangs is left behind: a daemon ends with the process."""

    check: Check
    system: System
    _found: list[Finding] = field(default_factory=list)

    def start(self) -> None:
        self._deadline = time.monotonic() + self.check.seconds
        self._thread = threading.Thread(target=self._run, name=f"look-{self.check.name}", daemon=True)
        self._thread.start()

    def findings(self) -> list[Finding]:
        self._thread.join(max(self._deadline - time.monotonic(), 0))
        if self._thread.is_alive():
            return [fail(self.check.name, f"no answer within {self.check.seconds:.0f} s",
                         "look at the network and the server's load")]
        return self._found

    def _run(self) -> None:
        try:
            self._found = list(self.check.look(self.system))
        except NightscanError as exc:
            self._found = [fail(self.check.name, str(exc))]
        except Exception as exc:  # noqa: BLE001 - a check that breaks is a finding, and hides no other
            self._found = [fail(self.check.name, f"could not be checked: {type(exc).__name__}: {exc}")]
