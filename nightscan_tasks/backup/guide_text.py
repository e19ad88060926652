"""How a guide writes commands."""

from __future__ import annotations

from nightscan_tasks.model import Artifact


def bash(commands: str) -> str:
    """A block that runs as it stands, in the one shell of the guide."""
    return f"```bash\n{commands}\n```"


def psql(statements: str) -> str:
    """A block for psql."""
    return f"```sql\n{statements}\n```"


def path_of(artifact: Artifact) -> str:
    """Where a stored file lies, seen from the folder of the set that lists it."""
    return f"../../{artifact.set_id}/{artifact.name}" if artifact.set_id else artifact.name


def plain_words(artifact: Artifact) -> str:
    """The shell words that turn a stored file into its plain stream."""
    if artifact.name.endswith(".gpg"):
        return f"gpg --batch --quiet --decrypt {path_of(artifact)} | gunzip"
    return f"gunzip --stdout {path_of(artifact)}"
