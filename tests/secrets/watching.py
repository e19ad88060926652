"""What a world says to others, and what it leaves: the broker, argument lists, Sentry, files, the bucket."""

from __future__ import annotations

import gzip
import json
import os
import re
import socket
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import redis

from tests.secrets.evidence import Evidence
from tests.secrets.place import Place


@contextmanager
def listening(place: Place) -> Iterator[None]:
    """Every command that the broker is given."""
    given = urlsplit(place.world.environ()["NIGHTSCAN_BROKER_URL"])
    listener = socket.create_connection((given.hostname or "", given.port or 0))
    listener.sendall(f"AUTH {given.password}\r\nMONITOR\r\n".encode())
    heard: list[bytes] = []
    thread = threading.Thread(target=lambda: heard.extend(listener.makefile("rb")), daemon=True)
    thread.start()
    try:
        yield
    finally:
        with redis.Redis.from_url(given._replace(path="/1").geturl()) as results:
            for key in results.scan_iter(_type="string"):
                place.evidence.add("results", key, results.get(key) or b"")
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()
        listener.close()
        place.evidence.add("broker", *map(_unescaped, heard))


def _unescaped(line: bytes) -> str:
    """A line of MONITOR as it was sent: it escapes quotes, and what cannot be printed."""
    said = re.sub(rb"\\x([0-9a-f]{2})", lambda found: bytes.fromhex(found[1].decode()), line)
    return re.sub(rb"\\(.)", rb"\1", said).decode("latin-1")


@contextmanager
def sampling(evidence: Evidence) -> Iterator[None]:
    """Every argument list on this machine, as anybody can read it."""
    ended = threading.Event()
    seen: set[bytes] = set()

    def sample() -> None:
        while not ended.wait(0.1):
            for entry in os.scandir("/proc"):
                if entry.name.isdigit():
                    with suppress(OSError):
                        seen.add(Path(entry.path, "cmdline").read_bytes().replace(b"\0", b" "))

    thread = threading.Thread(target=sample, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        evidence.add("processes", *seen)


@contextmanager
def sentry(evidence: Evidence) -> Iterator[int]:
    """What a Sentry server is sent. The DSN's key is in its header by design."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            evidence.sentry_headers += f"{self.headers}\n"
            evidence.add("sentry", self.path, body)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_args: object) -> None:
            """Nobody needs to know."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def collect(place: Place) -> None:
    """What is left in files and in the bucket."""
    evidence = place.evidence
    for log in (place.folder / "logs").iterdir():
        evidence.add("logs", log.read_bytes())
    evidence.started += [json.loads(line) for line
                         in (place.folder / "programs.jsonl").read_text().splitlines()]
    evidence.add("programs", *("\0".join(each["argv"]) for each in evidence.started))
    evidence.add("files", *_contents(place.folder, {"secret", "k", "logs", "programs.jsonl", "site"}))
    client = place.world.s3_client()
    bucket = place.environ["AWS_BACKUP_BUCKET"]
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket):
        for entry in page.get("Contents", ()):
            body = client.get_object(Bucket=bucket, Key=entry["Key"])["Body"].read()
            evidence.add("bucket", entry["Key"], body)
            client.delete_object(Bucket=bucket, Key=entry["Key"])
    client.close()


def _contents(folder: Path, without: set[str]) -> Iterable[bytes]:
    for path in folder.rglob("*"):
        if path.is_file() and path.relative_to(folder).parts[0] not in without:
            yield os.fsencode(path)
            yield path.read_bytes()
