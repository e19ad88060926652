"""JSON on the wire: frozen dataclasses to bytes and back, checked against their types.

Reading is strict in what it needs and lenient in what it does not know: a field that a later version
added is ignored, a field that is missing or of another type is an error that names it.
"""

from __future__ import annotations

import json
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from nightscan_tasks.errors import ManifestInvalid

T = TypeVar("T")


_adapters: dict[type, TypeAdapter[Any]] = {}  # building one costs milliseconds


def _adapter(kind: type[T]) -> TypeAdapter[T]:
    if kind not in _adapters:
        _adapters[kind] = TypeAdapter(kind)
    return _adapters[kind]


def encode(value: object) -> bytes:
    """A value as indented UTF-8 JSON with a newline at its end, for people to read too."""
    return json.dumps(plain(value), indent=2, ensure_ascii=False).encode() + b"\n"


def plain(value: object) -> Any:
    """A value as dicts, lists, strings and numbers."""
    return _adapter(type(value)).dump_python(value, mode="json")


def decode(kind: type[T], data: bytes, *, source: str) -> T:
    """The value that `data` holds; `ManifestInvalid` names `source` and what is wrong with it."""
    try:
        return _adapter(kind).validate_json(data)
    except ValidationError as exc:
        first = exc.errors()[0]
        where = ".".join(str(step) for step in first["loc"])
        raise ManifestInvalid(f"{source} cannot be read: {where + ': ' if where else ''}"
                              f"{first['msg']}") from None
