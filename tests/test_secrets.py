"""Secrets come from files or the environment, are for their owner alone, and are shown nowhere."""

import datetime as dt
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import BaseModel, SecretStr

from ops.stack.certificates import Authority
from streams import tls
from streams.errors import UsageError
from streams.settings import LOCAL_SERVERS, Settings, TlsSettings, load_settings, secrets_of

SECRET = "hunter2"


def sections(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield each secret setting: its section, its name."""
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from sections(field.annotation, f"{prefix}{name}.")
    yield from ((prefix, name) for name in secrets_of(model))


SECRETS = sorted(sections(Settings))
NEEDED = {"kafka.password": {"protocol": "sasl_ssl", "user": "anna"}}
"""What else must be said for a secret to be taken."""


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SPILLDECK_LOCAL__DIRECTORY", str(tmp_path / "no-stack"))


def secret_file(directory: Path, content: str = f"{SECRET}\n", mode: int = 0o600) -> Path:
    file = directory / "secret"
    file.write_text(content)
    file.chmod(mode)
    return file


def given(section: str, name: str, file: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Have the environment give a secret as a file; return what it is to be."""
    variable = f"SPILLDECK_{section}{name}".replace(".", "__").upper()
    for other, value in NEEDED.get(f"{section}{name}", {}).items():
        monkeypatch.setenv(f"SPILLDECK_{section}{other}".replace(".", "__").upper(), value)
    content = {"url": f"redis://:{SECRET}@host:1/0", "webhook": f"https://host/{SECRET}"}.get(name, SECRET)
    file.write_text(f"{content}\n")
    monkeypatch.setenv(f"{variable}_FILE", str(file))
    return content


@pytest.mark.parametrize(("section", "name"), SECRETS)
def test_each_secret_is_taken_from_a_file(
    section: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = given(section, name, secret_file(tmp_path), monkeypatch)
    value: object = load_settings()
    for part in f"{section}{name}".split("."):
        value = getattr(value, part)
    assert isinstance(value, SecretStr)
    assert value.get_secret_value() == wanted


def test_the_passwords_of_the_servers_are_among_them() -> None:
    assert {("kafka.", "password"), ("kafka.", "key_password"), ("redis.", "password"), ("redis.", "url")} <= {*SECRETS}


def test_the_settings_file_may_name_a_file_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "site").mkdir()
    secret_file(tmp_path / "site")
    (tmp_path / "site/site.toml").write_text('[redis]\npassword_file = "secret"\n')
    monkeypatch.setenv("SPILLDECK_CONFIG", str(tmp_path / "site/site.toml"))
    assert load_settings().redis.password.get_secret_value() == SECRET


@pytest.mark.parametrize(
    ("content", "mode", "said"),
    [
        (SECRET, 0o640, r"others may read .*secret \(-rw-r-----\): chmod 600 it"),
        (SECRET, 0o604, "others may read"),
        ("", 0o600, "password_file .*secret is empty"),
        (None, 0o600, "password_file .*secret cannot be read: No such file"),
    ],
)
def test_a_file_that_cannot_be_a_secret_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str | None, mode: int, said: str
) -> None:
    file = secret_file(tmp_path, content or "", mode)
    if content is None:
        file.unlink()
    monkeypatch.setenv("SPILLDECK_REDIS__PASSWORD_FILE", str(file))
    with pytest.raises(UsageError, match=said) as raised:
        load_settings()
    assert SECRET not in str(raised.value)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"password": SECRET, "password_file": "x"}, "password and password_file are both given"),
        ({"url": f"redis://:{SECRET}@h:1/0", "password": SECRET}, "stand in url and beside it"),
        ({"user": "anna"}, "user needs password"),
        ({"ca": "ca.pem"}, "certificates are of rediss://"),
        ({"url": "rediss://h:1/0", "certificate": "c.pem"}, "certificate and key go together"),
    ],
)
def test_settings_of_redis_that_say_too_much_or_little_are_refused(values: dict[str, str], said: str) -> None:
    with pytest.raises(UsageError, match=said) as raised:
        load_settings(redis=values)
    assert SECRET not in str(raised.value)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"user": "anna", "password": SECRET}, "user and password are of protocol sasl_ssl"),
        ({"protocol": "sasl_ssl", "user": "anna"}, "needs user and password"),
        ({"protocol": "sasl_ssl", "password": SECRET}, "needs user and password"),
        ({"ca": "ca.pem"}, "certificates are of protocols ssl"),
        ({"protocol": "ssl", "key": "key.pem"}, "certificate and key go together"),
        ({"protocol": "tls"}, "'plaintext', 'ssl', 'sasl_ssl' or 'sasl_plaintext'"),
        (
            {"protocol": "sasl_plaintext", "user": "a", "password": SECRET, "bootstrap_servers": "127.0.0.1:1,far:2"},
            "a password must not go over the network",
        ),
    ],
)
def test_settings_of_kafka_that_say_too_much_or_little_are_refused(values: dict[str, str], said: str) -> None:
    with pytest.raises(UsageError, match=said) as raised:
        load_settings(kafka=values)
    assert SECRET not in str(raised.value)


