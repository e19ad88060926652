"""Which files there are: names, kinds and sizes, in the proportions of a NightScan."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

from benchmarks.data.noise import Noise

Kind: TypeAlias = Literal["wav", "jpg", "mp3", "pt", "yaml"]

TOTAL_BYTES = 1_600_000_000
FILES = 23_400

_MOST_MODELS = 6
_YAML_BYTES = 1_500
_YAML_SHARE = 0.3  # of all bytes, at most
_OF_FILES: dict[Kind, float] = {"wav": .15, "jpg": .15, "mp3": .10}  # the rest is YAML
_OF_BYTES: dict[Kind, float] = {"wav": .62, "jpg": .13, "mp3": .10, "pt": .15}  # of what YAML leaves
_FOLDERS: dict[Kind, str] = {"wav": "uploads/sound", "jpg": "uploads/pictures", "mp3": "uploads/calls",
                             "pt": "models", "yaml": "uploads/results"}
_FILES_A_FOLDER = 500
_SITES = ("orsay", "vercors", "camargue", "morvan", "étang-de-berre", "queyras")


@dataclass(frozen=True)
class Item:
    """One file: its path below the application's folder, and about how many bytes it has."""

    path: str
    kind: Kind
    size_bytes: int


def plan_tree(total_bytes: int = TOTAL_BYTES, files: int = FILES, *, seed: int) -> Iterator[Item]:
    """Just so many files of about so many bytes together, always in the same order."""
    counts = plan_counts(files)
    yaml_bytes = min(_YAML_BYTES * counts["yaml"], int(_YAML_SHARE * total_bytes))
    noise = Noise(f"{seed}/sizes")
    for kind, count in counts.items():
        share = yaml_bytes if kind == "yaml" else int(_OF_BYTES[kind] * (total_bytes - yaml_bytes))
        for number in range(count):
            size = share / count * (400 + noise.below(1201)) / 1000  # from 0.4 to 1.6 times the mean
            yield Item(_path(kind, number), kind, max(1, int(size)))


def plan_counts(files: int) -> dict[Kind, int]:
    """How many files of each kind."""
    counts: dict[Kind, int] = {kind: int(share * files) for kind, share in _OF_FILES.items()}
    counts["pt"] = min(_MOST_MODELS, max(1, files // 100))
    counts["yaml"] = files - sum(counts.values())
    return counts


def _path(kind: Kind, number: int) -> str:
    if kind == "pt":
        return f"{_FOLDERS[kind]}/birds_v{number}.pt"
    site = _SITES[number % len(_SITES)]
    return f"{_FOLDERS[kind]}/{number // _FILES_A_FOLDER:05}/{site}_{number:07}.{kind}"
