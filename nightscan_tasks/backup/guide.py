"""`RESTORE.md`: how to restore one set by hand, with its own names, and without this program.

Its `bash` blocks run in order in one shell, its `sql` blocks in psql: a test does just that. What only a
person can decide (where a key comes from, when the live application stands) is prose, or `sh`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from shlex import quote

from nightscan_tasks.backup.guide_database import write_database
from nightscan_tasks.backup.guide_text import bash, path_of, plain_words
from nightscan_tasks.hosts import HOSTS, host_of
from nightscan_tasks.model import GUIDE_NAME, Artifact, Manifest

_NEEDED = """\
You need `bash`, `gpg`, `gunzip` (which runs `gzip`), `tar`, `psql` and `createdb`, `redis-server` and
`redis-cli`, and of the basic tools `sha256sum`, `find`, `wc`, `sed`, `mkdir`, `mv`, `cat`, `sleep`, `xargs`
and `rm`."""

_VARIABLES = """\
set -euo pipefail
export PGHOST="${PGHOST:-localhost}" PGPORT="${PGPORT:-5432}" PGUSER="${PGUSER:-postgres}"
RESTORED="${RESTORED:-$PWD/restored}"            # everything goes below this folder
DATABASE="${DATABASE:-nightscan_restored}"       # and into this new database
REDIS_PORT="${REDIS_PORT:-6390}"                 # and into a Redis beside the live one"""

_START = """\
mkdir -p "$RESTORED/redis"
if redis-cli -p "$REDIS_PORT" ping > /dev/null 2>&1; then
    echo "a server listens on port $REDIS_PORT already: set REDIS_PORT to a free one" >&2
    exit 1
fi"""
_WAIT = """\
for _ in {1..600}; do
    if [ "$(redis-cli -p "$REDIS_PORT" ping 2>/dev/null)" = PONG ]; then break; fi
    sleep 0.5
done
redis-cli -p "$REDIS_PORT" info keyspace"""


def write_guide(manifest: Manifest, place: str = "", *, signer: str = "") -> str:
    """The guide of one set, as Markdown. `place` is the URL or folder of the store it is written to.

    `signer` is the fingerprint of the key that it will be signed with, if it will be.
    """
    sections = [_head(manifest), _fetch(manifest, place), _genuine(signer), _prepare(), _key(manifest),
                _check(manifest)]
    if manifest.of("database"):
        sections.append(write_database(manifest))
    if manifest.of("redis"):
        sections.append(_redis(manifest))
    sections += [_files(manifest, component) for component in ("user_data", "system_config", "source_code")
                 if manifest.of(component)]
    return "\n\n".join(section for section in sections if section) + "\n"


def _head(manifest: Manifest) -> str:
    state = "" if manifest.complete else (
        "\n\n**This set is incomplete.** Missing or partial: "
        + ", ".join(f"{failure.part} ({failure.message})" for failure in manifest.failures))
    key = f"encrypted for `{manifest.encrypted_for}`" if manifest.encrypted_for else "**not encrypted**"
    return (f"# Restore {manifest.set_id} by hand\n\n"
            f"Taken on `{manifest.host}`, {manifest.opened_at:%Y-%m-%d %H:%M:%S} UTC; {key}.{state}\n\n"
            f"{_NEEDED}\n\n"
            "Nothing here touches what is live, until you say so at the end of a section: everything goes "
            "beside it. Run the blocks from top to bottom, in one `bash`, in the folder that holds this "
            "file. The first error ends that shell: see what it says, put it right, and begin again.")


def _fetch(manifest: Manifest, place: str) -> str:
    if not place.startswith("s3://"):
        return ""
    url = f"{place.rstrip('/')}/{manifest.set_id}/"
    if manifest.needs:
        return _fetch_all(manifest, place.rstrip("/"))
    return ("## First: fetch the set\n\nWith the AWS command line, and `AWS_ACCESS_KEY_ID`, "
            "`AWS_SECRET_ACCESS_KEY` and, for a store that is not Amazon's, `AWS_ENDPOINT_URL` set:\n\n"
            f"```sh\naws s3 sync {quote(url)} nightscan-set/ && cd nightscan-set\n```")


