"""Processes of ours that a test's own has begun."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from nightscan_tasks.apart import Apart


class Counted:
    """Counts the processes that are begun, from now on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.begun = 0
        begin = Apart.__enter__

        def counted(apart: Any) -> Any:
            self.begun += 1
            return begin(apart)

        monkeypatch.setattr(Apart, "__enter__", counted)


def others() -> set[int]:
    """Those that run now."""
    return {int(child) for task in Path("/proc/self/task").iterdir()
            for child in _read(task / "children").split()
            if "nightscan_tasks.apart" in _read(Path(f"/proc/{child}/cmdline"))}


def _read(of_process: Path) -> str:
    """Nothing where it, or the thread, has just ended."""
    try:
        return of_process.read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""
