"""The settings: each with its meaning, from the environment, a TOML file, or the default that stands here.

``SPILLDECK_KAFKA__BOOTSTRAP_SERVERS=host:9092`` in the environment wins over ``bootstrap_servers`` under ``[kafka]``
in the file. The file is the one that ``SPILLDECK_CONFIG`` names, else ``spilldeck.toml`` in the working directory.
An unknown key is an error, so that a misspelt setting is never passed over.

A secret may stand in a file of its own: ``SPILLDECK_REDIS__PASSWORD_FILE=/run/secrets/redis``, or ``password_file``
under ``[redis]``. How the local stack's servers are reached stands in `LOCAL_SERVERS`, which `spilldeck up` writes.
"""

import os
import re
import tomllib
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Self
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    IPvAnyAddress,
    SecretStr,
    ValidationError,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from streams.errors import UsageError
from streams.files import read_secret

_PREFIX = "SPILLDECK_"
_FILE_VARIABLE = "SPILLDECK_CONFIG"

LIVE = "live"
"""The session that processes what the DAQ sends, and speaks for it in the topic of runs."""
LOOPBACK = ("localhost", "127.0.0.1", "::1")
LOCAL_SERVERS = "servers.toml"
"""In `local.directory` while the local stack runs: its addresses, users, passwords and certificates."""
_ELSE = ("protocol", "mechanism", "url_file")
"""What, besides `TlsSettings`, says how a server is reached."""
Port = Annotated[int, Field(ge=1, le=65535)]


def _beside(path: Path) -> Path:
    """Return where a file of the settings lies: what is relative is beside the settings file."""
    file = settings_file()
    return (file.parent if file is not None else Path()).absolute() / path.expanduser()


_Beside = Annotated[Path, AfterValidator(_beside)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True, use_attribute_docstrings=True)

    @model_validator(mode="before")
    @classmethod
    def _read_secrets(cls, given: Any) -> Any:
        """Take each secret that is given as a file from there."""
        if not isinstance(given, dict):
            return given
        values = dict(given)
        for name in secrets_of(cls):
            if (file := values.pop(f"{name}_file", None)) is None:
                continue
            if name in values:
                raise ValueError(f"{name} and {name}_file are both given: remove one")
            values[name] = read_secret(_beside(Path(file)), f"{name}_file")
        return values


def secrets_of(section: type[BaseModel]) -> list[str]:
    """Return which settings of a section are secret, so may be given as a file."""
    return [name for name, field in section.model_fields.items() if "SecretStr" in str(field.annotation)]


class TlsSettings(_Section):
    """Who the other side of an encrypted connection is, who this one is, and who asks."""

    ca: _Beside | None = None
    """PEM file of the certificates that a server's is believed by; without it, those that this machine trusts."""
    certificate: _Beside | None = None
    """PEM file of a certificate of ours, where the server asks for one."""
    key: _Beside | None = None
    """PEM file, for its owner alone, of that certificate's key."""
    key_password: SecretStr = SecretStr("")
    user: str = ""
    password: SecretStr = SecretStr("")

    @model_validator(mode="after")
    def _has_both(self) -> Self:
        if (self.certificate is None) != (self.key is None):
            raise ValueError("certificate and key go together: one of them is missing")
        return self

    @property
    def names_files(self) -> bool:
        """Whether something is said that TLS alone needs."""
        return self.ca is not None or self.certificate is not None


class Protocol(StrEnum):
    """How a broker is spoken to."""

    PLAINTEXT = "plaintext"
    SSL = "ssl"
    SASL_SSL = "sasl_ssl"
    SASL_PLAINTEXT = "sasl_plaintext"

    @property
    def is_encrypted(self) -> bool:
        """Whether by TLS."""
        return self in {Protocol.SSL, Protocol.SASL_SSL}

    @property
    def has_user(self) -> bool:
        """Whether who asks says a user and a password."""
        return self in {Protocol.SASL_SSL, Protocol.SASL_PLAINTEXT}


