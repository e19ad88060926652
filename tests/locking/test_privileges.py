"""What each host's keys are allowed and refused: the policies in docs/privileges/s3, on a real server."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore import xform_name
from botocore.config import Config
from botocore.exceptions import ClientError

from nightscan_tasks import backup, lease, rotation, stores
from nightscan_tasks.audit import chain
from nightscan_tasks.backup import Request
from nightscan_tasks.catalog import Catalog
from nightscan_tasks.errors import Locked, StoreRefused
from nightscan_tasks.ledger import Ending, book, holds, looks, reads, restores
from nightscan_tasks.ledger.pings import PINGS
from nightscan_tasks.model import Days, Plan, SetId, Tier
from nightscan_tasks.replication import copy_set
from nightscan_tasks.report.monthly_keeping import REPORTS
from nightscan_tasks.restore import Choice, restore
from nightscan_tasks.restore import Request as RestoreRequest
from nightscan_tasks.restore.recovering import find_sets
from nightscan_tasks.stores import build
from nightscan_tasks.stores.build import as_of
from nightscan_tasks.stores.s3 import S3Store
from nightscan_tasks.stores.s3_keeping import Keeping
from nightscan_tasks.system import System
from nightscan_tasks.watch.book import ALERTS
from nightscan_tasks.watch.samples import SAMPLES
from nightscan_tasks.world.world import World

Keys = dict[str, tuple[str, str]]
POLICIES = Path(__file__).parents[2] / "docs/privileges/s3"
FILES = Plan(Tier.DAILY, ("user_data", "system_config"), Days(7))
LOCKED = {"NIGHTSCAN_S3_LOCK_MODE": "governance"}
ROLES = {"writer": ("writer",), "reader": ("reader",), "rotator": ("rotator",),
         "writer with the ledger": ("writer", "ledger"), "reader with the ledger": ("reader", "ledger"),
         "rotator with the ledger": ("rotator", "ledger")}

# What Amazon asks of whoever makes a request: with a version, and with a lock, it is more, or other.
NEEDS = {
    "HeadBucket": "ListBucket", "ListObjectsV2": "ListBucket", "ListObjectVersions": "ListBucketVersions",
    "ListMultipartUploads": "ListBucketMultipartUploads", "GetBucketVersioning": "GetBucketVersioning",
    "GetObjectLockConfiguration": "GetBucketObjectLockConfiguration",
    "GetBucketLifecycleConfiguration": "GetLifecycleConfiguration", "PutObject": "PutObject",
    "CreateMultipartUpload": "PutObject", "UploadPart": "PutObject", "CompleteMultipartUpload": "PutObject",
    "AbortMultipartUpload": "AbortMultipartUpload", "GetObject": "GetObject", "HeadObject": "GetObject",
    "DeleteObject": "DeleteObject", "PutObjectRetention": "PutObjectRetention"}
WITH_VERSION = {"GetObject": "GetObjectVersion", "DeleteObject": "DeleteObjectVersion"}
SELDOM = frozenset({"GetBucketVersioning"})
"""Asked only by a process that deletes before it has had an answer that tells."""

READ_OF_A_LOCK = {"GetObjectRetention", "GetObjectLegalHold"}
"""A HEAD tells of a lock only to whoever may ask for it: needed, though no request is refused without."""


@dataclass
class Hosts:
    """A bucket with three kinds of keys, and the hosts that have them."""

    bucket: str
    admin: Any
    environ: dict[str, str]
    keys: Keys
    site: Any
    patch: pytest.MonkeyPatch
    tmp_path: Path
    recorder: Any

    def as_(self, role: str, **settings: str) -> System:
        """A system on a host of its own, with that role's keys from now on."""
        access, secret = self.keys[role]
        self.patch.setenv("AWS_ACCESS_KEY_ID", access)
        self.patch.setenv("AWS_SECRET_ACCESS_KEY", secret)
        host = self.tmp_path / f"host-{secrets.token_hex(4)}"  # clients are kept for each set of settings
        host.mkdir()
        system: System = self.site.system(NIGHTSCAN_TEMP_DIR=str(host), **settings)
        return system

    def client(self, role: str) -> Any:
        access, secret = self.keys[role]
        return _client(self.environ["AWS_ENDPOINT_URL"], access, secret, "s3")

    def needed(self) -> set[tuple[str, str]]:
        """The actions, and the keys they were asked for on, of every request since this was last called."""
        return {need for each in self.recorder.since() for need in _needs(each.operation, each.params)}


