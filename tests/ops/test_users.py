"""spilldeck users and tokens: kept for their owner alone, and never in words."""

import json
import stat
import threading
from pathlib import Path

import pytest

from dashboards.access.accounts import Accounts
from dashboards.access.roles import Role
from tests.ops.conftest import Spilldeck, assert_one_sentence

PASSWORD = "correct horse battery"


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "password").write_text(f"{PASSWORD}\n")
    return {"SPILLDECK_ACCESS__DIRECTORY": str(tmp_path / "access")}


def add(spilldeck: Spilldeck, env: dict[str, str], tmp_path: Path, name: str = "anna", role: str = "shifter") -> None:
    done = spilldeck("users", "add", name, "--role", role, "--password-file", tmp_path / "password", env=env)
    assert (done.returncode, done.stdout) == (0, f"{name} is {role}\n"), done.stderr


def test_users_are_added_given_roles_and_removed(
    spilldeck_here: Spilldeck, env: dict[str, str], tmp_path: Path
) -> None:
    add(spilldeck_here, env, tmp_path)
    assert spilldeck_here("users", "add", "bob", "--role", "viewer", "--no-password").returncode == 0
    assert spilldeck_here("users", "role", "anna", "expert").returncode == 0
    assert json.loads(spilldeck_here("users", "list", "--json").stdout) == [
        {"name": "anna", "role": "expert", "password": True},
        {"name": "bob", "role": "viewer", "password": False},
    ]
    known = Accounts(tmp_path / "access")
    assert known.is_password("anna", PASSWORD)
    assert not known.is_password("anna", f"{PASSWORD}x")
    assert not known.is_password("bob", "")
    assert not known.is_password("nobody", PASSWORD)
    assert spilldeck_here("users", "remove", "anna").returncode == 0
    assert not known.is_password("anna", PASSWORD)  # without a new start


def test_a_token_is_printed_once_and_expires(spilldeck_here: Spilldeck, env: dict[str, str], tmp_path: Path) -> None:
    token = spilldeck_here("tokens", "add", "ci", "--role", "expert", env=env).stdout.strip()
    known = Accounts(tmp_path / "access")
    assert known.token_name(token) == "ci"
    assert known.token_name(f"{token}x") is None
    over = spilldeck_here("tokens", "add", "over", "--role", "expert", "--days", "0").stdout.strip()
    assert known.token_name(over) is None
    assert "there is a token ci" in assert_one_sentence(spilldeck_here("tokens", "add", "ci", "--role", "admin"), 2)
    said = spilldeck_here("tokens", "list").stdout
    assert "expired" in said
    assert token not in said
    assert spilldeck_here("tokens", "remove", "ci").returncode == 0
    assert known.token_name(token) is None


def test_no_secret_is_in_the_file_nor_may_others_read_it(
    spilldeck_here: Spilldeck, env: dict[str, str], tmp_path: Path
) -> None:
    add(spilldeck_here, env, tmp_path)
    token = spilldeck_here("tokens", "add", "ci", "--role", "expert").stdout.strip()
    file = tmp_path / "access" / "accounts.json"
    assert [stat.S_IMODE(path.stat().st_mode) for path in (file, file.parent)] == [0o600, 0o700]
    assert {path.name for path in file.parent.iterdir()} == {".lock", "accounts.json"}
    text = file.read_text()
    assert PASSWORD not in text
    assert token not in text
    assert "$argon2id$" in text
    file.chmod(0o640)
    assert "others may read" in assert_one_sentence(spilldeck_here("users", "list"), 1)


@pytest.mark.parametrize("text", ["{", "[]", '{"users": 5}', '{"users": {"a": {"role": "king", "password": ""}}}'])
def test_a_damaged_file_is_said_and_kept(
    spilldeck_here: Spilldeck, env: dict[str, str], tmp_path: Path, text: str
) -> None:
    add(spilldeck_here, env, tmp_path)
    file = tmp_path / "access" / "accounts.json"
    file.write_text(text)
    assert "is damaged" in assert_one_sentence(spilldeck_here("users", "list"), 1)
    assert file.read_text() == text


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["users", "add", "anna", "--role", "shifter"], "a password is asked on a terminal"),
        (["users", "add", "../x", "--role", "shifter", "--no-password"], "a name has 1 to 64 letters"),
        (["users", "add", "anna", "--role", "shifter", "--password-file", "none"], "no password can be read from none"),
        (["users", "add", "anna", "--role", "shifter", "--password-file", "short"], "a password has 10 to 1000"),
        (["users", "remove", "anna"], "there is no user anna: see spilldeck users list"),
        (["tokens", "remove", "ci"], "there is no token ci: see spilldeck tokens list"),
    ],
)
def test_what_cannot_be_is_one_sentence(
    spilldeck_here: Spilldeck,
    env: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    why: str,
) -> None:
    (tmp_path / "short").write_text("short\n")
    monkeypatch.chdir(tmp_path)
    assert why in assert_one_sentence(spilldeck_here(*arguments, env=env), 2)


def test_what_many_change_at_once_is_all_there(tmp_path: Path) -> None:
    def change(number: int) -> None:
        Accounts(tmp_path).add_user(f"user{number}", Role.VIEWER, None)

    changing = [threading.Thread(target=change, args=(number,)) for number in range(12)]
    for each in changing:
        each.start()
    for each in changing:
        each.join()
    assert len(Accounts(tmp_path).users()) == 12


def test_config_show_lists_lists(spilldeck_here: Spilldeck) -> None:
    env = {"SPILLDECK_ACCESS__PROXY_PEERS": '["10.0.0.1", "::1"]', "SPILLDECK_DASHBOARD__NAMES": '["daq.example"]'}
    found = json.loads(spilldeck_here("config", "show", "--json", env=env).stdout)
    assert found["access.proxy_peers"]["value"] == "10.0.0.1; ::1"
    assert found["dashboard.names"]["value"] == "daq.example"
