"""The only reader of the environment.

Values come from environment variables, or for any of them from the file that `NAME_FILE` names, as
containers do it. What is wrong is one line that names the setting, its source, and a valid example.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from pydantic import SecretStr, ValidationError

from nightscan_tasks.errors import SettingsError
from nightscan_tasks.settings.brokers import refuse_lost_results
from nightscan_tasks.settings.values import Settings, variables

PREFIX = "NIGHTSCAN_"


def load(environ: Mapping[str, str] | None = None) -> Settings:
    """Settings from the environment; `SettingsError` tells everything that is wrong, a line each."""
    environ = os.environ if environ is None else environ
    known = variables()
    problems = _unknown(environ, known)
    values: dict[str, str] = {}
    sources: dict[str, str] = {}
    for name in known:
        value, source, problem = _value(environ, name)
        if problem:
            problems.append(problem)
        elif value is not None:
            values[name], sources[name] = value, source
    try:
        settings = Settings(**values)  # type: ignore[arg-type]  # pydantic turns text into types
    except ValidationError as exc:
        problems += [_explain(error, sources) for error in exc.errors()]
        raise SettingsError("\n".join(problems)) from None
    if problems:
        raise SettingsError("\n".join(problems))
    if settings.visibility_seconds <= settings.deadline_seconds:
        raise SettingsError(
            f"NIGHTSCAN_VISIBILITY_SECONDS is {settings.visibility_seconds}, but must be above "
            f"NIGHTSCAN_DEADLINE_SECONDS ({settings.deadline_seconds}), or the broker hands out "
            f"a running task a second time; for example "
            f"NIGHTSCAN_VISIBILITY_SECONDS={settings.deadline_seconds + 7200}")
    _refuse_half_signed(settings)
    refuse_lost_results(settings)
    return settings


def _refuse_half_signed(settings: Settings) -> None:
    """Whoever wrote one of the three meant messages to be signed: they never go unsigned by a slip."""
    names = {"NIGHTSCAN_MESSAGE_KEY": settings.message_key,
             "NIGHTSCAN_MESSAGE_CERTIFICATE": settings.message_certificate,
             "NIGHTSCAN_MESSAGE_CERTIFICATES": settings.message_certificates}
    missing = [name for name, value in names.items() if value is None]
    if missing and len(missing) < len(names):
        raise SettingsError(f"signed messages need all of {', '.join(names)}: set {' and '.join(missing)}, "
                            f"or none; docs/SECURITY.md says how")


def _value(environ: Mapping[str, str], name: str) -> tuple[str | None, str, str | None]:
    """One variable's value and source, or what is wrong with it."""
    direct, file = environ.get(name), environ.get(f"{name}_FILE")
    if direct and file:
        return None, "", f"{name} and {name}_FILE are both set: unset one of them"
    if not file:
        return direct or None, "the environment", None
    try:
        return Path(file).read_text(encoding="utf-8").rstrip("\r\n"), file, None
    except (OSError, UnicodeDecodeError) as exc:
        return None, "", f"{name}_FILE names {file}, which cannot be read: {exc}"


def _unknown(environ: Mapping[str, str], known: Mapping[str, str]) -> list[str]:
    problems = []
    for name in sorted(environ):
        bare = name.removesuffix("_FILE")
        if not name.startswith(PREFIX) or name in known or bare in known:
            continue
        near = difflib.get_close_matches(bare, known, n=1, cutoff=0.6)
        hint = f"did you mean {near[0]}?" if near else "see the table in README.md"
        problems.append(f"{name} (from the environment) is not a setting: {hint}")
    return problems


def _explain(error: Any, sources: Mapping[str, str]) -> str:
    """One line: the setting, its source, what is wrong, a valid example; never a secret's value."""
    name = str(error["loc"][0]) if error["loc"] else "settings"
    field = variables().get(name, name)
    info = Settings.model_fields.get(field)
    example = f"; for example {name}={info.examples[0]}" if info and info.examples else ""
    secret = info is not None and info.annotation is SecretStr
    # What has a `@` may be an address with a password in it, whatever setting it was written into.
    value = "" if secret or "@" in str(error["input"]) else f" {error['input']!r}"
    reason = error["msg"].removeprefix("Value error, ")
    return f"{name}{value} (from {sources.get(name, 'its default')}) is wrong: {reason}{example}"


def without_secret(url: str) -> str:
    """A URL for people to read: user and password left out."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}{unquote(parts.path)}" if parts.scheme else url