class Mechanism(StrEnum):
    """How a password is shown to a broker."""

    PLAIN = "PLAIN"
    SCRAM_SHA_256 = "SCRAM-SHA-256"
    SCRAM_SHA_512 = "SCRAM-SHA-512"


class KafkaSettings(TlsSettings):
    """The broker and the topics."""

    bootstrap_servers: str = "127.0.0.1:9092"
    """Brokers to begin with, host:port, separated by commas."""
    protocol: Protocol = Protocol.PLAINTEXT
    """`plaintext`, `ssl`, `sasl_ssl` (with user and password), or `sasl_plaintext`, on loopback alone."""
    mechanism: Mechanism = Mechanism.SCRAM_SHA_512
    """Of sasl: `PLAIN`, `SCRAM-SHA-256` or `SCRAM-SHA-512`, as the broker has the user's password."""
    topic_prefix: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{0,100}$")] = ""
    """Goes before every topic's name, so that several experiments can share a cluster."""
    partitions: Annotated[int, Field(ge=1, le=1000)] = 4
    """With how many the spill topics are made: the most workers that can share a run. What reads asks the topic."""
    replication: Annotated[int, Field(ge=1, le=9)] = 1
    """Copies of every message. With two or more, what is acknowledged is on two disks."""
    retention_days: Annotated[int, Field(ge=0, le=36_500)] = 14
    """How long Kafka keeps spills, and how long runs can be replayed from it; 0 is for ever."""
    session_timeout_s: Annotated[float, Field(ge=6, le=300)] = 6.0
    """A worker silent for so long loses its partitions to the others; Kafka takes no less by default."""
    fetch_kib: Annotated[int, Field(ge=64, le=65_536)] = 1024
    """What a worker has on the way of each partition, at most; a message that is larger all the same."""
    keep_reconstructed: bool = True
    """Whether live writes what it reconstructs to spills.reco, for whoever wants it; nothing is counted from it."""
    messages_ahead: Annotated[int, Field(ge=1, le=10_000)] = 16
    """So many messages of a topic wait in a worker for those before them; then it fetches no more."""

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        has_user = bool(self.user or self.password.get_secret_value())
        if self.protocol.has_user and not (self.user and self.password.get_secret_value()):
            raise ValueError(f"protocol {self.protocol} needs user and password")
        if has_user and not self.protocol.has_user:
            raise ValueError(f"user and password are of protocol sasl_ssl, and it is {self.protocol}")
        if self.names_files and not self.protocol.is_encrypted:
            raise ValueError(f"certificates are of protocols ssl and sasl_ssl, and it is {self.protocol}")
        if self.protocol is Protocol.SASL_PLAINTEXT and not {host for host, _ in self.servers} <= {*LOOPBACK}:
            raise ValueError("a password must not go over the network as it is: protocol = sasl_ssl")
        return self

    @property
    def servers(self) -> list[tuple[str, str]]:
        """Host and port of each broker to begin with."""
        parts = (server.strip().rpartition(":") for server in self.bootstrap_servers.split(","))
        return [(host.strip("[]"), port) for host, _, port in parts]


