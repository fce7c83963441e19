"""Alarms by mail, to a real server of SMTP: once, in the words of the page, and nothing in the clear that is secret."""

import datetime as dt
import ipaddress
import socket
import socketserver
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from email.header import decode_header, make_header
from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import default
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, Envelope, LoginPassword
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from pydantic import ValidationError
from redis import Redis

from ops.stack import free_port
from ops.telling import Mail, Teller, Webhook, message, ways_of
from schemas.records import NO_RUN, ActionKind
from streams.books.actions import new_action
from streams.books.alarms import Alarm, Priority, Way
from streams.books.decided import decide
from streams.books.watchers import watched
from streams.freshness import Level
from streams.settings import AlarmsSettings, DashboardSettings, MailSettings, Settings, Tls
from tests.books.test_alarms import new
from tests.lanes import first
from tests.ops.conftest import Spilldeck, assert_one_sentence
from tests.ops.test_alarms import WAIT_S, Hook, alarms_of, heart, hook, own, raise_any, with_hook

__all__ = ["hook", "own"]

USER, PASSWORD = "deck", "correct horse battery"
WHOLE = {"sender": "deck@example.org", "recipients": ["shift@example.org", "expert@example.org"]}
ALARM = Alarm("0123456789abcdef", new(words="PMT 1 silent\r\nBcc: somebody@else"), 1_700_000_000_000_000)


class Box:
    """What came, and how the next is answered."""

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []
        self.answer = "250 OK"
        self.refuses = ""
        """Words that no mail may have; empty if there are none."""

    async def handle_DATA(  # noqa: N802 - the name is that of aiosmtpd
        self, _server: object, _session: object, envelope: Envelope
    ) -> str:
        content = envelope.content
        assert isinstance(content, bytes)
        mail = BytesParser(policy=default).parsebytes(content)
        assert isinstance(mail, EmailMessage)
        if self.refuses and self.refuses in mail.get_content():
            return "554 not here"
        self.mails.append(mail)
        return self.answer


Serve = Callable[..., tuple[Box, MailSettings]]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Return what begins a server, and gives the settings of it."""
    begun: list[Controller] = []

    def start(tls: Tls = Tls.NONE, **how: Any) -> tuple[Box, MailSettings]:
        box = Box()
        port = free_port()
        server = Controller(box, hostname="127.0.0.1", port=port, ready_timeout=WAIT_S, **how)
        server.start()
        begun.append(server)
        return box, MailSettings(host="127.0.0.1", port=port, tls=tls, **WHOLE)

    yield start
    for server in begun:
        server.stop()


def with_mail(settings: Settings, mail: MailSettings, **alarms: Any) -> Settings:
    page = DashboardSettings(url="https://deck.example.org/")
    return settings.model_copy(update={"alarms": AlarmsSettings(mail=mail, **alarms), "dashboard": page})


def test_a_mail_says_what_what_to_do_whom_to_call_and_where_it_is_to_be_seen(serve: Serve) -> None:
    box, mail = serve()
    low = ALARM._replace(new=new(run=NO_RUN, of="data flow: Redis", words="Redis is away"))
    Mail(with_mail(Settings(), mail)).tell("some-id", [ALARM, low])
    (its,) = box.mails
    assert its["Subject"] == "[Spilldeck] medium: PMT 1 silent Bcc: somebody@else; Redis is away"
    assert (its["To"], its["Bcc"]) == ("shift@example.org, expert@example.org", None)
    assert (its["Message-ID"], its["Auto-Submitted"]) == ("<some-id@spilldeck.invalid>", "auto-generated")
    first, second = its.get_content().replace("\r\n", "\n").split("\n\nmedium: Redis")
    assert "Run 6008, after spill 40, 14 Nov 2023 22:13:20 UTC" in first
    assert "https://deck.example.org/alarm/0123456789abcdef" in first
    assert "What to do: Start Redis again" in second
    assert "Call: whoever keeps the servers" in second
    assert "Run" not in second


def test_a_mail_has_nothing_that_a_terminal_would_obey_or_that_runs_backwards(serve: Serve) -> None:
    box, mail = serve()
    words = "PMT \x1b]0;mine\x07 silent\u202e\u200b"
    Mail(with_mail(Settings(), mail)).tell("some-id", [ALARM._replace(new=new(words=words))])
    (its,) = box.mails
    shown = r"medium: PMT \x1b]0;mine\x07 silent\u202e\u200b"
    assert str(make_header(decode_header(its["Subject"]))) == f"[Spilldeck] {shown}"
    assert its.get_content().startswith(shown)


def test_what_a_webhook_is_told_leads_to_the_page_if_somebody_said_where_that_is() -> None:
    elsewhere, here = with_mail(Settings(), MailSettings()), Settings()
    page = "https://deck.example.org"
    assert message(elsewhere, "an-id", [ALARM])["text"].endswith(f" {page}/alarm/{ALARM.id}")
    both = message(elsewhere, "an-id", [ALARM, ALARM])
    assert both["text"].endswith(f" {page}/alarms")
    assert [each["link"] for each in both["alarms"]] == [f"{page}/alarm/{ALARM.id}"] * 2
    assert message(here, "an-id", [ALARM])["text"] == ALARM.new.words
    assert message(here, "an-id", [ALARM])["alarms"][0]["link"] == ""


@pytest.mark.servers
def test_what_a_server_does_not_take_is_mailed_again_and_each_way_is_told_for_itself(
    own: tuple[Settings, Redis], serve: Serve, hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, redis = own
    monkeypatch.setattr("ops.telling.GATHER_S", 0)
    box, mail = serve()
    its = with_mail(settings, mail, webhook=hook.address)
    by_hook, by_mail = (
        Teller(its, redis, lambda: alarms_of(settings, redis), how, heart(its, redis)) for how in ways_of(its)
    )
    raise_any(settings, redis)
    box.answer = "451 later"
    pauses = []
    for _ in range(3):
        by_mail.look()
        pauses.append(by_mail.pause())
    by_hook.look()
    (alarm,) = alarms_of(settings, redis)
    assert (pauses, len(alarm.told_us), alarm.mailed_us) == ([1, 2, 4], 1, ())
    box.answer = "250 OK"
    for teller in (by_mail, by_hook, by_mail):
        teller.look()
    (alarm,) = alarms_of(settings, redis)
    assert (len(alarm.told_by(Way.WEBHOOK)), len(alarm.told_by(Way.MAIL)), len(hook.told)) == (1, 1, 1)
    assert {each["Message-ID"] for each in box.mails} == {f"<{alarm.id}-0@spilldeck.invalid>"}
    assert len(box.mails) == 4


def certificate(directory: Path) -> tuple[Path, ssl.SSLContext]:
    """Return a certificate of its own for the loopback, and a server's context with it."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([])
    now = dt.datetime.now(dt.UTC)
    alternative = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(alternative, critical=True)
        .sign(key, hashes.SHA256())
    )
    file, key_file = directory / "certificate.pem", directory / "key.pem"
    file.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    form = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    key_file.write_bytes(key.private_bytes(serialization.Encoding.PEM, *form))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(file, key_file)
    return file, context


