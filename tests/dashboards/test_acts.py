"""What changes something, asked for in every wrong way: refused with a sentence, and nothing is written."""

import base64
import json
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from html import unescape
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from typing import Any

import pytest
from starlette.routing import Route
from structlog.testing import capture_logs

from dashboards.access import attempts, sessions
from dashboards.access.accounts import Accounts
from dashboards.access.roles import Role
from dashboards.access.sessions import COOKIE
from dashboards.app import create_app, server_of
from dashboards.data import Data
from ops.stack import LocalStack, free_port
from ops.topics import ensure_topics
from schemas.records import Action, ActionKind, ControlKind, RunControl
from streams.books import actions
from streams.books.actions import ActionLog, new_action
from streams.books.alarms import New, Priority
from streams.books.connect import connect
from streams.books.decided import Copy, decide, newest
from streams.books.flags import Flag
from streams.kafka import messages, reader, span
from streams.settings import (
    AccessSettings,
    ChecklistSettings,
    DashboardSettings,
    Settings,
)
from streams.topics import Topics
from tests.dashboards.views import END, RUN, run_book
from tests.servers import settings_on
from tests.stored import checkpoint
from tests.wire import decode

pytestmark = pytest.mark.servers

US, PROXY, OTHERS = "127.0.0.1", "127.0.0.3", "127.0.0.2"
"""Peers: of the tests, that which is believed for whom it asks, and another."""
PASSWORD = "correct horse battery"
WAIT_S = 20.0
FLAG = {"run": RUN, "verdict": "bad", "reason": "it tripped"}
REMARK = {"run": RUN, "flag": "12345678"}
ACTS: dict[str, tuple[Role, dict[str, Any]]] = {
    "/act/flag": (Role.SHIFTER, FLAG),
    "/act/withdraw-flag": (Role.SHIFTER, REMARK),
    "/act/verify-flag": (Role.SHIFTER, REMARK),
    "/act/acknowledge-alarm": (Role.SHIFTER, {"alarm": "12345678"}),
    "/act/note": (Role.SHIFTER, {"run": RUN, "text": "the beam came back", "plot": "hslabhits10"}),
    "/act/checklist": (
        Role.SHIFTER,
        {"run": RUN, "due_us": 1, "end": False, "who": "shifter", "lines": [{"name": "spills", "seen": "yes"}]},
    ),
    "/act/add-issue": (
        Role.EXPERT,
        {"of": "hslabhits10", "text": "a dead channel", "owner": "anna", "last": RUN + 10},
    ),
    "/act/extend-issue": (Role.EXPERT, {"issue": "12345678", "last": RUN + 20}),
    "/act/withdraw-issue": (Role.EXPERT, {"issue": "12345678"}),
    "/act/shelve-alarm": (Role.SHIFTER, {"alarm": "12345678", "hours": 2, "reason": "known"}),
    "/act/end-run": (Role.SHIFTER, {"run": RUN}),
    "/act/pin-reference": (Role.EXPERT, {"run": RUN}),
    "/act/unpin-reference": (Role.EXPERT, {"run_type": ""}),
    "/act/promote-replay": (Role.EXPERT, {"name": "again"}),
    "/act/restore-run": (Role.EXPERT, {"run": RUN}),
    "/act/drop-replay": (Role.EXPERT, {"name": "again"}),
}
"""All that is written to Kafka, with what it needs and what is sent."""
OTHER_POSTS = {"/log-in", "/log-out", "/try", "/_dash-update-component"}
"""What else takes more than GET: it changes nothing that others see."""
OWN = "Magnets as in the <i>run plan</i>"
"""A line of the checklist that only a person can answer."""
FOREIGN = ("http://attacker.example", "null", "http://localhost:1", "https://127.0.0.1.attacker.example")