class RedisSettings(TlsSettings):
    """Where the checkpoints are."""

    url: SecretStr = SecretStr("redis://127.0.0.1:6379/0")
    """redis://[[user]:password@]host:port/database, or rediss:// by TLS; user and password may stand below instead."""
    sentinels: list[Annotated[str, Field(pattern=r"^(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):[0-9]{1,5}$")]] = []
    """Sentinels that know the master, each as host:port; `url` has the master's name then, as redis://NAME/0."""
    sentinel_user: str = ""
    sentinel_password: SecretStr = SecretStr("")
    """Of the sentinels, where they ask for one; they are reached by TLS, with the same files, if `url` is rediss://."""
    cluster: bool = False
    """Whether `url` names a node of a Redis Cluster, which knows the others."""
    key_prefix: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,100}$")] = "spilldeck"
    """Goes before every key."""

    @model_validator(mode="after")
    def _is_said_once(self) -> Self:
        scheme, _, rest = self.url.get_secret_value().partition("://")
        if self.user and not self.password.get_secret_value():
            raise ValueError("user needs password")
        if (self.user or self.password.get_secret_value()) and "@" in rest:
            raise ValueError("user and password stand in url and beside it: remove one")
        if self.names_files and scheme != "rediss":
            raise ValueError("certificates are of rediss://, and url does not begin so")
        return self

    @model_validator(mode="after")
    def _is_one_kind(self) -> Self:
        if self.sentinels and self.cluster:
            raise ValueError("sentinels and cluster do not go together: a Cluster sees to its own masters")
        if self.sentinel_user and not self.sentinel_password.get_secret_value():
            raise ValueError("sentinel_user needs sentinel_password")
        if self.sentinels and not re.fullmatch(r"[A-Za-z0-9._-]*[A-Za-z_-][A-Za-z0-9._-]*", self.named):
            raise ValueError("with sentinels, url has the master's name as they know it, and no port: redis://NAME/0")
        if self.cluster and not re.fullmatch(r"[^/]+/?0?", self.place):
            raise ValueError("a Cluster has one database, and url names another, or a socket: redis://host:port/0")
        if self.cluster and self.key_password.get_secret_value():
            raise ValueError("with cluster, key has to be without a password: key_password does not go with it")
        return self

    @property
    def place(self) -> str:
        """What `url` names, without what may hold a password: host, port and database, or a socket's path."""
        address, slash, database = re.split("[?#]", self.url.get_secret_value().partition("://")[2])[0].partition("/")
        return address.rpartition("@")[2] + slash + database

    @property
    def named(self) -> str:
        """Host and port, or the master's name that sentinels know; empty for a socket."""
        return self.place.partition("/")[0]


class ProducerSettings(_Section):
    """What brings the DAQ's files into Kafka."""

    journals: Path = Path("~/.local/state/spilldeck/journals")
    """Where it takes note of what is acknowledged, for `produce --resume`."""
    queue_kib: Annotated[int, Field(ge=1024, le=2_097_151)] = 65_536
    """What waits for the broker's acknowledgement, at most, or one larger spill; the DAQ is not read further then."""


class BookSettings(_Section):
    """What the workers keep."""

    window_s: Annotated[int, Field(ge=1, le=86_400)] = 60
    """Length of a window, seconds of the spills' own time."""
    windows_kept: Annotated[int, Field(ge=1, le=100_000)] = 6
    """Windows of each length that are kept of a run, about: older ones are joined to ones of four times the length."""
    batch_spills: Annotated[int, Field(ge=1, le=10_000)] = 32
    """The most spills that a worker takes at once."""


class ChecksSettings(_Section):
    """What is told of a run."""

    spills_a_false_alarm: Annotated[float, Field(ge=100, le=1e9)] = 11_250
    """One false alarm in so many spills is borne, of all checks together: eight hours of a spill every 2.56 s."""
    limits: Path | None = None
    """TOML file of limits by run type, see docs/architecture.md; without it the same hold for every type."""
    good_spills: Path | None = None
    """TOML file of the rules of `good-spills`, see docs/architecture.md; without it there are none."""


def _is_question(line: str) -> str:
    if not line.strip() or line != " ".join(line.split()):
        raise ValueError("a line of the checklist has words, with one space between two")
    return line


class ChecklistSettings(_Section):
    """What somebody on shift looks at every few hours, and at the end of a run."""

    every_h: Annotated[float, Field(ge=0, le=72)] = 2
    """Hours of a run after which it is due, and again; 0 is at the end of a run alone."""
    lines: Annotated[
        list[Annotated[str, Field(max_length=190), AfterValidator(_is_question)]], Field(max_length=30)
    ] = []
    """What a person alone can answer with yes, no or not known, as "Magnets as in the run plan"; no line twice."""

    @model_validator(mode="after")
    def _has_each_once(self) -> Self:
        if len({*self.lines}) < len(self.lines):
            raise ValueError("the checklist has a line twice")
        return self


