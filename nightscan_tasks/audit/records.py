"""What the audit record holds: small frozen values, one JSON file each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

FORMAT_VERSION = 1


class Action(StrEnum):
    """What is worth a record."""

    RESTORE = "restore"
    ROLLBACK = "rollback"
    ACCEPT = "accept"      # the old state was let go
    DELETE = "delete"
    HOLD = "hold"
    RELEASE = "release"
    TRUST = "trust"        # a suspicious set was found to be as it should
    KEY_USE = "key_use"    # the private key opened a set
    REPAIR = "repair"
    UNSIGNED = "unsigned"  # a set without a good signature was used all the same


@dataclass(frozen=True)
class Actor:
    """Who acts, as the acting host knows it. What is not known is empty.

    `login` is who logged in, by the kernel's own book, which survives `su` and `sudo`; `sudo_user` is what
    sudo says. `address` is where an SSH session comes from. `doing` is the command or the task, without
    its arguments.
    """

    host: str
    user: str
    uid: int
    pid: int = 0
    login: str = ""
    sudo_user: str = ""
    terminal: str = ""
    address: str = ""
    doing: str = ""
    task_id: str = ""


@dataclass(frozen=True)
class Asker:
    """Who sent the message that a worker acts upon: all of it is only what the sender claims.

    `origin` is Celery's own, `root_id` the task that all this began with; `claims` is what the sender says
    of itself, None where it is no process of ours. Where messages are signed, `signed_by` is the certificate
    that vouches for the claims: `operator.alice`; elsewhere it is empty.
    """

    origin: str = ""
    root_id: str = ""
    claims: Actor | None = None
    signed_by: str = ""


@dataclass(frozen=True)
class Record:
    """One record. `number` counts a host's records from 1; `before` is the sha256 of the record before.

    While it waits on its host for the store, its number is 0 and `before` is empty; `carried_at` is when
    it came to the store in that case.
    """

    record_id: str
    recorded_at: datetime
    action: str
    subject: str
    actor: Actor
    facts: Mapping[str, str] = field(default_factory=dict)
    asker: Asker | None = None
    number: int = 0
    before: str = ""
    carried_at: datetime | None = None
    format_version: int = FORMAT_VERSION

    @property
    def known_at(self) -> datetime:
        """When it came to its place: a host's records are in this order."""
        return self.carried_at or self.recorded_at


@dataclass(frozen=True)
class Head:
    """The last record of a host, as its writer left it: what is missing at the end is found by it."""

    number: int
    sha256: str


@dataclass(frozen=True)
class Line:
    """One line of a host's own copy: what was recorded, and where it went. Without `key` it waits."""

    record: Record
    store: str
    key: str = ""
    sha256: str = ""
