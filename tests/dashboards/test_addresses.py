"""The page below a prefix: each address that it makes is there, and what a proxy says is believed of those listed."""

import json
import re
from collections.abc import Iterator
from urllib.parse import urlencode

import pytest
from pydantic import ValidationError
from structlog.testing import capture_logs

from dashboards.access.roles import Role
from ops.stack import LocalStack
from streams.experiment import experiment
from streams.settings import DashboardSettings
from tests.conftest import PROJECT
from tests.dashboards.test_acts import OTHERS, PASSWORD, PROXY, Site, serving
from tests.dashboards.test_server import Page
from tests.dashboards.views import RUN

pytestmark = pytest.mark.servers

PREFIX = "/spilldeck"
NAME = "data.example.org"
PAGES = (
    *("/", "/changed", "/replays", "/alarms", "/issues", "/try", "/plot/ht01", f"/spill/{RUN}/0"),
    *(f"/detector/{name}" for name in experiment().detectors),
    "/detector/tof/expert",
)
OURS = (
    "/log-in",
    "/checklist",
    "/handover",
    "/handover.md",
    "/alarm/0123456789abcdef",
    "/_dash-layout",
    "/_dash-dependencies",
    "/who",
)
IN_HTML = re.compile(r"""(?:href|src|action|data-act)\s*=\s*["'](/[^"']*)""")
IN_JSON = re.compile(r'"(/[a-z_][^"\\ ]*)')
IN_SCRIPT = re.compile(r"""(?<!below\()(?<!dataset\.prefix \+ )["'`](/[a-z_][\w/-]*)""")