class DashboardSettings(_Section):
    """The page."""

    host: str = "127.0.0.1"
    names: list[str] = []
    """Names by which browsers reach the page, besides `host`, addresses and those of loopback: others are refused."""
    port: Port = 8050
    expected_rate: Annotated[float, Field(gt=0, le=1000)] | None = None
    """Spills a second that the beam delivers; not given, it is that of the run that is compared with."""
    refresh_s: Annotated[float, Field(ge=0.2, le=60)] = 1.0
    """Longest time between two looks for new spills; checkpoints are shown when they are made."""
    references: Path = Path("~/.local/state/spilldeck/references")
    """Where `references import` keeps histograms to compare with; the page reads them there."""
    prefix: Annotated[
        str, Field(pattern=r"^(/[A-Za-z0-9._~-]+)*/?$"), AfterValidator(lambda said: said.rstrip("/"))
    ] = ""
    """Below which a proxy has the page, as /spilldeck/, whether it takes that away or not; without it, at the root."""
    url: Annotated[str, Field(pattern=r"^(https?://[^\s?#]+)?$")] = ""
    """Address at which others open the page, as https://host: what is told of alarms has links to it, or else none."""

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if self.url and not urlsplit(self.url).path.rstrip("/").endswith(self.prefix):
            raise ValueError(f"url has another path than prefix says: it ends in {self.prefix}")
        return self

    def link(self, path: str) -> str:
        """Return the address of one of the page's parts from elsewhere; empty if nobody said where the page is."""
        return f"{self.url.rstrip('/')}{path}" if self.url else ""

    @property
    def address(self) -> str:
        """Host and port as they stand in an address."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class AccessSettings(_Section):
    """Who may act on the page; nobody needs to log in to look."""

    directory: Path = Path("~/.local/state/spilldeck/access")
    """Holds users, tokens and the key of sessions, for its owner alone; on the machine that the page is on."""
    session_hours: Annotated[float, Field(gt=0, le=168)] = 10
    """So long after a log-in one has to log in again."""
    proxy_peers: list[IPvAnyAddress] = []
    """Addresses of proxies that say who asks; nobody else is believed that."""
    proxy_header: Annotated[str, Field(pattern=r"^[A-Za-z0-9-]{1,100}$")] = "X-Forwarded-User"
    """Where they say it; `users add --no-password` gives such a user a role."""
    oidc_issuer: (
        Annotated[str, Field(pattern=r"^(https://|http://(127\.0\.0\.1|localhost|\[::1\])(:[0-9]+)?(/|$))")] | None
    ) = None
    """A provider of OpenID Connect at which users of the file may log in; it brings them back to /log-in/back."""
    oidc_client: str = ""
    """As the provider knows this page."""
    oidc_secret: SecretStr = SecretStr("")
    oidc_claim: str = "preferred_username"
    """What of its word is the user's name here: one that nobody can choose for himself."""


class KeeperSettings(_Section):
    """What writes the runs that have ended to files."""

    archive: Path | None = None
    """Where the raw spills of a run are written when it has ended; without it they are not."""
    products: Path | None = None
    """Where each run that has ended gets a directory with book, pictures and summary; without it none does."""
    runs_kept: Annotated[int, Field(ge=1)] | None = None
    """So many runs stay in Redis, the newest; older ones leave when their archive and products are written."""
    days_kept: Annotated[float, Field(gt=0)] | None = None
    """So long a run stays there after its last spill. Without either, all stay."""

    @property
    def has_limit(self) -> bool:
        """Whether runs leave Redis at all."""
        return self.runs_kept is not None or self.days_kept is not None

    @model_validator(mode="after")
    def _leaves_files(self) -> Self:
        if self.has_limit and not (self.archive and self.products):
            raise ValueError("a run leaves Redis when its archive and products are written: say where they go, too")
        return self


def _is_web(address: SecretStr) -> SecretStr:
    said = address.get_secret_value()
    # What cannot be asked for would be told, with all that is secret in it.
    if urlsplit(said).scheme not in {"http", "https"} or not said.isprintable() or " " in said:
        raise ValueError("this is no address of the web, as https://host/path")
    return address


