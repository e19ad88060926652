"""`nightscan serve`: the page over HTTP, for a browser on this host, or with a password for any.

    /            the page, which is looked at anew every five minutes
    /status.json what `nightscan status --json` prints
    /metrics     for Prometheus
    /report      last month's report; /report/2026-10 that of another
    /healthz     `ok`, without a password

It only reads. One look at everything serves all who ask within half a minute. Without a password it listens
on loopback only, and answers no request that names another host: a page from elsewhere could otherwise have
a browser here read it.
"""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Callable

from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application

from nightscan_tasks.errors import NightscanError
from nightscan_tasks.language import Language
from nightscan_tasks.report.answers import (
    Alive,
    Nothing,
    ShowMetrics,
    ShowPage,
    ShowReport,
    ShowStatus,
    logged,
)
from nightscan_tasks.report.desk import Desk
from nightscan_tasks.report.listening import Listening
from nightscan_tasks.system import System
from nightscan_tasks.watch.overview import Overview

_KEEP_SECONDS, _WAIT_SECONDS = 30.0, 60.0
_IDLE_SECONDS, _BODY_SECONDS = 20.0, 5.0
_HEADER_BYTES, _BODY_BYTES = 16_384, 1024  # nobody has anything to send


def serve(system: System, look: Callable[[], Overview], language: Language, listening: Listening,
          *, told: Callable[[str], None]) -> None:
    """Answer until SIGTERM or SIGINT. `told` is given the address once it is open; port 0 is any free one."""
    asyncio.run(_serve(application(system, look, language, listening), listening, told))


def application(system: System, look: Callable[[], Overview], language: Language, listening: Listening,
                *, keep_seconds: float = _KEEP_SECONDS) -> Application:
    """The handlers, around one desk. What it shows is at most `keep_seconds` old."""
    desk = Desk(look, keep_seconds=keep_seconds, wait_seconds=_WAIT_SECONDS)
    shared = {"system": system, "desk": desk, "language": language, "listening": listening}
    return Application([
        (r"/", ShowPage, shared), (r"/status\.json", ShowStatus, shared), (r"/metrics", ShowMetrics, shared),
        (r"/report(?:/(\d{4}-\d{2}))?", ShowReport, shared), (r"/healthz", Alive),
    ], default_handler_class=Nothing, default_handler_args=shared, log_function=logged)


async def _serve(handlers: Application, listening: Listening, told: Callable[[str], None]) -> None:
    sockets = _sockets(listening)
    server = HTTPServer(handlers, idle_connection_timeout=_IDLE_SECONDS, body_timeout=_BODY_SECONDS,
                        max_header_size=_HEADER_BYTES, max_body_size=_BODY_BYTES)
    server.add_sockets(sockets)
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    told(Listening(listening.host, sockets[0].getsockname()[1]).url)
    await ended.wait()
    server.stop()
    await server.close_all_connections()


def _sockets(listening: Listening) -> list[socket.socket]:
    try:
        return bind_sockets(listening.port, listening.host)
    except OSError as exc:
        raise NightscanError(f"cannot listen on {listening.host} port {listening.port}: "
                             f"{exc.strerror or exc}\nend what listens there, or choose another with "
                             f"--port") from exc