def _needs(operation: str, params: dict[str, Any]) -> Iterator[tuple[str, str]]:
    key = params.get("Key", "")
    action = NEEDS[operation]
    yield WITH_VERSION[action] if "VersionId" in params else action, key
    if "ObjectLockMode" in params:
        yield "PutObjectRetention", key


def _client(endpoint: str, access: str, secret: str, service: str) -> Any:
    return boto3.session.Session().client(
        service, endpoint_url=endpoint, region_name="us-east-1", aws_access_key_id=access,
        aws_secret_access_key=secret,
        config=Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}))


def policy(name: str, bucket: str) -> dict[str, Any]:
    """A policy as it is documented, for another bucket."""
    found: dict[str, Any] = json.loads(
        (POLICIES / f"{name}.json").read_text().replace("nightscan-backups", bucket))
    return found


def _identity(iam: Any, role: str, bucket: str) -> tuple[str, str]:
    name = f"{re.sub('[^a-z]', '-', role)}-{bucket}"
    iam.create_user(UserName=name)
    for each in ROLES[role]:
        _attach(iam, name, f"{each}-for-{name}", policy(each, bucket))
    key = iam.create_access_key(UserName=name)["AccessKey"]
    return key["AccessKeyId"], key["SecretAccessKey"]


def _attach(iam: Any, user: str, name: str, document: dict[str, Any]) -> None:
    made = iam.create_policy(PolicyName=name, PolicyDocument=json.dumps(document))
    iam.attach_user_policy(UserName=user, PolicyArn=made["Policy"]["Arn"])


@pytest.fixture(scope="module")
def identities(s3_server: World, waiting: Callable[..., None]) -> Iterator[tuple[str, Any, Keys]]:
    """A bucket with object lock and the documented bucket policy, and a user for each role."""
    environ = s3_server.environ()
    endpoint = environ["AWS_ENDPOINT_URL"]
    root = (environ["AWS_ACCESS_KEY_ID"], environ["AWS_SECRET_ACCESS_KEY"])
    admin, iam = _client(endpoint, *root, "s3"), _client(endpoint, *root, "iam")
    bucket = f"roles-{secrets.token_hex(4)}"
    admin.create_bucket(Bucket=bucket, ObjectLockEnabledForBucket=True)
    rules = policy("bucket", bucket)  # but for TLS, which this server has none of here
    rules["Statement"] = [each for each in rules["Statement"] if "SecureTransport" not in json.dumps(each)]
    admin.put_bucket_policy(Bucket=bucket, Policy=json.dumps(rules))
    keys = {role: _identity(iam, role, bucket) for role in ROLES}
    for each in keys.values():
        client = _client(endpoint, *each, "s3")
        waiting(lambda client=client: not refused(partial(client.head_bucket, Bucket=bucket)))
        client.close()
    yield bucket, admin, keys
    admin.close()
    iam.close()


@pytest.fixture
def hosts(identities: Any, site: Any, locking: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
          recorder: Any) -> Hosts:
    """The bucket, empty of what its users may see, and its users."""
    bucket, admin, keys = identities
    site.environ |= {**LOCKED, "NIGHTSCAN_OFFSITE": f"s3://{bucket}/nightscan"}
    for item in admin.list_objects_v2(Bucket=bucket).get("Contents", []):
        admin.delete_object(Bucket=bucket, Key=item["Key"])
    recorder.since()
    return Hosts(bucket, admin, locking.environ, keys, site, monkeypatch, tmp_path, recorder)


def refused(act: Callable[[], Any]) -> bool:
    try:
        act()
    except ClientError as exc:
        return bool(exc.response["ResponseMetadata"]["HTTPStatusCode"] == 403)
    return False


def allowed(role: str, action: str, key: str) -> bool:
    return any(f"s3:{action}" in statement["Action"] and fnmatchcase(f"bucket/{key}".rstrip("/"), pattern)
               for statement, pattern in _statements(role))


def _statements(role: str) -> Iterator[tuple[dict[str, Any], str]]:
    for each in ROLES[role]:
        for statement in policy(each, "bucket")["Statement"]:
            resources = statement["Resource"]
            for resource in [resources] if isinstance(resources, str) else resources:
                yield statement, resource.removeprefix("arn:aws:s3:::")


def actions(name: str) -> set[str]:
    """What a policy allows on anything at all."""
    return {action.removeprefix("s3:") for statement in policy(name, "bucket")["Statement"]
            for action in statement["Action"]}


