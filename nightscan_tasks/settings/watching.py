"""What can be set of watching: who is told, when something is too old, where it is shown."""

from __future__ import annotations

from pathlib import Path

from pydantic import SecretStr
from pydantic_settings import BaseSettings

from nightscan_tasks.model import Tier
from nightscan_tasks.settings.kinds import (
    LanguageCode,
    LogFormat,
    Percent,
    Port,
    Positive,
    SecretUrl,
    SmtpSecurity,
    StoreBytes,
    TierHours,
)
from nightscan_tasks.settings.naming import named


class Watching(BaseSettings):
    """The settings of freshness, alerts, status page, reports and logs."""

    site: str = named("NIGHTSCAN_SITE", "NightScan Lyon", "",
                      "what this installation is called in alerts and reports; empty: NightScan on this host")
    language: LanguageCode = named("NIGHTSCAN_LANGUAGE", "fr", "en",
                                   "`en` or `fr`: alerts, page and report")

    email: str = named("BACKUP_EMAIL", "admin@nightscan.com", "", "who is mailed; several with commas")
    smtp_host: str = named("NIGHTSCAN_SMTP_HOST", "smtp.example.org", "localhost", "the mail server")
    smtp_port: int = named("NIGHTSCAN_SMTP_PORT", "587", 0,
                           "its port; 0: 25, with starttls 587, with tls 465")
    smtp_security: SmtpSecurity = named("NIGHTSCAN_SMTP_SECURITY", "starttls", "none",
                                        "`none`, `starttls` or `tls`")
    smtp_user: str = named("NIGHTSCAN_SMTP_USER", "nightscan", "", "who logs in there; empty: nobody does")
    smtp_password: SecretStr = named("NIGHTSCAN_SMTP_PASSWORD", "secret", SecretStr(""), "the password")
    smtp_from: str = named("NIGHTSCAN_SMTP_FROM", "nightscan@example.org", "",
                           "the sender; empty: nightscan at this host")
    slack_webhook_url: SecretUrl = named("SLACK_WEBHOOK_URL", "https://hooks.slack.com/services/…",
                                         SecretStr(""), "where Slack, or what understands the same, is told")
    alert_urls: SecretStr = named(
        "NIGHTSCAN_ALERT_URLS", "ntfy://ntfy.example.org/nightscan tgram://token/chat", SecretStr(""),
        "further services to tell, as Apprise's URLs with blanks between")
    ping_url: SecretUrl = named(
        "NIGHTSCAN_PING_URL", "https://hc-ping.com/ping-key/nightscan-{tier}", SecretStr(""),
        "the dead man's switch that is pinged at start, success and failure of the runs; `{tier}` is theirs")
    sentry_dsn: SecretUrl = named("SENTRY_DSN", "https://key@sentry.example.org/1", SecretStr(""),
                                  "where errors and cron check-ins are reported")

    heartbeat_file: Path | None = named(
        "NIGHTSCAN_HEARTBEAT_FILE", "/run/nightscan/heartbeat", None,
        "touched every few seconds while a worker has its broker; empty: none")

    stale_warning_hours: TierHours = named(
        "NIGHTSCAN_STALE_WARNING_HOURS", "daily=25,weekly=169",
        ("daily=25", "weekly=169", "monthly=745"),
        "after how many hours without a new set of a tier there is a warning")
    stale_critical_hours: TierHours = named(
        "NIGHTSCAN_STALE_CRITICAL_HOURS", "daily=48,weekly=192",
        ("daily=48", "weekly=192", "monthly=792"), "after how many it is critical")
    remind_hours: Positive = named("NIGHTSCAN_REMIND_HOURS", "24", 24,
                                   "how often one is reminded of what is still wrong")
    copy_hours: Positive = named("NIGHTSCAN_COPY_HOURS", "3", 3,
                                 "how long an offsite store may lack a set")
    verify_hours: Positive = named("NIGHTSCAN_VERIFY_HOURS", "24", 24,
                                   "within how many hours a set is verified in every store")
    drill_days: Positive = named("NIGHTSCAN_DRILL_DAYS", "35", 35,
                                 "within how many days a drill passes again")
    key_days: Positive = named("NIGHTSCAN_KEY_DAYS", "30", 30,
                               "how many days before a key expires one is warned")
    full_days: Positive = named("NIGHTSCAN_FULL_DAYS", "30", 30,
                                "how many days before a store is full one is warned; within a week it is "
                                "critical")
    quotas: StoreBytes = named(
        "NIGHTSCAN_QUOTAS", "offsite=2000000000000", (),
        "how many bytes stores may hold that do not say it themselves: STORE=BYTES, as for a bucket")
    jump_percent: Percent = named(
        "NIGHTSCAN_JUMP_PERCENT", "100", 100,
        "by how much a component may outgrow its predecessors before one is warned; 0: never")
    waiting_seconds: Positive = named("NIGHTSCAN_WAITING_SECONDS", "1800", 1800,
                                      "how long a task may wait in a queue")

    serve_host: str = named("NIGHTSCAN_SERVE_HOST", "0.0.0.0", "127.0.0.1",  # noqa: S104 - an example
                            "where `nightscan serve` listens; beyond loopback only with a password")
    serve_port: Port = named("NIGHTSCAN_SERVE_PORT", "8321", 8321, "its port")
    serve_password: SecretStr = named("NIGHTSCAN_SERVE_PASSWORD", "secret", SecretStr(""),
                                      "what the page asks for, of a user of any name; empty: nothing")
    metrics_file: Path | None = named(
        "NIGHTSCAN_METRICS_FILE", "/var/lib/prometheus/node-exporter/nightscan.prom", None,
        "where metrics are written for node_exporter's textfile collector; empty: nowhere")
    log: LogFormat = named("NIGHTSCAN_LOG", "json", "text", "`text` or `json`: the workers' log")

    def stale_seconds(self, tier: Tier) -> tuple[int, int] | None:
        """After how long without a new set there is a warning, and an alarm; None: never."""
        warning, critical = (_of_tier(hours, tier)
                             for hours in (self.stale_warning_hours, self.stale_critical_hours))
        if warning is None and critical is None:
            return None
        late = 3600 * (warning or critical or 0)
        return late, max(late, 3600 * (critical or 0))

    def quota_bytes(self, store: str) -> int | None:
        """How much a store may hold, where that is set."""
        return next((int(amount) for name, _, amount in (each.partition("=") for each in self.quotas)
                     if name == store), None)


def _of_tier(hours: tuple[str, ...], tier: Tier) -> int | None:
    return next((int(each.partition("=")[2]) for each in hours if each.startswith(f"{tier}=")), None)
