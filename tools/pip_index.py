"""One pinned wheel from the package index that pip itself would use, before there is a pip.

Reads pip's environment variables and configuration files: index-url, extra-index-url, find-links,
no-index, cert, proxy, timeout. Everything else of pip's is left to pip.
"""

from __future__ import annotations

import base64
import configparser
import contextlib
import hashlib
import html
import os
import re
import ssl
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

PUBLIC_INDEX = "https://pypi.org/simple"


class WheelError(Exception):
    """Where the wheel was looked for, why it is not to be had, and what to do."""


def fetch(wheel: str, sha256: str) -> bytes:
    """The wheel's bytes from the first configured place that has them, if their hash is right."""
    tried = []
    for place in pip_setting("find-links").split():
        local = Path(urllib.parse.urlsplit(place).path, wheel)
        if local.is_file():
            return checked(local.read_bytes(), sha256, str(local))
    for index in index_urls():
        page = f"{index.rstrip('/')}/{wheel.partition('-')[0]}/"
        try:
            link = find_link(read_url(page).decode("utf-8", "replace"), page, wheel)
            if link:
                return checked(read_url(link), sha256, without_password(link))
            tried.append(f"{without_password(page)}: lists no {wheel}")
        except (urllib.error.URLError, OSError) as exc:
            tried.append(f"{without_password(page)}: {exc}")
    told = "\n  ".join(tried) or "no package index is configured"
    raise WheelError(f"{wheel} could not be fetched:\n  {told}\nset PIP_INDEX_URL (and "
                         "PIP_CERT), or run as root: apt-get install --yes python3-venv")


def checked(content: bytes, sha256: str, source: str) -> bytes:
    """The content, if it is what was pinned."""
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise WheelError(f"{source} is not what was pinned\n  sha256 expected {sha256}, read "
                             f"{found}; do not use that package index")
    return content


def index_urls() -> list[str]:
    """The indexes that pip would ask, in its order."""
    if pip_setting("no-index").lower() in {"1", "true", "yes", "on"}:
        return []
    first = pip_setting("index-url") or PUBLIC_INDEX
    return [first, *pip_setting("extra-index-url").split()]


def find_link(page: str, base: str, wheel: str) -> str | None:
    """The address of the wheel on a page of a package index (PEP 503)."""
    for href in re.findall(r"""href\s*=\s*["']([^"']+)""", page, re.IGNORECASE):
        address = urllib.parse.urljoin(base, html.unescape(href)).partition("#")[0]
        if urllib.parse.unquote(address).endswith(f"/{wheel}"):
            return address
    return None


def read_url(url: str) -> bytes:
    """What is there, with pip's certificates, proxy and time limit; a user in the URL is used."""
    parts = urllib.parse.urlsplit(url)
    if parts.scheme == "file":
        path = Path(urllib.parse.unquote(parts.path))
        return (path / "index.html" if path.is_dir() else path).read_bytes()
    request = urllib.request.Request(without_password(url))  # noqa: S310 - an index set by the user
    if parts.username is not None:
        pair = f"{urllib.parse.unquote(parts.username)}:{urllib.parse.unquote(parts.password or '')}"
        request.add_header("Authorization", f"Basic {base64.b64encode(pair.encode()).decode()}")
    certificates = pip_setting("cert") or os.environ.get("REQUESTS_CA_BUNDLE") or None
    proxy = pip_setting("proxy")
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({"http": proxy, "https": proxy} if proxy else None),
        urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=certificates)))
    with opener.open(request, timeout=float(pip_setting("timeout") or 60)) as answer:
        return bytes(answer.read())


def without_password(url: str) -> str:
    """The same address, fit to print and to ask for."""
    parts = urllib.parse.urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def pip_setting(name: str) -> str:
    """What pip would use: the environment, else the last of its files that says so, else empty."""
    value = os.environ.get(f"PIP_{name.upper().replace('-', '_')}")
    if value is not None:
        return value
    files = configparser.RawConfigParser()
    with contextlib.suppress(configparser.Error):
        files.read(config_files(), encoding="utf-8")
    for section in ("install", "global"):
        if files.has_option(section, name):
            return files.get(section, name)
    return ""


def config_files() -> list[Path]:
    """Where pip looks for its configuration, the strongest last."""
    named = os.environ.get("PIP_CONFIG_FILE")
    if named == os.devnull:
        return []
    home = Path(os.environ.get("HOME") or "/nonexistent")
    user = Path(os.environ.get("XDG_CONFIG_HOME") or home / ".config")
    places = [Path("/etc/xdg/pip/pip.conf"), Path("/etc/pip.conf"), home / ".pip/pip.conf",
              user / "pip/pip.conf"]
    return [*places, Path(named)] if named else places
