"""The part of `/etc` that the guide names, and neighbours that it does not."""

from __future__ import annotations

from pathlib import Path

_UNIT = "[Unit]\nDescription=NightScan {what}\n\n[Service]\nUser=nightscan\nExecStart=/opt/nightscan/{what}\n"
_CERTIFICATE = "-----BEGIN CERTIFICATE-----\nMIIBszCCAVmgAwIBAgIUQ2x{what}\n-----END CERTIFICATE-----\n"
_FILES = {
    "nginx/sites-available/nightscan": "server {\n  listen 443 ssl;\n  server_name nightscan.com;\n}\n",
    "systemd/system/nightscan-web.service": _UNIT.format(what="web"),
    "systemd/system/nightscan-api.service": _UNIT.format(what="api"),
    "systemd/system/nightscan-web.service.d/limits.conf": "[Service]\nLimitNOFILE=65536\n",
    "ssl/certs/nightscan.crt": _CERTIFICATE.format(what="leaf"),
    "ssl/certs/nightscan-chain.pem": _CERTIFICATE.format(what="chain"),
    "crontab": "17 * * * * root cd / && run-parts --report /etc/cron.hourly\n",
    "logrotate.d/nightscan": "/opt/nightscan/logs/*.log {\n  daily\n  rotate 30\n  compress\n}\n",
    # Not NightScan's: no pattern of the guide matches these.
    "nginx/nginx.conf": "worker_processes auto;\n",
    "nginx/sites-available/default": "server { listen 80 default_server; }\n",
    "systemd/system/postgresql.service": _UNIT.format(what="other"),
    "ssl/certs/other.pem": _CERTIFICATE.format(what="other"),
    "logrotate.d/nginx": "/var/log/nginx/*.log { weekly }\n",
    "hostname": "owl\n",
}


def write_system(etc: Path) -> None:
    """Write the tree; one unit is enabled by a link, as systemd does it."""
    for name, text in _FILES.items():
        path = etc / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    enabled = etc / "nginx/sites-enabled"
    enabled.mkdir()
    (enabled / "nightscan").symlink_to("../sites-available/nightscan")
