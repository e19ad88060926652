"""`RESTORE.md`: how to restore one set by hand, with its own names, and without this program."""

from __future__ import annotations

from nightscan_tasks.model import Artifact, Manifest


def write_guide(manifest: Manifest) -> str:
    """The guide of one set, as Markdown. It needs only gpg, gunzip, tar, psql and redis-server."""
    sections = [_head(manifest), _check(manifest)]
    writers = {"database": _database, "redis": _redis, "user_data": _files, "system_config": _files,
               "source_code": _files}
    sections += [writers[component](manifest, component) for component in writers
                 if manifest.of(component)]
    return "\n\n".join(sections) + "\n"


def _head(manifest: Manifest) -> str:
    key = f"encrypted for `{manifest.encrypted_for}`: you need its private key (`gpg --import KEY`)" \
        if manifest.encrypted_for else "**not encrypted**"
    state = "" if manifest.complete else (
        "\n\n**This set is incomplete.** Missing or partial: "
        + ", ".join(f"{failure.part} ({failure.message})" for failure in manifest.failures))
    return (f"# Restore {manifest.set_id} by hand\n\n"
            f"Taken on `{manifest.host}`, {manifest.opened_at:%Y-%m-%d %H:%M:%S} UTC; {key}.{state}\n\n"
            f"Run the commands in the folder that holds this file. Each reads the stored files and changes "
            f"nothing in them. Begin every shell with `set -euo pipefail`, so that a damaged file stops you.")


def _check(manifest: Manifest) -> str:
    lines = "\n".join(f"{artifact.stored_sha256}  {artifact.name}" for artifact in manifest.artifacts)
    return ("## First: are the files whole?\n\n```bash\nset -euo pipefail\n"
            f"sha256sum --check <<'EOF'\n{lines}\nEOF\n```")


def _plain(artifact: Artifact) -> str:
    """The shell words that turn a stored file into its plain stream."""
    if artifact.name.endswith(".gpg"):
        return f"gpg --batch --decrypt {artifact.name} | gunzip"
    return f"gunzip --stdout {artifact.name}"


def _database(manifest: Manifest, component: str) -> str:
    artifacts = manifest.of(component)
    roles = [each for each in artifacts if ".roles." in each.name]
    dump = next((each for each in artifacts if ".roles." not in each.name), None)
    commands = []
    if roles:
        commands.append("# Roles that exist already are reported as errors here: that is harmless.\n"
                        f"{_plain(roles[0])} | psql --no-psqlrc --dbname postgres")
    if dump:
        commands.append("createdb --template template0 --encoding UTF8 nightscan_restored\n"
                        f"{_plain(dump)} | psql --no-psqlrc --set ON_ERROR_STOP=1 --single-transaction "
                        "--dbname nightscan_restored")
    server = manifest.versions.get("postgresql", "")
    newer = (f"Dumped from PostgreSQL {server}: use a `psql` and a server that are not older. "
             if server else "")
    return ("## Database\n\n"
            f"{newer}Set `PGHOST`, `PGUSER` and `PGPASSWORD` for a superuser first. The dump goes into a new "
            "database beside the old one; look at it, then rename the two.\n\n"
            "```bash\nset -euo pipefail\n" + "\n".join(commands) + "\n```\n\n"
            "```sql\nALTER DATABASE nightscan RENAME TO nightscan_before;\n"
            "ALTER DATABASE nightscan_restored RENAME TO nightscan;\n```")


def _redis(manifest: Manifest, component: str) -> str:
    artifact = manifest.of(component)[0]
    if ".resp." in artifact.name:
        return ("## Redis\n\nThe file holds commands, for an empty server.\n\n"
                f"```bash\nset -euo pipefail\n{_plain(artifact)} | redis-cli --pipe\n```")
    return ("## Redis\n\nStop the server first; with `appendonly yes` it ignores `dump.rdb`, so start it "
            "once with `--appendonly no`, then switch it on with `redis-cli config set appendonly yes`.\n\n"
            f"```bash\nset -euo pipefail\n{_plain(artifact)} > dump.rdb\n"
            'redis-server --dir "$PWD" --dbfilename dump.rdb --appendonly no\n```')


def _files(manifest: Manifest, component: str) -> str:
    archives = [each for each in manifest.of(component) if ".tar." in each.name]
    commands = "\n".join(f"{_plain(each)} | tar --extract --preserve-permissions --xattrs "
                         f"--xattrs-include='*' --directory restored/{component}" for each in archives)
    return (f"## {component}\n\n```bash\nset -euo pipefail\nmkdir -p restored/{component}\n{commands}\n```"
            "\n\nLook at what came out, then move it to its place. As root, owners are restored too.")
