"""Whatever lies in a store under the names of our own records is read, or refused in our own words."""

from __future__ import annotations

import contextlib
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightscan_tasks import wire
from nightscan_tasks.audit.records import Actor, Asker, Line, Record
from nightscan_tasks.errors import ManifestInvalid, NightscanError, SettingsError, StoreRefused
from nightscan_tasks.lease import Beat
from nightscan_tasks.ledger.records import Outcome, Run, Started, Verified
from nightscan_tasks.ledger.restore_records import Drill, RestoreOutcome, RestoreRun
from nightscan_tasks.manifest import parse
from nightscan_tasks.model import Artifact, Failure, Manifest, PartRecord, Report, SetId, Tier
from nightscan_tasks.settings import load
from nightscan_tasks.settings.values import variables
from nightscan_tasks.stores.keys import check_key, check_prefix
from tests.fuzz.mutation import mutated, scaled

NOW = datetime(2026, 11, 23, 2, tzinfo=UTC)
ID = SetId(Tier.DAILY, NOW)
ARTIFACT = Artifact("database.sql.gz.gpg", "database", "database", 100, "ab" * 32, 50, "cd" * 32, 25,
                    ("ef" * 32, "cd" * 32))
REPORT = Report({"tables": {"public.t": {"rows": 1, "hash": "5"}}, "environment": {"owner": "nightscan"}},
                {"postgresql": "18.1"}, ("a note",), {"port": 5432})
MANIFEST = Manifest(ID, "daily-20261123T020000Z", True, NOW, NOW + timedelta(minutes=1), "A" * 40, "host",
    None,
                    {"database": REPORT}, (ARTIFACT,))
RECORDS: list[Any] = [
    PartRecord("database", "database", (ARTIFACT,), REPORT, NOW, NOW), Failure("redis@offsite", "x", "é\n",
    NOW),
    Beat("run 1", NOW, {"bytes": 5}),
    Record("ab12", NOW, "restore", "r", Actor("h", "u", 0), {"set": "x"}, Asker()),
]
SEEDS = (wire.encode(MANIFEST), *map(wire.encode, RECORDS))
KINDS = [Manifest, PartRecord, Failure, Beat, Record, Line, Run, Started, Outcome, Verified, RestoreRun,
         RestoreOutcome, Drill]
FIELDS = ("set_id", "run_id", "complete", "opened_at", "encrypted_for", "components", "artifacts", "failures",
          "format_version", "versions", "suspicious")
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12)


def test_the_seeds_themselves_are_read() -> None:
    assert parse(SEEDS[0], source="x") == MANIFEST
    assert [wire.decode(type(each), wire.encode(each), source="x") for each in RECORDS] == RECORDS


@given(st.one_of(mutated((wire.encode(MANIFEST),)), _JSON.map(lambda value: json.dumps(value).encode()),
                 st.binary(max_size=200)))
def test_a_manifest_is_read_or_refused_and_names_nothing_outside_of_its_set(data: bytes) -> None:
    with contextlib.suppress(ManifestInvalid):
        manifest = parse(data, source="fuzz")
        for artifact in manifest.artifacts:
            assert len(check_key(manifest.set_id.key(artifact.name))) == 3
            assert artifact.plain_bytes >= 0


@given(st.fixed_dictionaries({}, optional=dict.fromkeys(FIELDS, _JSON)))
def test_a_manifest_with_any_values_is_read_or_refused(values: dict[str, Any]) -> None:
    data = json.dumps({**json.loads(SEEDS[0]), **values}).encode()
    with contextlib.suppress(ManifestInvalid):
        parse(data, source="fuzz")


@pytest.mark.parametrize("kind", KINDS)
@scaled
@given(st.one_of(mutated(SEEDS), _JSON.map(lambda value: json.dumps(value).encode())))
def test_a_record_is_read_or_refused(kind: type[Any], data: bytes) -> None:
    with contextlib.suppress(ManifestInvalid):
        assert isinstance(wire.decode(kind, data, source="fuzz"), kind)


@given(st.one_of(st.text(max_size=60),
    mutated((b"daily/20261123T020000Z",)).map(lambda b: b.decode("latin-1"))))
def test_a_set_id_is_one_or_is_none(text: str) -> None:
    try:
        found = SetId.parse(text)
    except ValueError:
        return
    assert SetId.parse(str(found)) == found
    assert len(check_key(found.key("manifest.json"))) == 3


@given(st.text(max_size=300))
def test_a_key_is_one_or_is_refused(text: str) -> None:
    for check in (check_key, check_prefix):
        with contextlib.suppress(StoreRefused):
            assert not {"", ".", ".."} & set(check(text))


_VALUES = st.one_of(
    st.text(max_size=40), st.sampled_from([
        "0", "-1", "1e9", "9" * 40, "nan", "postgresql://u:p@h/d", "postgresql://[", "redis://",
        "redis://h:x",
        "s3://b/p", "/nowhere", "../x", "a=b", "daily=7", "governance", "%s", "\x00", "é", "http://[::1",
        "Europe/Paris", "true", ",", "$(id)"]))


@given(st.dictionaries(st.one_of(st.sampled_from(sorted(variables())), st.text("NIGHTSCA_XY",
    max_size=20)), _VALUES,
                       max_size=6))
def test_an_environment_of_any_values_is_settings_or_a_settings_error(environ: dict[str, str]) -> None:
    with contextlib.suppress(SettingsError):
        settings = load(environ)
        with contextlib.suppress(NightscanError):
            assert settings.dsn
            assert settings.redis
            assert settings.primary
            assert isinstance(settings.lock_days, dict)
