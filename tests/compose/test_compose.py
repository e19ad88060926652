"""compose.yaml fits together, and each service knows what it needs and no more."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from nightscan_tasks.settings import Settings, load
from nightscan_tasks.system import refuse_shared_redis
from worker.signed import letter_box

ROOT = Path(__file__).resolve().parents[2]
COMPOSE = ROOT / "compose"
QUEUES = ("fast", "heavy", "restore", "control")
WORKERS = [f"worker-{queue}" for queue in QUEUES]
OURS = [*WORKERS, "beat", "flower", "page"]
SERVERS = ["postgres", "redis", "broker", "s3"]
VARIABLE = re.compile(r"\$\{(\w+)(?::?-([^}]*))?\}")
SERVICE_KEYS = {"build", "cap_drop", "command", "cpu_shares", "depends_on", "entrypoint",
                "environment", "healthcheck", "image", "logging", "networks", "ports", "read_only",
                "restart", "secrets", "security_opt", "shm_size", "stop_grace_period", "tmpfs", "volumes"}


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    """The file with its defaults filled in, as without any .env."""
    text = (COMPOSE / "compose.yaml").read_text()
    content = yaml.safe_load(VARIABLE.sub(lambda found: found[2] or "", text))
    assert isinstance(content, dict)
    return content


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    """What make-secrets makes, in a folder of its own."""
    shutil.copy(COMPOSE / "make-secrets", tmp_path)
    subprocess.run([tmp_path / "make-secrets"], check=True)
    return tmp_path / "secrets"


def used(service: dict[str, Any], kind: str) -> set[str]:
    """The names of networks, secrets or volumes that a service asks for; host folders are none."""
    names = {str(entry).partition(":")[0] for entry in service.get(kind, [])}
    return {name for name in names if not name.startswith("/")}


def test_every_service_is_there(compose: dict[str, Any]) -> None:
    assert set(compose["services"]) == {*OURS, *SERVERS, "s3-bucket"}


@pytest.mark.parametrize("kind", ["networks", "secrets", "volumes"])
def test_what_services_use_is_declared_and_what_is_declared_is_used(
    compose: dict[str, Any], kind: str,
) -> None:
    asked = set().union(*(used(service, kind) for service in compose["services"].values()))
    assert asked == set(compose[kind])


@pytest.mark.parametrize("name", [*OURS, *SERVERS, "s3-bucket"])
def test_a_service_says_only_what_compose_knows(compose: dict[str, Any], name: str) -> None:
    assert set(compose["services"][name]) <= SERVICE_KEYS


@pytest.mark.parametrize("name", [*OURS, "s3-bucket"])
def test_a_service_waits_for_what_can_tell_that_it_is_ready(
    compose: dict[str, Any], name: str,
) -> None:
    services = compose["services"]
    for other, wish in services[name]["depends_on"].items():
        if wish["condition"] == "service_healthy":
            assert services[other]["healthcheck"]["test"][0] in {"CMD", "CMD-SHELL"}
        else:
            assert wish["condition"] == "service_completed_successfully"
            assert "restart" not in services[other]
        assert used(services[name], "networks") & used(services[other], "networks")


@pytest.mark.parametrize("name", [*OURS, *SERVERS])
def test_a_service_comes_back_and_tells_its_health(compose: dict[str, Any], name: str) -> None:
    assert compose["services"][name]["restart"] == "always"
    assert compose["services"][name]["healthcheck"]["test"]


def test_each_queue_has_one_worker(compose: dict[str, Any]) -> None:
    commands = [compose["services"][worker]["command"] for worker in WORKERS]
    assert commands == [["worker", queue] for queue in QUEUES]


@pytest.mark.parametrize("name", OURS)
def test_a_service_is_asked_how_it_is_by_what_the_image_has_for_it(
    compose: dict[str, Any], name: str,
) -> None:
    service = compose["services"][name]
    assert service["command"][0] == ("worker" if name in WORKERS else name)
    assert service["healthcheck"]["test"] == ["CMD", "healthcheck"]


@pytest.mark.parametrize("name", WORKERS)
def test_what_a_worker_remembers_outlives_its_container(compose: dict[str, Any], name: str) -> None:
    service = compose["services"][name]
    mounted = {volume.partition(":")[2] for volume in service["volumes"] if not volume.startswith("/")}
    settings = service["environment"]
    for kept in ("NIGHTSCAN_BACKUP_DIR", "NIGHTSCAN_STATE_DIR", "NIGHTSCAN_TEMP_DIR", "TMPDIR"):
        assert settings[kept] in mounted
    assert Path(settings["NIGHTSCAN_HEARTBEAT_FILE"]).parent == Path("/run/nightscan")  # in memory
    assert Path(settings["NIGHTSCAN_AUDIT_FILE"]).is_relative_to(settings["NIGHTSCAN_STATE_DIR"])


def test_workers_of_one_host_share_what_bounds_them_together(compose: dict[str, Any]) -> None:
    kept = {str(compose["services"][worker]["environment"]["NIGHTSCAN_TEMP_DIR"]) for worker in WORKERS}
    assert len(kept) == 1  # limits and jobs are kept there, in one volume
    jobs = {str(compose["services"][worker]["environment"]["NIGHTSCAN_JOBS"]) for worker in WORKERS}
    assert jobs == {"2"}


def test_only_the_restore_worker_has_the_private_key(compose: dict[str, Any]) -> None:
    holders = [name for name, service in compose["services"].items()
               if "backup-private.asc" in service.get("secrets", [])]
    assert holders == ["worker-restore"]


def test_only_the_control_worker_can_tell_people(compose: dict[str, Any]) -> None:
    told = {"smtp_password", "slack_webhook_url", "alert_urls", "ping_url"}
    holders = {name for name, service in compose["services"].items()
               if told & set(service.get("secrets", []))}
    assert holders == {"worker-control"}
    control = compose["services"]["worker-control"]
    assert told <= set(control["secrets"])
    assert "outside" in control["networks"]  # where mail servers are
    assert control["environment"]["NIGHTSCAN_PING_URL_FILE"] == "/run/secrets/ping_url"


def test_only_the_restore_worker_can_write_what_is_live(compose: dict[str, Any]) -> None:
    mounts = {name: [volume for volume in compose["services"][name].get("volumes", [])
                     if volume.startswith("/")] for name in OURS}
    assert mounts.pop("worker-restore") == ["/opt/nightscan:/opt/nightscan"]
    assert mounts.pop("worker-heavy") == ["/opt/nightscan:/opt/nightscan:ro", "/etc:/host/etc:ro"]
    assert not any(mounts.values())


@pytest.mark.parametrize("name", OURS)
def test_our_containers_have_no_privileges(compose: dict[str, Any], name: str) -> None:
    assert compose["services"][name]["cap_drop"] == ["ALL"]
    assert compose["services"][name]["security_opt"] == ["no-new-privileges:true"]
    assert compose["services"][name]["read_only"] is True
    assert all(":size=" in each for each in compose["services"][name]["tmpfs"])


def test_the_image_can_be_pinned_and_replaced(compose: dict[str, Any]) -> None:
    (build,) = [service["build"] for service in compose["services"].values() if "build" in service]
    assert build["args"]["PYTHON_IMAGE"] == "python:3.11-slim-bookworm"
    assert not build["args"]["PYTHON_DIGEST"]


def test_nothing_is_published_but_flower_and_the_page_on_loopback(compose: dict[str, Any]) -> None:
    ports = {name: service["ports"] for name, service in compose["services"].items()
             if "ports" in service}
    assert ports == {"flower": ["127.0.0.1:5555:5555"], "page": ["127.0.0.1:8321:8321"]}


def test_the_page_asks_for_a_password_and_can_write_nothing(compose: dict[str, Any]) -> None:
    page = compose["services"]["page"]
    assert page["environment"]["NIGHTSCAN_SERVE_PASSWORD_FILE"] == "/run/secrets/serve_password"
    assert page["volumes"] == ["backups:/var/lib/nightscan/backups:ro"]
    assert not {each for each in page["secrets"] if each.endswith(".asc") or "db" in each or "redis" in each}


def test_the_broker_keeps_its_messages(compose: dict[str, Any]) -> None:
    options = compose["services"]["broker"]["environment"]["OPTIONS"]
    assert "--appendonly yes" in options
    assert "--maxmemory-policy noeviction" in options


@pytest.mark.parametrize("name", OURS)
def test_the_settings_of_a_service_are_valid(
    compose: dict[str, Any], secrets: Path, name: str,
) -> None:
    service = compose["services"][name]
    environ = {variable: str(value or "").replace("/run/secrets", str(secrets))
               for variable, value in service["environment"].items()}
    files = {Path(value).name for value in environ.values() if value.startswith(str(secrets))}
    assert files <= set(service["secrets"])
    settings = load(environ)
    assert isinstance(settings, Settings)
    refuse_shared_redis(settings)


def test_every_secret_is_made_once_and_then_kept(compose: dict[str, Any], secrets: Path) -> None:
    wanted = {Path(secret["file"]).name for secret in compose["secrets"].values()}
    made = {path.name: path.read_text() for path in secrets.iterdir()}
    assert wanted <= set(made)
    assert made["broker_password"] in made["broker_url"]
    assert made["s3_secret_key"] in made["s3_identities.json"]
    assert len({made[name] for name in made if name.endswith("_password")}) == len(
        [name for name in made if name.endswith("_password")])
    assert secrets.stat().st_mode & 0o777 == 0o700
    subprocess.run([secrets.parent / "make-secrets"], check=True)
    assert {path.name: path.read_text() for path in secrets.iterdir()} == made


def test_the_example_of_the_environment_names_what_can_be_set() -> None:
    text = (COMPOSE / "compose.yaml").read_text()
    variables = {found[1] for found in VARIABLE.finditer(text)}
    example = set(re.findall(r"^(\w+)=", (COMPOSE / "env.example").read_text(), re.MULTILINE))
    example.remove("COMPOSE_PROJECT_NAME")  # compose's own
    assert example <= variables
    assert variables - example == {"NIGHTSCAN_IMAGE", "AWS_DEFAULT_REGION"}


def test_where_no_registry_is_reached_every_server_is_in_one_image(compose: dict[str, Any]) -> None:
    text = VARIABLE.sub(lambda found: found[2] or "", (COMPOSE / "compose.embedded.yaml").read_text())
    embedded = yaml.safe_load(text)["services"]
    others = {name for name, service in compose["services"].items() if name not in OURS}
    assert set(embedded) == others
    assert {service["image"] for service in embedded.values()} == {"nightscan-servers"}
    for service in embedded.values():
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]


@pytest.fixture(scope="module")
def signed(compose: dict[str, Any]) -> dict[str, Any]:
    """compose.signed.yaml on top: environments and secrets of a service add up."""
    content = yaml.safe_load((COMPOSE / "compose.signed.yaml").read_text())
    assert isinstance(content, dict)
    for name, service in content["services"].items():
        below = compose["services"][name]
        service["environment"] = {**below["environment"], **service.get("environment", {})}
        service["secrets"] = [*below["secrets"], *service["secrets"]]
    return content


@pytest.fixture(scope="module")
def signed_secrets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `make-secrets signed` makes, in a copy of what it needs of the checkout."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl here, which makes the keys of containers and servers")
    root = tmp_path_factory.mktemp("checkout")
    (root / "compose").mkdir()
    shutil.copy(COMPOSE / "make-secrets", root / "compose")
    for name in ("worker/make-message-keys", "docs/privileges/redis/broker.acl"):
        (root / name).parent.mkdir(parents=True)
        shutil.copy(ROOT / name, root / name)
    for _twice in range(2):
        subprocess.run([root / "compose/make-secrets", "signed"], check=True,
                       env={**os.environ, "BITS": "2048"})
    return root / "compose/secrets"


@pytest.mark.parametrize("name", OURS)
def test_where_messages_are_signed_each_service_is_valid_and_itself(
    compose: dict[str, Any], signed: dict[str, Any], signed_secrets: Path, name: str,
) -> None:
    service, role = signed["services"][name], name.removeprefix("worker-")
    (volume,) = [each for each in service["volumes"] if each.startswith("./secrets")]
    trusted = signed_secrets.parent / volume.partition(":")[0]
    environ = {variable: str(value or "").replace("/run/secrets", str(signed_secrets))
               .replace("/etc/nightscan/trusted", str(trusted))
               for variable, value in service["environment"].items()}
    files = {Path(value).name for value in environ.values() if value.startswith(str(signed_secrets))}
    assert files - {trusted.name} <= set(service["secrets"])
    settings = load(environ)
    user = "flower" if role == "page" else role  # both only look
    assert f"redis://{user}:" in settings.broker_url.get_secret_value()
    assert letter_box(settings).read(letter_box(settings).serialize(1)).role == user
    keys = {secret.removesuffix(".key") for secret in service["secrets"] if secret.endswith(".key")}
    assert keys <= {user}
    assert set(service["secrets"]) <= set(compose["secrets"]) | set(signed["secrets"])


def test_the_restore_worker_trusts_no_other_worker(signed_secrets: Path) -> None:
    assert {path.stem for path in (signed_secrets / "trusted-restore").iterdir()} == {
        "operator.operator", "beat", "restore", "flower"}


def test_the_brokers_users_have_passwords_of_their_own(signed_secrets: Path) -> None:
    lines = (signed_secrets / "broker.acl").read_text().splitlines()
    hashes = {line.split()[1]: line.split()[3] for line in lines if " on #" in line}
    passwords = {name: (signed_secrets / f"broker_password.{name}").read_bytes()
                 for name in ("fast", "heavy", "control", "restore", "beat", "flower", "operator")}
    assert hashes == {name: f"#{hashlib.sha256(each).hexdigest()}" for name, each in passwords.items()}
    assert lines[-1] == "user default off"


@pytest.mark.skipif(not shutil.which("docker-compose"), reason="no docker-compose here")
@pytest.mark.parametrize("files", [["compose.yaml"], ["compose.yaml", "compose.signed.yaml"],
                                   ["compose.yaml", "compose.embedded.yaml"]])
def test_docker_compose_accepts_it(tmp_path: Path, secrets: Path, files: list[str]) -> None:
    for file in files:
        shutil.copy(COMPOSE / file, tmp_path)
    named = [word for file in files for word in ("--file", file)]
    done = subprocess.run(
        ["docker-compose", *named, "config", "--quiet"],  # noqa: S607 - the machine's own
        cwd=tmp_path, env={"PATH": os.environ["PATH"], "HOME": str(secrets.parent)},
        capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