def _fetch_all(manifest: Manifest, place: str) -> str:
    """The same of a set that has archives in the folders of earlier ones: each goes where it was."""
    here = f"nightscan-set/{manifest.set_id}"
    lines = [f"aws s3 sync {quote(f'{place}/{manifest.set_id}/')} {here}/",
             *(f"aws s3 cp {quote(f'{place}/{manifest.key(each)}')} nightscan-set/{each.set_id}/"
               for each in manifest.artifacts if each.set_id), f"cd {here}"]
    return ("## First: fetch the set\n\nWith the AWS command line, and `AWS_ACCESS_KEY_ID`, "
            "`AWS_SECRET_ACCESS_KEY` and, for a store that is not Amazon's, `AWS_ENDPOINT_URL` set:\n\n"
            "```sh\n" + "\n".join(lines) + "\n```")


def _genuine(signer: str) -> str:
    if not signer:
        return ("## Is it genuine?\n\n**This set is not signed.** Whoever can write to the store may have "
                "written this file, and what it restores.")
    check = f'for signature in {GUIDE_NAME}.*.asc; do gpg --verify "$signature" {GUIDE_NAME}; done'
    return ("## Is it genuine?\n\nWhoever can write to the store can write this file too. So check it before "
            f"you run anything that it says:\n\n```sh\n{check}\n```\n\n"
            "It has to say `Good signature`, and as the fingerprint of the primary key the one that is on "
            "paper with you, or with whoever keeps the keys: what this page says proves nothing. It was "
            f"signed by `{signer}`, whose public half `gpg --import` takes in. Every file below is compared "
            "with what this page says of it, so all of them are as good as this signature.")


def _key(manifest: Manifest) -> str:
    if not manifest.encrypted_for:
        return ""
    return ("## The private key\n\n"
            "It is kept apart from the sets, as a file or on a card. `gpg --import FILE` takes it in; if it "
            "lies in a key ring of its own, set `GNUPGHOME` to that folder first. Where it has a passphrase "
            "and you are on a plain terminal, `export GPG_TTY=$(tty)` lets gpg ask for it. The next command "
            "fails when the key is not here; `gpg: decryption failed: No secret key` later says the same.\n\n"
            + bash(f"gpg --list-secret-keys {quote(manifest.encrypted_for)} > /dev/null"))


def _prepare() -> str:
    return ("## Where everything goes\n\n"
            "Set these before, or change them here. `PGUSER` is a superuser; its password goes into "
            "`PGPASSWORD`, or into `~/.pgpass`. On a server of one's own, `sudo -u postgres bash` and "
            "`PGHOST=/var/run/postgresql` need no password.\n\n" + bash(_VARIABLES))


def _check(manifest: Manifest) -> str:
    lines = "\n".join(f"{artifact.stored_sha256}  {path_of(artifact)}" for artifact in manifest.artifacts)
    return ("## Are the files whole?\n\nA line with `FAILED` is a damaged file: fetch it from another store, "
            "or take another set.\n\n" + bash(f"sha256sum --check <<'EOF'\n{lines}\nEOF"))


def _redis(manifest: Manifest) -> str:
    artifact = manifest.of("redis")[0]
    start = 'redis-server --port "$REDIS_PORT" --dir "$RESTORED/redis" --appendonly no --daemonize yes'
    if ".resp." in artifact.name:
        how = ("The file holds commands, functions among them, which go into an empty server. What has "
               "expired meanwhile is gone.")
        commands = (f'{_START}\n{start} --save "" > /dev/null\n{_WAIT}\n'
                    f'{plain_words(artifact)} | redis-cli -p "$REDIS_PORT" --pipe\n'
                    f'redis-cli -p "$REDIS_PORT" save')
    else:
        how = ("The file is the server's own `dump.rdb`, with all databases and functions. What has expired "
               "meanwhile is gone once it is loaded.")
        commands = (f'{_START}\n{plain_words(artifact)} > "$RESTORED/redis/dump.rdb"\n'
                    f"{start} --dbfilename dump.rdb --save '' > /dev/null\n{_WAIT}")
    return (f"## Redis\n\nTaken from {manifest.versions.get('redis', 'a Redis')}; use the same kind of "
            "server, not an older one (of Valkey the commands are `valkey-server` and `valkey-cli`). "
            f"{how}\n\n{bash(commands)}\n\n"
            f"{_expected_keys(manifest)}\n\n"
            "To make it live: stop both servers, put `$RESTORED/redis/dump.rdb` into the live server's "
            "folder (`redis-cli config get dir` tells it; `chown redis:redis` it), and start it. **With "
            "`appendonly yes` a server ignores `dump.rdb`**: move its `appendonlydir` away, start it once "
            "with `--appendonly no`, then `redis-cli config set appendonly yes`, and wait until "
            "`redis-cli info persistence` has no rewrite in progress before it is stopped again.")