def check(hosts: Hosts, role: str, *, seldom: frozenset[str] = frozenset()) -> None:
    """Every request that was made is allowed by the role's policy, and it allows nothing that none needs."""
    asked = hosts.needed()
    assert asked
    assert [(action, key) for action, key in sorted(asked) if not allowed(role, action, key)] == []
    used = {action for action, _ in asked} | READ_OF_A_LOCK | seldom
    assert {action for name in ROLES[role] for action in actions(name)} - used == set()


def saved(system: System, *, days: int = 0) -> SetId:
    long_ago = System(system.settings, lambda: datetime.now(UTC) - timedelta(days=days))
    outcome = backup.run_local(long_ago, Request(FILES))
    assert outcome.ending is Ending.GOOD, outcome
    return outcome.set_id


def test_the_writers_keys_are_enough_to_save_and_refused_all_the_rest(hosts: Hosts) -> None:
    system = hosts.as_("writer")
    set_id = saved(system)
    system.offsites[0].probe()
    store = system.offsites[0]
    with pytest.raises(KeyboardInterrupt):
        store.put("manual/a/x", interrupted())
    check(hosts, "writer")
    assert [each.set_id for each in Catalog(store).sets()] == [set_id]
    with pytest.raises(Locked):
        Catalog(store).delete(set_id)

    writer, key = hosts.client("writer"), f"nightscan/{set_id}/manifest.json"
    here: dict[str, Any] = {"Bucket": hosts.bucket, "Key": key}
    version = hosts.admin.head_object(**here)["VersionId"]
    soon = {"Mode": "GOVERNANCE", "RetainUntilDate": datetime.now(UTC) + timedelta(minutes=1)}
    for act in (
            lambda: writer.delete_object(**here), lambda: writer.delete_object(**here, VersionId=version),
            lambda: writer.delete_object(**here, VersionId=version, BypassGovernanceRetention=True),
            lambda: writer.put_object_retention(**here, Retention=soon),
            lambda: writer.put_object_retention(**here, Retention=soon, BypassGovernanceRetention=True),
            lambda: writer.put_object_legal_hold(**here, LegalHold={"Status": "ON"}),
            lambda: writer.put_object(Bucket=hosts.bucket, Key="elsewhere/x", Body=b"x"),
            lambda: writer.put_object(Bucket=hosts.bucket, Key="nightscan/leases/x", Body=b"x"),
            lambda: writer.put_object(Bucket=hosts.bucket, Key="nightscan/audit/h/1.json", Body=b"x"),
            lambda: writer.put_bucket_versioning(Bucket=hosts.bucket, VersioningConfiguration={
                "Status": "Suspended"}),
            lambda: writer.put_bucket_lifecycle_configuration(Bucket=hosts.bucket, LifecycleConfiguration={
                "Rules": [{"Status": "Enabled", "Filter": {"Prefix": ""}, "Expiration": {"Days": 1}}]}),
            lambda: writer.delete_bucket_policy(Bucket=hosts.bucket),
            lambda: writer.get_bucket_policy(Bucket=hosts.bucket)):
        assert refused(act)
    errors = writer.delete_objects(Bucket=hosts.bucket, Delete={"Objects": [{"Key": key}]})["Errors"]
    assert [error["Code"] for error in errors] == ["AccessDenied"]
    assert hosts.admin.head_object(**here)["VersionId"] == version
    writer.close()


def interrupted() -> Iterator[bytes]:
    yield bytes(17 << 20)
    yield bytes(17 << 20)
    raise KeyboardInterrupt


def test_the_readers_keys_are_enough_to_restore_and_refused_all_the_rest(
        hosts: Hosts, a_later_second: Callable[[], datetime]) -> None:
    set_id = saved(hosts.as_("writer"))
    then = a_later_second()
    hosts.admin.delete_object(Bucket=hosts.bucket, Key=f"nightscan/{set_id}/manifest.json")
    system = hosts.as_("reader", NIGHTSCAN_BACKUP_DIR=str(hosts.tmp_path / "bare"), NIGHTSCAN_OFFSITE="")
    hosts.recorder.since()
    store = find_sets(system, as_of(f"s3://{hosts.bucket}", then))
    copy_set(store, system.primary, Catalog(store).get(set_id))
    now = system.store(f"s3://{hosts.bucket}/nightscan")
    assert now.stat(set_id.key("manifest.json")) is None
    with now.open(set_id.key("RESTORE.md")) as chunks:
        assert b"".join(map(bytes, chunks))
    restored = restore(system, RestoreRequest(Choice(set_id=set_id), ("user_data",)))
    assert [each.component for each in restored.components] == ["user_data"]
    check(hosts, "reader")

    reader = hosts.client("reader")
    here: dict[str, Any] = {"Bucket": hosts.bucket, "Key": f"nightscan/{set_id}/RESTORE.md"}
    for act in (lambda: reader.put_object(**here, Body=b"x"), lambda: reader.delete_object(**here),
                lambda: reader.create_multipart_upload(**here),
                lambda: reader.get_object(Bucket=hosts.bucket, Key="nightscan/runs/r/opened.json"),
                lambda: reader.put_object(Bucket=hosts.bucket, Key="nightscan/leases/x", Body=b"x")):
        assert refused(act)
    reader.close()


