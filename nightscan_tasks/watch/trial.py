"""A message that says that it is a test, through each channel: so that none is found wrong when it counts."""

from __future__ import annotations

from dataclasses import dataclass

from nightscan_tasks.errors import SettingsError
from nightscan_tasks.language import language
from nightscan_tasks.notify import Channel, Message, NotDelivered, channels, deliver
from nightscan_tasks.system import System
from nightscan_tasks.wording import nearest


@dataclass(frozen=True)
class Tried:
    """What became of the test of one channel; `advice` says what to do where it did not get through."""

    channel: str
    place: str
    ok: bool
    problem: str = ""
    advice: str = ""


def try_channels(system: System, name: str | None = None) -> tuple[Tried, ...]:
    """Send a test through each channel, or the one that is named; empty where there is none.

    `SettingsError` for a name that no channel has.
    """
    known = channels(system.settings)
    chosen = [each for each in known if name in {None, each.name}]
    if name is not None and not chosen:
        names = tuple(each.name for each in known)
        raise SettingsError(f"there is no channel {name}; "
                            f"{nearest(name, names) if names else 'none is set: docs/ALERTS.md says how'}")
    return tuple(_try(system, each) for each in chosen)


def _try(system: System, channel: Channel) -> Tried:
    try:
        deliver(channel, _test(system, channel))
    except NotDelivered as exc:
        return Tried(channel.name, channel.place, ok=False, problem=exc.reason, advice=exc.advice)
    return Tried(channel.name, channel.place, ok=True)


def _test(system: System, channel: Channel) -> Message:
    told = language(system.settings.language, system.settings.zone)
    site = system.site
    lines = (
        told.text("This is a test. Whoever reads it will be told when a backup of {site} is not well.",
                  site=site),
        told.text("Sent from {host} on {moment}, through the channel {channel}.", host=system.host,
                  moment=told.moment(system.clock()), channel=channel.name))
    return Message(told.text("{site}: a test of alerts", site=site), "\n".join(lines) + "\n")
