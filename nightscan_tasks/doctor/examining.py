"""All checks, side by side."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from nightscan_tasks.doctor import brokers, clocks, keys, settings, sources, stores
from nightscan_tasks.doctor.finding import Check, Finding, fail
from nightscan_tasks.errors import NightscanError
from nightscan_tasks.model import Plan
from nightscan_tasks.system import System

Consumers = Callable[[], Mapping[str, Sequence[str]]]
"""Asks which worker takes from which queues."""


def examine(system: System, *, plan: Plan, queues: Sequence[str], consumers: Consumers) -> Iterator[Finding]:
    """Every finding, in a steady order, as soon as it is known. `plan` is the backup to be ready for."""
    looks = [_Look(check, system) for check in _checks(plan, queues, consumers)]
    for look in looks:
        look.start()
    for look in looks:
        yield from look.findings()


def _checks(plan: Plan, queues: Sequence[str], consumers: Consumers) -> tuple[Check, ...]:
    return (
        *settings.CHECKS, *sources.CHECKS, *stores.CHECKS,
        Check("space", partial(stores.space, plan=plan), seconds=60),
        *keys.CHECKS, *brokers.CHECKS,
        Check("workers", partial(brokers.workers, queues=queues, consumers=consumers)), *clocks.CHECKS,
    )


@dataclass
class _Look:
    """One check in a thread of its own. One that hangs is left behind: a daemon ends with the process."""

    check: Check
    system: System
    _found: list[Finding] = field(default_factory=list)

    def start(self) -> None:
        self._deadline = time.monotonic() + self.check.seconds
        self._thread = threading.Thread(target=self._run, name=f"doctor-{self.check.name}", daemon=True)
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
