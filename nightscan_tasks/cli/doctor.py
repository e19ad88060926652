"""`nightscan doctor`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import partial

from nightscan_tasks import settings
from nightscan_tasks.cli.colours import critical, good, warning
from nightscan_tasks.cli.findings import as_json, finding_lines, status
from nightscan_tasks.cli.session import Exit, Session, json_command
from nightscan_tasks.doctor import Finding, Level
from nightscan_tasks.doctor.examining import examine
from nightscan_tasks.errors import SettingsError
from nightscan_tasks.hosts import host_queue
from nightscan_tasks.model import Tier
from nightscan_tasks.settings import Settings
from nightscan_tasks.system import System
from nightscan_tasks.wording import count
from nightscan_tasks.workflows import PLANS, RETENTION

QUEUES = tuple(f"nightscan.{name}" for name in ("fast", "heavy", "restore", "control"))


@json_command(name="doctor", short_help="check everything that a backup will need", examples=(
    "nightscan doctor",
    "nightscan doctor --json",
))
def command(session: Session) -> None:
    """Check everything that a backup will need: settings, servers, stores, keys, workers, clocks.

    Each line says ok, or what to do. Exit status 1 when a backup would fail, 3 when it would work,
    but not as it should. Changes nothing, but for a small object in each store that it removes.
    """
    try:
        loaded = settings.load()
    except SettingsError as exc:
        findings = [Finding("settings", Level.FAIL, line) for line in str(exc).splitlines()]
        session.finish(Exit.FAILED, as_json(findings), lines(findings))
    findings = [Finding("settings", Level.OK, "every one that is set is known and valid")]
    # Imported here: Celery, and the application, are built only once the settings are known to be right.
    from nightscan_tasks.cli import broker

    # And before the checks, which run side by side: Celery cannot be imported by two threads at once.
    with suppress(Exception):  # what is wrong with it, the checks that need it say
        broker.application()
    queues = queues_of(loaded)
    findings += examine(System(loaded), plan=PLANS[Tier.DAILY], queues=queues, keep=RETENTION,
                        consumers=partial(broker.consumers, *queues), greeting=broker.greeting)
    session.finish(status(findings), as_json(findings), lines(findings))


def lines(findings: Sequence[Finding]) -> Iterator[str]:
    """A line for each finding, and the verdict."""
    yield from finding_lines(findings)
    yield ""
    yield _verdict(findings)


def _verdict(findings: Sequence[Finding]) -> str:
    failed, warned = (sum(each.level is level for each in findings) for level in (Level.FAIL, Level.WARN))
    if failed:
        return critical(f"A backup would fail: {count(failed, 'problem')}, {count(warned, 'warning')}.")
    if warned:
        return warning(f"A backup would work; {count(warned, 'warning')}.")
    return good("Everything that a backup needs is there.")


def queues_of(settings: Settings) -> tuple[str, ...]:
    """Every queue that some worker has to take from."""
    own = ("nightscan.heavy", "nightscan.restore")
    hosts = (host_queue(queue, host) for host in settings.hosts for queue in own)
    return (*QUEUES, *hosts)
