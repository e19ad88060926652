"""How a setting is declared: its variable, an example, its default, and what it is."""

from __future__ import annotations

from typing import Any

from pydantic import AliasChoices, Field


def named(name: str, example: str, default: Any, doc: str) -> Any:
    """A field of `Settings` whose variable is `name`."""
    return Field(default=default, validation_alias=AliasChoices(name), examples=[example],
                 description=doc, validate_default=True)
