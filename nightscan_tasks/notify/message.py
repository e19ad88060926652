"""What is said, whoever hears it."""

from __future__ import annotations

import mimetypes
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Attachment:
    """Bytes with a file's name. `type` is their media type; empty: as the name says."""

    name: str
    content: bytes
    type: str = ""

    @property
    def media_type(self) -> str:
        """For example `image/svg+xml`."""
        return self.type or mimetypes.guess_type(self.name)[0] or "application/octet-stream"


@dataclass(frozen=True)
class Message:
    """A title of one line, and a text. `html` says the same for those who read mail with pictures.

    Attachments reach those services that take files; the others are told the text alone.
    """

    title: str
    text: str
    html: str | None = None
    attachments: tuple[Path | Attachment, ...] = ()

    def files(self) -> tuple[Attachment, ...]:
        """All attachments, read; OSError where a file cannot be."""
        return tuple(Attachment(each.name, each.read_bytes()) if isinstance(each, Path) else each
                     for each in self.attachments)
