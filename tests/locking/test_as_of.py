"""The way back: a bucket as it was before somebody with the writer's keys was there."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.exceptions import ClientError
from click.testing import CliRunner, Result

from nightscan_tasks import backup
from nightscan_tasks.backup import Request
from nightscan_tasks.catalog import Catalog
from nightscan_tasks.cli import nightscan
from nightscan_tasks.errors import DigestMismatch, NotFound, SettingsError, StoreRefused
from nightscan_tasks.model import MANIFEST_NAME, Days, Plan, Tier
from nightscan_tasks.replication import copy_set
from nightscan_tasks.restore.recovering import find_sets
from nightscan_tasks.settings import load
from nightscan_tasks.stores.base import Store
from nightscan_tasks.stores.build import as_of, build_store
from nightscan_tasks.stores.directory import DirectoryStore

FILES = Plan(Tier.DAILY, ("user_data", "system_config"), Days(7))
LOCKED = {"NIGHTSCAN_S3_LOCK_MODE": "compliance"}
LARGE = [b"1" * (5 << 20), b"2" * 100]


def read(store: Store, key: str) -> bytes:
    with store.open(key) as chunks:
        return b"".join(map(bytes, chunks))


@pytest.mark.parametrize("kind", ["locking", "versioned"])
def test_each_object_is_what_it_was(kind: str, request: pytest.FixtureRequest,
                                    a_later_second: Callable[[], datetime]) -> None:
    store = request.getfixturevalue(kind).store()
    store.put("daily/a/replaced", [b"old"])
    store.put("daily/a/large", iter(LARGE))
    store.put("daily/a/hidden", [b"seen"])
    request.getfixturevalue(kind).hide("daily/a/hidden-before")
    listed = [*store.list()]
    then = a_later_second()
    for key in ("daily/a/replaced", "daily/a/large", "daily/a/new"):
        store.put(key, [b"new"])
    request.getfixturevalue(kind).hide("daily/a/hidden")

    past = store.as_of(then)
    assert [*past.list()] == listed
    assert [*past.list("daily/a/r")] == [past.stat("daily/a/replaced")]
    assert [read(past, entry.key) for entry in listed] == [b"seen", b"".join(LARGE), b"old"]
    assert past.stat("daily/a/new") is None
    for key in ("daily/a/new", "daily/a/hidden-before"):
        with pytest.raises(NotFound, match="was not there at that moment"):
            read(past, key)
    assert [*store.as_of(then - timedelta(days=1)).list()] == []
    assert [*store.as_of(datetime.now(UTC) + timedelta(minutes=1)).list()] == [*store.list()]


def test_the_past_is_not_written(locking: Any) -> None:
    locking.store().put("daily/a/x", [b"x"])
    past = build_store("given", as_of(f"s3://{locking.bucket}/{locking.prefix}", datetime.now(UTC)),
                       load({"AWS_ENDPOINT_URL": locking.environ["AWS_ENDPOINT_URL"]}))
    before = locking.versions()
    for act in (lambda: past.put("daily/a/x", [b"y"]), lambda: past.delete("daily/a/x"),
                lambda: past.sweep(datetime.now(UTC)), past.probe):
        with pytest.raises(StoreRefused, match="can only be read"):
            act()
    past.link_latest({"latest_x": "daily/a/x"})
    assert locking.versions() == before


@pytest.mark.parametrize("query", ["as_of=yesterday", "as_of=", "versions=all",
                                   "as_of=2026-11-23T02:00:00Z&x=1"])
def test_another_end_of_a_url_is_refused_with_an_example(query: str) -> None:
    with pytest.raises(SettingsError, match=r"means nothing.*for example in \?as_of=20"):
        build_store("offsite", f"s3://bucket/nightscan?{query}", load({}))


@pytest.mark.parametrize("url", ["/opt/nightscan/backups", "file:///mnt/backups"])
def test_a_directory_has_no_past(url: str) -> None:
    with pytest.raises(SettingsError, match="only a versioned bucket"):
        as_of(url, datetime.now(UTC))


@pytest.mark.parametrize(("text", "expected"), [
    ("2026-11-23T02:00:00Z", "2026-11-23T02:00:00Z"), ("2026-11-23", "2026-11-23T00:00:00Z"),
    ("2026-11-23T02:00:00+01:00", "2026-11-23T01:00:00Z")])
def test_a_moment_may_be_written_in_any_zone(text: str, expected: str) -> None:
    assert build_store("offsite", f"s3://bucket/nightscan?as_of={text}",
                       load({})).url == f"s3://bucket/nightscan?as_of={expected}"


def attack(client: Any, offsite: str, set_id: str) -> None:
    """What the writer's keys are enough for: replace some, hide the rest, and add a set of one's own."""
    bucket, prefix = urlsplit(offsite).netloc, urlsplit(offsite).path.strip("/")
    listed = client.list_objects_v2(Bucket=bucket, Prefix=f"{prefix}/daily/")["Contents"]
    keys = [item["Key"] for item in listed]
    assert len(keys) >= 4
    for number, key in enumerate(keys):
        if number % 2 or key.endswith((MANIFEST_NAME, "user_data.00.tar.gz")):
            client.put_object(Bucket=bucket, Key=key, Body=b"nothing of yours")
        else:
            client.delete_object(Bucket=bucket, Key=key)
    for version in client.list_object_versions(Bucket=bucket, Prefix=f"{prefix}/{set_id}/")["Versions"]:
        if not version["IsLatest"]:
            with pytest.raises(ClientError, match="AccessDenied"):
                client.delete_object(Bucket=bucket, Key=version["Key"], VersionId=version["VersionId"])
    client.put_object(Bucket=bucket, Key=f"{prefix}/daily/20991231T235959Z/{MANIFEST_NAME}", Body=b"{}")


def test_an_attacker_with_the_writers_keys_cannot_take_a_locked_set_away(
        site: Any, locking: Any, tmp_path: Path, a_later_second: Callable[[], datetime]) -> None:
    site.environ |= LOCKED
    system = site.system()
    set_id = backup.run_local(system, Request(FILES)).set_id
    manifest = Catalog(system.offsites[0]).get(set_id)
    then = a_later_second()
    attack(locking.client, system.offsites[0].url, str(set_id))
    with pytest.raises(DigestMismatch):
        copy_set(system.offsites[0], DirectoryStore("scratch", tmp_path / "ruined"), manifest)

    bare = site.system(NIGHTSCAN_BACKUP_DIR=str(tmp_path / "bare"), NIGHTSCAN_OFFSITE="")
    found = find_sets(bare, as_of(system.offsites[0].url, then))
    [again] = Catalog(found).entries()
    assert again == manifest
    copy_set(found, bare.primary, manifest)
    assert Catalog(bare.primary).sets() == [manifest]
    for artifact in manifest.artifacts:
        assert bare.primary.stat(set_id.key(artifact.name)) is not None


def cli(environ: dict[str, str], patch: pytest.MonkeyPatch, *words: str) -> Result:
    for name, value in environ.items():
        patch.setenv(name, value)
    return CliRunner().invoke(nightscan, words)


def test_the_command_line_lists_and_recovers_as_of_a_moment(
        site: Any, locking: Any, a_later_second: Callable[[], datetime],
        monkeypatch: pytest.MonkeyPatch) -> None:
    url = site.environ["NIGHTSCAN_OFFSITE"]
    plan = replace(FILES, components=("system_config",))
    set_id = str(backup.run_local(site.system(), Request(plan)).set_id)
    then = a_later_second()
    prefix = urlsplit(url).path[1:]
    for item in locking.client.list_objects_v2(Bucket=locking.bucket, Prefix=prefix)["Contents"]:
        locking.client.delete_object(Bucket=locking.bucket, Key=item["Key"])

    def nightscan_says(*words: str) -> Result:
        return cli(site.environ, monkeypatch, *words)

    assert json.loads(nightscan_says("list", "--store", "offsite", "--json").stdout)["sets"] == []
    past = json.loads(nightscan_says("list", "--as-of", then.isoformat(), "--json").stdout)
    assert [each["set_id"] for each in past["sets"]] == [set_id]
    assert [store["name"] for store in past["stores"]] == ["offsite"]
    refused = nightscan_says("list", "--store", "primary", "--as-of", then.isoformat())
    assert refused.exit_code == 2
    assert "a directory keeps no past" in refused.output

    found = nightscan_says("recover", "--from", url, "--set", set_id, "--as-of", then.isoformat())
    assert f"{set_id} has no database" in found.output
    none = nightscan_says("recover", "--from", url, "--as-of", (then - timedelta(days=1)).isoformat())
    assert "there are no sets in s3://" in none.output