@dataclass
class Site:
    """A page's server, in a thread of ours."""

    settings: Settings
    accounts: Accounts
    ids: int = 0
    cookies: dict[Role, str] = field(default_factory=dict)
    logged_out: dict[Role, str] = field(default_factory=dict)

    @property
    def host(self) -> str:
        return f"{US}:{self.settings.dashboard.port}"

    def post(
        self, path: str, said: Any = None, peer: str = US, headers: Any = (), method: str = "POST", **more: str
    ) -> tuple[HTTPResponse, str]:
        """Ask for something as a page does, with other headers."""
        self.ids += 1
        usual = {"Host": self.host, "Act-Id": f"test-{self.ids:04}", "Origin": f"http://{self.host}"}
        every = [*{**usual, **{name.replace("_", "-"): value for name, value in more.items()}}.items(), *headers]
        body = (said if isinstance(said, str) else json.dumps(said if said is not None else {})).encode()
        address = (US, self.settings.dashboard.port)
        with closing(HTTPConnection(*address, timeout=WAIT_S, source_address=(peer, 0))) as connection:
            connection.putrequest(method, path, skip_host=True)
            for name, value in every:
                connection.putheader(name, value)
            connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body)
            answer = connection.getresponse()
            return answer, answer.read().decode()

    def log_in(self, user: str, peer: str = US, password: str = PASSWORD, **more: str) -> str:
        """Return the cookie of somebody who has logged in."""
        answer, words = self.post("/log-in", {"user": user, "password": password}, peer, **more)
        assert answer.status == 200, words
        return answer.headers["Set-Cookie"].split(";")[0]

    def cookie_of(self, role: Role) -> str:
        """Return the cookie of the user of a role, who logs in once: a password is made to be slow to look at."""
        if role not in self.cookies:
            self.cookies[role] = self.log_in(role)
        return self.cookies[role]

    def who(self, **more: str) -> dict[str, Any]:
        answer, words = self.post("/who", method="GET", **more)
        assert answer.status == 200, words
        found: dict[str, Any] = json.loads(words)
        return found

    def actions(self) -> list[Action]:
        with ActionLog(self.settings) as log:
            found = [decode(message) for _, message in log.read(*log.span())]
        return [each for each in found if isinstance(each, Action)]

    def flags(self) -> tuple[Flag, ...]:
        with connect(self.settings) as redis:
            known = Copy(redis, self.settings.redis.key_prefix).read()
        return known.flags.get(RUN, ()) if known is not None else ()


@contextmanager
def serving(
    stack: LocalStack, directory: Path, *, away: bool = False, dashboard: Any = (), **access: Any
) -> Iterator[Site]:
    """Serve the page; Kafka may be away."""
    settings = settings_on(
        stack,
        f"acts-{directory.name}",
        kafka={"bootstrap_servers": f"{US}:{free_port()}"} if away else {},
        dashboard=DashboardSettings(port=free_port(), **dict(dashboard)),
        access=AccessSettings(directory=directory / "access", **access),
        checklist=ChecklistSettings(lines=[OWN]),
    )
    if not away:
        ensure_topics(settings)
    checkpoint(settings, {RUN: run_book(4)}, next=4)
    with Data(settings) as data:
        server = server_of(settings, data)
        thread = threading.Thread(target=server.run)
        thread.start()
        while not (server.started and data.has_run(RUN)):
            time.sleep(0.02)
        try:
            yield Site(settings, Accounts(settings.access.directory))
        finally:
            server.should_exit = True
            thread.join()


