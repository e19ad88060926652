"""URLs whose password cannot be told from the rest: refused before any library quotes a piece of it."""

from __future__ import annotations

from urllib.parse import urlsplit

ESCAPE = "write odd characters of its password as %XX, for example # as %23"
_MANY_HOSTS = {"postgresql", "postgres"}  # host1:5432,host2:5433 is no port that Python knows


def problem_of(url: str) -> str:
    """What is wrong with a URL, empty if nothing. Never quotes any of it: it may be the password.

    An unescaped `/`, `?` or `#` in a password ends the address too early; what follows would be shown as a
    port, a host or a path in somebody's message.
    """
    if any(ord(char) < ord(" ") for char in url):
        return f"it has control characters; {ESCAPE}"
    try:
        parts = urlsplit(url)
        if parts.scheme not in _MANY_HOSTS:
            _ = parts.port, parts.hostname
    except ValueError:
        return f"it cannot be read as a URL: {ESCAPE}"
    ends_early = parts.netloc and ("@" in parts.path + parts.fragment
                                   or any("=" not in piece for piece in filter(None, parts.query.split("&"))))
    twice = parts.scheme in _MANY_HOSTS and parts.netloc.count("@") > 1
    return f"it cannot be read as a URL: {ESCAPE}" if ends_early or twice else ""
