"""What can fail in a run, each for real: a clear error, the rest kept, and what was there untouched."""

from __future__ import annotations

import http.server
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from nightscan_tasks import process
from nightscan_tasks.backup import Request, run_local
from nightscan_tasks.ledger import Ending, Outcome
from nightscan_tasks.model import Days, Plan, Tier
from nightscan_tasks.system import System
from nightscan_tasks.verification import verify_set
from nightscan_tasks.world.world import World

NIGHT = Plan(Tier.DAILY, ("database", "redis", "system_config"), Days(7))
CONFIG = Plan(Tier.DAILY, ("system_config",), Days(7))
Held = Callable[..., Any]
Until = Callable[..., Any]


@pytest.fixture(scope="module")
def before(site: dict[str, str]) -> Iterator[Outcome]:
    """The set of the night before all faults."""
    with pytest.MonkeyPatch.context() as patch:
        _set(site, patch)
        outcome = run_local(System.from_env(), Request(NIGHT))
        assert outcome.ending == Ending.GOOD
        yield outcome


@pytest.fixture
def environ(site: dict[str, str], before: Outcome, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """A filled application whose only store is a directory, unless a test adds one."""
    _set(site, monkeypatch)
    return site


@pytest.fixture
def good(environ: dict[str, str], before: Outcome) -> Iterator[Outcome]:
    """The set of the night before; whatever fails now, it stays the newest good one."""
    links = _links(environ)
    yield before
    catalog = System.from_env().catalog()
    newest = catalog.pick(tier=Tier.DAILY)
    assert newest.set_id == before.set_id
    assert _links(environ) == links
    for manifest in catalog.sets():
        assert all(artifact.name.endswith(".gpg") for artifact in manifest.artifacts)
        assert verify_set(catalog, manifest, clock=System.from_env().clock).problems == ()


def _set(site: dict[str, str], patch: pytest.MonkeyPatch) -> None:
    for name, value in {**site, "NIGHTSCAN_RETRIES": "0"}.items():
        patch.setenv(name, value)


def _links(environ: dict[str, str]) -> dict[str, str]:
    folder = Path(environ["NIGHTSCAN_BACKUP_DIR"])
    return {path.name: str(path.readlink()) for path in folder.glob("latest_*")}


def night(plan: Plan = NIGHT) -> Outcome:
    return run_local(System.from_env(), Request(plan), sleep=lambda _seconds: None)


def failures(outcome: Outcome) -> dict[str, str]:
    recorded = System.from_env().ledger.outcome(outcome.run_id)
    assert recorded == outcome  # what is told is what the ledger says
    return {failure.part: f"{failure.error}: {failure.message}" for failure in outcome.failures}


def kept(outcome: Outcome) -> set[str]:
    """The components of the incomplete set that a run left."""
    assert outcome.ending == Ending.INCOMPLETE
    manifest = System.from_env().catalog().get(outcome.set_id)
    assert not manifest.complete
    return set(manifest.components)


@contextmanager
def running() -> Iterator[Future[Outcome]]:
    with ThreadPoolExecutor(1) as pool:
        yield pool.submit(night)


def children(program: str) -> list[int]:
    """This process's own children of that name, by whichever thread they were started."""
    listed = [path.read_text().split() for path in Path("/proc/self/task").glob("*/children")]
    return [int(pid) for pids in listed for pid in pids
            if Path(f"/proc/{pid}/comm").read_text().strip() == program]


def test_a_wrong_password_fails_the_database_and_nothing_else(
        good: Outcome, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    scheme, _, rest = environ["NIGHTSCAN_DATABASE_URI"].partition("://")
    monkeypatch.setenv("NIGHTSCAN_DATABASE_URI",
                       f"{scheme}://nightscan:not-the-password@{rest.partition('@')[2]}")
    outcome = night()
    assert kept(outcome) == {"redis", "system_config"}
    told = failures(outcome)["database"]
    assert told.startswith("SourceRefused")
    assert "NIGHTSCAN_DB_PASSWORD" in told
    assert "not-the-password" not in told


def test_a_server_that_goes_in_mid_dump_fails_the_database_and_nothing_else(
        good: Outcome, held: Held, until: Until, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = World.up(tmp_path / "own", services=("postgres",), celery=False)
    try:
        monkeypatch.setenv("NIGHTSCAN_DATABASE_URI", own.dsn())
        with held(own.dsn()) as waits, running() as run:  # in this order: a dump is quick
            until(lambda: waits() and children("pg_dump"), "pg_dump to wait")
            server = own.state.records["postgres"].process
            assert server is not None
            server.send(signal.SIGQUIT)  # PostgreSQL's immediate mode
            until(lambda: not server.alive(), "the server to be gone")
            outcome = run.result(timeout=180)
    finally:
        World.down(tmp_path / "own")
    assert kept(outcome) == {"redis", "system_config"}
    assert failures(outcome)["database"].startswith("SourceUnavailable")


def test_a_pg_dump_that_is_killed_fails_the_database_and_nothing_else(
        good: Outcome, environ: dict[str, str], held: Held, until: Until) -> None:
    with held(environ["NIGHTSCAN_DATABASE_URI"]) as waits, running() as run:
        until(lambda: waits() and children("pg_dump"), "pg_dump to wait")
        (pid,) = children("pg_dump")
        os.kill(pid, signal.SIGKILL)
        outcome = run.result(timeout=180)
    assert kept(outcome) == {"redis", "system_config"}
    assert "pg_dump was ended by signal SIGKILL" in failures(outcome)["database"]


@pytest.mark.parametrize("key", ["unknown", "expired"])
def test_without_a_usable_key_nothing_is_saved_least_of_all_in_plain(
        good: Outcome, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    if key == "expired":
        _expired_key(Path(environ["NIGHTSCAN_GPG_HOME"]))
    monkeypatch.setenv("NIGHTSCAN_GPG_RECIPIENT", f"{key}@example.org")
    outcome = night()
    assert outcome.ending == Ending.FAILED
    told = failures(outcome)
    assert set(told) == {"database", "redis", "system_config"}
    assert all(each.startswith("EncryptionFailed") and f"{key}@example.org" in each for each in told.values())
    assert key == "unknown" or all("expired" in each for each in told.values())
    store = System.from_env().primary
    assert [entry.key for entry in store.list(f"{outcome.set_id}/")] == []


def test_a_bucket_that_is_missing_degrades_the_run_and_is_named(
        good: Outcome, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_BACKUP_BUCKET", "nowhere-to-be-found")
    outcome = night(CONFIG)
    assert_degraded(outcome)
    assert all("nowhere-to-be-found" in told for told in failures(outcome).values())
    _forget(outcome)


@pytest.mark.parametrize("answering", [500, None])
def test_an_offsite_store_that_answers_500_or_not_at_all_degrades_the_run(
        good: Outcome, monkeypatch: pytest.MonkeyPatch, answering: int | None) -> None:
    with _endpoint(answering) as url:
        monkeypatch.setenv("AWS_BACKUP_BUCKET", "some-bucket")
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        outcome = night(CONFIG)
        assert_degraded(outcome)
        assert all(told.startswith("StoreError") and url in told for told in failures(outcome).values())
    _forget(outcome)


def assert_degraded(outcome: Outcome) -> None:
    assert outcome.ending == Ending.DEGRADED
    assert outcome.stores == ("primary",)
    assert set(failures(outcome)) == {"system_config@offsite"}
    assert System.from_env().catalog().get(outcome.set_id).complete


def _forget(outcome: Outcome) -> None:
    """A degraded set is a good one of its store: so it is taken away before `good` looks again."""
    system = System.from_env()
    assert system.catalog().pick(tier=Tier.DAILY).set_id == outcome.set_id
    system.catalog().delete(outcome.set_id)
    earlier = system.catalog().pick(tier=Tier.DAILY)
    system.primary.link_latest({f"latest_{each.name}": earlier.set_id.key(each.name)
                                for each in earlier.artifacts})


def _expired_key(home: Path) -> None:
    process.run(["gpg", "--homedir", str(home), "--batch", "--quiet", "--pinentry-mode", "loopback",
                 "--passphrase", "", "--faked-system-time", "20200101T000000", "--quick-generate-key",
                 "expired@example.org", "future-default", "default", "1d"])


class _Answering(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    status = 500

    def _answer(self) -> None:
        self.close_connection = True
        self.send_response(self.status)
        self.send_header("Content-Length", "0")
        self.send_header("Connection", "close")
        self.end_headers()

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = _answer  # noqa: N815 - http.server's names

    def log_message(self, *_words: object) -> None:
        """Tests are quiet."""


@contextmanager
def _endpoint(status: int | None) -> Iterator[str]:
    """An S3 endpoint that answers everything with `status`, or on which nobody listens."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Answering)
    url = f"http://127.0.0.1:{server.server_port}"
    if status is None:
        server.server_close()
        yield url
        return
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield url
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
