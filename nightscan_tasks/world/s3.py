"""A real S3 server, `weed mini`, with one bucket and one random pair of keys."""

from __future__ import annotations

import os
import secrets
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import botocore.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.loaders import create_loader

from nightscan_tasks.programs import Tool
from nightscan_tasks.world.service import HOST, NotReady, Ports, embedded

BUCKET = "nightscan-backups"
REGION = "us-east-1"
_ASK_SECONDS = 2
_SERVERS = ("master", "volume", "filer", "admin")
_LITTER = ("master", "volume", "filer", "admin", "s3")
_NOBODYS: dict[str, tuple[None, list[str], str | None, None]] = {
    "profile": (None, [], None, None), "config_file": (None, [], os.devnull, None),
    "credentials_file": (None, [], os.devnull, None)}
_MISSING = ("404", "NoSuchBucket")
_DESCRIPTIONS = create_loader()  # of the service, parsed once and not for each client


@dataclass(frozen=True)
class S3Server:
    """One S3 server in `home`, with the keys that it and its clients are given."""

    home: Path
    access_key: str
    secret_key: str

    name = "s3"
    port_names = ("s3", *_SERVERS, *(f"{server}.grpc" for server in ("s3", *_SERVERS)))
    stop_signal = signal.SIGTERM
    patience_seconds = 15.0

    @property
    def tool(self) -> Tool:
        """SeaweedFS."""
        return embedded("weed")

    def prepare(self) -> None:
        """Make its folder."""
        (self.home / "data").mkdir(exist_ok=True)

    def argv(self, ports: Ports) -> list[str]:
        """Everything on loopback, nothing reported to anybody, no service that is not needed."""
        listen = [f"-{server}.port={ports[server]}" for server in ("s3", *_SERVERS)]
        grpc = [f"-{server}.port.grpc={ports[f'{server}.grpc']}" for server in ("s3", *_SERVERS)]
        return [str(self.tool.path), "mini", f"-dir={self.home / 'data'}", f"-ip={HOST}",
                f"-ip.bind={HOST}", *listen, *grpc, "-s3.port.iceberg=0", "-s3.port.lance=0",
                # Relative, since a socket's path may not be long; the server runs in its folder.
                "-s3.localSocket=s3.sock", "-filer.localSocket=filer.sock",
                "-webdav=false", "-admin.ui=false", "-master.telemetry=false",
                "-s3.autoCreateBucket=false",  # a mistyped bucket is an error, as it is everywhere
                "-s3.iam.readOnly=false",  # users with policies of their own can be made
                "-volume.preStopSeconds=0"]

    def environ(self) -> Mapping[str, str]:
        """The keys of its first identity, which it takes from here; it logs to its temporary folder."""
        return {"AWS_ACCESS_KEY_ID": self.access_key, "AWS_SECRET_ACCESS_KEY": self.secret_key,
                "TMPDIR": str(self.home)}

    def litter(self, ports: Ports) -> tuple[str, ...]:
        """Sockets of its inner servers, which it always makes there, and removes only if not killed."""
        return tuple(f"/tmp/seaweedfs-{server}-grpc-{ports[f'{server}.grpc']}.sock"  # noqa: S108 - its choice
                     for server in _LITTER)

    def url(self, ports: Ports) -> str:
        """The endpoint."""
        return f"http://{HOST}:{ports['s3']}"

    def client(self, ports: Ports) -> Any:
        """A client of boto3 that reads nobody's configuration."""
        ours = botocore.session.Session(_NOBODYS)
        ours.register_component("data_loader", _DESCRIPTIONS)
        session = boto3.Session(self.access_key, self.secret_key, region_name=REGION, botocore_session=ours)
        return session.client("s3", endpoint_url=self.url(ports), config=Config(
            connect_timeout=_ASK_SECONDS, read_timeout=_ASK_SECONDS,
            retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}))

    def check(self, ports: Ports) -> None:
        """An object can be put in the bucket, read back, and deleted; the bucket is made first."""
        body, key = secrets.token_bytes(64), f".check-{secrets.token_hex(8)}"
        client = self.client(ports)
        try:
            make_bucket(client, BUCKET)
            client.put_object(Bucket=BUCKET, Key=key, Body=body)
            answer = client.get_object(Bucket=BUCKET, Key=key)["Body"].read()
            client.delete_object(Bucket=BUCKET, Key=key)
        except (BotoCoreError, ClientError) as exc:
            raise NotReady(str(exc)) from exc
        finally:
            client.close()
        if answer != body:
            raise NotReady("an object was read back with other content")


def make_bucket(client: Any, bucket: str) -> None:
    """Make a bucket unless it is there."""
    try:
        client.head_bucket(Bucket=bucket)
    except ClientError as exc:
        if exc.response["Error"]["Code"] not in _MISSING:
            raise
        client.create_bucket(Bucket=bucket)