def _expected_keys(manifest: Manifest) -> str:
    databases = manifest.components["redis"].fingerprint.get("databases")
    found = [f"`db{number}` {facts.get('keys')}" for number, facts in databases.items()
             if isinstance(facts, dict)] if isinstance(databases, dict) else []
    return f"Keys when it was saved: {', '.join(found) or 'none'}; by now fewer by those that expired."


def _files(manifest: Manifest, component: str) -> str:
    report = manifest.components[component]
    hosts = sorted({host_of(each.part) for each in manifest.of(component)})
    known = report.facts.get(HOSTS)
    if hosts == [""] or not isinstance(known, dict):
        return (f"## {component}\n\n{_unpacking(manifest, component, report.fingerprint)}\n\n"
                f"{_OWNERS} {_PLACES[component]}")
    blocks = [f"What lay on `{host}`, and belongs there:\n\n"
              f"{_unpacking(manifest, component, known.get(host), host=host)}" for host in hosts]
    return "\n\n".join([f"## {component}", *blocks, f"{_OWNERS} {_PLACES[component]}"])


def _unpacking(manifest: Manifest, component: str, fingerprint: object, *, host: str = "") -> str:
    """The commands that unpack a component, or one host's share of it."""
    folder = f'"$RESTORED/{component}{"/" * bool(host)}{host}"'
    artifacts = tuple(each for each in manifest.of(component) if host_of(each.part) == host)
    lines = [f"mkdir -p {folder}", *_layers(manifest, artifacts, folder)]
    if isinstance(fingerprint, Mapping) and fingerprint:
        count = int(str(fingerprint.get("files", 0))) + int(str(fingerprint.get("hard_links", 0)))
        lines += ["# As many files as were saved?",
                  f'[ "$(find {folder} -type f -printf x | wc -c)" -eq {count} ]']
    return bash(chr(10).join(lines))


def _layers(manifest: Manifest, artifacts: tuple[Artifact, ...], folder: str) -> Iterator[str]:
    """The archives, those of earlier sets first; before a set's own what was gone by then is removed."""
    for set_id in sorted({each.set_id or manifest.set_id for each in artifacts},
                         key=lambda set_id: set_id.taken_at):
        layer = [each for each in artifacts if (each.set_id or manifest.set_id) == set_id]
        archives = [each for each in layer if ".tar." in each.name]
        if archives and any(each.set_id for each in artifacts):
            yield f"# As of {set_id}:"
        for each in layer:
            if ".removed." in each.name:
                yield (f"{plain_words(each)} | (cd {folder} && "
                       f"xargs --null --no-run-if-empty rm --recursive --force --)")
        for each in archives:
            yield (f"{plain_words(each)} | tar --extract --preserve-permissions --xattrs "
                   f"--xattrs-include='*' --directory {folder}")


_OWNERS = ("As root, owners come back by name, and by number where this system has no such name; make the "
           "users first, or add `--numeric-owner`. Anybody else gets the files as his own. What `tar` says "
           "of `hdrcharset` is harmless.")
_PLACES = {
    "user_data": "To make it live, stop the application, move each folder that is there aside, and `mv` the "
                 "restored one into its place.",
    "system_config": "Look at it file by file, and copy what you need to `/etc`; then `systemctl "
                     "daemon-reload`.",
    "source_code": "To make it live, move it to where the application was; what it depends on (its virtual "
                   "environment, `node_modules`) is made anew by its own installation.",
}
