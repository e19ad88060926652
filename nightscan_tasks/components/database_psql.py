"""A plain dump goes into an empty database through `psql`, which reads whatever `pg_dump` writes."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable, Iterator

from pydantic import SecretStr

from nightscan_tasks import programs
from nightscan_tasks.components.postgres import connect, environment, explain, where
from nightscan_tasks.errors import ProcessFailed, RestoreRefused
from nightscan_tasks.model import Buffer
from nightscan_tasks.process import Program

_HEAD_BYTES = 4096
_TAIL_BYTES = 200
_RESTRICTED = re.compile(rb"\A((?:--[^\n]*\n|\s)*)\\restrict \w+\n")
_UNRESTRICTED = re.compile(rb"\\unrestrict \w+\s*\Z")
_TRANSACTION_TIMEOUT = b"SET transaction_timeout = 0;\n"
_OLDEST_WITH_TRANSACTION_TIMEOUT = 170000
# From these on psql knows the \restrict that a dump begins with.
_RESTRICT = {13: 22, 14: 19, 15: 14, 16: 10, 17: 6}


def loader() -> programs.Tool:
    """A psql that understands what newer dumps begin with."""
    for tool in programs.candidates("psql"):
        major, minor = (*tool.version, 0)[:2]
        if minor >= _RESTRICT.get(major, 0) and major >= min(_RESTRICT):
            return tool
    return programs.find("psql", at_least=(max(_RESTRICT) + 1,))


def load_by_psql(chunks: Iterable[Buffer], psql: programs.Tool, *, dsn: SecretStr, name: str) -> None:
    """Fill the database `name` in one transaction; the first error ends it.

    An error out of `chunks` passes through, and nothing was loaded.
    """
    with connect(dsn, database=name) as connection:
        env = environment(dsn, connection)
        version = connection.info.server_version
    env["PGOPTIONS"] = f"{env.get('PGOPTIONS', '')} -c default_transaction_read_only=off".strip()
    argv = [str(psql.path), "--no-psqlrc", "--quiet", "--no-password", "--set=ON_ERROR_STOP=1",
            "--single-transaction", "--output=/dev/null", "--file=-"]
    try:
        with Program(argv, env=env, stdin=True) as program:
            try:
                # From here on psql takes no command of its own, which might run programs here, but this word.
                program.write([b"\\restrict %s\n" % secrets.token_hex(16).encode()])
                for chunk in _for_server(chunks, version):
                    program.write([chunk])
                program.stdin.close()
            except BrokenPipeError:
                pass  # its exit status says more than the broken pipe does
            program.finish()
    except ProcessFailed as exc:
        reason = explain(str(exc), where(dsn, database=name))
        if reason.transient:
            raise reason from exc
        raise RestoreRefused(f"the dump cannot be loaded; the live database was not touched: {exc}"
                             ) from exc


def _for_server(chunks: Iterable[Buffer], version: int) -> Iterator[Buffer]:
    """The dump, without its own restriction, and the line that a newer pg_dump writes for newer servers."""
    source = iter(chunks)
    head = b""
    for chunk in source:
        head += bytes(chunk)
        if len(head) >= _HEAD_BYTES:
            break
    head = _RESTRICTED.sub(rb"\1", head)
    if version < _OLDEST_WITH_TRANSACTION_TIMEOUT:
        head = head.replace(_TRANSACTION_TIMEOUT, b"", 1)
    tail = head
    for chunk in source:
        if len(tail) > _TAIL_BYTES:
            yield tail[:-_TAIL_BYTES]
        tail = tail[-_TAIL_BYTES:] + bytes(chunk)
    yield _UNRESTRICTED.sub(b"", tail)
