"""All of compose.yaml on a real engine: up, a backup, a worker killed, everything back, down again."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pytest

from nightscan_tasks.cli.demo.live_files import left_out
from nightscan_tasks.cli.demo.proof import Proof, Thing, compare
from tests.compose.site import Site, brought_up, healthy, make_site, own
from tests.hands import wait_until

pytestmark = pytest.mark.long

WORKERS = [f"worker-{queue}" for queue in ("fast", "heavy", "restore", "control")]
OURS = [*WORKERS, "beat", "flower", "page"]
_OURS_BYTES = 230_000_000  # it has 184 MB
_SAMPLE_BYTES = "2000000"
_LONG_BYTES = "20000000"
_SLOW_QUOTA = "10000"  # microseconds of each 100,000: a tenth of a processor
_LEASES = "/var/lib/nightscan/backups/leases"
_LONGEST_SECONDS = 600  # a busy machine is no lost run


@pytest.fixture(scope="module")
def site(images: Any, give_keys: Callable[[Site], None],
         tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Every service running, with a small NightScan in it, which is encrypted for a key."""
    folder = tmp_path_factory.mktemp("stack")
    (folder / "opt/nightscan").mkdir(parents=True)
    (folder / "etc").mkdir()
    own(folder / "opt")
    site = make_site(images.engine, folder, {
        "NIGHTSCAN_IMAGE": images.ours, "NIGHTSCAN_SERVERS_IMAGE": images.servers,
        "NIGHTSCAN_GPG_RECIPIENT": "backup@nightscan.com"})
    give_keys(site)
    with brought_up(site):
        healthy(site)
        site.live("fill", _SAMPLE_BYTES)
        yield site


