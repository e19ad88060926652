"""`nightscan health`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from nightscan_tasks import health, settings
from nightscan_tasks.cli.choices import local_option
from nightscan_tasks.cli.colours import critical, good, warning
from nightscan_tasks.cli.findings import as_json, finding_lines, status
from nightscan_tasks.cli.session import Session, json_command
from nightscan_tasks.doctor import Finding, Level
from nightscan_tasks.system import System
from nightscan_tasks.wording import count


@json_command(name="health", short_help="check that what is live works", examples=(
    "nightscan health",
    "nightscan health --local",
    "nightscan health --json",
))
@local_option
def command(session: Session, *, local: bool) -> None:
    """Check what is live: servers, schema, folders, disks, services, and the newest set's age.

    The schema is compared with the newest complete set's. Exit status 1 when something does not
    work, 3 when it works, but not as it should. Changes nothing.
    """
    found = health.check(System(settings.load())).findings if local else _there(session)
    session.finish(status(found), as_json(found), lines(found))


def lines(findings: Sequence[Finding]) -> Iterator[str]:
    """A line for each finding, and the verdict."""
    yield from finding_lines(findings)
    yield ""
    yield _verdict(findings)


def _verdict(findings: Sequence[Finding]) -> str:
    failed, warned = (sum(each.level is level for each in findings) for level in (Level.FAIL, Level.WARN))
    if failed:
        return critical(f"Something does not work: {count(failed, 'problem')}, {count(warned, 'warning')}.")
    return warning(f"Everything works; {count(warned, 'warning')}.") if warned else good("Everything works.")


def _there(session: Session) -> tuple[Finding, ...]:
    # Imported here: Celery is built only where it is needed.
    from nightscan_tasks.cli import broker
    from nightscan_tasks.cli.tasking import followed

    sent = broker.send(session.system.settings, "nightscan.health_check", broker.RESTORE)
    found = followed(session, sent, "health check")
    return tuple(Finding(each["name"], Level(each["level"]), each["found"], each["advice"])
                 for each in found["findings"])