def test_the_rotators_keys_are_enough_to_remove_and_cannot_write_a_set(
        hosts: Hosts, waiting: Callable[..., None]) -> None:
    writer = hosts.as_("writer", NIGHTSCAN_S3_LOCK_MODE="")
    sets = [saved(writer, days=days) for days in (30, 1, 0)]
    key = f"nightscan/{sets[0]}/half.gz"
    hosts.admin.create_multipart_upload(Bucket=hosts.bucket, Key=key)
    hosts.admin.put_object(Bucket=hosts.bucket, Key="nightscan/probe/0123", Body=b"x")
    system = hosts.as_("rotator")
    hosts.recorder.since()
    store = system.offsites[0]
    done = rotation.rotate(system, store, {Tier.DAILY: Days(7)})
    assert done.remove == (sets[0],)
    store.sweep(datetime.now(UTC) + timedelta(hours=1))
    check(hosts, "rotator", seldom=SELDOM)
    left = hosts.admin.list_object_versions(Bucket=hosts.bucket, Prefix=f"nightscan/{sets[0]}/")
    assert "Versions" not in left
    assert "DeleteMarkers" not in left
    assert "Uploads" not in hosts.admin.list_multipart_uploads(Bucket=hosts.bucket)
    assert {each.set_id for each in Catalog(store).sets()} == set(sets[1:])

    rotator = hosts.client("rotator")
    here: dict[str, Any] = {"Bucket": hosts.bucket, "Key": f"nightscan/{sets[-1]}/manifest.json"}
    for act in (lambda: rotator.put_object(**here, Body=b"x"),
                lambda: rotator.create_multipart_upload(**here),
                lambda: rotator.put_object(Bucket=hosts.bucket, Key="nightscan/leases/x", Body=b"x"),
                lambda: rotator.delete_object(Bucket=hosts.bucket, Key="nightscan/audit/h/1.json"),
                lambda: rotator.delete_object(Bucket=hosts.bucket, Key="elsewhere")):
        assert refused(act)
    locked = hosts.admin.put_object(**here, Body=b"x", ObjectLockMode="GOVERNANCE",
                                    ObjectLockRetainUntilDate=datetime.now(UTC) + timedelta(hours=1))
    assert refused(lambda: rotator.delete_object(**here, VersionId=locked["VersionId"],
                                                 BypassGovernanceRetention=True))
    with pytest.raises(Locked):
        store.delete(f"{sets[-1]}/manifest.json")
    rotator.close()


def test_where_the_primary_store_is_a_bucket_each_host_needs_the_ledger_too(hosts: Hosts) -> None:
    primary = {"NIGHTSCAN_PRIMARY": f"s3://{hosts.bucket}/nightscan", "NIGHTSCAN_OFFSITE": "",
               "NIGHTSCAN_MINIMUM_GOOD": "1"}
    old = saved(hosts.as_("writer with the ledger", **primary, NIGHTSCAN_S3_LOCK_MODE=""), days=30)
    writer = hosts.as_("writer with the ledger", **primary)
    hosts.recorder.since()
    locked, new = saved(writer, days=20), saved(writer)
    writer.primary.probe()
    check(hosts, "writer with the ledger", seldom=SELDOM | {"AbortMultipartUpload"})
    reader = hosts.as_("reader with the ledger", **primary)
    hosts.recorder.since()
    restore(reader, RestoreRequest(Choice(set_id=new), ("user_data",)))
    check(hosts, "reader with the ledger", seldom=SELDOM)

    rotator = hosts.as_("rotator with the ledger", **primary)
    hosts.recorder.since()
    done = rotation.rotate(rotator, rotator.primary, {Tier.DAILY: Days(7)})
    assert done.remove == (old,)
    assert "locked" in done.reason(locked)
    rotator.primary.sweep(datetime.now(UTC) + timedelta(hours=1))
    rotation.forget_old_runs(rotator)
    rotator.primary.probe()
    check(hosts, "rotator with the ledger", seldom=SELDOM | {"AbortMultipartUpload"})
    for _ in range(2):
        hosts.admin.put_object(Bucket=hosts.bucket, Key="nightscan/audit/h/head.json", Body=b"{}")
    records = hosts.admin.list_object_versions(Bucket=hosts.bucket, Prefix="nightscan/audit/")["Versions"]
    heads = S3Store("primary", hosts.bucket, "nightscan", endpoint=hosts.environ["AWS_ENDPOINT_URL"],
                    keeping=Keeping(undo_days=-1))
    assert [each for each in heads.sweep(datetime.now(UTC) + timedelta(hours=1)) if "audit" in each] == []
    assert hosts.admin.list_object_versions(
        Bucket=hosts.bucket, Prefix="nightscan/audit/")["Versions"] == records
    for role in ("writer", "reader", "rotator"):
        client = hosts.client(f"{role} with the ledger")
        record = {"Bucket": hosts.bucket, "Key": "nightscan/audit/a/000000000001.json"}
        assert refused(partial(client.delete_object, **record))
        client.close()