@pytest.fixture(scope="module")
def saved(site: Site) -> Mapping[str, Any]:
    """What a daily backup through the broker said in the end."""
    done = site.inside("worker-control", "nightscan", "backup", "daily", "--wait", "--json", check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def test_a_base_of_another_digest_is_not_taken(images: Any) -> None:
    folder = images.site.folder
    build = ["build", "--quiet", "--target", "needed", "--file", str(folder / "compose/Dockerfile"),
             "--build-arg", f"PYTHON_IMAGE={images.engine.base}", str(folder)]
    other = ["--build-arg", f"PYTHON_DIGEST=sha256:{'0' * 64}"]
    assert images.engine.docker(*build, check=False).returncode == 0
    assert images.engine.docker(*build, *other, check=False).returncode != 0


def test_the_image_is_small_and_has_what_runs_and_no_more(images: Any) -> None:
    size, below = (images.engine.inspect(each)["Size"] for each in (images.ours, images.engine.base))
    assert size - below < _OURS_BYTES
    found = images.engine.docker(
        "run", "--rm", "--entrypoint", "python", images.ours, "-c",
        "from importlib.util import find_spec; import kombu.transport.redis; "
        "print([name for name in ('pip', 'pytest', 'docker', 'playwright', 'mypy') if find_spec(name)])")
    assert found.stdout == "[]\n"


def test_every_container_is_healthy(site: Site) -> None:
    assert set(healthy(site)) == {*OURS, "postgres", "redis", "broker", "s3", "s3-bucket"}


@pytest.mark.parametrize("service", OURS)
def test_a_container_of_ours_is_a_user_without_rights_and_its_files_are_read_only(
    site: Site, service: str,
) -> None:
    seen = site.inside(service, "sh", "-c", "grep -E '^(Uid|CapBnd|CapEff|NoNewPrivs)' /proc/1/status; "
                       "touch /opt/nightscan-tasks/x /usr/x /etc/x; cat /proc/1/comm", check=False)
    facts = dict(line.split(":\t", 1) for line in seen.stdout.splitlines() if ":\t" in line)
    assert set(facts["Uid"].split()) == {site.environ["NIGHTSCAN_UID"]}
    assert int(facts["CapEff"], 16) == int(facts["CapBnd"], 16) == 0
    assert facts["NoNewPrivs"] == "1"
    assert seen.stderr.count("Read-only file system") == 3
    assert seen.stdout.endswith("tini\n")


def test_a_key_is_on_no_disk_of_a_container(site: Site) -> None:
    seen = site.inside("worker-restore", "sh", "-c", "df --output=fstype /run/nightscan/gnupg; "
                       "gpg --homedir /run/nightscan/gnupg --batch --list-secret-keys")
    assert "tmpfs" in seen.stdout
    assert "backup@nightscan.com" in seen.stdout
    others = site.inside("worker-heavy", "gpg", "--homedir", "/run/nightscan/gnupg", "--list-secret-keys")
    assert others.stdout == ""


def test_a_daily_backup_through_the_broker_is_saved_in_every_store(saved: Mapping[str, Any]) -> None:
    assert saved["ending"] == "good", saved
    assert set(saved["components"]) == {"database", "redis", "user_data"}
    assert set(saved["stores"]) == {"primary", "offsite"}
    assert saved["encrypted_for"]


def test_a_run_ends_well_though_its_worker_is_killed_in_the_middle(
    site: Site, saved: Mapping[str, Any],
) -> None:
    engine, heavy, before = site.engine, site.container("worker-heavy"), _archived(site)
    site.live("more", _LONG_BYTES)
    engine.docker("update", "--cpu-quota", _SLOW_QUOTA, heavy)
    with _followed(site) as following:
        wait_until(lambda: _archived(site) - before, "an archive that is being made")
        engine.docker("kill", heavy)
        assert engine.inspect(heavy)["State"]["ExitCode"] == 137
        engine.docker("update", "--cpu-quota", "-1", heavy)
        site.compose("up", "--detach", "--no-build", "worker-heavy")  # the host is back
        told, complaints = following.communicate(timeout=_LONGEST_SECONDS)
    assert following.returncode == 0, told + complaints
    assert json.loads(told)["ending"] == "good"
    assert json.loads(told)["set_id"] != saved["set_id"]


def test_what_was_saved_comes_back_as_it_was(site: Site, saved: Mapping[str, Any]) -> None:
    site.inside("worker-control", "nightscan", "backup", "daily", "--wait")
    before = site.live("look")
    lost = site.live("lose")
    assert not lost["database"]
    assert not lost["redis"]
    assert not lost["user_data"]
    site.inside("worker-control", "nightscan", "restore", "full", "--tier", "daily", "--from", "offsite")
    site.inside("worker-control", "nightscan", "restore", "accept")  # what is kept of the loss
    proof = _compared(before, site.live("look"))
    assert proof.equal, proof.differences[:20]
    assert {line.area for line in proof.lines} == {"database", "redis", "user_data"}


def test_a_second_worker_of_a_queue_is_one_more_container(site: Site) -> None:
    site.compose("up", "--detach", "--no-build", "--scale", "worker-heavy=2", "worker-heavy")

    def both() -> bool:
        seen = site.inside("worker-control", "nightscan", "doctor", "--json", check=False).stdout
        return seen.count("heavy@") == 2

    wait_until(both, "two workers of nightscan.heavy", every=2)


def test_taken_down_nothing_is_left(site: Site) -> None:
    site.compose("down", "--volumes", "--timeout", "20")
    for kind in ("container", "volume", "network"):
        assert site.engine.of_project(kind, site.project) == []


@contextmanager
def _followed(site: Site) -> Iterator[subprocess.Popen[str]]:
    """A daily backup that somebody follows from inside a container."""
    command = ["docker", "exec", site.container("worker-control"), "nightscan", "backup", "daily", "--wait",
               "--json"]
    with subprocess.Popen(command, env=site.environ, text=True, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE) as following:
        try:
            yield following
        finally:
            following.kill()


def _archived(site: Site) -> set[str]:
    """The archives that somebody has, or had, the lease to make."""
    return set(site.inside("worker-control", "find", _LEASES, "-path", "*daily*user_data*", "-name", "*.json",
                           "!", "-path", "*@*").stdout.split())


def _compared(before: Mapping[str, Any], after: Mapping[str, Any]) -> Proof:
    now = datetime.now(UTC)

    def expired(_name: str, thing: Thing) -> str:
        return "expired" if 0 < thing.expires_ms <= after["now_ms"] else ""

    def by_the_rules(name: str, thing: Thing) -> str:
        return "left out" if left_out(name, thing, now=now) else ""

    excuses = {"database": lambda _name, _thing: "", "redis": expired, "user_data": by_the_rules}
    proof = Proof()
    for area, excuse in excuses.items():
        was, came_back = ({name: Thing(**thing) for name, thing in look[area].items()}
                          for look in (before, after))
        proof += compare(area, was, came_back, excuse=excuse)
    return proof
