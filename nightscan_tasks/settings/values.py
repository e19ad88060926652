"""Everything that can be set: names, types, defaults, examples, and what follows from them."""

from __future__ import annotations

import tempfile
from pathlib import Path
from urllib.parse import quote
from zoneinfo import ZoneInfo

from pydantic import AliasChoices, SecretStr
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from nightscan_tasks.model import Tier
from nightscan_tasks.settings.kinds import (
    Endpoint,
    Fingerprints,
    LockMode,
    Percent,
    Port,
    Positive,
    PostgresUri,
    RedisUrl,
    SecretUrl,
    TierDays,
    Words,
    Zone,
)
from nightscan_tasks.settings.naming import named
from nightscan_tasks.settings.scaling import Scaling
from nightscan_tasks.settings.watching import Watching

_GUIDE_ETC = (
    "nginx/sites-available/nightscan",
    "systemd/system/nightscan*",
    "ssl/certs/nightscan*",
    "crontab",
    "logrotate.d/nightscan",
)


class Settings(Scaling, Watching):
    """Everything that can be set. The field's alias is the variable's name; secrets print as stars."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", case_sensitive=True,
                                      env_ignore_empty=True)

    database_uri: PostgresUri = named(
        "NIGHTSCAN_DATABASE_URI", "postgresql://nightscan:secret@localhost:5432/nightscan",
        SecretStr(""), "the database as one URI; wins over the five NIGHTSCAN_DB_*")
    db_host: str = named("NIGHTSCAN_DB_HOST", "localhost", "localhost", "the database's host")
    db_port: Port = named("NIGHTSCAN_DB_PORT", "5432", 5432, "the database's port")
    db_user: str = named("NIGHTSCAN_DB_USER", "nightscan", "nightscan", "the role that dumps")
    db_password: SecretStr = named("NIGHTSCAN_DB_PASSWORD", "secret", SecretStr(""),
                                   "its password")
    db_name: str = named("NIGHTSCAN_DB_NAME", "nightscan", "nightscan", "the database")
    content_hash: bool = named("NIGHTSCAN_CONTENT_HASH", "true", True,
                               "hash each table's content in the fingerprint, not only count rows")

    redis_url: RedisUrl = named("REDIS_URL", "redis://:secret@localhost:6379/0", SecretStr(""),
                                 "the application's Redis as one URL; wins over REDIS_HOST …")
    redis_host: str = named("REDIS_HOST", "localhost", "localhost", "the application's Redis")
    redis_port: Port = named("REDIS_PORT", "6379", 6379, "its port")
    redis_password: SecretStr = named("REDIS_PASSWORD", "secret", SecretStr(""), "its password")

    root: Path = named("NIGHTSCAN_ROOT", "/opt/nightscan", Path("/opt/nightscan"),
                       "the application's folder")
    etc: Path = named("NIGHTSCAN_ETC", "/etc", Path("/etc"), "where system_config looks")
    system_config: Words = named("NIGHTSCAN_SYSTEM_CONFIG", "crontab,systemd/system/nightscan*",
                                 _GUIDE_ETC, "patterns below NIGHTSCAN_ETC")
    user_data: Words = named("NIGHTSCAN_USER_DATA", "uploads,models,config,logs",
                             ("uploads", "models", "config", "logs"),
                             "folders below NIGHTSCAN_ROOT that are user data")
    user_data_exclude: Words = named("NIGHTSCAN_USER_DATA_EXCLUDE", "*.tmp,*.log.gz,cache/",
                                     ("*.tmp", "*.log.gz", "cache/"),
                                     "what user_data leaves out; a trailing / means a folder")
    user_data_archives: Positive = named("NIGHTSCAN_USER_DATA_ARCHIVES", "4", 2,
                                    "how many archives user_data is split into")
    logs_days: int = named("NIGHTSCAN_LOGS_DAYS", "7", 7, "how many days of logs are user data")
    source_exclude: Words = named(
        "NIGHTSCAN_SOURCE_EXCLUDE", "node_modules/,__pycache__/",
        ("node_modules/", "__pycache__/", ".pytest_cache/", ".mypy_cache/", ".ruff_cache/",
         "/backups/", "/uploads/", "/models/", "/logs/"),
        "what source_code leaves out; a leading / means directly below NIGHTSCAN_ROOT")

    backup_dir: Path = named("NIGHTSCAN_BACKUP_DIR", "/opt/nightscan/backups",
                             Path("/opt/nightscan/backups"), "the primary store, a directory")
    primary_url: str = named("NIGHTSCAN_PRIMARY", "s3://nightscan-backups/nightscan", "",
                             "the primary store, where it is not NIGHTSCAN_BACKUP_DIR")
    offsite_urls: Words = named("NIGHTSCAN_OFFSITE", "s3://other-bucket/nightscan,/mnt/nas/backups",
                                (), "further offsite stores, as URLs or directories")
    bucket: str = named("AWS_BACKUP_BUCKET", "nightscan-backups", "",
                        "the bucket of the first offsite store, s3://BUCKET/nightscan")
    s3_endpoint: Endpoint = named("AWS_ENDPOINT_URL", "https://s3.example.org", "",
                             "an S3 that is not Amazon's")
    s3_storage_class: str = named("NIGHTSCAN_S3_STORAGE_CLASS", "STANDARD_IA", "STANDARD_IA",
                                  "the storage class of what is uploaded")
    owner: str = named("NIGHTSCAN_OWNER", "nightscan:backup", "",
                       "user:group of what a directory store writes; empty: whoever runs")
    temp_dir: Path = named("NIGHTSCAN_TEMP_DIR", "/srv/scratch", Path(tempfile.gettempdir()),
                           "room for scratch servers; with `directory`, some plain rows pass through it")

    gpg_recipient: str = named("NIGHTSCAN_GPG_RECIPIENT", "backup@nightscan.com", "",
                               "the public key to encrypt for; empty: not encrypted")
    gpg_home: Path | None = named("NIGHTSCAN_GPG_HOME", "/opt/nightscan/.gnupg", None,
                                  "the key ring; empty: gpg's own default")
    gpg_passphrase_file: Path | None = named(
        "NIGHTSCAN_GPG_PASSPHRASE_FILE", "/run/secrets/backup-key", None,
        "the file with the private key's passphrase, where there is one; empty: gpg's agent knows it")

    broker_url: SecretUrl = named("NIGHTSCAN_BROKER_URL", "redis://localhost:6380/0",
                                  SecretStr("redis://localhost:6380/0"),
                                  "Celery's broker; never the Redis that is backed up")
    result_backend: SecretUrl = named("NIGHTSCAN_RESULT_BACKEND", "redis://localhost:6380/1",
                                      SecretStr(""),
                                      "Celery's results; empty: the broker, unless that is a RabbitMQ")
    message_key: Path | None = named(
        "NIGHTSCAN_MESSAGE_KEY", "/etc/nightscan/messages/fast.key", None,
        "the RSA key that signs this process's messages; empty: messages are not signed")
    message_passphrase: SecretStr = named("NIGHTSCAN_MESSAGE_PASSPHRASE", "secret", SecretStr(""),
                                          "its passphrase, where there is one")
    message_certificate: Path | None = named(
        "NIGHTSCAN_MESSAGE_CERTIFICATE", "/etc/nightscan/messages/fast.pem", None, "its certificate")
    message_certificates: Path | None = named(
        "NIGHTSCAN_MESSAGE_CERTIFICATES", "/etc/nightscan/messages/trusted", None,
        "the folder of the certificates whose messages are taken: ROLE.pem or ROLE.NAME.pem")
    timezone: Zone = named("NIGHTSCAN_TIMEZONE", "Europe/Paris", "UTC",
                          "the time zone of the timetable")

    lease_seconds: Positive = named("NIGHTSCAN_LEASE_SECONDS", "120", 120,
                               "how long a silent holder keeps its lease")
    deadline_seconds: Positive = named("NIGHTSCAN_DEADLINE_SECONDS", "21600", 6 * 3600,
                                  "how long a run may take before it is reported as failed")
    retries: int = named("NIGHTSCAN_RETRIES", "3", 3, "further tries after a transient error")
    retry_seconds: Positive = named("NIGHTSCAN_RETRY_SECONDS", "30", 30, "the first pause before one")
    visibility_seconds: Positive = named(
        "NIGHTSCAN_VISIBILITY_SECONDS", "28800", 8 * 3600,
        "when the broker hands out an unacknowledged message again; above the deadline")

    late_seconds: Positive = named(
        "NIGHTSCAN_LATE_SECONDS", "3600", 3600,
        "how late a run of the timetable may be before it counts as missed and is made up")

    minimum_good: Positive = named("NIGHTSCAN_MINIMUM_GOOD", "2", 2,
                              "how many good sets of each tier no rotation goes below, however old they are")
    suspicious_percent: Percent = named(
        "NIGHTSCAN_SUSPICIOUS_PERCENT", "50", 50,
        "below how much of its predecessors' rows, files or bytes a set is suspicious; 0: never")
    scrub_days: Positive = named("NIGHTSCAN_SCRUB_DAYS", "30", 30,
                            "within how many days every stored byte is read again")
    scrub_bytes: int = named(
        "NIGHTSCAN_SCRUB_BYTES", "50000000000", 0,
        "how many bytes a night's scrub reads in each store at most; 0: as many as the days ask for")
    s3_lock_mode: LockMode = named(
        "NIGHTSCAN_S3_LOCK_MODE", "compliance", "",
        "`governance` or `compliance`: what is uploaded to S3 cannot be deleted; empty: no object lock")
    s3_lock_days: TierDays = named(
        "NIGHTSCAN_S3_LOCK_DAYS", "daily=7,weekly=28", ("daily=7", "weekly=28", "monthly=90", "pre_deploy=7"),
        "for how many days sets of each tier are locked; a tier that is not named is not")

    signing_key: str = named("NIGHTSCAN_SIGNING_KEY", "host@nightscan.example.org", "",
                             "the key of this host that signs manifests; empty: they are not signed")
    signing_passphrase_file: Path | None = named(
        "NIGHTSCAN_SIGNING_PASSPHRASE_FILE", "/run/secrets/signing-key", None,
        "the file with its passphrase, where there is one; empty: gpg's agent knows it")
    trusted_signers: Fingerprints = named(
        "NIGHTSCAN_TRUSTED_SIGNERS", "0123456789ABCDEF0123456789ABCDEF01234567", (),
        "fingerprints of the keys whose sets may be restored; empty: the signing key's, if there is one")

    restore_jobs: Positive = named("NIGHTSCAN_RESTORE_JOBS", "2", 2,
                              "how many connections fill a database side by side")
    restore_extensions: Words = named(
        "NIGHTSCAN_RESTORE_EXTENSIONS", "postgres_fdw", (),
        "further extensions that a restore makes as a superuser because a dump asks for them")
    services_stop: str = named("NIGHTSCAN_SERVICES_STOP", "systemctl stop nightscan-web nightscan-api", "",
                               "the command that stops the application before a restore takes its place")
    services_start: str = named("NIGHTSCAN_SERVICES_START",
                                "systemctl start nightscan-web nightscan-api", "",
                                "the command that starts it again")
    services_check: str = named("NIGHTSCAN_SERVICES_CHECK",
                                "systemctl is-active nightscan-web nightscan-api", "",
                                "the command that says by its exit status whether the application runs")
    services_seconds: Positive = named("NIGHTSCAN_SERVICES_SECONDS", "120", 120,
                                  "how long each of the three may take")

    objective_database_seconds: Positive = named(
        "NIGHTSCAN_OBJECTIVE_DATABASE_SECONDS", "1800", 1800, "how long the database may take to recover")
    objective_redis_seconds: Positive = named(
        "NIGHTSCAN_OBJECTIVE_REDIS_SECONDS", "600", 600, "how long Redis may take to recover")
    objective_user_data_seconds: Positive = named(
        "NIGHTSCAN_OBJECTIVE_USER_DATA_SECONDS", "3600", 3600, "how long user data may take to recover")
    objective_application_seconds: Positive = named(
        "NIGHTSCAN_OBJECTIVE_APPLICATION_SECONDS", "900", 900,
        "how long system_config and source_code may take to recover, each")
    objective_loss_seconds: Positive = named(
        "NIGHTSCAN_OBJECTIVE_LOSS_SECONDS", "86400", 86400, "how old the newest good set may be")
    drill_database_uri: PostgresUri = named(
        "NIGHTSCAN_DRILL_DATABASE_URI", "postgresql://postgres:test@localhost:5433/drill", SecretStr(""),
        "a server for drills; empty: one is started for the drill, where PostgreSQL is installed")
    drill_redis_url: RedisUrl = named(
        "NIGHTSCAN_DRILL_REDIS_URL", "redis://localhost:6381", SecretStr(""),
        "a Redis for drills; empty: one is started for the drill")
    reconcile: Words = named(
        "NIGHTSCAN_RECONCILE", "prediction.filename=uploads,detection.image_url=uploads",
        ("prediction.filename=uploads", "detection.image_url=uploads"),
        "which column names files below which folder of NIGHTSCAN_ROOT: TABLE.COLUMN=FOLDER")
    quarantine_dir: Path | None = named(
        "NIGHTSCAN_QUARANTINE_DIR", "/opt/nightscan/.nightscan_quarantine", None,
        "where files go that no row names; empty: .nightscan_quarantine below NIGHTSCAN_ROOT")

    audit_file: Path | None = named(
        "NIGHTSCAN_AUDIT_FILE", "/var/lib/nightscan/audit/records.jsonl", None,
        "this host's own copy of the audit record; empty: .nightscan_audit below NIGHTSCAN_ROOT")

    @classmethod
    def settings_customise_sources(
        cls, settings_cls: type[BaseSettings],  # noqa: ARG003 - pydantic-settings calls it with these
        init_settings: PydanticBaseSettingsSource, env_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - as above
        dotenv_settings: PydanticBaseSettingsSource, file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - as above
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Only `load` reads the environment, so that each value's source is known."""
        return (init_settings,)

    @property
    def dsn(self) -> SecretStr:
        """The database as one URI, whichever way it was given."""
        if self.database_uri.get_secret_value():
            return self.database_uri
        password = self.db_password.get_secret_value()
        secret = f":{quote(password, safe='')}" if password else ""
        return SecretStr(f"postgresql://{quote(self.db_user, safe='')}{secret}@{self.db_host}:"
                         f"{self.db_port}/{quote(self.db_name, safe='')}")

    @property
    def redis(self) -> SecretStr:
        """The application's Redis as one URL, whichever way it was given."""
        if self.redis_url.get_secret_value():
            return self.redis_url
        password = self.redis_password.get_secret_value()
        secret = f":{quote(password, safe='')}@" if password else ""
        return SecretStr(f"redis://{secret}{self.redis_host}:{self.redis_port}/0")

    @property
    def results(self) -> SecretStr:
        """Where Celery's results go."""
        return self.result_backend if self.result_backend.get_secret_value() else self.broker_url

    @property
    def primary(self) -> str:
        """The primary store's URL or path."""
        return self.primary_url or str(self.backup_dir)

    @property
    def offsites(self) -> tuple[str, ...]:
        """The offsite stores' URLs or paths, the bucket of `AWS_BACKUP_BUCKET` first."""
        first = (f"s3://{self.bucket}/nightscan",) if self.bucket else ()
        return first + tuple(url for url in self.offsite_urls if url not in first)

    @property
    def lock_days(self) -> dict[Tier, int]:
        """For how many days each tier's sets are locked in S3; none where there is no object lock."""
        if not self.s3_lock_mode:
            return {}
        split = (each.partition("=") for each in self.s3_lock_days)
        return {Tier(tier): int(days) for tier, _, days in split}

    @property
    def state(self) -> Path:
        """Where this host remembers what was saved."""
        return self.state_dir or self.root / ".nightscan_state"

    @property
    def quarantine(self) -> Path:
        """Where files go that no row names."""
        return self.quarantine_dir or self.root / ".nightscan_quarantine"

    @property
    def audit_copy(self) -> Path:
        """Where the host has its own copy of the audit record."""
        return self.audit_file or self.root / ".nightscan_audit" / "records.jsonl"

    @property
    def zone(self) -> ZoneInfo:
        """The time zone of the timetable."""
        return ZoneInfo(self.timezone)


def variables() -> dict[str, str]:
    """Every variable's name, and the field that holds it: what is saved, how fast, then who watches it."""
    names = {}
    groups = (Watching.model_fields, Scaling.model_fields)
    for field in sorted(Settings.model_fields, key=lambda field: [field in group for group in groups]):
        info = Settings.model_fields[field]
        alias = info.validation_alias
        if isinstance(alias, AliasChoices):
            names[str(alias.choices[0])] = field
    return names
