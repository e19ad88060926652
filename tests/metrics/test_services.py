"""Prometheus and Grafana on containers: they reach what they ask, and nobody else reaches them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from nightscan_tasks.settings import Settings, load

COMPOSE = Path(__file__).resolve().parents[2] / "compose"


@pytest.fixture(scope="module")
def monitoring() -> dict[str, Any]:
    """compose.monitoring.yaml."""
    found: dict[str, Any] = yaml.safe_load((COMPOSE / "compose.monitoring.yaml").read_text())
    return found


@pytest.fixture(scope="module")
def below() -> dict[str, Any]:
    """compose.yaml."""
    found: dict[str, Any] = yaml.safe_load((COMPOSE / "compose.yaml").read_text())
    return found


def test_prometheus_scrapes_services_that_it_reaches(
    monitoring: dict[str, Any], below: dict[str, Any],
) -> None:
    jobs = yaml.safe_load((COMPOSE / "prometheus/prometheus.yml").read_text())["scrape_configs"]
    prometheus = monitoring["services"]["prometheus"]
    for job in jobs:
        for target in (each for config in job["static_configs"] for each in config["targets"]):
            service = below["services"][target.partition(":")[0]]
            assert set(service["networks"]) & set(prometheus["networks"])
    (page,) = (job for job in jobs if job["job_name"] == "nightscan")
    secret = Path(page["basic_auth"]["password_file"]).name
    assert secret in prometheus["secrets"]
    served = below["services"]["page"]
    assert served["environment"]["NIGHTSCAN_SERVE_PASSWORD_FILE"] == f"/run/secrets/{secret}"
    assert str(load({}).serve_port) == page["static_configs"][0]["targets"][0].partition(":")[2]


@pytest.mark.parametrize("kind", ["networks", "secrets", "volumes"])
def test_what_monitoring_uses_is_declared(
    monitoring: dict[str, Any], below: dict[str, Any], kind: str,
) -> None:
    asked = {str(each).partition(":")[0] for service in monitoring["services"].values()
             for each in service.get(kind, ())}
    named = {each for each in asked if not each.startswith("./")}
    assert named <= {*monitoring[kind], *below[kind]}
    assert set(monitoring[kind]) <= named
    assert all((COMPOSE / each).exists() for each in asked - named)


def test_its_secrets_are_made(monitoring: dict[str, Any], tmp_path: Path) -> None:
    shutil.copy(COMPOSE / "make-secrets", tmp_path)
    subprocess.run([tmp_path / "make-secrets"], check=True)
    for service in monitoring["services"].values():
        for secret in service["secrets"]:
            assert (tmp_path / "secrets" / secret).stat().st_size > 20


def test_monitoring_is_published_on_loopback_only_and_without_privileges(monitoring: dict[str, Any]) -> None:
    for service in monitoring["services"].values():
        assert all(port.startswith("127.0.0.1:") for port in service["ports"])
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert service["healthcheck"]["test"][0] == "CMD"


def test_grafana_finds_prometheus_and_the_dashboard(monitoring: dict[str, Any]) -> None:
    provisioning = COMPOSE / "grafana/provisioning"
    (source,) = yaml.safe_load((provisioning / "datasources/prometheus.yaml").read_text())["datasources"]
    (provider,) = yaml.safe_load((provisioning / "dashboards/nightscan.yaml").read_text())["providers"]
    volumes = monitoring["services"]["grafana"]["volumes"]
    assert source["url"].removeprefix("http://").partition(":")[0] in monitoring["services"]
    assert f"./grafana/dashboards:{provider['options']['path']}:ro" in volumes
    assert "./grafana/provisioning:/etc/grafana/provisioning:ro" in volumes
    dashboard = json.loads((COMPOSE / "grafana/dashboards/nightscan.json").read_text())
    (chosen,) = (each["current"] for each in dashboard["templating"]["list"] if each["name"] == "datasource")
    assert chosen == {"text": source["name"], "value": source["uid"]}


def test_the_unit_of_the_control_worker_may_write_where_the_settings_example_says() -> None:
    units = COMPOSE.parent / "worker" / "systemd"
    said = (units / "nightscan-worker@control.service.d/10-control.conf").read_text()
    example = Settings.model_fields["metrics_file"].examples
    assert example
    assert f"ReadWritePaths=-{Path(example[0]).parent}\n" in said
    assert "ProtectSystem=strict" in (units / "nightscan-worker@.service").read_text()


@pytest.mark.skipif(not shutil.which("docker-compose"), reason="no docker-compose here")
def test_docker_compose_accepts_it(tmp_path: Path) -> None:
    for name in ("compose.yaml", "compose.monitoring.yaml", "make-secrets"):
        shutil.copy(COMPOSE / name, tmp_path)
    subprocess.run([tmp_path / "make-secrets"], check=True)
    named = ("--file", "compose.yaml", "--file", "compose.monitoring.yaml")
    done = subprocess.run(
        ["docker-compose", *named, "config", "--quiet"],  # noqa: S607 - the machine's own
        cwd=tmp_path, env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)}, capture_output=True, text=True,
        check=False)
    assert (done.returncode, done.stderr) == (0, "")
