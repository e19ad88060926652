"""Whatever a manifest says, a listing shows it and goes on; nothing it says leads anywhere."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nightscan_tasks.catalog import Broken, Catalog
from nightscan_tasks.errors import ManifestInvalid
from nightscan_tasks.wording import printable

Change = Callable[[dict[str, Any]], None]
ESCAPE = "\x1b]0;owned\x07\x1b[2J\x9b31m\u202e"


def of_artifact(**facts: Any) -> Change:
    return lambda manifest: manifest["artifacts"][0].update(facts)


def of_set(**facts: Any) -> Change:
    return lambda manifest: manifest.update(facts)


NONSENSE: list[Change] = [
    *(of_artifact(name=name) for name in (
        "../../../../etc/passwd", "/etc/passwd", "a/b", "..", ".", "", "-rf", "a\nb", "a\x1b[2J", "a b",
        "$(id)", "x" * 300, "manifest.json", "RESTORE.md", "caf\u00e9", "a\\b", 7, None)),
    *(of_artifact(component=name) for name in ("redis", "../redis", "", ESCAPE)),
    of_artifact(part="../x"), of_artifact(part=ESCAPE),
    of_artifact(plain_bytes=-1), of_artifact(stored_bytes=-1), of_artifact(stored_bytes=10**30),
    of_artifact(stored_bytes="many"), of_artifact(stored_sha256="0"), of_artifact(plain_sha256=ESCAPE),
    of_artifact(block_bytes=0), of_artifact(block_bytes=-8), of_artifact(block_bytes=1 << 60),
    of_artifact(block_bytes=1), of_artifact(stored_prefixes=[]), of_artifact(stored_prefixes=["x"]),
    of_artifact(stored_prefixes=["0" * 64] * 2),
    lambda manifest: manifest["artifacts"].append(manifest["artifacts"][0]),
    of_set(run_id="../../leases"), of_set(run_id=""), of_set(run_id=ESCAPE),
    of_set(opened_at="2026-11-23T02:00:00"), of_set(settled_at="2026-11-23T02:00:00"),
    of_set(settled_at="soon"),
    of_set(set_id="daily/20261101T020000Z"), of_set(set_id="daily/99999999T999999Z"), of_set(set_id="../.."),
    of_set(components={"kernel": {"fingerprint": {}}}), of_set(components=[]), of_set(artifacts={}),
    of_set(format_version=99), of_set(format_version=-(10**40)), of_set(complete="perhaps"),
]


@pytest.mark.parametrize("number", range(len(NONSENSE)))
def test_a_manifest_that_cannot_be_is_listed_as_broken_and_never_parsed(host: Any, saved: dict[str, Any],
                                                                        number: int) -> None:
    catalog, set_id = host.system.catalog(), saved["set_id"]
    facts = json.loads(saved["manifest"])
    NONSENSE[number](facts)
    path = host.path(set_id)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(facts))
    (entry,) = catalog.entries()
    assert isinstance(entry, Broken), facts
    with pytest.raises(ManifestInvalid):
        catalog.get(set_id)


@pytest.fixture(scope="module")
def once() -> dict[str, Any]:
    return {}


@pytest.fixture
def saved(host: Any, once: dict[str, Any]) -> dict[str, Any]:
    """One set's manifest, saved once."""
    if not once:
        set_id = host.save(NIGHTSCAN_SIGNING_KEY="", NIGHTSCAN_OFFSITE="")
        once.update(set_id=set_id, manifest=host.path(set_id).read_text())
    return once


@pytest.mark.parametrize("data", [
    b"", b"\x00", b"{}", b"[]", b"null", b"[" * 100_000, b'{"format_version": 1' + b" " * 100 + b"}",
    b"\xff\xfe", b'{"format_version": NaN}'])
def test_bytes_that_are_no_manifest_are_broken(host: Any, data: bytes) -> None:
    path = host.folder / "backups/daily/20261123T020000Z/manifest.json"
    path.parent.mkdir(parents=True)
    path.write_bytes(data)
    (entry,) = host.system.catalog().entries()
    assert isinstance(entry, Broken)


def test_a_manifest_without_end_is_not_read_to_it(host: Any) -> None:
    path = host.folder / "backups/daily/20261123T020000Z/manifest.json"
    path.parent.mkdir(parents=True)
    with path.open("wb") as file:
        file.truncate(1 << 40)
    (entry,) = host.system.catalog().entries()
    assert isinstance(entry, Broken)
    assert "is larger than" in entry.problem


def test_folders_and_files_of_odd_names_are_no_sets(host: Any) -> None:
    for name in ("daily/\uff12\uff10261123T020000Z", "daily/20261123T020000Z ", "daily/x\x1b[2J", "daily/-"):
        path = host.folder / "backups" / name / "manifest.json"
        path.parent.mkdir(parents=True)
        path.write_text("{}")
    assert Catalog(host.system.primary).entries() == []


def test_what_a_terminal_would_obey_is_written_out() -> None:
    assert printable(f"a{ESCAPE}\u00e9 \u2026\tb\n") == (
        "a\\x1b]0;owned\\x07\\x1b[2J\\x9b31m\\u202e\u00e9 \u2026\tb\n")


@pytest.mark.parametrize("as_json", [False, True])
def test_nothing_that_a_manifest_says_commands_the_terminal_of_who_lists_it(host: Any, as_json: bool) -> None:
    set_id = host.save(NIGHTSCAN_OFFSITE="")
    report = {"fingerprint": {}, "notes": [ESCAPE]}
    failure = {"part": ESCAPE, "error": ESCAPE, "message": ESCAPE, "failed_at": "2026-11-23T02:00:00Z"}
    host.edit(set_id, of_set(host=ESCAPE, tag=ESCAPE, encrypted_for=ESCAPE, suspicious=[ESCAPE],
                             components={"system_config": report}, failures=[failure]))
    broken = host.folder / "backups/daily/20261101T020000Z/manifest.json"
    broken.parent.mkdir()
    broken.write_text(json.dumps({"format_version": 1, "set_id": ESCAPE}))
    words = ["list", *(["--json"] if as_json else [])]
    done = subprocess.run([sys.executable, "-m", "nightscan_tasks.cli", *words], check=False, text=True,
                          capture_output=True, env={**host.environ, "PATH": "/usr/bin:/bin"},
                          cwd=Path(__file__).parents[2])
    said = done.stdout + done.stderr
    assert "owned" in done.stdout
    assert all(char.isprintable() or char == "\n" for char in said), ascii(said)
    if as_json:
        assert json.loads(done.stdout)["sets"][0]["tag"] == ESCAPE
