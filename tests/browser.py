"""A headless Chromium for the tests that look at pages."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

CONTRASTS = Path(__file__).with_name("contrasts.js").read_text()
# WCAG 2.1, AA: of small text and of large text.
SMALL, LARGE = 4.5, 3.0


@contextmanager
def chromium() -> Iterator[Any]:
    """A browser that keeps its console's log; skips the test where there is none."""
    program, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not (program and driver):
        pytest.skip("needs Debian's packages chromium and chromium-driver")
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = program
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"):
        options.add_argument(argument)
    with webdriver.Chrome(options=options, service=webdriver.ChromeService(driver)) as browser:
        yield browser


def emulate(browser: Any, width: int, height: int, scheme: str) -> None:
    """Give the page a screen of this size, and a light or a dark scheme."""
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False},
    )
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})


def pale(browser: Any) -> list[Any]:
    """The page's text with too little contrast."""
    contrasts = browser.execute_script(CONTRASTS)
    assert contrasts
    return [one for one in contrasts if one[0] < (LARGE if one[1] else SMALL)]
