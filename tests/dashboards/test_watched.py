"""Who is told how the page is, and which questions count as what."""

import pytest
from starlette.requests import Request

from dashboards.access.identity import is_here
from dashboards.watched import _what

PEERS = frozenset({"192.0.2.7", "2001:db8::7"})


def asked(peer: str, **headers: str) -> Request:
    fields = [(name.lower().replace("_", "-").encode(), its.encode()) for name, its in headers.items()]
    return Request({"type": "http", "headers": fields, "spilldeck.peer": peer})


@pytest.mark.parametrize(
    "peer", ["127.0.0.1", "127.8.9.10", "::1", "::ffff:127.0.0.1", "192.0.2.7", "::ffff:192.0.2.7", "2001:db8:0::7"]
)
def test_this_machine_and_the_peers_of_the_settings_are_told(peer: str) -> None:
    assert is_here(asked(peer), PEERS)
    assert not is_here(asked(peer, X_Forwarded_For="127.0.0.1"), PEERS)
    assert not is_here(asked(peer, Forwarded="for=127.0.0.1"), PEERS)


@pytest.mark.parametrize("peer", ["192.0.2.8", "2001:db8::8", "", "localhost", "unix:", "0x7f000001"])
def test_nobody_else_is(peer: str) -> None:
    assert not is_here(asked(peer), PEERS)


def test_without_peers_only_this_machine_is() -> None:
    assert not is_here(asked("192.0.2.7"))


@pytest.mark.parametrize(
    ("path", "what"),
    [
        ("/", "page"),
        ("/_dash-layout", "page"),
        ("/live", "live"),
        ("/act/flag", "act"),
        ("/who", "other"),
        ("", "other"),
    ],
)
def test_whatever_is_asked_has_one_of_a_few_labels(path: str, what: str) -> None:
    assert _what(path) == what
