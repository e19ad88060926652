"""What a restore would meet at a live Redis; each thing in the way with its remedy. Nothing is changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pydantic import SecretStr
from redis import exceptions

from nightscan_tasks.components.celery_keys import bound_queues
from nightscan_tasks.components.redis_marks import Database, look
from nightscan_tasks.components.redis_places import Place, Shortage
from nightscan_tasks.components.redis_server import Client, connected, info, is_refusal, server_at
from nightscan_tasks.wording import size

# The queues of this program: whoever has them is its broker.
_OUR_QUEUES = {f"nightscan.{name}" for name in ("fast", "heavy", "restore", "control")}
_KEY_BYTES = 100  # what a key costs in memory beside its value, about
_RIGHTS = ("~*", "+@read", "+@write", "+@scripting", "+select", "+multi", "+exec", "+time", "+info",
           "+client|list")

# Each command that the restore needs, tried where nothing is: in an empty database, on no key, on a
# database and itself. The one key that is written is gone before anybody sees it.
_REHEARSAL = """
local refused = {}
local function try(...)
    local answer = redis.pcall(...)
    if type(answer) == 'table' and answer.err then
        refused[#refused + 1] = select(1, ...) .. ': ' .. answer.err
        return false
    end
    return true
end
try('SELECT', ARGV[1])
if redis.call('DBSIZE') ~= 0 then return refused end
local name = 'nightscan:rehearsal'
if try('UNLINK', name) then
    try('HSET', name, 'field', 'value')
    redis.call('UNLINK', name)
end
try('TYPE', name)
try('HGETALL', name)
try('KEYS', name)
try('EXISTS', name)
try('SMEMBERS', name)
try('MOVE', name, ARGV[2])
try('DUMP', name)
try('RESTORE', name, 0, '', 'REPLACE', 'ABSTTL')
try('SWAPDB', ARGV[1], ARGV[1])
try('FLUSHDB')
return refused
"""
_EXPECTED = "DUMP payload version or checksum"


def estimated_bytes(plain_bytes: int, keys: int) -> int:
    """About what a saved state takes in a server's memory."""
    return plain_bytes + keys * _KEY_BYTES


def server_problems(client: Client, url: SecretStr) -> Iterator[str]:
    """What no look into the databases is needed for, and would make one fail."""
    place = server_at(url)
    if not info(client, "server"):
        yield f"{place} does not tell its version: {_permit()}"
    if info(client, "cluster").get("cluster_enabled"):
        yield f"{place} is a cluster, which has no databases to swap: restore into a server that is none"
    facts = info(client, "replication")
    if facts.get("role") == "slave":
        yield (f"{place} is a replica: restore into its master, "
               f"{facts.get('master_host')}:{facts.get('master_port')}")


def overview(client: Client, url: SecretStr) -> tuple[tuple[Database, ...], str]:
    """Its databases; or none, and what forbids to look."""
    try:
        return look(client), ""
    except exceptions.ResponseError as exc:
        if not is_refusal(exc) and "can't run" not in str(exc):
            raise
        return (), f"{server_at(url)}: {exc}; {_permit()}"


def rehearse(client: Client, url: SecretStr, place: Place) -> Iterator[str]:
    """Try every command that the restore needs, where it changes nothing."""
    try:
        answers = [bytes(each).decode(errors="replace")
                   for each in client.eval(_REHEARSAL, 0, place.staged, place.of)]
    except exceptions.ResponseError as exc:
        answers = [f"EVAL: {exc}"]
    remedies: dict[str, list[str]] = {}
    for answer in answers:
        if _EXPECTED not in answer and "Bad data format" not in answer:
            remedies.setdefault(_remedy(answer), []).append(answer)
    for remedy, refused in remedies.items():
        yield f"{server_at(url)} refuses {'; '.join(refused)}: {remedy}"


def _remedy(answer: str) -> str:
    if "MISCONF" in answer:
        return ("it cannot write to its disk, and so takes no more data: make room there, or see its log; "
                "then BGSAVE")
    if "OOM" in answer:
        return "its memory is full: raise its maxmemory"
    if "READONLY" in answer:
        return "it is a replica: restore into its master"
    return _permit()


def _permit() -> str:
    return (f"give the user the rights (`ACL SETUSER … {' '.join(_RIGHTS)}`), or restore as another user; a "
            f"command that was renamed has to have its own name during the restore")


def broker_problems(url: SecretStr, databases: tuple[int, ...]) -> Iterator[str]:
    """Whether one of them is the broker of this very program."""
    for number in databases:
        with connected(url, database=number) as client:
            if ours := sorted(bound_queues(client) & _OUR_QUEUES):
                yield (f"database {number} of {server_at(url)} is the broker of these very tasks "
                       f"({', '.join(ours)} are bound there), and replacing it would lose them: restore into "
                       f"another Redis (--target-redis), or give the tasks a broker of their own "
                       f"(NIGHTSCAN_BROKER_URL); if it is a broker no more, delete its `_kombu.binding.*`")


def room_problem(client: Client, url: SecretStr, needed_bytes: int) -> str:
    """Whether both states fit into its memory at once; empty if so, or if it has no limit."""
    facts = info(client, "memory")
    limit, used = int(facts.get("maxmemory") or 0), int(facts.get("used_memory") or 0)
    if not limit or used + needed_bytes <= limit:
        return ""
    policy = facts.get("maxmemory_policy") or "noeviction"
    then = "the copy would fail" if policy == "noeviction" else f"{policy} would throw live keys away"
    return (f"{server_at(url)} uses {size(used)} of its maxmemory of {size(limit)}, and about "
            f"{size(needed_bytes)} more are needed while it holds both states, or {then}: `CONFIG SET "
            f"maxmemory {used + needed_bytes + needed_bytes // 10}` until the restore is accepted")


def shortage_problem(shortage: Shortage, url: SecretStr) -> str:
    """There are too few free databases."""
    return (f"{server_at(url)} has {shortage.databases} databases, {shortage.free} of them free, and the "
            f"restore needs {shortage.needed} free ones: let go of what earlier restores keep there "
            f"(`nightscan restore runs`, `nightscan restore accept`), or raise its setting `databases` to at "
            f"least {shortage.databases + shortage.needed - shortage.free} and restart it")


def told(databases: Mapping[int, int], url: SecretStr) -> str:
    """What is there, for people: `Redis at localhost:6379: databases 0, 1 with 1,234 keys`."""
    if not databases:
        return ""
    noun = "database" if len(databases) == 1 else "databases"
    keys = sum(databases.values())
    return (f"{server_at(url)}: {noun} {', '.join(map(str, sorted(databases)))} with {keys:,} "
            f"{'key' if keys == 1 else 'keys'}")
