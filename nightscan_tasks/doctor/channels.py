"""Whether anybody is told when something is not well."""

from __future__ import annotations

from collections.abc import Iterator

from nightscan_tasks.doctor.finding import Check, Finding, ok, warn
from nightscan_tasks.ledger.pings import last_pings
from nightscan_tasks.notify import NotDelivered, channels, prove
from nightscan_tasks.notify.pinging import wrong
from nightscan_tasks.system import System

_ALERTS, _SWITCH = "alerts", "dead man's switch"


def alerts(system: System) -> Iterator[Finding]:
    """Whether there is a channel, and all of them can be read. Nothing is sent."""
    known = channels(system.settings)
    if not known:
        yield warn(_ALERTS, "nobody is told when something is not well",
                   "set BACKUP_EMAIL, SLACK_WEBHOOK_URL or NIGHTSCAN_ALERT_URLS; docs/ALERTS.md says how")
        return
    right = []
    for channel in known:
        try:
            prove(channel)
        except NotDelivered as exc:
            yield warn(_ALERTS, f"{channel.name}: {exc.reason}", exc.advice)
        else:
            right.append(f"{channel.name} ({channel.place})")
    if right:
        yield ok(_ALERTS, ", ".join(right))


def switch(system: System) -> Iterator[Finding]:
    """Whether its address can be read, and how it answered last."""
    if not system.settings.ping_url.get_secret_value():
        yield ok(_SWITCH, "none is set; NIGHTSCAN_PING_URL has one notice when no backup comes at all")
        return
    if answer := wrong(system.settings):
        yield warn(_SWITCH, answer.reason, answer.advice)
        return
    seen = last_pings(system.primary)
    failing = {tier: ping for tier, ping in seen.items() if not ping.ok}
    for tier, ping in failing.items():
        reason, _, advice = ping.problem.partition("\n")
        yield warn(_SWITCH, f"{tier}, {ping.at:%Y-%m-%d %H:%M} UTC: {reason}", advice)
    if not failing:
        told = ", ".join(f"{tier} {ping.at:%Y-%m-%d %H:%M} UTC" for tier, ping in seen.items())
        yield ok(_SWITCH, f"it answered last: {told}" if told else "no run has told it anything yet")


CHECKS = (Check(_ALERTS, alerts), Check(_SWITCH, switch))
