"""From a URL in the settings to a store."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from nightscan_tasks.errors import SettingsError, StoreRefused
from nightscan_tasks.settings import load
from nightscan_tasks.stores.build import build_store


@pytest.mark.parametrize("form", ["{}", "file://{}", "file://localhost{}"])
def test_a_path_becomes_a_directory(form: str, tmp_path: Path) -> None:
    store = build_store("primary", form.format(tmp_path / "backups"), load({}))
    assert (store.name, store.url) == ("primary", str(tmp_path / "backups"))
    store.put("x", [b"content"])
    assert (tmp_path / "backups/x").read_bytes() == b"content"


def test_an_s3_url_becomes_a_bucket_with_the_settings_endpoint_and_class(
        s3_place: Any, proxy: Any) -> None:
    settings = load({"AWS_ENDPOINT_URL": proxy.endpoint, "NIGHTSCAN_S3_STORAGE_CLASS": "GLACIER_IR"})
    store = build_store("offsite", f"s3://{s3_place.bucket}/{s3_place.prefix}/", settings)
    assert store.url == f"s3://{s3_place.bucket}/{s3_place.prefix}"
    store.put("x", [bytes(200_000)])
    assert s3_place.store().stat("x") is not None
    assert "GLACIER_IR" in {asked.headers.get("x-amz-storage-class") for asked in proxy.asked}


def test_a_bucket_needs_no_prefix(s3_place: Any) -> None:
    store = build_store("offsite", f"s3://{s3_place.bucket}", load({
        "AWS_ENDPOINT_URL": s3_place.endpoint}))
    assert store.url == f"s3://{s3_place.bucket}"
    store.put(f"{s3_place.prefix}/x", [b"x"])
    assert [entry.key for entry in s3_place.store().list()] == ["x"]


@pytest.mark.parametrize("url", ["", "ftp://host/x", "s3://", "s3:///prefix", "file://",
                                 "https://user:planted-secret@host/bucket", "file://host/share"])
def test_other_urls_are_refused_with_an_example(url: str) -> None:
    with pytest.raises(SettingsError, match=r"the offsite store.*(for example|AWS_ACCESS_KEY_ID)") as caught:
        build_store("offsite", url, load({}))
    assert "planted-secret" not in str(caught.value)


def test_an_owner_nobody_knows_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(StoreRefused, match="no user 'nightscan-nobody'"):
        build_store("primary", str(tmp_path), load({"NIGHTSCAN_OWNER": "nightscan-nobody:"}))


def test_a_process_with_directories_only_does_not_load_boto3(tmp_path: Path) -> None:
    code = ("import sys; from nightscan_tasks.settings import load; "
            "from nightscan_tasks.stores.build import build_store; "
            "build_store('primary', sys.argv[1], load({})).put('x', [b'x']); "
            "sys.exit('boto3' in sys.modules or 'botocore' in sys.modules)")
    assert subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False).returncode == 0
