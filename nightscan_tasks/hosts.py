"""Which host something belongs to, told by names: of parts, and of queues.

Where `NIGHTSCAN_HOSTS` names hosts, each has user data of its own: its parts are `user_data.HOST.NN`, and
go to `nightscan.heavy.HOST`, from which only workers on that host take. All other parts, and all other
work, may be done on any host.
"""

from __future__ import annotations

HOSTS = "hosts"
"""The fact of a component's report that says what each host had: a fingerprint by its name."""

_BETWEEN = "."
_WITH_HOST = 3  # component, host and number


def host_part(component: str, host: str, number: int) -> str:
    """`user_data.web1.00`; without a host `user_data.00`."""
    return _BETWEEN.join((component, *filter(None, [host]), f"{number:02d}"))


def host_of(part: str) -> str:
    """`web1` of `user_data.web1.00`; empty of a part that any host may save."""
    words = part.split(_BETWEEN)
    return words[1] if len(words) == _WITH_HOST else ""


def host_queue(queue: str, host: str) -> str:
    """`nightscan.heavy.web1` of `nightscan.heavy` and `web1`; the queue itself without a host."""
    return f"{queue}{_BETWEEN}{host}" if host else queue
