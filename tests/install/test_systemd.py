"""The units are well formed, and say what Celery needs of them."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

UNITS = Path(__file__).resolve().parents[2] / "worker" / "systemd"
CELERY = "/opt/nightscan-tasks/.venv/bin/celery"
NIGHTSCAN = "/opt/nightscan-tasks/.venv/bin/nightscan"
SERVICES = sorted(path.name for path in UNITS.glob("*.service"))
QUEUES = ("fast", "heavy", "restore", "control")
SECTIONS = {"Unit", "Service", "Install"}
LISTS = {"EnvironmentFile", "Environment", "ReadWritePaths"}  # these add up when said again


def parse(text: str) -> dict[str, list[str]]:
    """`Section.Name` and its values, by the rules of systemd.syntax(7)."""
    values: dict[str, list[str]] = {}
    section = ""
    joined = re.sub(r"\\\n", " ", text)
    for line in joined.splitlines():
        if not line.strip() or line.startswith(("#", ";")):
            continue
        if header := re.fullmatch(r"\[(\w+)\]", line):
            section = header[1]
            assert section in SECTIONS
            continue
        name, equals, value = line.partition("=")
        assert equals, f"no assignment: {line}"
        values.setdefault(f"{section}.{name}", []).append(value.strip())
    return values


@pytest.fixture
def units() -> dict[str, dict[str, list[str]]]:
    return {path.name: parse(path.read_text()) for path in UNITS.glob("nightscan-*.*")
            if path.is_file()}


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="no systemd-analyze here")
def test_systemd_reads_every_unit_without_a_complaint(tmp_path: Path) -> None:
    folder = tmp_path / "units"
    shutil.copytree(UNITS, folder)
    for service in folder.glob("*.service"):
        service.write_text(service.read_text().replace(CELERY, sys.executable)
                           .replace(NIGHTSCAN, sys.executable))
    instances = [f"nightscan-worker@{queue}.service" for queue in QUEUES]
    plain = [name for name in SERVICES if "@" not in name]
    done = subprocess.run(
        ["systemd-analyze", "verify", *instances, *plain, "nightscan-tasks.target"],  # noqa: S607 - the machine's own
        cwd=folder, env={"SYSTEMD_UNIT_PATH": f"{folder}:"}, check=False, capture_output=True,
        text=True)
    complaints = [line for line in done.stderr.splitlines() if str(folder) in line]
    assert (done.returncode, complaints) == (0, []), done.stderr


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_comes_back_for_ever_and_stops_gently(
    units: dict[str, dict[str, list[str]]], service: str,
) -> None:
    unit = units[service]
    assert unit["Service.Restart"] == ["always"]
    assert unit["Unit.StartLimitIntervalSec"] == ["0"]
    assert unit["Service.KillMode"] == ["mixed"]
    assert unit["Unit.PartOf"] == unit["Install.WantedBy"] == ["nightscan-tasks.target"]


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_is_confined(units: dict[str, dict[str, list[str]]], service: str) -> None:
    unit = units[service]
    assert (unit["Service.User"], unit["Service.Group"]) == (["nightscan"], ["backup"])
    assert unit["Service.UMask"] == ["0027"]
    assert unit["Service.NoNewPrivileges"] == unit["Service.PrivateTmp"] == ["yes"]
    assert unit["Service.ProtectSystem"] == ["strict"]
    assert unit["Service.CapabilityBoundingSet"] == [""]
    assert unit["Service.EnvironmentFile"][0] == "/etc/nightscan/backup.env"


@pytest.mark.parametrize("service", SERVICES)
def test_nothing_is_said_twice(units: dict[str, dict[str, list[str]]], service: str) -> None:
    repeated = {name for name, values in units[service].items() if len(values) > 1}
    assert {name.partition(".")[2] for name in repeated} <= LISTS


@pytest.mark.parametrize("service", SERVICES)
def test_no_secret_is_in_a_command(
    units: dict[str, dict[str, list[str]]], service: str,
) -> None:
    commands = " ".join(units[service]["Service.ExecStart"])
    assert "PASSWORD" not in commands.upper()
    assert "BASIC_AUTH" not in commands.upper()


def test_the_worker_serves_the_queue_of_its_instance(
    units: dict[str, dict[str, list[str]]],
) -> None:
    (command,) = units["nightscan-worker@.service"]["Service.ExecStart"]
    words = shlex.split(command)
    assert words[:4] == [CELERY, "-A", "worker", "worker"]
    assert words[words.index("--queues") + 1] == "nightscan.%i"
    assert words[words.index("--hostname") + 1] == "%i@%%h"


def test_beat_keeps_its_schedule_where_a_restart_finds_it(
    units: dict[str, dict[str, list[str]]],
) -> None:
    unit = units["nightscan-beat.service"]
    words = shlex.split(unit["Service.ExecStart"][0])
    assert words[words.index("--schedule") + 1].startswith("/var/lib/nightscan/")
    assert unit["Service.StateDirectory"] == ["nightscan"]


def test_flower_is_on_loopback_and_does_not_start_without_a_password(
    units: dict[str, dict[str, list[str]]],
) -> None:
    unit = units["nightscan-flower.service"]
    assert "--address=127.0.0.1" in unit["Service.ExecStart"][0]
    assert "/etc/nightscan/flower.env" in unit["Service.EnvironmentFile"]
    (check,) = unit["Service.ExecStartPre"]
    for password, status in (("operator:secret", 0), ("", 1)):
        done = subprocess.run(shlex.split(check), env={"FLOWER_BASIC_AUTH": password}, check=False,
                              capture_output=True, text=True)
        assert done.returncode == status
        assert "secret" not in done.stderr


def test_only_a_restore_writes_where_the_data_is(
    units: dict[str, dict[str, list[str]]],
) -> None:
    everyone = units["nightscan-worker@.service"]["Service.ReadWritePaths"]
    restore = parse((UNITS / "nightscan-worker@restore.service.d/10-restore.conf").read_text())
    assert everyone == ["-/opt/nightscan/backups"]
    assert restore["Service.ReadWritePaths"] == ["/opt/nightscan"]


def test_heavy_work_gives_way() -> None:
    heavy = parse((UNITS / "nightscan-worker@heavy.service.d/10-heavy.conf").read_text())
    assert int(heavy["Service.Nice"][0]) > 0
    assert heavy["Service.IOSchedulingClass"] == ["best-effort"]


def separate_users() -> dict[str, dict[str, list[str]]]:
    """What the drop-ins say that give each service a user of its own."""
    return {str(path.relative_to(UNITS / "separate-users")): parse(path.read_text())
            for path in (UNITS / "separate-users").rglob("*.service.d/*.conf")}


def lines_of(name: str) -> list[list[str]]:
    """The words of each line that says something."""
    text = (UNITS / "separate-users" / name).read_text()
    return [shlex.split(line) for line in text.splitlines() if line and not line.startswith("#")]


def test_each_worker_can_have_a_user_of_its_own() -> None:
    said = separate_users()
    worker = said["nightscan-worker@.service.d/20-user.conf"]
    assert (worker["Service.User"], worker["Service.Group"]) == (["nightscan-%i"], ["backup"])
    users = {words[1] for words in lines_of("nightscan.sysusers.conf")}
    assert users == {f"nightscan-{name}" for name in (*QUEUES, "beat", "flower")}
    for service in ("beat", "flower"):
        assert said[f"nightscan-{service}.service.d/20-user.conf"]["Service.User"] == [f"nightscan-{service}"]


def test_no_key_is_anothers() -> None:
    lines = lines_of("nightscan.tmpfiles.conf")
    keys = {path: (mode, user, group) for _, path, mode, user, group in lines if path.endswith(".key")}
    assert keys == {f"/etc/nightscan/messages/{name}.key": ("0640", "root", f"nightscan-{name}")
                    for name in (*QUEUES, "beat", "flower")}
    assert {mode for _, path, mode, *_ in lines if path.endswith(".env") and "-" in path} == {"0600"}
    # No key is in what they share: whoever writes there can slow the others down, and no more.
    assert not any(int(mode, 8) & 0o022 for _, path, mode, *_ in lines if path != "/run/nightscan")


def test_workers_do_not_listen_to_each_other(units: dict[str, dict[str, list[str]]]) -> None:
    (command,) = units["nightscan-worker@.service"]["Service.ExecStart"]
    assert {"--without-gossip", "--without-mingle"} <= set(shlex.split(command))


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="no systemd-analyze here")
def test_systemd_reads_the_units_with_users_of_their_own_without_a_complaint(tmp_path: Path) -> None:
    folder = tmp_path / "units"
    shutil.copytree(UNITS, folder)
    for dropin in (folder / "separate-users").iterdir():
        if dropin.is_dir():
            shutil.copytree(dropin, folder / dropin.name, dirs_exist_ok=True)
    for path in [*folder.glob("*.service"), *folder.glob("*.d/*.conf")]:
        path.write_text(path.read_text().replace(CELERY, sys.executable).replace(NIGHTSCAN, sys.executable))
    names = [f"nightscan-worker@{queue}.service" for queue in QUEUES]
    done = subprocess.run(
        ["systemd-analyze", "verify", *names, "nightscan-beat.service", "nightscan-flower.service"],  # noqa: S607 - the machine's own
        cwd=folder, env={"SYSTEMD_UNIT_PATH": f"{folder}:"}, check=False, capture_output=True, text=True)
    complaints = [line for line in done.stderr.splitlines() if str(folder) in line]
    assert (done.returncode, complaints) == (0, []), done.stderr


@pytest.mark.skipif(not shutil.which("systemd-sysusers"), reason="no systemd-sysusers here")
def test_systemd_makes_the_users(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    done = subprocess.run(["systemd-sysusers", f"--root={tmp_path}",  # noqa: S607 - the machine's own
                           str(UNITS / "separate-users/nightscan.sysusers.conf")], check=False,
                          capture_output=True, text=True)
    if os.geteuid() == 0:
        made = {line.partition(":")[0] for line in (tmp_path / "etc/passwd").read_text().splitlines()}
        assert {f"nightscan-{name}" for name in (*QUEUES, "beat", "flower")} <= made
    assert "conf:" not in done.stderr  # as it names a line that it does not understand
