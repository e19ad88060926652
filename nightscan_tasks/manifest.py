"""A manifest, read from bytes that anybody may have written."""

from __future__ import annotations

import re
from dataclasses import dataclass

from nightscan_tasks import wire
from nightscan_tasks.errors import ManifestInvalid
from nightscan_tasks.model import COMPONENTS, FORMAT_VERSION, GUIDE_NAME, MANIFEST_NAME, Artifact, Manifest

_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@-]{0,99}")
_ARTIFACT = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,199}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_LARGEST_BLOCK_BYTES = 64 << 20


@dataclass(frozen=True)
class Header:
    """What every format version has, so that a newer one can be told from a damaged one."""

    format_version: int


def parse(data: bytes, *, source: str) -> Manifest:
    """A manifest from its bytes; `ManifestInvalid` when truncated, of a newer format, or nonsense."""
    version = wire.decode(Header, data, source=source).format_version
    if version > FORMAT_VERSION:
        raise ManifestInvalid(f"{source} is of format {version}, this program reads up to {FORMAT_VERSION}: "
                              f"install a newer nightscan-tasks")
    if version < 1:
        raise ManifestInvalid(f"{source} cannot be read: there is no format {version}")
    manifest = wire.decode(Manifest, data, source=source)
    if problem := _nonsense(manifest):
        raise ManifestInvalid(f"{source} cannot be read: {problem}")
    return manifest


def _nonsense(manifest: Manifest) -> str:
    """What of a manifest cannot be; empty where all can. Whoever wrote it, nothing leads out of its set.

    What is checked here is what later becomes a name, a number of bytes, or is compared with a clock.
    """
    if not _WORD.fullmatch(manifest.run_id):
        return "its run_id is no name"
    if not (manifest.opened_at.tzinfo and manifest.settled_at.tzinfo):
        return "its times have no time zone"
    if unknown := set(manifest.components) - set(COMPONENTS):
        return f"there is no component {min(unknown)[:40]!r}: install a newer nightscan-tasks"
    names = [artifact.name for artifact in manifest.artifacts]
    if len(set(names)) < len(names):
        return "two artifacts have one name"
    return next(filter(None, (_nonsense_of(each, manifest) for each in manifest.artifacts)), "")


def _nonsense_of(artifact: Artifact, manifest: Manifest) -> str:
    if not _ARTIFACT.fullmatch(artifact.name) or artifact.name in {MANIFEST_NAME, GUIDE_NAME}:
        return f"{artifact.name[:60]!r} is no artifact's name"
    if artifact.set_id is not None and artifact.set_id.taken_at >= manifest.set_id.taken_at:
        return f"{artifact.name} lies with {artifact.set_id}, which is no earlier set"
    if artifact.component not in manifest.components or not _WORD.fullmatch(artifact.part):
        return f"{artifact.name} is of no component of this set"
    digests = [artifact.stored_sha256, *artifact.stored_prefixes]
    if artifact.plain_sha256 or not artifact.stored_prefixes or ".tar." not in artifact.name:
        digests.append(artifact.plain_sha256)
    if not all(map(_SHA256.fullmatch, digests)):
        return f"{artifact.name} has something else where a SHA-256 should be"
    if artifact.plain_bytes < 0 or artifact.stored_bytes < 0 or not _fitting(artifact):
        return f"{artifact.name} cannot have so many bytes, or blocks"
    return ""


def _fitting(artifact: Artifact) -> bool:
    """Whether there is a hash for each block, and for no more; older sets have none."""
    prefixes = artifact.stored_prefixes
    if not prefixes and not artifact.block_bytes:
        return True
    return 0 < artifact.block_bytes <= _LARGEST_BLOCK_BYTES and (
        -(-artifact.stored_bytes // artifact.block_bytes) == len(prefixes)
        and prefixes[-1:] in {(), (artifact.stored_sha256,)})
