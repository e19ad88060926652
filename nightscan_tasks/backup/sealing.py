"""What a worker says it saved, signed by it: so that the host's key signs nothing that others made up.

The ledger lies in the primary store, and what is settled is read from there. Without this, whoever can write
to that store could write the records of a run that never was, and have its set signed by the next `settle`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from nightscan_tasks import wire
from nightscan_tasks.errors import SigningFailed, Untrusted
from nightscan_tasks.model import PartRecord
from nightscan_tasks.system import System


@dataclass(frozen=True)
class _Statement:
    """What is signed: a record belongs to its run, and proves nothing of another."""

    run_id: str
    record: PartRecord


def sealed(system: System, run_id: str, record: PartRecord) -> PartRecord:
    """The record with this host's signature; without one where the host does not sign, or cannot now."""
    if system.signer is None:
        return record
    try:
        return replace(record, signature=system.signer.sign(_statement(run_id, record)).decode())
    except SigningFailed:  # what was saved is kept; `settle` says that the set is not signed, and why
        return record


def unsealed(system: System, run_id: str, records: Sequence[PartRecord]) -> Iterator[str]:
    """Why the set that is made of these records must not be signed; nothing where it may be."""
    for record in records:
        try:
            standing = system.signatures.judge(_statement(run_id, record), record.signature.encode() or None)
        except (SigningFailed, Untrusted) as exc:
            yield f"{record.part}: {exc}"
            continue
        if not standing.sound:
            yield (f"the record of {record.part} in the ledger is {standing}: a worker without the key wrote "
                   f"it, or somebody else")


def _statement(run_id: str, record: PartRecord) -> bytes:
    return wire.encode(_Statement(run_id, replace(record, signature="")))
