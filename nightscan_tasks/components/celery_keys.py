"""The keys that Celery keeps in a Redis: queues, what workers have taken, results.

Putting an old queue over a running one would lose tasks, or run them twice.
"""

from __future__ import annotations

from nightscan_tasks.components.redis_server import Client

# Run by the server itself, in a step that nobody comes between. Of the database that is selected:
# what moves tasks (bindings, queues, what workers have taken), and results. `queues` gathers names of
# queues: bindings name them, and an empty queue is no key.
CELERY_LUA = """
local SEPARATOR = '\\6\\22'

local function celery_here(queues)
    local machinery, results = {}, {}
    for _, key in ipairs(redis.call('KEYS', '_kombu.*')) do
        machinery[#machinery + 1] = key
        if redis.call('TYPE', key).ok == 'set' then
            for _, member in ipairs(redis.call('SMEMBERS', key)) do
                queues[member:match('.*' .. SEPARATOR .. '(.*)$') or member] = true
            end
        end
    end
    for _, key in ipairs({'unacked', 'unacked_index', 'unacked_mutex'}) do
        if redis.call('EXISTS', key) == 1 then machinery[#machinery + 1] = key end
    end
    for queue in pairs(queues) do
        if redis.call('EXISTS', queue) == 1 then machinery[#machinery + 1] = queue end
    end
    for _, key in ipairs(redis.call('KEYS', '*' .. SEPARATOR .. '*')) do
        if queues[key:match('^(.-)' .. SEPARATOR)] then machinery[#machinery + 1] = key end
    end
    for _, pattern in ipairs({'celery-task-meta-*', 'celery-taskset-meta-*', 'chord-unlock-*'}) do
        for _, key in ipairs(redis.call('KEYS', pattern)) do results[#results + 1] = key end
    end
    return machinery, results
end
"""

_BINDINGS = b"_kombu.binding.*"
_SEPARATOR = b"\x06\x16"  # between routing key, pattern and queue


def bound_queues(client: Client) -> set[str]:
    """The queues that a Celery has bound in the client's database."""
    queues = set()
    for binding in client.scan_iter(match=_BINDINGS, _type="set", count=500):
        queues |= {bytes(member).rpartition(_SEPARATOR)[2].decode(errors="replace")
                   for member in client.smembers(binding)}
    return queues

