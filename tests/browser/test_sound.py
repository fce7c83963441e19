"""What sounds, when several tabs hear of an alarm in the same instant."""

import time
from functools import partial

import pytest
from playwright.sync_api import Browser

from dashboards.scripts import SOUND
from tests.redis_servers import until

pytestmark = pytest.mark.browser

PAGE = """<div id="navigation"><a data-waiting=""></a></div>
<button id="sound" data-sound="turn">?</button><p id="alarm-status">.</p><script src="/sound.js"></script>"""
COUNT_TONES = """window.tones = 0;
const start = OscillatorNode.prototype.start;
OscillatorNode.prototype.start = function (...when) { window.tones += 1; return start.apply(this, when); };"""
COMES = """([alarm, at]) => setTimeout(() => {
    document.querySelector("a").dataset.waiting = `high:${alarm}`;
}, at - Date.now())"""
HIGH_TONES, ALARMS, TABS = 4, 20, 3


def test_of_several_tabs_that_hear_of_an_alarm_at_once_one_sounds(chromium: Browser) -> None:
    with chromium.new_context(base_url="http://127.0.0.1:1") as context:
        context.route("**/*", lambda route: route.fulfill(body=PAGE, content_type="text/html"))
        context.route("**/sound.js", lambda route: route.fulfill(path=SOUND))
        context.add_init_script(COUNT_TONES)
        tabs = [context.new_page() for _ in range(TABS)]
        for tab in tabs:
            tab.goto("/")
        tabs[0].click("#sound")
        for tab in tabs:
            tab.bring_to_front()
            tab.click("#alarm-status")
            tab.wait_for_function("() => document.getElementById('sound').textContent === 'Sound: on'")

        def tones() -> int:
            return sum(tab.evaluate("() => window.tones") for tab in tabs)

        def are_heard(alarms: int) -> bool:
            return tones() >= HIGH_TONES * alarms

        for alarm in range(ALARMS):
            at_ms = time.time() * 1000 + 100
            for tab in tabs:
                tab.evaluate(COMES, [alarm, at_ms])
            until(partial(are_heard, alarm + 1))
        tabs[0].wait_for_timeout(500)
        assert tones() == HIGH_TONES * ALARMS
