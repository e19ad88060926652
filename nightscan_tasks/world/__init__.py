"""A whole NightScan on loopback, to try everything on: what the demo and the tests run against.

`world` puts it together and takes it down; `state` is what it knows of itself, in `DIR/world.json`.
`service` starts a `daemon` on free ports and waits until it answers; `postgres`, `redis_server`, `s3`
and `celery_services` are such services; `keyring` and `files` are folders. `sample` fills it all with
a believable NightScan, and `damage` destroys that again.
"""
