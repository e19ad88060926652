"""What somebody wants put back: of which set, which components, and where to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from pydantic import SecretStr

from nightscan_tasks.errors import RestoreRefused, SettingsError
from nightscan_tasks.ledger.restore_records import Part, Place
from nightscan_tasks.model import COMPONENTS, Plan
from nightscan_tasks.restore.choosing import Choice
from nightscan_tasks.restore.identity import same_database, same_redis
from nightscan_tasks.settings import Settings, without_secret
from nightscan_tasks.settings.addresses import problem_of
from nightscan_tasks.system import server_of

FULL = "full"
LIVE = ("database", "redis", "user_data")
"""What `full` puts back in the running application, which is the order they are put back in."""

_FILES = ("user_data", "system_config", "source_code")
_PARTS = {"database": ("tables", "schemas"), "redis": ("databases", "keys"),
          **dict.fromkeys(_FILES, ("paths",))}


@dataclass(frozen=True)
class Targets:
    """Where to, if not into the application itself. A restore goes either there or to targets."""

    database: SecretStr | None = None
    redis: SecretStr | None = None
    root: Path | None = None

    @property
    def live(self) -> bool:
        """Whether the application itself is meant."""
        return self.database is None and self.redis is None and self.root is None

    @property
    def place(self) -> Place:
        """The same for the record: without passwords."""
        return Place(self.live, _without_password(self.database), _redis_place(self.redis),
                     str(self.root or ""))

    def of(self, component: str) -> bool:
        """Whether a component has a place to go to."""
        given = {"database": self.database, "redis": self.redis}.get(component, self.root)
        return self.live or given is not None


@dataclass(frozen=True)
class Request:
    """One restore that is wanted. `safety` is the plan by which what is live is saved first; None: not.

    `unguarded` lets the dump's SQL run with all rights of the connecting role, a superuser's too. Without
    `limited` no limit of the host's holds it back.
    """

    choice: Choice
    components: tuple[str, ...] = LIVE
    targets: Targets = field(default_factory=Targets)
    part: Part = field(default_factory=Part)
    safety: Plan | None = None
    unguarded: bool = False
    limited: bool = True


def spelled(facts: Part | Place) -> str:
    """A part, or a place, as one line of the audit record; empty where it is all of it."""
    given = {name: value for name, value in vars(facts).items() if value}
    return "the live application" if given.pop("live", False) else "; ".join(
        f"{name} {', '.join(map(str, value)) if isinstance(value, tuple) else value}"
        for name, value in given.items())


def components_of(what: str, targets: Targets, part: Part) -> tuple[str, ...]:
    """The components that `full`, or the name of one, means; `RestoreRefused` for what does not fit.

    With targets, `full` is what has one: a restore elsewhere never touches what is live.
    """
    if what != FULL:
        _refuse_foreign(what, part)
        if not targets.of(what):
            raise RestoreRefused(f"{what} has no target among those given: {_options(what)}")
        return (what,)
    if part:
        raise RestoreRefused("a part is of one component: for example "
                             "`nightscan restore database --table prediction`")
    if targets.live:
        return LIVE
    return tuple(component for component in COMPONENTS if targets.of(component))


def full_target(given: SecretStr | None, settings: Settings) -> SecretStr | None:
    """A target database with all that a connection needs.

    A bare name is another database of the application's server. A password that is not given is taken
    from the settings, if server and user are the same; else libpq looks into its password file.
    """
    if given is None:
        return None
    from psycopg import ProgrammingError  # as below: most restores name no other database
    from psycopg.conninfo import conninfo_to_dict, make_conninfo

    text = given.get_secret_value()
    try:
        ours = conninfo_to_dict(settings.dsn.get_secret_value())
        if "/" not in text and "=" not in text:
            return SecretStr(make_conninfo(settings.dsn.get_secret_value(), dbname=text))
        theirs = conninfo_to_dict(text)
    except ProgrammingError:
        raise SettingsError("the target database cannot be read as a URI: write odd characters of the "
                            "password as %XX; for example postgresql://nightscan@db2/nightscan") from None
    same = all(_fact(theirs, key) == _fact(ours, key) for key in ("host", "port", "user"))
    if same and not theirs.get("password") and ours.get("password"):
        return SecretStr(make_conninfo(text, password=str(ours["password"])))
    return given


def has_password(given: SecretStr | None) -> bool:
    """Whether an address holds a password, which must not be in a message; or may: it cannot be read."""
    text = given.get_secret_value() if given is not None else ""
    if not text or ("/" not in text and "=" not in text):  # nothing, or a bare name
        return False
    if problem_of(text):
        return True
    if "://" in text and not text.startswith(("postgresql:", "postgres:")):
        parts = urlsplit(text)
        return bool(parts.password or parse_qs(parts.query).get("password"))
    from psycopg import ProgrammingError
    from psycopg.conninfo import conninfo_to_dict

    try:
        return not {"password", "sslpassword"}.isdisjoint(conninfo_to_dict(text))
    except ProgrammingError:
        return True


def _fact(facts: Mapping[str, object], key: str) -> str:
    return str(facts.get(key) or {"port": "5432", "host": "localhost"}.get(key, ""))


def _refuse_foreign(component: str, part: Part) -> None:
    wanted = {name for name in ("tables", "schemas", "databases", "keys", "paths") if getattr(part, name)}
    if foreign := sorted(wanted - set(_PARTS[component])):
        raise RestoreRefused(f"{component} has no {foreign[0]}: it can be restored in part by "
                             f"{' and '.join(_PARTS[component])}")


def _options(component: str) -> str:
    return {"database": "give --target-db", "redis": "give --target-redis"}.get(
        component, "give --target-root")


def _without_password(dsn: SecretStr | None) -> str:
    if dsn is None:
        return ""
    from psycopg.conninfo import conninfo_to_dict, make_conninfo

    facts = conninfo_to_dict(dsn.get_secret_value())
    kept = {key: value for key, value in facts.items() if key not in {"password", "passfile", "sslpassword"}}
    return make_conninfo("", **kept)


def _redis_place(url: SecretStr | None) -> str:
    return "" if url is None else without_secret(url.get_secret_value())


def targets_of(place: Place, settings: Settings) -> Targets:
    """The targets that a record names; passwords as far as the settings know them."""
    database = full_target(SecretStr(place.database), settings) if place.database else None
    redis = SecretStr(place.redis) if place.redis else None
    if redis is not None and place.redis.partition("?")[0] == _redis_place(settings.redis):
        redis = settings.redis
    return Targets(database, redis, Path(place.root) if place.root else None)


def with_targets(request: Request, settings: Settings) -> Request:
    """The request with its targets completed. `RestoreRefused` for the broker, and for what is live."""
    redis = request.targets.redis
    for target, given in (("database", request.targets.database), ("Redis", redis)):
        if given is not None and (problem := problem_of(given.get_secret_value())):
            raise SettingsError(f"the target {target}: {problem}")
    for name, url in (("broker", settings.broker_url), ("result store", settings.results)):
        if redis is not None and server_of(redis) and server_of(redis) == server_of(url):
            raise RestoreRefused(f"{_redis_place(redis)} is the {name} of this program: a restore into it "
                                 f"would lose what is queued there; name another with --target-redis")
    targets = replace(request.targets, database=full_target(request.targets.database, settings))
    _refuse_live(targets, settings)
    return replace(request, targets=targets)


def _refuse_live(targets: Targets, settings: Settings) -> None:
    """What goes elsewhere has no safety set and stops no application: so it must not be the live one."""
    if targets.database is not None and same_database(targets.database, settings.dsn):
        raise RestoreRefused("the target is the application's own database: leave --target-db out to "
                             "replace it")
    if targets.redis is not None and same_redis(targets.redis, settings.redis):
        raise RestoreRefused("the target is the application's own Redis: leave --target-redis out to "
                             "replace what it holds")
