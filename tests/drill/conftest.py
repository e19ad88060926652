"""A small NightScan with real servers, and sets of it: that of the restores."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

_spec = importlib.util.spec_from_file_location("restore_site",
                                               Path(__file__).parents[1] / "restore/conftest.py")
assert _spec is not None
assert _spec.loader is not None
_restores = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_restores)


@pytest.fixture
def site(environ: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Any:
    """An application with a little of everything."""
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    made = _restores.Site(environ)
    made.fill()
    return made