@pytest.fixture(scope="module")
def site(stack: LocalStack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Return a site with a user of each role, and a proxy that is believed."""
    with serving(stack, tmp_path_factory.mktemp("site"), proxy_peers=[PROXY]) as site:
        for role in Role:
            site.accounts.add_user(role.value, role, PASSWORD)
        site.accounts.add_user("anna", Role.SHIFTER, None)
        yield site


@pytest.fixture(autouse=True)
def _any_number_of_attempts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempts, "MOST", 10_000)


@pytest.fixture(scope="module")
def shifter(site: Site) -> str:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(attempts, "MOST", 10_000)
        return site.cookie_of(Role.SHIFTER)


def lower(role: Role) -> Role:
    return tuple(Role)[tuple(Role).index(role) - 1]


def tampered(cookie: str) -> str:
    name, _, value = cookie.partition("=")
    return f"{name}={value[:-3]}{'A' if value[-3] != 'A' else 'B'}{value[-2:]}"


def logged_out(site: Site, role: Role) -> str:
    if role not in site.logged_out:
        site.logged_out[role] = site.log_in(role)
        assert site.post("/log-out", Cookie=site.logged_out[role])[0].status == 200
    return site.logged_out[role]


def sessions_of(site: Site) -> sessions.Sessions:
    """Return the sessions of a site, as another process has them."""
    return sessions.Sessions(site.settings.access.directory, site.accounts, 1.0)


def named(site: Site, cookie: str) -> str:
    """Return a cookie with its name, as a browser sends it."""
    return f"{sessions_of(site).called(COOKIE)}={cookie}"


def expired(site: Site, role: Role) -> str:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(sessions.time, "time", lambda: 1_700_000_000.0)  # type: ignore[attr-defined]
        return sessions_of(site).begin(role)


def expired_token(site: Site, role: Role) -> str:
    if "over" not in site.accounts.tokens():
        return site.accounts.add_token("over", role, time.time() - 1)
    site.accounts.remove_token("over")
    return expired_token(site, role)


ATTACKS: dict[str, tuple[int, str, Callable[[Site, Role], dict[str, Any]]]] = {
    "no log-in": (401, "This needs {role}: log in.", lambda _site, _role: {}),
    "one who may less": (403, "{less} is {less}: this needs {role}.", lambda s, r: {"Cookie": s.cookie_of(lower(r))}),
    **{
        f"origin {origin}": (
            403,
            "A page of another server asked for this",
            lambda s, r, origin=origin: {"Cookie": s.cookie_of(r), "Origin": origin},
        )
        for origin in FOREIGN
    },
    "another site, as the browser says": (
        403,
        "A page of another server",
        lambda s, r: {"Cookie": s.cookie_of(r), "Sec_Fetch_Site": "cross-site"},
    ),
    "a form of a foreign page": (403, "Act-Id is missing", lambda s, r: {"Cookie": s.cookie_of(r), "Act_Id": ""}),
    "a foreign host": (
        400,
        "This server is not known as attacker.example",
        lambda s, r: {"Cookie": s.cookie_of(r), "Host": "attacker.example", "Origin": "http://attacker.example"},
    ),
    "a cookie after log out": (401, "This session is over", lambda s, r: {"Cookie": logged_out(s, r)}),
    "an expired cookie": (401, "This session is over", lambda s, r: {"Cookie": named(s, expired(s, r))}),
    "a tampered cookie": (401, "This session is over", lambda s, r: {"Cookie": tampered(s.cookie_of(r))}),
    "a cookie of rubbish": (401, "This session is over", lambda s, _r: {"Cookie": named(s, "W10.x")}),
    "a cookie of another page at this host": (
        401,
        "This needs {role}: log in.",
        lambda s, r: {"Cookie": s.cookie_of(r).replace("=", "0=")},
    ),
    "a cookie as another version has it": (
        401,
        "This session is over",
        lambda s, r: {"Cookie": named(s, sessions_of(s).sign([r], COOKIE))},
    ),
    "a doubled header of the proxy": (
        400,
        "is to name one user, once",
        lambda _s, _r: {"peer": PROXY, "headers": [("X-Forwarded-User", "anna"), ("X-Forwarded-User", "admin")]},
    ),
    "two in one header of the proxy": (
        400,
        "is to name one user, once",
        lambda _s, _r: {"peer": PROXY, "X_Forwarded_User": "anna, admin"},
    ),
    "a header of another peer": (
        401,
        "This needs {role}: log in.",
        lambda _s, _r: {"peer": OTHERS, "X_Forwarded_User": "admin"},
    ),
    "a header of another peer that says it is the proxy": (
        401,
        "This needs {role}: log in.",
        lambda _s, _r: {"X_Forwarded_User": "admin", "X_Forwarded_For": PROXY},
    ),
    "whom the proxy names and nobody knows": (
        403,
        "stranger is viewer",
        lambda _s, _r: {"peer": PROXY, "X_Forwarded_User": "stranger"},
    ),
    "an expired token": (
        401,
        "This token is none, or has expired",
        lambda s, r: {"Authorization": f"Bearer {expired_token(s, r)}"},
    ),
    "a wrong token beside a good cookie": (
        401,
        "This token is none",
        lambda s, r: {"Cookie": s.cookie_of(r), "Authorization": "Bearer x"},
    ),
    "a password in place of a token": (
        401,
        "This token is none",
        lambda _s, r: {"Authorization": f"Basic {r}:{PASSWORD}"},
    ),
}


@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize("path", ACTS)
def test_an_attack_is_refused_with_a_sentence_logged_and_nothing_is_written(site: Site, path: str, attack: str) -> None:
    role, said = ACTS[path]
    status, words, how = ATTACKS[attack]
    asked = how(site, role)
    before = site.actions()
    with capture_logs() as logged:
        answer, told = site.post(path, said, **asked)
    assert (answer.status, told) == (status, told), told
    assert words.format(role=role, less=lower(role)) in told
    assert told.endswith(".")
    assert site.actions() == before
    (line,) = logged
    assert "is refused" in line["event"]
    secrets = (asked.get("Cookie", ""), asked.get("Authorization", ""))
    assert not any(secret[-20:] in str(line) for secret in secrets if secret)


def test_every_address_that_takes_more_than_get_is_in_the_table(site: Site) -> None:
    with Data(site.settings) as data:
        routes = [route for route in create_app(site.settings, data).routes if isinstance(route, Route)]
    unsafe = {route.path for route in routes if (route.methods or {"ANY"}) - {"GET", "HEAD"}}
    assert "/act/flag" in unsafe
    assert unsafe == ACTS.keys() | OTHER_POSTS


def test_no_other_method_does_anything(site: Site, shifter: str) -> None:
    before = site.actions()
    for method in ("GET", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD"):
        for path, (_, said) in ACTS.items():
            assert site.post(path, said, method=method, Cookie=shifter)[0].status in {404, 405}
    assert site.actions() == before


@pytest.mark.parametrize("path", sorted(OTHER_POSTS))
def test_a_foreign_page_can_have_nothing_done(site: Site, path: str) -> None:
    for origin in FOREIGN:
        assert site.post(path, Origin=origin)[0].status == 403
    assert site.post(path, Host="attacker.example")[0].status == 400


def test_a_thousand_log_ins_a_minute_are_refused_and_neither_password_nor_name_is_logged(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempts, "MOST", 10)
    monkeypatch.setattr(attempts, "WITHIN_S", 600.0)  # a busy machine takes longer than a minute for a thousand

    def log_in(number: int, user: str = "admin", peer: str = US) -> int:
        said = {"user": user, "password": f"secret number {number}"}
        return site.post("/log-in", said, peer=peer)[0].status

    with capture_logs() as logged, ThreadPoolExecutor(8) as many:
        statuses = list(many.map(lambda number: log_in(number, peer="127.0.0.9"), range(1000)))
    assert {*statuses} == {401, 429}
    assert statuses.count(401) <= 10
    assert "secret" not in str(logged)
    # From elsewhere the same user is refused, and from there any other, whoever it is and whatever the password.
    assert log_in(1, peer="127.0.0.10") == 429
    assert log_in(1, "viewer", "127.0.0.9") == 429
    answer, words = site.post("/log-in", {"user": "viewer", "password": PASSWORD}, peer="127.0.0.9")
    assert answer.status == 429
    assert "try again in" in words
    assert int(answer.headers["Retry-After"]) > 0
    with capture_logs() as logged:
        assert log_in(1, "my password in the wrong field", "127.0.0.11") == 401
    assert "wrong field" not in str(logged)


def test_names_that_somebody_invents_push_out_nobody_whose_attempts_are_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(attempts, "MOST", 10)
    monkeypatch.setattr(attempts, "KEPT", 100)
    made = attempts.Attempts(lambda: 0.0)
    assert [made.wait_s("peer one", "user admin") for _ in range(10)] == [0.0] * 10
    assert all(made.wait_s("peer one", f"user {name}") > 0 for name in range(1000))
    assert made.wait_s("peer two", "user anna") == 0
    assert made.wait_s("peer one", "user anna") > 0
    assert made.wait_s("peer two", "user admin") > 0


def test_who_is_gone_before_all_was_said_is_no_error(site: Site, shifter: str) -> None:
    with capture_logs() as logged:
        with socket.create_connection((US, site.settings.dashboard.port)) as gone:
            head = f"Host: {site.host}\r\nCookie: {shifter}\r\nAct-Id: gone-00001\r\nContent-Length: 100"
            gone.sendall(f"POST /act/flag HTTP/1.1\r\n{head}\r\n\r\n{{".encode())
            time.sleep(0.2)
        assert site.post("/who", method="GET")[0].status == 200
        time.sleep(0.2)
    assert not logged


def test_what_is_no_log_in_is_refused(site: Site) -> None:
    for said in ({"user": "shifter"}, [], "rubbish", {"user": "x" * 65, "password": "y"}, {"user": 5, "password": 6}):
        answer, words = site.post("/log-in", said)
        assert answer.status == 400, words
    assert site.post("/log-in", {"user": "anna", "password": ""})[0].status == 401  # a proxy alone says who she is
    answer, _ = site.post("/log-in", {"user": "shifter", "password": f"{PASSWORD} "})
    assert answer.status == 401
    assert answer.headers["Set-Cookie"] is None


def test_a_session_is_its_own_and_ends_everywhere_when_its_user_is_another(site: Site) -> None:
    site.accounts.add_user("eve", Role.SHIFTER, PASSWORD)
    cookie, other = site.log_in("eve"), site.log_in("eve")
    assert site.who(Cookie=cookie)["role"] == "shifter"
    site.accounts.set_role("eve", Role.EXPERT)
    assert site.who(Cookie=cookie)["may"] == ["viewer", "shifter", "expert"]
    assert site.post("/log-out", Cookie=cookie)[0].status == 200
    assert site.who(Cookie=cookie)["name"] == ""
    assert site.who(Cookie=other)["name"] == "eve"
    site.accounts.add_user("eve", Role.EXPERT, f"{PASSWORD} again")
    assert site.who(Cookie=other)["name"] == ""
    last = site.log_in("eve", password=f"{PASSWORD} again")
    site.accounts.remove_user("eve")
    assert site.who(Cookie=last)["way"] == "nobody"
    # Who is added anew is another, also whom a proxy or a provider names.
    site.accounts.add_user("eve", Role.VIEWER, None)
    last = named(site, sessions_of(site).begin("eve"))
    assert site.who(Cookie=last)["name"] == "eve"
    site.accounts.remove_user("eve")
    site.accounts.add_user("eve", Role.ADMIN, None)
    assert site.who(Cookie=last)["way"] == "nobody"
    site.accounts.remove_user("eve")


@pytest.mark.parametrize("rubbish", ["[]", '{"an id": "soon"}', '{"an id": null}'])
def test_who_cannot_read_which_sessions_were_ended_lets_nobody_in_and_keeps_what_there_is(
    site: Site, rubbish: str
) -> None:
    cookie, path = site.log_in("shifter"), site.settings.access.directory / "ended.json"
    before = path.read_text() if path.exists() else None
    path.write_text(rubbish)
    path.chmod(0o600)
    try:
        for address, said in (("/act/flag", FLAG), ("/log-out", {})):
            answer, words = site.post(address, said, Cookie=cookie)
            assert (answer.status, words) == (503, "Nobody can say who is who: the server’s log says why."), address
        assert path.read_text() == rubbish
    finally:
        path.unlink() if before is None else path.write_text(before)
    assert site.who(Cookie=cookie)["name"] == "shifter"


def test_a_cookie_is_for_the_server_alone_and_secret_where_the_way_is(site: Site) -> None:
    def cookie(**more: str) -> str:
        answer, _ = site.post("/log-in", {"user": "viewer", "password": PASSWORD}, **more)
        return str(answer.headers["Set-Cookie"])

    plain, by_tls = cookie(), cookie(X_Forwarded_Proto="https")
    for each in (plain, by_tls):
        assert "HttpOnly" in each
        assert "SameSite=strict" in each
        assert "Max-Age=36000" in each
    assert "Secure" in by_tls
    assert "Secure" not in plain
    # Whom nobody listed is not believed that it came by TLS.
    answer, _ = site.post("/log-in", {"user": "viewer", "password": PASSWORD}, OTHERS, X_Forwarded_Proto="https")
    assert "Secure" not in answer.headers["Set-Cookie"]
    key = site.settings.access.directory / "key"
    assert key.stat().st_mode & 0o777 == 0o600


def test_a_flag_is_stored_when_it_is_answered_and_the_same_again_is_one(site: Site, shifter: str) -> None:
    before = len(site.actions())
    with ThreadPoolExecutor(4) as many:
        asked = [many.submit(site.post, "/act/flag", FLAG, Cookie=shifter, Act_Id="same-0001") for _ in range(4)]
    assert [each.result()[0].status for each in asked] == [200] * 4
    assert [flag.id for flag in site.flags()] == ["same-0001"]
    (action,) = site.actions()[before:]
    assert (action.who, action.origin, action.kind, action.subject) == ("shifter", "the page", "flag", str(RUN))
    # Another under this id is not taken for it.
    answer, words = site.post("/act/flag", FLAG | {"verdict": "good"}, Cookie=shifter, Act_Id="same-0001")
    assert (answer.status, words) == (409, "It was noted already.")


def test_28_a_note_with_what_is_no_picture_or_no_path_is_refused_and_who_asks_of_none_is_told(
    site: Site, shifter: str
) -> None:
    note, before = ACTS["/act/note"][1], site.actions()
    for changes, why in (
        (
            {"picture": base64.b64encode(b"<svg/>").decode()},
            "This is nothing that the page asks: the picture is no PNG.",
        ),
        ({"picture": "no base64"}, "This is nothing that the page asks: the picture is no PNG."),
        ({"picture": "A" * 900_001}, "This is nothing that the page asks: picture"),
        ({"path": "//x y"}, "This is nothing that the page asks: path"),
        ({"path": "javascript:alert(1)"}, "This is nothing that the page asks: path"),
    ):
        answer, words = site.post("/act/note", note | changes, Cookie=shifter)
        assert (answer.status, words[: len(why)]) == (400, why)
    assert site.actions() == before
    assert site.post("/logged?id=nothing", method="GET")[0].status == 404


def test_a_flag_is_verified_by_another_whoever_says_who_it_is_and_withdrawn(site: Site, shifter: str) -> None:
    its = {"run": RUN, "flag": "mine-0001"}
    assert site.post("/act/flag", FLAG, Cookie=shifter, Act_Id="mine-0001")[0].status == 200
    answer, words = site.post("/act/verify-flag", its, Cookie=shifter)
    assert answer.status == 409
    assert words == "Shifter set this flag: somebody else is to verify it."
    assert site.post("/act/verify-flag", its, peer=PROXY, X_Forwarded_User="anna")[0].status == 200
    token = site.accounts.add_token("ci", Role.EXPERT, time.time() + 60)
    assert site.post("/act/withdraw-flag", its, Authorization=f"Bearer {token}", Origin="")[0].status == 403
    asked = [("Authorization", f"Bearer {token}"), ("Host", site.host), ("Act-Id", "no-browser-01")]
    with closing(HTTPConnection(US, site.settings.dashboard.port, timeout=WAIT_S)) as program:
        program.request("POST", "/act/withdraw-flag", json.dumps(its), dict(asked))
        assert program.getresponse().status == 200
    flag = next(flag for flag in site.flags() if flag.id == "mine-0001")
    assert flag.verified is not None
    assert flag.withdrawn is not None
    assert (flag.verified.who, flag.withdrawn.who, flag.withdrawn.origin) == ("anna", "token:ci", "a program")
    assert token not in str(site.actions())


@pytest.mark.parametrize(
    ("changes", "status", "why"),
    [
        ({"run": 5}, 409, "There is no run 5 here."),
        ({"detector": "none"}, 409, "There is no detector none: there are"),
        ({"reason": ""}, 409, "Say why it is bad."),
        ({"first": 5, "last": 4}, 409, "There are no spills 5 to 4."),
        ({"verdict": "fine"}, 400, "This is nothing that the page asks: verdict"),
        ({"run": "5"}, 400, "This is nothing that the page asks: run"),
        ({"reason": "x" * 1001}, 400, "This is nothing that the page asks: reason"),
        ({"who": "admin"}, 400, "This is nothing that the page asks: who"),
    ],
)
def test_what_cannot_be_flagged_is_said(
    site: Site, shifter: str, changes: dict[str, Any], status: int, why: str
) -> None:
    before = site.actions()
    answer, words = site.post("/act/flag", FLAG | changes, Cookie=shifter)
    assert (answer.status, words[: len(why)]) == (status, why)
    assert site.actions() == before


def test_an_alarm_is_acknowledged_once_and_shelved_by_whoever_is_on_shift(site: Site, shifter: str) -> None:
    its = New("live", RUN, "TOF1//fewer", 44, 40, "TOF1 silent", "tof", "", Priority.HIGH)
    with connect(site.settings) as redis:
        decide(site.settings, redis, new_action(ActionKind.RAISE_ALARM, its.id, after=its.to_json(), origin="a test"))
    said = {"alarm": its.id}
    with ThreadPoolExecutor(4) as many:
        asked = [
            many.submit(site.post, "/act/acknowledge-alarm", said, Cookie=shifter, Act_Id="known-0001")
            for _ in range(4)
        ]
    assert [each.result()[0].status for each in asked] == [200] * 4
    answer, words = site.post("/act/acknowledge-alarm", said, peer=PROXY, X_Forwarded_User="anna")
    assert (answer.status, words) == (409, "Shifter acknowledged it already.")
    shelf = said | {"hours": 2, "reason": "known"}
    for changes, status, why in (
        ({"reason": " "}, 409, "Say why it is shelved."),
        ({"hours": 169}, 400, "This is nothing that the page asks: hours"),
        ({"hours": 0}, 400, "This is nothing that the page asks: hours"),
        ({"alarm": "12345678"}, 409, "There is no alarm 12345678"),
    ):
        answer, words = site.post("/act/shelve-alarm", shelf | changes, Cookie=shifter)
        assert (answer.status, words[: len(why)]) == (status, why)
    for _ in range(2):
        assert site.post("/act/shelve-alarm", shelf, Cookie=shifter, Act_Id="shelf-0001")[0].status == 200
    with connect(site.settings) as redis:
        (alarm,) = newest(site.settings, redis)().alarms
    assert alarm.acknowledged is not None
    assert alarm.shelved is not None
    assert (alarm.acknowledged.who, alarm.acknowledged.origin) == ("shifter", "the page")
    assert alarm.shelved.until_us - alarm.shelved.at_us == pytest.approx(7200e6, abs=1e6)
    kinds = [each.kind for each in site.actions() if "alarm" in each.kind]
    assert kinds == ["raise alarm", "acknowledge alarm", "shelve alarm"]


def test_an_expert_pins_a_reference_and_takes_it_back_and_each_is_noted_once(site: Site) -> None:
    expert, before = site.log_in("expert"), len(site.actions())
    said = {"run": RUN, "reason": "after the repair"}
    for path, what, status, why in (
        ("pin", said, 200, ""),
        ("pin", said, 200, ""),  # nobody knew whether it was done
        ("pin", {"run": 8}, 409, "There is no run 8 in the books"),
        ("pin", {"run": RUN, "replay": "../../decisions"}, 409, "There is no replay ../../decisions"),
        ("pin", {"run": RUN, "replay": "x" * 101}, 400, "This is nothing that the page asks: replay"),
        ("pin", {"run": RUN, "replay": {"name": "again"}}, 400, "This is nothing that the page asks: replay"),
        ("pin", {"run": RUN, "book": "/etc/passwd"}, 400, "This is nothing that the page asks: book"),
        ("unpin", {"run_type": ""}, 200, ""),
        ("unpin", {"run_type": ""}, 409, "No reference is pinned for the runs of type"),
        ("unpin", {"run_type": "x" * 101}, 400, "This is nothing that the page asks: run_type"),
    ):
        answer, words = site.post(f"/act/{path}-reference", what, Cookie=expert)
        assert (answer.status, words[: len(why)] if why else "") == (status, why), words
    pinned, taken_back = site.actions()[before:]
    assert (pinned.kind, pinned.who, pinned.origin, pinned.reason) == (
        "pin reference",
        "expert",
        "the page",
        "after the repair",
    )
    assert (taken_back.before, taken_back.after) == (pinned.after, '{"run": null}')


def test_a_run_that_its_daq_did_not_end_is_ended_and_it_is_noted_by_whom(site: Site, shifter: str) -> None:
    before = len(site.actions())
    for said, status, why in (
        ({"run": RUN, "reason": "the DAQ crashed"}, 200, ""),
        ({"run": 8}, 409, "There is no run 8: see spilldeck runs list."),
        ({"run": -1}, 400, "This is nothing that the page asks: run"),
    ):
        answer, words = site.post("/act/end-run", said, Cookie=shifter)
        assert answer.status == status, words
        assert why in words
    (action,) = site.actions()[before:]
    assert (action.kind, action.subject, action.who, action.reason) == (
        "end run",
        str(RUN),
        "shifter",
        "the DAQ crashed",
    )
    topic = Topics.of(site.settings).raw
    with closing(reader(site.settings)) as consumer:
        of_kafka = [
            decode(message.value() or b"")
            for partition in range(len(consumer.list_topics(topic).topics[topic].partitions))
            for message in messages(consumer, topic, partition, *span(consumer, topic, partition, WAIT_S), WAIT_S)
        ]
    (ended,) = {each for each in of_kafka if isinstance(each, RunControl)}  # each partition has it
    assert (ended.run, ended.kind, ended.time_us) == (RUN, ControlKind.END, run_book(4).ledger[3].time_us)


def asked_of(site: Site) -> dict[str, Any]:
    """Return what the page of the checklist has sent, of what it shows."""
    answer, shown = site.post("/checklist", method="GET")
    assert answer.status == 200
    (what,) = re.findall("data-what='([^']*)'", shown)
    names = (unescape(each) for each in re.findall("data-line='([^']*)'", shown))
    seen = re.findall("data-said='([^']*)'", shown)
    lines = [{"name": name, "seen": said} for name, said in zip(names, seen, strict=True)]
    return json.loads(unescape(what)) | {"who": "shifter", "lines": lines}


def test_27_a_checklist_is_sent_once_as_of_now_in_the_name_of_who_filled_it_in(
    stack: LocalStack, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with serving(stack, tmp_path_factory.mktemp("checklist"), proxy_peers=[PROXY]) as site:
        for name in ("shifter", "anna"):
            site.accounts.add_user(name, Role.SHIFTER, PASSWORD)
        shifter = site.log_in("shifter")
        now_ms, its = time.time_ns() // 1_000_000, run_book(4)
        totals = replace(its.totals, first_ms=now_ms - 9_000_000, produced_ms=now_ms, control=END, ended_ms=now_ms)
        checkpoint(site.settings, {RUN: replace(its, totals=totals)}, next=4)
        # What is sent while the checks change their mind is refused.
        while "The end of run" not in (page := site.post("/checklist", method="GET")[1]) or "judged yet" in page:
            time.sleep(0.1)
        said = asked_of(site)
        assert said["lines"][-1]["name"] == f"own: {OWN}"
        said["lines"][-1] |= {"person": "no", "remark": "D2 is <b>off</b>"}
        other = [*said["lines"][:-1], said["lines"][-1] | {"seen": "yes"}]
        for changes, status, why in (
            ({"who": "anna"}, 409, "This is shifter, and anna filled it in: look at it, and send it again."),
            ({"lines": other}, 409, f"Meanwhile the checks say something else: {OWN}. Look at it, and send it again."),
            ({"lines": said["lines"][1:]}, 409, "Meanwhile the checks say something else: Spills came."),
            ({"lines": []}, 409, "Meanwhile the checks say something else: Spills came."),
            ({"end": False}, 409, "This checklist is not due: look at what is."),
            ({"run": 5}, 409, "This checklist is not due: look at what is."),
            ({"lines": [*said["lines"], {"name": "more", "seen": "yes"}]}, 409, "The page asks for other lines"),
            ({"lines": said["lines"] * 2}, 409, "It has the same line twice."),
            ({"lines": [said["lines"][0] | {"person": "fine"}]}, 400, "This is nothing that the page asks: lines.0"),
            ({"lines": [said["lines"][0] | {"remark": "x" * 301}]}, 400, "This is nothing that the page asks: lines"),
            ({"lines": [{"name": str(at), "seen": "yes"} for at in range(101)]}, 400, "This is nothing that the page"),
            ({"due_us": -1}, 400, "This is nothing that the page asks: due_us"),
        ):
            answer, words = site.post("/act/checklist", said | changes, Cookie=shifter)
            assert (answer.status, words[: len(why)]) == (status, why)
        assert site.actions() == []
        with ThreadPoolExecutor(4) as many:
            asked = [
                many.submit(site.post, "/act/checklist", said, Cookie=shifter, Act_Id="same-0001") for _ in range(4)
            ]
        assert [each.result()[0].status for each in asked] == [200] * 4
        assert site.post("/act/checklist", said, Cookie=shifter, Act_Id="same-0001")[0].status == 200
        (action,) = site.actions()
        assert (action.kind, action.who, action.origin, action.subject) == (
            "checklist",
            "shifter",
            "the page",
            str(RUN),
        )
        stored = json.loads(action.after)
        assert (stored["spill"], stored["end"]) == (3, True)
        assert stored["lines"][-1] == [f"own: {OWN}", OWN, "not known", "", "no", "D2 is <b>off</b>"]
        # Who comes second sees that it is done, and by whom.
        answer, words = site.post("/act/checklist", said | {"who": "anna"}, peer=PROXY, X_Forwarded_User="anna")
        assert (answer.status, words.startswith("Shifter did it already, ")) == (409, True), words
        while "No checklist is due." not in (page := site.post("/checklist", method="GET")[1]):
            time.sleep(0.1)
        assert "D2 is &lt;b&gt;off&lt;/b&gt;" in page


def test_what_is_no_replay_is_refused_and_a_run_of_live_is_live_s_already(site: Site) -> None:
    expert, before = site.log_in("expert"), len(site.actions())
    for path in ("promote", "drop"):
        answer, words = site.post(f"/act/{path}-replay", {"name": "again"}, Cookie=expert)
        assert (answer.status, words) == (409, "There is no replay again: see spilldeck replays list.")
    assert site.post("/act/restore-run", {"run": RUN}, Cookie=expert)[0].status == 200
    assert site.actions()[before:] == []


def test_without_users_who_is_on_the_machine_may_act_and_nobody_else(
    stack: LocalStack, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with serving(stack, tmp_path_factory.mktemp("alone")) as site:
        assert site.who()["line"] == "No users are configured: whoever is on this machine may act."
        assert site.post("/act/flag", FLAG)[0].status == 200
        assert site.flags()[0].who.startswith("local@")
        for more in ({"X_Forwarded_For": "10.1.2.3"}, {"X_Forwarded_For": "127.0.0.1"}, {"Via": "1.1 proxy"}):
            answer, words = site.post("/act/flag", FLAG, **more)
            assert answer.status == 401
            assert "No users are configured" in words
            assert "on the machine of the page alone" in site.who(**more)["line"]
        # A header that names somebody is that of no proxy: none is listed.
        assert site.who(X_Forwarded_User="admin")["name"].startswith("local@")
        # As soon as there is a user it is closed; also when nobody can tell.
        site.accounts.add_user("shifter", Role.SHIFTER, PASSWORD)
        assert site.post("/act/flag", FLAG)[0].status == 401
        site.accounts.path.write_text("{")
        with capture_logs() as logged:
            answer, words = site.post("/act/flag", FLAG)
        assert (answer.status, words) == (503, "Nobody can say who is who: the server’s log says why.")
        assert "is damaged" in str(logged)
        site.accounts.path.chmod(0o644)
        with capture_logs() as logged:
            assert site.post("/act/flag", FLAG)[1] == words
            assert site.post("/who", method="GET")[1] == words
            assert site.post("/log-in", {"user": "shifter", "password": PASSWORD})[1] == words
        assert "others may read" in str(logged)
        assert len(site.actions()) == 1


def test_what_kafka_does_not_take_is_said_to_be_open_and_keeps_nobody_from_looking(
    stack: LocalStack, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(actions, "ANSWER_S", 0.5)
    with serving(stack, tmp_path_factory.mktemp("away"), away=True) as site, ThreadPoolExecutor(16) as many:
        asked = [many.submit(site.post, "/act/flag", FLAG, Act_Id="same-0001") for _ in range(2)]
        time.sleep(0.5)
        begun = time.monotonic()
        assert site.post("/live?path=/", method="GET")[0].status == 200
        assert time.monotonic() - begun < 2.0
        for each in asked:
            answer, words = each.result()
            assert answer.status == 503
            assert words.startswith("No Kafka answers at")
            assert words.endswith("Ask again: the same is noted once.")
        # Nor do those who want a hand-over, each of other hours, which are made one after the other.
        asked = [
            many.submit(site.post, f"/handover?hours={hours}", peer=f"127.0.0.{20 + hours % 4}", method="GET")
            for hours in range(1, 17)
        ]
        time.sleep(0.5)
        begun = time.monotonic()
        assert site.post("/live?path=/", method="GET")[0].status == 200
        assert time.monotonic() - begun < 2.0
        assert not all(each.done() for each in asked)
        assert {each.result()[0].status for each in asked} == {503}