def test_a_password_goes_to_a_server_that_is_known_by_its_certificate_alone(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, context = certificate(tmp_path)
    given: list[object] = []

    def authenticate(*of: Any) -> AuthResult:
        given.append(of[-1])
        is_right = of[-1] == LoginPassword(USER.encode(), PASSWORD.encode())
        return AuthResult(success=is_right, handled=False)

    box, mail = serve(Tls.STARTTLS, tls_context=context, authenticator=authenticate)
    its = with_mail(Settings(), MailSettings(**mail.model_dump() | {"user": USER, "password": PASSWORD}))
    with pytest.raises(ssl.SSLCertVerificationError):
        Mail(its).tell("some-id", [ALARM])
    assert not given
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    Mail(its).tell("some-id", [ALARM])
    assert len(box.mails) == len(given) == 1
    assert PASSWORD not in repr(its)


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({"host": "mail.example.org"}, "a sender and recipients"),
        ({**WHOLE, "host": "mail.example.org", "tls": "none", "user": "deck"}, "must not go over the network"),
        ({"tls": "perhaps"}, "starttls"),
    ],
)
def test_what_cannot_be_mailed_is_no_setting(values: dict[str, Any], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        MailSettings(**values)


def test_only_what_the_settings_name_is_told(serve: Serve) -> None:
    assert ways_of(Settings()) == []
    assert [type(each) for each in ways_of(with_hook(Settings(), "http://127.0.0.1/told"))] == [Webhook]
    assert [type(each) for each in ways_of(with_mail(Settings(), serve()[1]))] == [Mail]


def test_what_tells_outside_is_tried_before_it_is_needed(serve: Serve, hook: Hook, spilldeck_here: Spilldeck) -> None:
    assert "nobody is told" in assert_one_sentence(spilldeck_here("alarms", "try"), 2)
    box, mail = serve()
    where = {"HOST": mail.host, "PORT": str(mail.port), "TLS": "none", "SENDER": mail.sender}
    env = {f"SPILLDECK_ALARMS__MAIL__{name}": value for name, value in where.items()}
    env |= {"SPILLDECK_ALARMS__MAIL__RECIPIENTS": '["shift@example.org"]', "SPILLDECK_LOGBOOK__WEBHOOK": hook.address}
    env["SPILLDECK_ALARMS__WEBHOOK"] = f"http://127.0.0.1:{free_port()}/a-secret"
    done = spilldeck_here("alarms", "try", env=env)
    assert done.returncode == 1
    assert "mail: taken" in done.stdout
    assert "logbook: taken" in done.stdout
    assert "webhook: [Errno 111] Connection refused" in done.stdout
    assert "a-secret" not in done.stdout + done.stderr
    assert "This is a test: nothing is wrong" in box.mails[0]["Subject"]
    assert "This is a test" in hook.told[0][2].decode()


@contextmanager
def odd(speak: Callable[[socket.socket], None]) -> Iterator[MailSettings]:
    """Have a server that speaks as it likes with whoever comes."""

    class Speaks(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with suppress(OSError):
                speak(self.request)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Speaks) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield MailSettings(host="127.0.0.1", port=server.server_address[1], tls=Tls.NONE, **WHOLE)
        server.shutdown()
        thread.join()


def hang(its: socket.socket) -> None:
    its.recv(1)


def drip(its: socket.socket) -> None:
    its.send(b"220")
    while True:
        its.send(b" ")
        time.sleep(0.05)


def close_in_the_middle(its: socket.socket) -> None:
    its.send(b"220 here\r\n")
    while said := its.recv(1000):
        if said.startswith(b"DATA"):
            return
        its.send(b"250 OK\r\n")


@pytest.mark.servers
@pytest.mark.parametrize("speak", [hang, drip, close_in_the_middle, None])
def test_a_server_that_hangs_drips_closes_or_is_away_is_asked_again_said_on_the_page_and_told_once(
    own: tuple[Settings, Redis],
    serve: Serve,
    speak: Callable[[socket.socket], None] | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings, redis = own
    monkeypatch.setattr("ops.telling.GATHER_S", 0)
    raise_any(settings, redis)
    with odd(speak or hang) as there, monkeypatch.context() as patch:
        patch.setattr("ops.telling.ANSWER_S", 0.5)
        patch.setattr("dashboards.webhook.ALL_S", 1.0)
        mail = there if speak is not None else MailSettings(**there.model_dump() | {"port": free_port()})
        its = with_mail(settings, mail)
        watcher = heart(its, redis)
        watcher.beat()
        teller = Teller(its, redis, lambda: alarms_of(settings, redis), Mail(its), watcher)
        begun = time.monotonic()
        teller.look()
        assert time.monotonic() - begun < 10.0
        assert teller.pause() == 1
    box, mail = serve()
    watcher.beat()  # as each second, on a machine that may be busy
    said = watched(redis, settings.redis.key_prefix, settings.session)
    assert said.level is Level.WARNING
    assert said.text.startswith("Watched, but the mail was not taken, ")
    again = with_mail(settings, mail)
    teller = Teller(again, redis, lambda: alarms_of(settings, redis), Mail(again), watcher)
    for _ in range(2):
        teller.look()
    (alarm,) = alarms_of(settings, redis)
    assert [each["Message-ID"] for each in box.mails] == [f"<{alarm.id}-0@spilldeck.invalid>"]
    watcher.beat()
    assert watched(redis, settings.redis.key_prefix, settings.session).text == "Watched"


@pytest.mark.servers
@pytest.mark.parametrize("others", first([4, 1], 1))
def test_what_a_server_refuses_keeps_nothing_else_from_being_told(
    own: tuple[Settings, Redis], serve: Serve, others: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, redis = own
    monkeypatch.setattr("ops.telling.GATHER_S", 0)
    words = ["unspeakable", *(f"PMT {number} silent" for number in range(others))]
    for number, each in enumerate(words):
        its = new(run=6008, of=f"TOF1/{number}", words=each, priority=Priority.LOW if number else Priority.HIGH)
        decide(settings, redis, new_action(ActionKind.RAISE_ALARM, its.id, after=its.to_json(), origin="a test"))
    box, mail = serve()
    box.refuses = "unspeakable"
    its = with_mail(settings, mail)
    teller = Teller(its, redis, lambda: alarms_of(settings, redis), Mail(its), heart(its, redis))
    for _ in range(3):
        teller.look()
    assert {each.new.words: len(each.mailed_us) for each in alarms_of(settings, redis)} == {
        each: int(each != "unspeakable") for each in words
    }
    assert teller.pause() > 0
    box.refuses = ""
    teller.look()
    assert all(each.mailed_us for each in alarms_of(settings, redis))
    assert teller.pause() == 0
