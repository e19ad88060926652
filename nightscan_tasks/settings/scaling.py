"""What can be set of speed and size: what is saved anew, by how many, how fast, on which hosts."""

from __future__ import annotations

import socket
from pathlib import Path

from pydantic_settings import BaseSettings

from nightscan_tasks.settings.kinds import Days, DumpFormat, HostNames, Ionice, Limit, Nice, Percent, Positive
from nightscan_tasks.settings.naming import named


class Scaling(BaseSettings):
    """The settings of increments, hosts, jobs and limits."""

    full_interval_days: Days = named(
        "NIGHTSCAN_FULL_INTERVAL_DAYS", "7", 7,
        "after how many days user data is archived in full again; between, only what changed; 0: always")
    state_dir: Path | None = named(
        "NIGHTSCAN_STATE_DIR", "/var/lib/nightscan/state", None,
        "what is saved of user data, to tell what changed; empty: .nightscan_state below NIGHTSCAN_ROOT")

    hosts: HostNames = named(
        "NIGHTSCAN_HOSTS", "web1,web2", (),
        "the hosts that have user data of their own, each saved by its own worker; empty: one, any worker")
    host: str = named("NIGHTSCAN_HOST", "web1", "",
                      "what this host is called in NIGHTSCAN_HOSTS; empty: its own name")

    database_format: DumpFormat = named(
        "NIGHTSCAN_DATABASE_FORMAT", "directory", "sql",
        "`sql`: one plain dump; `directory`: pg_dump's directory format, dumped by several connections")
    database_jobs: Positive = named("NIGHTSCAN_DATABASE_JOBS", "4", 2,
                                    "how many connections dump the database side by side, in that format")

    squeeze_percent: Percent = named(
        "NIGHTSCAN_SQUEEZE_PERCENT", "10", 25,
        "by how much a mebibyte has to shrink to be squeezed; what would shrink less is stored as it is")
    jobs: Positive = named(
        "NIGHTSCAN_JOBS", "4", 2,
        "how many dumps, archives and copies this host makes at a time, all its workers together; also how "
        "many tasks a worker does")
    upload_bytes_per_second: Limit = named(
        "NIGHTSCAN_UPLOAD_BYTES_PER_SECOND", "10000000", 0,
        "how fast this host sends to stores over a network, all its processes together; 0: no limit")
    download_bytes_per_second: Limit = named(
        "NIGHTSCAN_DOWNLOAD_BYTES_PER_SECOND", "20000000", 0,
        "how fast this host reads from stores over a network, all its processes together; 0: no limit")
    nice: Nice = named("NIGHTSCAN_NICE", "10", 0,
                       "how far dumps and copies stand back for others' use of the processor, from 0 to 19")
    ionice: Ionice = named(
        "NIGHTSCAN_IONICE", "idle", "",
        "how dumps and copies use the disk: `idle`, `best-effort` (last in its class); empty: as all")
    runtime_dir: Path | None = named(
        "NIGHTSCAN_RUNTIME_DIR", "/run/nightscan", None,
        "where this host's processes share limits and jobs; empty: nightscan-UID below NIGHTSCAN_TEMP_DIR")

    @property
    def own_host(self) -> str:
        """How `NIGHTSCAN_HOSTS` writes this host; empty where it is none of them."""
        name = (self.host or socket.gethostname().partition(".")[0]).lower()
        return next((host for host in self.hosts if host.lower() == name), "")
