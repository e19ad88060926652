"""Function libraries: what differs between two servers, and whether one takes the other's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from redis import exceptions

from nightscan_tasks.components.redis_server import Client, functions, is_refusal
from nightscan_tasks.errors import RestoreRefused


@dataclass(frozen=True)
class FunctionsPlan:
    """What becomes of the live functions: `payload` replaces them (empty for none), None leaves them."""

    payload: bytes | None
    notes: tuple[str, ...] = ()


def restoring(payload: bytes) -> tuple[bytes | str, ...]:
    """The command that makes these the only functions."""
    return ("FUNCTION", "RESTORE", payload, "FLUSH") if payload else ("FUNCTION", "FLUSH")


def plan_functions(source: Client, client: Client) -> FunctionsPlan:
    """Find out what has to be done for the live server to have the source's functions.

    Tried on the live server, in one step together with its taking back: who calls a function meanwhile
    notices nothing. `RestoreRefused` if it cannot load them.
    """
    wanted, found = libraries(source), libraries(client)
    if found is None:
        text = f"functions were not restored: {len(wanted or {})} libraries, which this server cannot have"
        return FunctionsPlan(None, (text,) if wanted else ())
    if found == (wanted or {}):
        return FunctionsPlan(None)
    payload = functions(source) or b""
    with client.pipeline(transaction=True) as pipe:
        pipe.execute_command(*restoring(payload))
        pipe.execute_command(*restoring(functions(client) or b""))
        refused, *_ = pipe.execute(raise_on_error=False)
    if not isinstance(refused, exceptions.ResponseError):
        return FunctionsPlan(payload)
    if is_refusal(refused):
        return FunctionsPlan(None, (f"functions were not restored: {refused}",))
    raise RestoreRefused(f"the live server cannot load the functions of this backup; nothing live was "
                         f"changed: {refused}; a server of the version that was saved can")


def libraries(client: Client) -> dict[bytes, bytes] | None:
    """The code of each library by its name; None where functions are unknown or forbidden."""
    try:
        answer = client.execute_command("FUNCTION", "LIST", "WITHCODE")
    except exceptions.ResponseError as exc:
        if is_refusal(exc):
            return None
        raise
    facts = map(_pairs, answer)
    return {each[b"library_name"]: each[b"library_code"] for each in facts}


def _pairs(flat: Any) -> dict[bytes, Any]:
    if isinstance(flat, dict):
        return {_bytes(name): value for name, value in flat.items()}
    return {_bytes(name): value for name, value in zip(flat[::2], flat[1::2], strict=True)}


def _bytes(name: bytes | str) -> bytes:
    return name if isinstance(name, bytes) else name.encode()
