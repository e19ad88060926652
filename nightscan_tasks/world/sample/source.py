"""The application's source: a git checkout, and beside it what is made from it or fetched for it."""

from __future__ import annotations

import os
import random
from datetime import timedelta
from pathlib import Path

from nightscan_tasks import process
from nightscan_tasks.world.sample.plan import Plan

_WORDS = ("prediction", "upload", "species", "session", "self", "request", "detect", "return", "zone",
          "image", "sample", "score", "user", "query", "cache", "limit", "token", "if", "in", "for")
_LINE_WORDS = 8
_MODULE_BYTES = 12_000
_FEWEST = 6
_FIXED = {
    "README.md": "# NightScan\nRecognises wildlife from sound and photos.\n",
    "requirements.txt": "flask==3.0.3\nredis==5.0.4\ntorch==2.3.0\n",
    "package.json": '{"name": "nightscan-web", "version": "1.4.2", "dependencies": {"vue": "3"}}\n',
    "scripts/deploy.sh": "#!/bin/sh\nset -e\ngit pull\nsystemctl restart nightscan-web\n",
    ".gitignore": "uploads/\nmodels/\nlogs/\nbackups/\nconfig/\nnode_modules/\n__pycache__/\n"
                  ".pytest_cache/\n",
}
_MADE = ("node_modules/vue/index.js", "node_modules/.bin/vite", "web/__pycache__/app.cpython-311.pyc",
         ".pytest_cache/v/cache/lastfailed", "web/static/node_modules/lodash/lodash.js")


def write_source(root: Path, plan: Plan) -> None:
    """Write the sources, commit them, and add what no backup of the source should take."""
    rng = plan.random("source")
    for name, text in _FIXED.items():
        _write(root / name, text)
    (root / "scripts/deploy.sh").chmod(0o755)
    for number in range(max(_FEWEST, plan.source_bytes // _MODULE_BYTES)):
        package = ("web", "api", "ml")[number % 3]
        name = "app.py" if number < 3 else f"module_{number:04}.py"  # noqa: PLR2004 - one each
        _write(root / package / name, _text(rng))
    _commit(root, plan)
    for name in _MADE:
        _write(root / name, _text(rng))


def _commit(root: Path, plan: Plan) -> None:
    at = f"{int((plan.now - timedelta(days=3)).timestamp())} +0000"
    who = {"NAME": "NightScan", "EMAIL": "dev@nightscan.com", "DATE": at}
    env = {"PATH": os.environ.get("PATH", os.defpath), "HOME": str(root),
           "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1",
           **{f"GIT_{role}_{key}": value for role in ("AUTHOR", "COMMITTER")
              for key, value in who.items()}}
    for arguments in (["init", "--quiet", "--initial-branch=main"], ["add", "."],
                      ["commit", "--quiet", "--message", "Release 1.4.2"], ["tag", "v1.4.2"]):
        process.run(["git", *arguments], cwd=root, env=env)


def _text(rng: random.Random) -> str:
    words = rng.choices(_WORDS, k=_MODULE_BYTES // 7)
    lines = (" ".join(words[start:start + _LINE_WORDS])
             for start in range(0, len(words), _LINE_WORDS))
    return "\n".join(lines) + "\n"


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
