"""What one looks at, logged: words, picture and link, in the clipboard, a file, the record and the site's logbook."""

import base64
import json
import re
from collections.abc import Iterator
from http import HTTPStatus
from io import BytesIO

import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from dashboards.logbook import ORPHAN_S
from ops.demo import Running
from ops.stack import free_port
from streams.experiments.mice.simulator import SimulatedRun
from streams.settings import DashboardSettings
from tests.browser.conftest import (
    WAIT_S,
    Site,
    environment,
    faults,
    go_to,
    open_page,
    until_drawn,
    until_handed_over,
)
from tests.browser.test_alarms import TELEPHONE_BYTES, WORDS, raised
from tests.browser.test_flags import SPILLS, played
from tests.ops.test_alarms import Hook, listening

__all__ = ["played"]
pytestmark = [pytest.mark.servers, pytest.mark.browser]

ACT = "([path, id, body]) => fetch(path, {method: 'POST', headers: {'Act-Id': id}, body}).then(its => its.status)"
PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture(scope="module")
def logbook() -> Iterator[Hook]:
    with listening() as server:
        yield server


@pytest.fixture
def hook(logbook: Hook) -> Hook:
    """Return the logbook, to which nothing was told."""
    logbook.status = 200
    logbook.told.clear()
    return logbook


@pytest.fixture(scope="module")
def address(site: Site, logbook: Hook) -> Iterator[str]:
    """Serve a page of which the site has a logbook; return where."""
    settings = site.settings.model_copy(update={"dashboard": DashboardSettings(port=free_port())})
    here = f"http://127.0.0.1:{settings.dashboard.port}"
    its = {"SPILLDECK_LOGBOOK__WEBHOOK": logbook.address, "SPILLDECK_DASHBOARD__URL": here}
    with Running(settings, site.running.directory, environment(settings) | its) as running:
        running.start("page with a logbook", "dashboard")
        yield here


def test_28_what_one_looks_at_is_logged_with_words_picture_and_link_and_its_failure_is_told(
    site: Site, page: Page, played: SimulatedRun, address: str, hook: Hook, axe: str
) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"], origin=address)
    open_page(page, f"{address}/plot/hslabhits10?run={played.run}")
    until_drawn(page, "hslabhits10", played, SPILLS - 1)
    expect(page.get_by_role("button", name="Log it")).to_be_visible()
    page.keyboard.press("e")
    text = page.get_by_label("Note")
    expect(text).to_have_value(re.compile(f"^As of spill {SPILLS - 1}: "))
    expect(text).to_be_focused()
    begins = text.input_value()
    assert begins == text.evaluate("its => its.value.slice(its.selectionStart, its.selectionEnd)")
    page.keyboard.press("End")
    page.keyboard.type(" <b>and</b> more")
    with page.expect_download() as download:
        page.get_by_role("button", name="As Markdown").click()
    written = download.value.path().read_text()
    assert download.value.suggested_filename.endswith(".md")
    assert written.startswith(f"# Run {played.run}\n\nAs of spill")
    assert "\\<b\\>and\\</b\\> more" in written
    (picture,) = [line for line in written.splitlines() if line.startswith("![TOF1 slab hits")]
    assert base64.b64decode(picture.partition("base64,")[2].rstrip(")")).startswith(PNG)
    assert written.endswith(f"<{address}/plot/hslabhits10?run={played.run}>\n")
    page.evaluate(axe)
    assert not faults(page, "log it", "light")

    page.get_by_role("button", name=f"Log it of run {played.run}").click()
    expect(page.locator("#note-status")).to_have_text("Noted, and in the clipboard. The logbook has it.")
    kinds = page.evaluate("async () => (await navigator.clipboard.read()).flatMap(each => each.types)")
    assert {"text/plain", "image/png"} <= {*kinds}
    ((told_id, _, body),) = hook.told
    said = json.loads(body)
    assert (said["id"], said["run"], said["plot"]) == (told_id, played.run, "hslabhits10")
    assert said["note"] == f"{begins} <b>and</b> more"
    assert said["link"] == f"{address}/plot/hslabhits10?run={played.run}"
    assert base64.b64decode(said["picture"]).startswith(PNG)

    # Nobody waits for a logbook that does not answer; it is told to who logged it, and nothing is lost.
    hook.status = 500
    page.keyboard.press("Escape")
    open_page(page, f"{address}/?run={played.run}")
    page.get_by_role("button", name="Log it").click()
    expect(text).to_have_value(re.compile("^As of spill"))  # focused a moment before that is written into it
    page.keyboard.type("the whole run")
    page.get_by_role("button", name=f"Log it of run {played.run}").click()
    expect(page.locator("#note-status")).to_contain_text("Noted")
    page.keyboard.press("Escape")
    told = page.locator(".logged")
    expect(told).to_contain_text(f"The logbook has not got what was logged of run {played.run}: it answers 500.")
    expect(told).to_contain_text("It is in the record, and told again.")
    page.evaluate(axe)
    assert not faults(page, "not told", "light")
    hook.status = 200
    expect(told).to_have_count(0)
    assert json.loads(hook.told[-1][2])["note"] == "the whole run"
    assert json.loads(hook.told[-1][2])["picture"] == ""
    page.goto(f"{address}/handover")
    until_handed_over(page, lambda said: "the whole run" in said)
    notes = page.locator("section", has=page.get_by_role("heading", name="Notes"))
    expect(notes).to_contain_text("the whole run")

    with raised(site, played):
        open_page(page, f"{address}/alarms")
        page.locator("table.alarms").get_by_role("button", name="Log it").first.click()
        expect(page.get_by_label("Note")).to_have_value(f"As of spill {SPILLS - 1}: {WORDS}")
    page.goto("about:blank")  # before its server ends