@pytest.fixture(scope="module")
def site(stack: LocalStack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Return a page below a prefix, and a proxy that is believed."""
    below = {"prefix": f"{PREFIX}/", "names": [NAME]}
    with serving(stack, tmp_path_factory.mktemp("below"), dashboard=below, proxy_peers=[PROXY]) as site:
        site.accounts.add_user("viewer", Role.VIEWER, PASSWORD)
        yield site


@pytest.fixture(autouse=True)
def _any_number_of_attempts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dashboards.access.attempts.MOST", 10_000)


def get(site: Site, path: str, **more: str) -> tuple[int, str]:
    answer, words = site.post(path, method="GET", **more)
    return answer.status, words


def test_each_address_that_is_served_is_below_the_prefix(site: Site) -> None:
    status, index = get(site, f"{PREFIX}/")
    assert status == 200
    found = [("the page", each) for each in IN_HTML.findall(index)]
    assert json.loads(re.findall(r"<script id=\"_dash-config\"[^>]*>(.*?)</script>", index)[0])[
        "requests_pathname_prefix"
    ] == (f"{PREFIX}/")
    for path in OURS:
        status, words = get(site, f"{PREFIX}{path}")
        assert status == (404 if path.startswith("/alarm/") else 200), path
        is_html = "html" in words[:20]
        words = words if is_html or path.endswith(".md") else json.dumps(json.loads(words))
        found += [(path, each) for each in (IN_HTML if is_html else IN_JSON).findall(words)]
    page = Page(site.settings.dashboard.port, None)  # type: ignore[arg-type]  # it is asked for over HTTP alone
    page.prefix = PREFIX
    for path in PAGES:
        assert get(site, f"{PREFIX}{path}")[0] == 200, path
        status, words = get(site, f"{PREFIX}/live?{urlencode({'path': PREFIX + path, 'search': f'?run={RUN}'})}")
        assert status == 200, path
        found += [(f"live of {path}", each) for each in IN_JSON.findall(words)]
        answer, body = page.post(page.update(f"?run={RUN}", f"{PREFIX}{path}"))
        assert answer.status == 200, path
        made = json.dumps(json.loads(body))  # Dash writes a slash as an escape
        assert f'"data-path": "{PREFIX}{path}"' in made
        found += [(f"update of {path}", each) for each in IN_JSON.findall(made)]
    assert len(found) > 500
    assert not [each for each in found if not each[1].startswith(f"{PREFIX}/")]
    for address in {each.partition("?")[0] for _, each in found if re.search(r"/assets/|/[0-9a-f]{12}-|\.js", each)}:
        assert get(site, address)[0] == 200, address


def test_our_scripts_make_no_address_but_below_the_prefix() -> None:
    scripts = [*(PROJECT / "dashboards/assets").glob("*.js"), *(PROJECT / "dashboards/served").glob("*.js")]
    assert len(scripts) > 6
    assert not {each.name: found for each in scripts if (found := IN_SCRIPT.findall(each.read_text()))}


def test_whether_a_proxy_takes_the_prefix_away_is_no_matter(site: Site) -> None:
    for path in ("/who", "/detector/tof", "/no/such/page"):
        assert get(site, path)[0] == get(site, f"{PREFIX}{path}")[0]
    assert get(site, PREFIX)[0] == 200
    assert get(site, f"{PREFIX}x")[0] == 404


def log_in(site: Site, peer: str, **more: str) -> str:
    """Return the cookie that somebody gets."""
    answer, words = site.post("/log-in", {"user": "viewer", "password": PASSWORD}, peer, **more)
    assert answer.status == 200, words
    return str(answer.headers["Set-Cookie"])


def refused_peer(site: Site, peer: str, **more: str) -> str:
    """Return who is said to have tried to log in in vain."""
    with capture_logs() as logs:
        assert site.post("/log-in", {"user": "viewer", "password": "wrong"}, peer, **more)[0].status == 401
    return str(next(each["peer"] for each in logs if each["event"] == "a log-in is refused")).strip("'")


def test_what_a_listed_proxy_says_is_believed_and_no_other(site: Site) -> None:
    by_rfc = {"Forwarded": 'for=10.9.8.7;proto=https;host="data.example.org"', "Origin": f"https://{NAME}"}
    by_habit = {"X_Forwarded_For": "10.9.8.7", "X_Forwarded_Proto": "https", "X_Forwarded_Host": NAME}
    for said in (by_rfc, by_habit | {"Origin": f"https://{NAME}"}):
        cookie = log_in(site, PROXY, **said)
        assert "Secure" in cookie
        assert f"Path={PREFIX}/;" in f"{cookie};"
        assert refused_peer(site, PROXY, **said) == "10.9.8.7"
        unlisted = {name: value for name, value in said.items() if name != "Origin"}
        assert "Secure" not in log_in(site, OTHERS, **unlisted)
        assert refused_peer(site, OTHERS, **unlisted) == OTHERS


@pytest.mark.parametrize(
    ("said", "peer"),
    [
        ({"Forwarded": 'for="[2001:db8::7]:4711"'}, "2001:db8::7"),
        ({"Forwarded": "for=10.1.1.1, for=10.9.8.7:81"}, "10.9.8.7"),
        ({"Forwarded": "for=10.1.1.1", "X_Forwarded_For": "10.9.8.7"}, "10.9.8.7"),
        ({"Forwarded": ";;=,"}, PROXY),
        ({}, PROXY),
    ],
)
def test_who_asks_is_the_last_whom_no_proxy_of_ours_is(site: Site, said: dict[str, str], peer: str) -> None:
    assert refused_peer(site, PROXY, **said) == peer


@pytest.mark.parametrize(
    ("peer", "headers", "status"),
    [
        (PROXY, {"X_Forwarded_Host": NAME}, 200),
        (PROXY, {"X_Forwarded_Host": "attacker.example"}, 400),
        # Led here by another's name, a browser may say any of these.
        (PROXY, {"Host": "attacker.example", "X_Forwarded_Host": NAME}, 400),
        (OTHERS, {"Host": "attacker.example", "X_Forwarded_Host": NAME}, 400),
        (OTHERS, {"X_Forwarded_Host": "attacker.example"}, 200),
        (PROXY, {"X_Forwarded_Prefix": f"{PREFIX}/"}, 200),
        (PROXY, {"X_Forwarded_Prefix": "/other"}, 400),
        (OTHERS, {"X_Forwarded_Prefix": "/other"}, 200),
    ],
)
def test_a_name_or_a_prefix_that_is_not_ours_is_refused(
    site: Site, peer: str, headers: dict[str, str], status: int
) -> None:
    assert site.post("/who", method="GET", peer=peer, **headers)[0].status == status


def test_an_address_that_contradicts_the_prefix_is_refused() -> None:
    its = DashboardSettings(prefix="/a/b/", url="https://host/a/b")
    assert its.link("/alarm/1") == "https://host/a/b/alarm/1"
    with pytest.raises(ValidationError, match="it ends in /a/b"):
        DashboardSettings(prefix="/a/b", url="https://host/")
    with pytest.raises(ValidationError):
        DashboardSettings(prefix="a")
