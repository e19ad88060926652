"""What a world knows of itself, in `DIR/world.json`: enough to end it after any crash.

It is replaced in one step, and written before a service is started and again when its process is
known. Passwords are in it, so only its owner may read it.
"""

from __future__ import annotations

import dataclasses
import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from nightscan_tasks.errors import WorldError
from nightscan_tasks.world.daemon import Identity
from nightscan_tasks.world.service import Record

STATE_NAME = "world.json"
_SECRETS = ("superuser", "role", "redis", "broker", "s3_access", "s3_secret", "flower")
_SECRET_BYTES = 16


@dataclass(frozen=True)
class Filled:
    """The sample that a world was filled with; not `whole` when that was cut short."""

    sample_bytes: int
    seed: int
    whole: bool


@dataclass(frozen=True)
class State:
    """One world: its passwords, its services, and what it was filled with."""

    created_at: str
    made_folder: bool
    secrets: Mapping[str, str]
    settings: Mapping[str, str] = field(default_factory=dict)
    records: Mapping[str, Record] = field(default_factory=dict)
    trees: tuple[str, ...] = ()
    sample: Filled | None = None

    @classmethod
    def new(cls, *, now: datetime, made_folder: bool) -> State:
        """A world with passwords of its own."""
        return cls(created_at=now.isoformat(), made_folder=made_folder,
                   secrets={name: secrets.token_hex(_SECRET_BYTES) for name in _SECRETS})

    def having(self, record: Record) -> State:
        """The same world with a service started, or known better."""
        return dataclasses.replace(self, records={**self.records, record.name: record})

    def save(self, folder: Path) -> None:
        """Write it, whole or not at all."""
        path, new = folder / STATE_NAME, folder / f"{STATE_NAME}.new"
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            json.dump(dataclasses.asdict(self), file, indent=2)
        new.replace(path)

    @classmethod
    def load(cls, folder: Path) -> State | None:
        """Read it; None if no world was ever there."""
        path = folder / STATE_NAME
        try:
            return cls._read(json.loads(path.read_text()))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (ValueError, KeyError, TypeError) as exc:
            raise WorldError(f"{path} is not a world's state: {exc}") from exc

    @classmethod
    def _read(cls, wire: dict[str, Any]) -> State:
        records = {name: _record(fields) for name, fields in wire.pop("records").items()}
        sample = wire.pop("sample")
        return cls(**{**wire, "records": records, "trees": tuple(wire["trees"]),
                      "sample": Filled(**sample) if sample else None})


def _record(fields: dict[str, Any]) -> Record:
    identity = fields["identity"]
    return Record(**{**fields, "identity": Identity(**identity) if identity else None,
                     "litter": tuple(fields["litter"])})
