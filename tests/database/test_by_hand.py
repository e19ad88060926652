"""A dump in directory format comes back by the commands of its guide, in which no program of ours is."""

from __future__ import annotations

import gzip
import io
import os
import re
import subprocess
import tarfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from nightscan_tasks import programs
from nightscan_tasks.backup.guide_database import write_database
from nightscan_tasks.components.database_fingerprint import compare_fingerprints, fingerprint_database
from nightscan_tasks.components.postgres import connect
from nightscan_tasks.model import Manifest, SetId, Tier

NOW = datetime(2026, 11, 24, tzinfo=UTC)


def cut_in_pieces(data: bytes) -> bytes:
    """The same tar, as it is where each of its files is large."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=io.BytesIO(data)) as tar, \
            tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as cut:
        for name in tar.getnames():
            content = tar.extractfile(name).read()  # type: ignore[union-attr]  # a file is one
            half = len(content) // 2
            for number, piece in enumerate((content[:half], content[half:])):
                member = tarfile.TarInfo(f"{name}.{number:08}")
                member.size = len(piece)
                cut.addfile(member, io.BytesIO(piece))
    return buffer.getvalue()


def test_the_guide_restores_it_with_pg_restore(scratch: Any, tmp_path: Path) -> None:
    scratch.run("CREATE TABLE t AS SELECT g, 'row ' || g AS x FROM generate_series(1, 5000) g",
                "CREATE INDEX ON t (g)",
                "SELECT lo_from_bytea(4711, '\\x000a5c')", "CREATE TABLE empty (x int)")
    saved = scratch.source(*scratch.dump(NIGHTSCAN_DATABASE_FORMAT="directory",
                                         NIGHTSCAN_TEMP_DIR=str(tmp_path)))
    saved.streams["database.data.tar"] = cut_in_pieces(saved.streams["database.data.tar"])
    for name, data in saved.streams.items():
        (tmp_path / f"{name}.gz").write_bytes(gzip.compress(data))
    manifest = Manifest(SetId(Tier.MANUAL, NOW), "r", complete=True, opened_at=NOW, settled_at=NOW,
                        encrypted_for=None, host="h", tag=None, components={"database": saved.report},
                        artifacts=saved.artifacts)
    guide = write_database(manifest)
    blocks = re.findall(r"^```bash\n(.*?)^```$", guide, re.MULTILINE | re.DOTALL)
    pg_restore = programs.find("pg_restore", at_least=(18,)).path
    where = urlsplit(scratch.dsn.get_secret_value())
    password = unquote(where.password or "")
    env = {"PATH": f"{pg_restore.parent}:{os.defpath}", "HOME": str(tmp_path), "PGHOST": str(where.hostname),
           "PGPORT": str(where.port), "PGUSER": str(where.username), "PGPASSWORD": password,
           "RESTORED": str(tmp_path / "restored"), "DATABASE": "nightscan_by_hand"}
    done = subprocess.run(["/bin/bash", "-c", "set -euo pipefail\n" + "\n".join(blocks)], env=env,
                          cwd=tmp_path, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "`pg_restore`, 18" in guide
    with connect(scratch.server.uri("nightscan_by_hand")) as connection:
        found = fingerprint_database(connection, content=True)
        assert connection.execute("SELECT lo_get(4711)").fetchone() == (b"\x00\x0a\x5c",)
    assert compare_fingerprints(saved.report.fingerprint, found) == []