def test_a_key_that_may_not_ask_about_versions_works_on_where_there_are_none(
        hosts: Hosts, plain: Any) -> None:
    """As before there were any: a policy of put, get, list and delete, and no more."""
    iam = _client(hosts.environ["AWS_ENDPOINT_URL"], hosts.environ["AWS_ACCESS_KEY_ID"],
                  hosts.environ["AWS_SECRET_ACCESS_KEY"], "iam")
    name = f"old-{plain.bucket}"
    iam.create_user(UserName=name)
    where = [f"arn:aws:s3:::{plain.bucket}", f"arn:aws:s3:::{plain.bucket}/*"]
    _attach(iam, name, name, {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": [
        "s3:PutObject", "s3:GetObject", "s3:DeleteObject", "s3:ListBucket"], "Resource": where}]})
    key = iam.create_access_key(UserName=name)["AccessKey"]
    iam.close()
    hosts.patch.setenv("AWS_ACCESS_KEY_ID", key["AccessKeyId"])
    hosts.patch.setenv("AWS_SECRET_ACCESS_KEY", key["SecretAccessKey"])
    store = plain.store()
    store.put("daily/a/x", [b"x"])
    assert store.locked_until("daily/a/x") is None
    store.delete("daily/a/x")
    assert [*store.list()] == []
    assert store.probe().past.locks is None
    with pytest.raises(StoreRefused, match="takes no locks"):
        plain.store(Keeping("governance", {"daily": 1})).put("daily/a/x", [b"x"])


def test_the_table_names_every_request_that_stores_make() -> None:
    sources = [path.read_text() for path in (Path(stores.__file__).parent).glob("s3*.py")]
    asked = set(re.findall(r"\b(?:call|pages|_commit|_asked)\(\s*\"([a-z_0-9]+)\"", "".join(sources)))
    assert len(asked) > 12
    assert asked - {xform_name(operation) for operation in NEEDS} == set()


@pytest.mark.parametrize("name", ["writer", "reader", "rotator", "ledger"])
def test_no_role_may_hide_an_object_or_pass_by_a_lock_or_change_the_bucket(name: str) -> None:
    """Without s3:DeleteObject a key cannot even put a delete marker: versions go by their ids alone."""
    found = actions(name)
    assert not {action for action in found if "*" in action}
    assert not found & {"DeleteObject", "BypassGovernanceRetention", "PutObjectLegalHold"}
    assert not {action for action in found if "Bucket" in action and not action.startswith(("Get", "List"))}
    assert {statement["Effect"] for statement in policy(name, "bucket")["Statement"]} == {"Allow"}


def test_every_folder_that_is_made_is_in_a_policy_and_swept() -> None:
    named = {pattern.split("/")[2] for role in ROLES for _, pattern in _statements(role) if "/" in pattern}
    made = {book.RUNS, book.OPEN, holds.HOLDS, holds.TRUSTED, reads.READS, reads.SCRUBS, restores.RESTORES,
            restores.OPEN_RESTORES, restores.DRILLS, looks.LOOK.partition("/")[0], lease.PREFIX, chain.PREFIX,
            ALERTS, SAMPLES, REPORTS, PINGS}
    assert set(build.FOLDERS) == named == made | {tier.value for tier in Tier} | {"probe"}
