"""Logging in at a provider of OpenID Connect, a small one on loopback that can lie in many ways."""

import base64
import hashlib
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
import uvicorn
from fastapi import FastAPI, Request, Response
from joserfc import jwt
from joserfc.jwk import OctKey, RSAKey
from structlog.testing import capture_logs

from dashboards.access.roles import Role
from ops.stack import LocalStack, free_port
from tests.dashboards.test_acts import PASSWORD, Site, serving

pytestmark = pytest.mark.servers

CLIENT, SECRET = "spilldeck", "a secret of the client"
WEEK_S = 604_800


@dataclass
class Provider:
    """What it says of whoever comes; each may be wrong."""

    port: int = field(default_factory=free_port)
    key: RSAKey = field(default_factory=lambda: RSAKey.generate_key(2048, {"kid": "one"}, auto_kid=False))
    lies: Callable[[dict[str, Any]], Any] = lambda claims: claims
    sign: Callable[["Provider", dict[str, Any]], str] = lambda self, claims: jwt.encode(
        {"alg": "RS256", "kid": "one"}, claims, self.key
    )
    status: int = 200
    began: dict[str, str] = field(default_factory=dict)
    """What the last authorisation asked for."""

    @property
    def issuer(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def authorise(self, address: str) -> str:
        """Log somebody in who was led to an address; return where he is led back."""
        self.began = {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
        assert address.startswith(f"{self.issuer}/authorise?")
        assert self.began["code_challenge_method"] == "S256"
        answer = urlencode({"code": "the-code", "state": self.began["state"]})
        return f"{urlsplit(self.began['redirect_uri']).path}?{answer}"

    def server(self) -> FastAPI:
        server = FastAPI()

        @server.get("/.well-known/openid-configuration")
        def metadata() -> dict[str, str]:
            paths = {"authorization_endpoint": "authorise", "token_endpoint": "token", "jwks_uri": "keys"}
            return {"issuer": self.issuer} | {name: f"{self.issuer}/{path}" for name, path in paths.items()}

        @server.get("/keys")
        def keys() -> dict[str, Any]:
            return {"keys": [self.key.as_dict(private=False)]}

        @server.post("/token")
        async def token(request: Request) -> Any:
            asked = {name: values[0] for name, values in parse_qs((await request.body()).decode()).items()}
            digest = hashlib.sha256(asked.get("code_verifier", "").encode()).digest()
            is_ours = base64.urlsafe_b64encode(digest).rstrip(b"=").decode() == self.began["code_challenge"]
            if self.status != 200 or not is_ours or asked.get("code") != "the-code":
                return Response('{"error": "invalid_grant"}', 400, media_type="application/json")
            now = int(time.time())
            claims = {
                "iss": self.issuer, "aud": CLIENT, "sub": "17", "iat": now, "exp": now + 60,
                "nonce": self.began["nonce"], "preferred_username": "anna",
            }  # fmt: skip
            return {"access_token": "x", "token_type": "Bearer", "id_token": self.sign(self, self.lies(claims))}

        return server


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    provider = Provider()
    server = uvicorn.Server(uvicorn.Config(provider.server(), port=provider.port, log_level="error", ws="none"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.02)
    yield provider
    server.should_exit = True
    thread.join()


@pytest.fixture(scope="module")
def site(stack: LocalStack, provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    names = {"oidc_issuer": provider.issuer, "oidc_client": CLIENT, "oidc_secret": SECRET}
    with serving(stack, tmp_path_factory.mktemp("oidc"), **names) as site:
        site.accounts.add_user("anna", Role.SHIFTER, None)
        yield site


@pytest.fixture(autouse=True)
def _honest(provider: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dashboards.access.attempts.MOST", 10_000)
    for name in ("lies", "sign", "status"):
        monkeypatch.setattr(provider, name, getattr(provider, name))


def begin(site: Site, came_from: str = "/") -> tuple[str, str]:
    """Return where one is led, and the cookie that is kept."""
    answer, words = site.post(f"/log-in/provider?{urlencode({'next': came_from})}", method="GET")
    assert answer.status == 303, words
    cookie = answer.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    return answer.headers["Location"], cookie.split(";")[0]


def test_who_logs_in_at_the_provider_has_the_role_of_the_users_file(site: Site, provider: Provider) -> None:
    assert "/log-in/provider" in site.post("/log-in", method="GET")[1]
    to, kept = begin(site, "/plot/ht01?run=5")
    answer, words = site.post(provider.authorise(to), method="GET", Cookie=kept)
    assert (answer.status, answer.headers["Location"]) == (303, "/plot/ht01?run=5"), words
    session = next(each for each in answer.headers.get_all("Set-Cookie", []) if "SameSite=strict" in each)
    assert site.who(Cookie=session.split(";")[0])["role"] == "shifter"
    assert SECRET not in to
    # By a password she cannot log in.
    assert site.post("/log-in", {"user": "anna", "password": PASSWORD})[0].status == 401


@pytest.mark.parametrize("elsewhere", ["https://attacker.example", "//attacker.example", "/\\attacker.example", ""])
def test_nobody_is_led_elsewhere(site: Site, provider: Provider, elsewhere: str) -> None:
    to, kept = begin(site, elsewhere)
    answer, _ = site.post(provider.authorise(to), method="GET", Cookie=kept)
    assert answer.headers["Location"] == "/"


OTHER_KEY = RSAKey.generate_key(2048, {"kid": "one"}, auto_kid=False)


def unsigned(_: Provider, claims: dict[str, Any]) -> str:
    signed = jwt.encode({"alg": "HS256"}, claims, OctKey.import_key("x" * 32))
    head = base64.urlsafe_b64encode(b'{"alg":"none"}').rstrip(b"=").decode()
    return f"{head}.{signed.split('.')[1]}."


LIES: dict[str, dict[str, Any]] = {
    "another nonce": {"lies": lambda claims: claims | {"nonce": "of another log-in"}},
    "no nonce": {"lies": lambda claims: {name: value for name, value in claims.items() if name != "nonce"}},
    "for another client": {"lies": lambda claims: claims | {"aud": "another"}},
    "for another client, too": {"lies": lambda claims: claims | {"aud": [CLIENT, "another"], "azp": "another"}},
    "of another provider": {"lies": lambda claims: claims | {"iss": "http://127.0.0.1:1"}},
    "over": {"lies": lambda claims: claims | {"exp": int(time.time()) - WEEK_S}},
    "without an end": {"lies": lambda claims: {name: value for name, value in claims.items() if name != "exp"}},
    "signed by another": {"sign": lambda _, claims: jwt.encode({"alg": "RS256", "kid": "one"}, claims, OTHER_KEY)},
    "signed by nobody": {"sign": unsigned},
    "signed by the client's secret": {
        "sign": lambda _, claims: jwt.encode({"alg": "HS256"}, claims, OctKey.import_key(SECRET))
    },
    "rubbish": {"sign": lambda *_: "rubbish"},
    "no such code": {"status": 400},
}


@pytest.mark.parametrize("lie", LIES)
def test_a_word_of_the_provider_that_is_none_is_refused(
    site: Site, provider: Provider, monkeypatch: pytest.MonkeyPatch, lie: str
) -> None:
    for name, value in LIES[lie].items():
        monkeypatch.setattr(provider, name, value)
    to, kept = begin(site)
    with capture_logs() as logged:
        answer, words = site.post(provider.authorise(to), method="GET", Cookie=kept)
    assert (answer.status, words) == (401, "Nobody has logged in at the provider: begin again at /log-in.")
    assert answer.headers["Set-Cookie"] is None
    assert SECRET not in str(logged)
    assert "the-code" not in str(logged)


def test_whom_no_user_is_called_like_is_refused(
    site: Site, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("stranger", "", None, ["anna"], "an\nna"):
        monkeypatch.setattr(provider, "lies", lambda claims, name=name: claims | {"preferred_username": name})
        to, kept = begin(site)
        answer, words = site.post(provider.authorise(to), method="GET", Cookie=kept)
        assert answer.status == 403
        assert words.startswith("No user here is called")


def test_another_browser_or_another_log_in_is_refused(site: Site, provider: Provider) -> None:
    to, kept = begin(site)
    back = provider.authorise(to)
    _, other = begin(site)
    for cookie in ("", f"{kept}x", "spilldeck-log-in=W10.x"):
        answer, words = site.post(back, method="GET", Cookie=cookie)
        assert (answer.status, words) == (401, "This log-in was not begun here: begin again at /log-in.")
    for path, cookie in ((back, other), (back.replace("state=", "state=x"), kept), ("/log-in/back", kept)):
        answer, words = site.post(path, method="GET", Cookie=cookie)
        assert (answer.status, words[:20]) == (401, "Nobody has logged in"), path


def test_a_provider_that_is_away_is_said(stack: LocalStack, tmp_path_factory: pytest.TempPathFactory) -> None:
    names = {"oidc_issuer": f"http://127.0.0.1:{free_port()}", "oidc_client": CLIENT, "oidc_secret": SECRET}
    with serving(stack, tmp_path_factory.mktemp("no-provider"), **names) as site:
        answer, words = site.post("/log-in/provider", method="GET")
        assert answer.status == 503
        assert words == "The provider of access.oidc_issuer does not answer (ConnectionError)."
        assert site.post("/act/flag", {})[0].status == 401  # somebody is configured


def test_below_a_prefix_the_provider_brings_back_below_it(
    stack: LocalStack, provider: Provider, tmp_path_factory: pytest.TempPathFactory
) -> None:
    names = {"oidc_issuer": provider.issuer, "oidc_client": CLIENT, "oidc_secret": SECRET}
    with serving(stack, tmp_path_factory.mktemp("below"), dashboard={"prefix": "/below/"}, **names) as site:
        site.accounts.add_user("anna", Role.SHIFTER, None)
        answer, words = site.post("/below/log-in/provider", method="GET")
        assert answer.status == 303, words
        assert parse_qs(urlsplit(answer.headers["Location"]).query)["redirect_uri"][0].endswith("/below/log-in/back")
        kept = answer.headers["Set-Cookie"]
        assert "Path=/below/log-in/back;" in kept
        back = provider.authorise(answer.headers["Location"])
        answer, words = site.post(back, method="GET", Cookie=kept.split(";")[0])
        assert (answer.status, answer.headers["Location"]) == (303, "/below/"), words