def test_28_on_a_telephone_an_alarm_is_logged_with_its_small_picture_and_a_link_to_it(
    site: Site, chromium: Browser, played: SimulatedRun, address: str, hook: Hook, axe: str
) -> None:
    size = {"width": 375, "height": 812}
    with (
        raised(site, played) as alarm,
        chromium.new_context(viewport=size, base_url=address, has_touch=True, is_mobile=True) as telephone,
    ):
        telephone.grant_permissions(["clipboard-read", "clipboard-write"], origin=address)
        phone = telephone.new_page()
        # Each address once: the page asks for itself again as long as it stands.
        asked, loaded = dict[str, str](), dict[str, int]()
        network = telephone.new_cdp_session(phone)
        network.send("Network.enable")
        network.on("Network.responseReceived", lambda its: asked.update({its["requestId"]: its["response"]["url"]}))
        network.on(
            "Network.loadingFinished",
            lambda its: loaded.setdefault(asked.get(its["requestId"], ""), its["encodedDataLength"]),
        )
        go_to(phone, f"{address}/alarm/{alarm.id}")
        expect(phone.get_by_role("img")).to_be_visible()
        phone.get_by_role("button", name="Log it").tap()
        text = phone.get_by_label("Note")
        expect(text).to_be_focused()
        expect(text).to_have_value(f"As of spill {SPILLS - 1}: {WORDS}")
        phone.keyboard.press("End")
        phone.keyboard.type(" seen")
        phone.wait_for_timeout(3500)  # the page asks for itself again meanwhile
        expect(text).to_be_focused()
        expect(text).to_have_value(f"As of spill {SPILLS - 1}: {WORDS} seen")
        phone.evaluate(axe)
        assert not faults(phone, "log an alarm", "light")
        assert phone.evaluate("() => document.documentElement.scrollWidth") <= size["width"]
        with phone.expect_download() as download:
            phone.get_by_role("button", name="As Markdown").tap()
        written = download.value.path().read_text()
        assert "![TOF1 slab hits" in written
        assert written.endswith(f"<{address}/alarm/{alarm.id}>\n")
        phone.get_by_role("button", name=f"Log it of run {played.run}").tap()
        expect(phone.locator("#note-status")).to_have_text("Noted, and in the clipboard. The logbook has it.")
        said = json.loads(hook.told[-1][2])
        assert (said["run"], said["plot"]) == (played.run, "hslabhits10")
        assert said["note"] == f"As of spill {SPILLS - 1}: {WORDS} seen"
        assert said["link"] == f"{address}/alarm/{alarm.id}"
        with Image.open(BytesIO(base64.b64decode(said["picture"]))) as picture:
            colours = picture.convert("RGB").getcolors(1 << 20)
        assert colours is not None
        assert len(colours) > 2  # the card, lines, words
        assert 0 < sum(loaded.values()) < TELEPHONE_BYTES


@pytest.mark.nightly  # a page waits for a minute before it tells what another one took
def test_28_what_was_logged_in_vain_outlives_the_page_and_stands_in_the_hand_over_until_it_is_told(
    site: Site, page: Page, played: SimulatedRun, hook: Hook
) -> None:
    settings = site.settings.model_copy(update={"dashboard": DashboardSettings(port=free_port())})
    here = f"http://127.0.0.1:{settings.dashboard.port}"
    its = {"SPILLDECK_LOGBOOK__WEBHOOK": hook.address, "SPILLDECK_DASHBOARD__URL": here}
    words, hook.status = "the quench of magnet 3", 500
    with Running(settings, site.running.directory, environment(settings) | its) as running:
        part = running.start("page that is killed", "dashboard")
        go_to(page, f"{here}/handover")
        said = {"run": played.run, "text": words, "path": f"/?run={played.run}"}
        assert page.evaluate(ACT, ["/act/note", "logged-0001", json.dumps(said)]) == HTTPStatus.OK
        until_handed_over(page, lambda said: f"{words} (the logbook has not got it)" in said)
        page.goto("about:blank")
        assert part.process is not None
        part.process.kill()
        part.process.wait()
        hook.status = 200
        hook.told.clear()
        running.start("page that comes after", "dashboard")
        go_to(page, f"{here}/handover")
        until_handed_over(page, lambda said: words in said)
        # The page that took it is gone: another begins to tell it after a minute.
        told = "() => fetch('/logged?id=logged-0001').then(its => its.json()).then(its => its.told)"
        page.wait_for_function(told, timeout=1000 * (ORPHAN_S + WAIT_S))
        until_handed_over(page, lambda said: words in said and "the logbook has not got it" not in said)
        page.goto("about:blank")
    ((told_id, _, body),) = hook.told
    assert (told_id, json.loads(body)["note"]) == ("logged-0001", words)