class Tls(StrEnum):
    """How a connection is encrypted."""

    STARTTLS = "starttls"
    TLS = "tls"
    NONE = "none"


class MailSettings(_Section):
    """The server that takes mails of alarms."""

    host: str = ""
    """A server of SMTP; without it nothing is mailed."""
    port: Port = 587
    tls: Tls = Tls.STARTTLS
    """`starttls`, `tls` from the first byte on (port 465), or `none`."""
    sender: str = ""
    recipients: list[str] = []
    user: str = ""
    """Without it nobody logs in."""
    password: SecretStr = SecretStr("")

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if self.host and not (self.sender and self.recipients):
            raise ValueError("mails need a sender and recipients")
        if self.user and self.tls is Tls.NONE and self.host not in LOOPBACK:
            raise ValueError("a password must not go over the network as it is: tls = starttls or tls")
        return self


class AlarmsSettings(_Section):
    """What tells alarms outside."""

    webhook: Annotated[SecretStr, AfterValidator(_is_web)] | None = None
    """Address that `alarms watch` tells alarms, as JSON; without it they are on the page alone."""
    secret_file: Path | None = None
    """File, for its owner alone, whose content signs what is told; without it nothing does."""
    repeat_s: Annotated[float, Field(ge=1, le=86_400)] = 600
    """An alarm that nobody acknowledges is told again after it, three times at most."""
    mail: MailSettings = MailSettings()


class MetricsSettings(_Section):
    """Where processes say how they are: /metrics, /live and /ready."""

    host: str = "127.0.0.1"
    port: Port | None = None
    """The first free one of sixteen from it on is taken; without it none. The page answers at its own port."""
    peers: list[IPvAnyAddress] = []
    """Addresses that the page tells how it is, besides those of its own machine; no proxy may stand between."""


class LogFormat(StrEnum):
    """How what is logged is written."""

    TEXT = "text"
    JSON = "json"


class LogSettings(_Section):
    """What processes log, to standard error."""

    format: LogFormat = LogFormat.TEXT
    """`text` for people, with colours on a terminal; `json`, an object a line, for programs."""


class LogbookSettings(_Section):
    """The site's logbook, which is told what somebody logs on the page."""

    webhook: Annotated[SecretStr, AfterValidator(_is_web)] | None = None
    """Address that is told each entry, as JSON with its picture; without it an entry is a note in the record alone."""
    secret_file: Path | None = None
    """File, for its owner alone, whose content signs what is told; without it nothing does."""


class LocalSettings(_Section):
    """The local stack: a Kafka and a Redis of one's own, started from packages."""

    directory: Path = Path("~/.local/state/spilldeck")
    """Holds the data, the logs and the process ids."""
    kafka_port: Port = 9092
    redis_port: Port = 6379


class ReleasesSettings(_Section):
    """Versions of spilldeck side by side, see `spilldeck release`."""

    directory: Path = Path("~/.local/state/spilldeck/releases")
    """Holds a directory for each, and the links `current` and `previous`: start workers by current/bin/spilldeck."""


class ConditionsSource(_Section):
    """One set of tables."""

    index: Path
    """TOML file that gives each table its range of runs; relative to the settings file."""
    tables: Path
    """Directory of the tables; relative to the settings file. One that is absent is left out, and said so."""
    experiment: str | None = None
    """The experiment whose tables they are: another leaves them out; without it, whichever is used."""


