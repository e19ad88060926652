"""Whose user data is put back, where several hosts have some of their own in one set."""

from __future__ import annotations

from nightscan_tasks.errors import RestoreRefused
from nightscan_tasks.hosts import host_of
from nightscan_tasks.model import Manifest

COMPONENT = "user_data"


def hosts_in(manifest: Manifest) -> tuple[str, ...]:
    """The hosts whose user data a set has; none where it is not told apart."""
    return tuple(sorted({host for each in manifest.of(COMPONENT) if (host := host_of(each.part))}))


def plan_host(manifest: Manifest, *, given: str, own: str, live: bool) -> str:
    """The host whose files are meant: as asked for, or this one. Empty where a set knows no hosts.

    `RestoreRefused` lists those there are. Files of another host never take the place of this one's: they
    go to that host, or with a target root beside what is live.
    """
    hosts = hosts_in(manifest)
    if not hosts:
        if given:
            raise RestoreRefused(f"{manifest.set_id} has user data of no single host: leave --host out")
        return ""
    host = next((each for each in hosts if each.lower() == (given or own).lower()), "")
    if not host:
        who = f"there is no {given} among them" if given else "this host is none of them"
        raise RestoreRefused(f"{manifest.set_id} has user data of {', '.join(hosts)}, each its own, and "
                             f"{who}: say which with --host")
    if live and host != own:
        raise RestoreRefused(
            f"the files of {host} belong there, not on this host: restore with --host {host} through the "
            f"broker, whose worker on {host} does it; or look at them here with --target-root DIR; or, where "
            f"this host takes its place, set NIGHTSCAN_HOST={host}")
    return host
