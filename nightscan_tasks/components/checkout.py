"""Which commit a folder is, asked without trusting what is in the folder."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

from nightscan_tasks.errors import ProcessFailed
from nightscan_tasks.model import Json
from nightscan_tasks.process import run

_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")


def describe(folder: Path) -> Json:
    """`commit`, `branch` (None when detached) and `dirty` (tracked files differ; None when unknown).

    A folder that is no checkout is a fact, not an error: None. So is a repository that git cannot
    read: then it is what `.git/HEAD` says.
    """
    if not (folder / ".git").exists():
        return None
    if shutil.which("git"):
        try:
            return _asked(folder)
        except ProcessFailed:
            pass  # no commit yet, or damaged: the files say what can be said
    return _read(folder)


def _asked(folder: Path) -> Json:
    branch = _git(folder, "rev-parse", "--abbrev-ref", "HEAD").strip()
    return {"commit": _git(folder, "rev-parse", "HEAD").strip(),
            "branch": None if branch == "HEAD" else branch, "dirty": _dirty(folder)}


def _dirty(folder: Path) -> bool | None:
    """Whether tracked files differ from the commit; None where asking would run programs of it."""
    names = _git(folder, "config", "--local", "--no-includes", "--list", "--name-only").splitlines()
    if any(name.startswith(("filter.", "include.", "includeif.")) for name in names):
        return None
    return bool(_git(folder, "status", "--porcelain", "--untracked-files=no",
                     "--ignore-submodules=all"))


def _git(folder: Path, *words: str) -> str:
    """Run git so that nothing in the folder is run, written or asked for."""
    safe = {"core.hooksPath": os.devnull, "core.fsmonitor": "false",
            "core.untrackedCache": "false", "protocol.allow": "never"}
    options = [word for key, value in safe.items() for word in ("-c", f"{key}={value}")]
    keep = {key: os.environ[key] for key in ("PATH", "HOME", "LANG") if key in os.environ}
    # `safe.directory` counts only from files or the environment's configuration, not from `-c`.
    return run(["git", "-C", str(folder), *options, *words], env={
        **keep, "GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0", "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CEILING_DIRECTORIES": str(folder.parent),
        "GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "safe.directory", "GIT_CONFIG_VALUE_0": "*",
    }).decode(errors="replace")


def _read(folder: Path) -> Json:
    git = folder / ".git"
    try:
        head = (git / "HEAD").read_text(encoding="utf-8", errors="replace").strip()
        if not head.startswith("ref: "):
            return {"commit": head if _COMMIT.fullmatch(head) else None, "branch": None, "dirty": None}
        ref = head.removeprefix("ref: ")
        return {"commit": _resolve(git, ref), "branch": ref.removeprefix("refs/heads/"), "dirty": None}
    except OSError:
        return {"commit": None, "branch": None, "dirty": None}


def _resolve(git: Path, ref: str) -> Json:
    """The commit of a ref: a loose file, or a line in `packed-refs`; None when it has none."""
    loose, packed = git / ref, git / "packed-refs"
    if ".." not in ref and loose.is_file():
        return loose.read_text(encoding="utf-8", errors="replace").strip()
    if packed.is_file():
        for line in packed.read_text(encoding="utf-8", errors="replace").splitlines():
            commit, _, name = line.partition(" ")
            if name == ref:
                return commit
    return None
