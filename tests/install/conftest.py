"""A checkout to install in, and a package index of our own on loopback."""

from __future__ import annotations

import hashlib
import http.server
import importlib.util
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def pip_index() -> ModuleType:
    """The module under test: tools are no package of the installed project."""
    spec = importlib.util.spec_from_file_location("pip_index", ROOT / "tools" / "pip_index.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def no_pip_configuration(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A home of its own, and nothing about pip in the environment but a file that may be made."""
    for name in os.environ:
        if name.startswith("PIP_") or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    config = tmp_path / "pip.conf"
    monkeypatch.setenv("PIP_CONFIG_FILE", str(config))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    return config


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The parts of this checkout that installing reads, with an empty lock."""
    folder = tmp_path / "checkout"
    folder.mkdir()
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy(ROOT / name, folder)
    for name in ("tools", ".ci"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "requirements.lock").write_text("# nothing\n")
    return folder


@pytest.fixture
def bootstrap(checkout: Path) -> Run:
    """Run tools.bootstrap in the checkout, with changes to the environment."""
    def run(*arguments: str, **changes: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([sys.executable, "-m", "tools.bootstrap", *arguments], cwd=checkout,
                              env={**os.environ, **changes}, stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, check=False)
    return run


class Index:
    """A package index (PEP 503) with one wheel in it, that wants a password when one is set."""

    def __init__(self) -> None:
        self.wheel = "pip-1.0-py3-none-any.whl"
        self.content = b"a wheel"
        self.password: str | None = None
        self.asked: list[str] = []
        self.port = 0

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/simple"


@pytest.fixture
def index() -> Iterator[Index]:
    state = Index()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            state.asked.append(self.path)
            pages = {"/simple/pip/": f'<a href="../../files/{state.wheel}#sha256=0">it</a>'.encode(),
                     f"/files/{state.wheel}": state.content}
            allowed = state.password in {None, self.headers.get("Authorization")}
            body = pages.get(self.path, b"")
            self.send_response((200 if body else 404) if allowed else 401)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_args: object) -> None:
            """Quiet."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
