"""How long a silent network is waited for.

A host that is cut off gets no answer and no refusal: its connections stay open, and without a limit it would
wait for as long as TCP does, a quarter of an hour or, where it has nothing to send, for ever. The limits
here are minutes at most, and above any pause that a busy server makes.
"""

from __future__ import annotations

import socket
from typing import Any

_CONNECT_SECONDS = 10
_ANSWER_SECONDS = 30
_ASK_SECONDS = 25
_UNSENT_MILLISECONDS = 60_000
# A connection that says nothing is asked after half a minute whether its other end is there, and given up
# half a minute later; one that has something to say, when a minute long nobody has taken it.
_KEEPALIVE = {socket.TCP_KEEPIDLE: 30, socket.TCP_KEEPINTVL: 10, socket.TCP_KEEPCNT: 3,
              socket.TCP_USER_TIMEOUT: _UNSENT_MILLISECONDS}

REDIS: dict[str, Any] = {
    "socket_connect_timeout": _CONNECT_SECONDS, "socket_timeout": _ANSWER_SECONDS,
    "socket_keepalive": True, "socket_keepalive_options": _KEEPALIVE, "health_check_interval": _ASK_SECONDS}
"""Of a broker that is a Redis, as kombu calls them."""

RABBITMQ: dict[str, Any] = {"confirm_publish": True}
"""Of a broker that is a RabbitMQ: a message counts as sent once it is on the broker's disks."""

OF_CELERY: dict[str, Any] = {
    "broker_connection_timeout": _CONNECT_SECONDS,
    "broker_heartbeat": 30,  # RabbitMQ's own asking, in both directions; a Redis has none
    "redis_socket_connect_timeout": _CONNECT_SECONDS, "redis_socket_timeout": _ANSWER_SECONDS,
    "redis_socket_keepalive": True, "redis_retry_on_timeout": True,
    "redis_backend_health_check_interval": _ASK_SECONDS}
"""Of Celery's own connections, and of results in a Redis."""