def test_on_loopback_a_password_may_go_as_it_is() -> None:
    values = {"protocol": "sasl_plaintext", "user": "anna", "password": SECRET, "bootstrap_servers": "[::1]:1"}
    assert load_settings(kafka=values).kafka.servers == [("::1", "1")]


STACK = f"""
[kafka]
bootstrap_servers = "127.0.0.1:9"
protocol = "sasl_ssl"
mechanism = "PLAIN"
user = "stack"
password = "{SECRET}"
[redis]
url = "redis://127.0.0.1:8/0"
user = "stack"
password = "{SECRET}"
"""


@pytest.fixture
def with_stack(tmp_path: Path) -> None:
    (tmp_path / "no-stack").mkdir()
    file = tmp_path / "no-stack" / LOCAL_SERVERS
    file.write_text(STACK)
    file.chmod(0o600)


@pytest.mark.usefixtures("with_stack")
@pytest.mark.parametrize("is_named", [True, False])
def test_the_local_stack_is_reached_as_it_says_whatever_is_said_of_another(
    monkeypatch: pytest.MonkeyPatch, *, is_named: bool
) -> None:
    monkeypatch.setenv("SPILLDECK_KAFKA__TOPIC_PREFIX", "mine.")
    monkeypatch.setenv("SPILLDECK_KAFKA__USER", "site")
    monkeypatch.setenv("SPILLDECK_REDIS__PASSWORD_FILE", "/of/the/site")
    if is_named:
        monkeypatch.setenv("SPILLDECK_KAFKA__BOOTSTRAP_SERVERS", "127.0.0.1:9")
        monkeypatch.setenv("SPILLDECK_REDIS__URL", "redis://127.0.0.1:8/0")
    settings = load_settings()
    assert (settings.kafka.user, settings.kafka.mechanism, settings.kafka.topic_prefix) == ("stack", "PLAIN", "mine.")
    assert settings.redis.password.get_secret_value() == SECRET


@pytest.mark.usefixtures("with_stack")
def test_no_other_server_is_shown_the_local_stacks_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPILLDECK_KAFKA__BOOTSTRAP_SERVERS", "127.0.0.1:10")
    monkeypatch.setenv("SPILLDECK_REDIS__URL", "redis://127.0.0.1:10/0")
    settings = load_settings()
    assert settings.kafka.user == settings.redis.user == ""
    assert not settings.redis.password.get_secret_value()
    assert not settings.kafka.password.get_secret_value()


@pytest.mark.usefixtures("with_stack")
def test_what_says_how_the_local_stack_is_reached_is_for_its_user_alone(tmp_path: Path) -> None:
    (tmp_path / "no-stack" / LOCAL_SERVERS).chmod(0o644)
    with pytest.raises(UsageError, match="others may read"):
        load_settings()


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        ("no ca", "of kafka.ca is no file of certificates .*No such file"),
        ("bad ca", "of kafka.ca is no file of certificates"),
        ("shared key", "kafka.key: others may read"),
        ("other key", "are no certificate with its key"),
    ],
)
def test_a_file_that_tls_cannot_use_is_named_with_its_setting(tmp_path: Path, harm: str, said: str) -> None:
    authority = Authority.new("us")
    signed, other = authority.sign("client"), authority.sign("other", valid=dt.timedelta(days=1))
    ca, certificate, key = (tmp_path / name for name in ("ca.pem", "client.pem", "client.key"))
    ca.write_bytes(b"none" if harm == "bad ca" else authority.pem)
    certificate.write_bytes(signed.certificate)
    key.write_bytes(other.key if harm == "other key" else signed.key)
    key.chmod(0o644 if harm == "shared key" else 0o600)
    its = TlsSettings(ca=tmp_path / "none" if harm == "no ca" else ca, certificate=certificate, key=key)
    with pytest.raises(UsageError, match=said):
        tls.context(its, "kafka")


def test_a_secret_is_in_no_text_of_the_settings() -> None:
    settings = load_settings(
        redis={"password": SECRET}, kafka={"protocol": "sasl_ssl", "user": "a", "password": SECRET}
    )
    assert SECRET not in f"{settings}{settings!r}{settings.model_dump()}{settings.model_dump_json()}"