class Settings(BaseSettings):
    """All settings."""

    model_config = SettingsConfigDict(
        env_prefix=_PREFIX,
        env_nested_delimiter="__",
        extra="forbid",
        frozen=True,
        use_attribute_docstrings=True,
    )

    session: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,60}$")] = LIVE
    """Name under which spills are processed: own consumer group, own Redis keys."""
    experiment: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_.]{0,200}$")] = "mice"
    """Name of an experiment that comes with the package, or a module whose ``EXPERIMENT`` is another.

    A module is looked for where Python does, then in the working directory and beside the settings file.
    """
    detectors: list[str] = []
    """Those of the experiment that are used, with the plots that need no others; all, unless some are named."""
    kafka: KafkaSettings = KafkaSettings()
    redis: RedisSettings = RedisSettings()
    producer: ProducerSettings = ProducerSettings()
    books: BookSettings = BookSettings()
    checks: ChecksSettings = ChecksSettings()
    checklist: ChecklistSettings = ChecklistSettings()
    dashboard: DashboardSettings = DashboardSettings()
    access: AccessSettings = AccessSettings()
    keeper: KeeperSettings = KeeperSettings()
    alarms: AlarmsSettings = AlarmsSettings()
    metrics: MetricsSettings = MetricsSettings()
    log: LogSettings = LogSettings()
    logbook: LogbookSettings = LogbookSettings()
    local: LocalSettings = LocalSettings()
    releases: ReleasesSettings = ReleasesSettings()
    conditions: list[ConditionsSource] = []
    """Sets of tables besides those of simulated runs, which are always there."""

    @model_validator(mode="before")
    @classmethod
    def _reach_local_servers(cls, given: Any) -> Any:
        """Reach the servers of the local stack as it says; others by what is said of them."""
        said_otherwise = {*TlsSettings.model_fields, *_ELSE, *(f"{name}_file" for name in secrets_of(TlsSettings))}
        found = dict(given)
        for section, (_, its) in local_servers(given).items():
            found[section] = {k: v for k, v in given.get(section, {}).items() if k not in said_otherwise} | its
        return found

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the signature is pydantic's
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take the environment before the file."""
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls, settings_file())


def settings_file() -> Path | None:
    """Return the settings file in use, if there is one.

    Raises
    ------
    UsageError
        When ``SPILLDECK_CONFIG`` names a file that is not there.
    """
    named = os.environ.get(_FILE_VARIABLE)
    if named is not None and not Path(named).is_file():
        raise UsageError(f"{_FILE_VARIABLE} names {named}, which is no file: correct or unset it")
    path = Path(named or "spilldeck.toml")
    return path if path.is_file() else None


def local_servers(given: Mapping[str, Any]) -> dict[str, tuple[Path, dict[str, Any]]]:
    """Return how the local stack says that its servers are reached, by section of the settings, with its file.

    They are those servers that the settings name, or name no others in place of.

    Raises
    ------
    UsageError
        When the file of the stack cannot be read, or others may read it.
    """
    local = given.get("local") or {}
    directory = local.get("directory") if isinstance(local, dict) else local.directory
    file = Path(directory or LocalSettings().directory).expanduser() / LOCAL_SERVERS
    try:
        if not file.is_file():
            return {}
    except OSError:  # a directory of somebody else's is not the stack's
        return {}
    there = tomllib.loads(read_secret(file, "the local stack's"))
    found = {}
    for section, address in (("kafka", "bootstrap_servers"), ("redis", "url")):
        said = given.get(section, {})
        if section not in there or not isinstance(said, dict):
            continue
        from_file, own = f"{address}_file", there[section]
        if said.get(address) == own[address] or not said.keys() & {address, from_file}:
            found[section] = file, own
    return found


def load_settings(**overrides: Any) -> Settings:
    """Return the settings in force.

    Raises
    ------
    UsageError
        Names each key that is unknown or has a value that cannot be.
    """
    # pydantic looks in the environment only for the names that it knows, and passes over all others.
    unknown = sorted(name for name in os.environ if _is_unknown(name.upper()))
    if unknown:
        raise UsageError(f"the environment has settings that do not exist: {', '.join(unknown)}")
    try:
        return Settings(**overrides)
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(str(p) for p in e['loc'])}: {e['msg']}" for e in error.errors())
        raise UsageError(f"the settings are wrong: {faults}") from None
    except ValueError as error:  # the file is no TOML, or the environment no JSON where it must be
        raise UsageError(f"the settings cannot be read ({settings_file() or 'environment'}): {error}") from error


def _is_unknown(variable: str) -> bool:
    section, _, _ = variable.removeprefix(_PREFIX).partition("__")
    return variable.startswith(_PREFIX) and variable != _FILE_VARIABLE and section.lower() not in Settings.model_fields
