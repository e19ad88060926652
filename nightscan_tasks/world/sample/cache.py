"""The application's Redis: every data type, several databases, keys that expire and keys that do not."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import redis

from nightscan_tasks.world.sample.plan import SPECIES, Plan

CACHE, SESSIONS, LIMITS = 0, 1, 2
LIBRARY = """#!lua name=nightscan
redis.register_function('count_upload', function(keys, args)
  return redis.call('HINCRBY', keys[1], 'uploads', tonumber(args[1] or 1))
end)
"""
_PREDICTION_BYTES = 1300  # a cached prediction, with its key and what the server adds
_BATCH = 500
_MANY = 600  # more entries than a compact encoding holds
_UNKNOWN_COMMAND = "unknown command"


def write_cache(url: str, plan: Plan) -> None:
    """Fill databases 0, 1 and 2; the server's functions too, where it has functions."""
    with redis.Redis.from_url(_of(url, CACHE)) as client:
        _predictions(client, plan)
        _types(client, plan)
        _function(client)
    with redis.Redis.from_url(_of(url, SESSIONS)) as client:
        _sessions(client, plan)
    with redis.Redis.from_url(_of(url, LIMITS)) as client:
        _limits(client, plan)


def _of(url: str, database: int) -> str:
    return urlsplit(url)._replace(path=f"/{database}").geturl()


def _predictions(client: Any, plan: Plan) -> None:
    """Cached answers of the models, which expire within two days."""
    rng = plan.random("cache")
    count = max(len(plan.uploads[:50]), plan.redis_bytes // _PREDICTION_BYTES)
    pipe = client.pipeline(transaction=False)
    for number in range(count):
        upload = plan.uploads[number % len(plan.uploads)]
        value = {"file": upload.path, "species": upload.species, "score": upload.confidence,
                 "embedding": rng.randbytes(500).hex()}
        pipe.set(f"prediction:{upload.prediction_id}:{number}", json.dumps(value),
                 exat=_in(plan.now, rng.uniform(4, 48)))
        if len(pipe) >= _BATCH:
            pipe.execute()
    pipe.execute()


def _sessions(client: Any, plan: Plan) -> None:
    """A session for each user: a hash that expires within two weeks."""
    rng = plan.random("sessions")
    pipe = client.pipeline(transaction=False)
    for user in range(1, plan.users + 1):
        key = f"session:{rng.getrandbits(128):032x}"
        pipe.hset(key, mapping={"user": user, "lang": rng.choice(("fr", "en")), "csrf":
                                rng.randbytes(16).hex()})
        pipe.expireat(key, _in(plan.now, rng.uniform(24, 14 * 24)))
        if len(pipe) >= _BATCH:
            pipe.execute()
    pipe.execute()


def _limits(client: Any, plan: Plan) -> None:
    """Requests that each user made this hour and today."""
    rng = plan.random("limits")
    pipe = client.pipeline(transaction=False)
    for user in range(1, plan.users + 1):
        pipe.set(f"rate:{user}:day", rng.randrange(1000), exat=_in(plan.now, 24))
        pipe.set(f"rate:{user}:hour", rng.randrange(100), exat=_in(plan.now, 4))
    pipe.execute()


def _types(client: Any, plan: Plan) -> None:
    """Each type, small and large, since a server stores the two differently."""
    rng = plan.random("types")
    pipe = client.pipeline(transaction=False)
    pipe.set(b"raw:\x00\xff\n key", rng.randbytes(5000))
    pipe.set("empty", "")
    pipe.set("config:models", json.dumps({"audio": "efficientnet_birds_v4.pt"}))
    pipe.set("counter:uploads", len(plan.uploads))
    pipe.rpush("recent:uploads", *(upload.path for upload in plan.uploads[:100]))
    pipe.rpush("queue:thumbnails", *(rng.randbytes(40) for _ in range(_MANY)))
    pipe.sadd("species", *SPECIES)
    pipe.sadd("users:active", *range(1, 40))
    pipe.sadd("devices", *(f"device-{number}" for number in range(_MANY)))
    pipe.hset("file:latest", mapping={"name": "été.wav", "bytes": 12345})
    pipe.hset("users:seen", mapping={str(n): n * 1.5 for n in range(_MANY)})
    pipe.zadd("leaderboard", {f"user{n}": rng.uniform(0, 9000) for n in range(_MANY)})
    pipe.zadd("top:species", {name: n for n, name in enumerate(SPECIES)})
    pipe.geoadd("stations", [2.17, 48.70, "orsay", 5.55, 44.92, "vercors", 4.57, 43.53, "camargue"])
    pipe.pfadd("visitors:today", *(f"visitor-{n}" for n in range(3000)))
    for user in range(0, 5000, 7):
        pipe.setbit("logged-in:today", user, 1)
    pipe.expireat("logged-in:today", _in(plan.now, 24))
    pipe.execute()
    _stream(client)


def _stream(client: Any) -> None:
    """A stream with two groups: one that read all, one with messages not yet acknowledged."""
    for number in range(200):
        client.xadd("events", {"kind": "detected", "species": SPECIES[number % len(SPECIES)]},
                    id=f"{1_700_000_000_000 + number}-0")
    client.xdel("events", "1700000000003-0")
    for group in ("notify", "export"):
        client.xgroup_create("events", group, id="0")
    client.xreadgroup("notify", "worker-1", {"events": ">"}, count=500, noack=True)
    client.xreadgroup("export", "worker-1", {"events": ">"}, count=20)
    client.xreadgroup("export", "worker-2", {"events": ">"}, count=5)
    client.xack("events", "export", "1700000000000-0", "1700000000001-0")


def _function(client: Any) -> None:
    try:
        client.function_load(LIBRARY, replace=True)
    except redis.ResponseError as exc:
        if _UNKNOWN_COMMAND not in str(exc).lower():  # an older server has no functions
            raise


def _in(now: datetime, hours: float) -> int:
    return int((now + timedelta(hours=hours)).timestamp())
