"""A page that is left open for days: many updates leave nothing behind; `make bench-page` watches for longer."""

import psutil
import pytest
from playwright.sync_api import Page

from tests.browser.conftest import Site, open_page, until_drawn
from tests.lanes import again

pytestmark = [pytest.mark.servers, pytest.mark.browser]

UPDATES, MAY_GROW_MB = 20, 4
"""An update is 0.3 MB of figures: if they were kept, it would be more."""


@again
@pytest.mark.timeout(300)  # thirty updates, one after the other, on a machine that may be busy
def test_updates_leave_nothing_behind_in_browser_or_server(site: Site, fresh_page: Page) -> None:
    run, page = site.new_run(mean_triggers=100), fresh_page
    open_page(page, f"/?run={run.run}")
    network = page.context.new_cdp_session(page)
    network.send("Performance.enable")
    assert site.page.process is not None
    server = psutil.Process(site.page.process.pid)

    def megabytes(first: int, stop: int) -> tuple[float, float]:
        for number in range(first, stop):
            site.play(run, number, number + 1)
            until_drawn(page, "ht01", run, number)
        network.send("HeapProfiler.collectGarbage")
        found = {each["name"]: each["value"] for each in network.send("Performance.getMetrics")["metrics"]}
        return found["JSHeapUsedSize"] / 1e6, server.memory_info().rss / 1e6

    browser_before, server_before = megabytes(0, UPDATES // 2)
    browser, resident = megabytes(UPDATES // 2, UPDATES // 2 + UPDATES)
    assert browser - browser_before < MAY_GROW_MB
    assert resident - server_before < MAY_GROW_MB
