"""The painter knows the figures of the test beam, too."""

import pytest
from playwright.sync_api import Browser

from streams.experiment import experiment
from tests.browser.figures import figures, page_with_painter, unknown
from tests.testbeam.test_testbeam import counted, simulated

pytestmark = [pytest.mark.browser]


def test_the_painter_knows_all_that_figures_of_the_test_beam_have(chromium: Browser) -> None:
    book, other = (counted(simulated(spills=spills)).run_book() for spills in (8, 10))
    page = page_with_painter(chromium)
    names = (*experiment().plots, *experiment().trends)
    assert not unknown(page, figures(names, book, [other], ["", "log", "ratio", "pull"]))
    page.close()
