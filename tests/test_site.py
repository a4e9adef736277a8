"""The documentation's pages in a browser: no error on the console, nothing fetched from elsewhere,
no sideways scrolling on a telephone, and contrast enough to read.

Of what `make docs` built; skipped where it has not.
"""

from pathlib import Path

import pytest

from tests.browser import emulate

SITE = Path(__file__).parents[1] / "site"
PAGES = (
    "index",
    "tutorial",
    "theorems/theorem1",
    "theorems/lower_bound",
    "how-to/patching",
    "faq",
    "api",
)
PHONE, DESK = 400, 1280
# WCAG 2.1, AA: of small text and of large text.
SMALL, LARGE = 4.5, 3.0

CONTRASTS = Path(__file__).with_name("contrasts.js").read_text()


def open_page(browser, path, width, scheme):
    emulate(browser, width, 800, scheme)
    browser.get_log("browser")  # of the page before
    browser.get(path.as_uri())


def pale(browser):
    """Text with too little contrast."""
    contrasts = browser.execute_script(CONTRASTS)
    assert contrasts
    return [one for one in contrasts if one[0] < (LARGE if one[1] else SMALL)]


def sideways(browser):
    """By how many pixels the page is wider than its window."""
    return browser.execute_script(
        "return document.scrollingElement.scrollWidth - document.scrollingElement.clientWidth"
    )


@pytest.mark.slow
@pytest.mark.skipif(not SITE.exists(), reason="make docs builds what this looks at")
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", PAGES)
def test_a_page_of_the_documentation(browser, name, scheme):
    path = SITE / f"{name}.html"
    for width in (PHONE, DESK):
        open_page(browser, path, width, scheme)
        assert sideways(browser) <= 0
    assert not browser.get_log("browser")
    fetched = browser.execute_script(
        "return performance.getEntriesByType('resource').map(e => e.name)"
    )
    assert not [
        address for address in fetched if not address.startswith(("file:", "data:", "blob:"))
    ]
    assert not pale(browser)


@pytest.mark.skipif(not SITE.exists(), reason="make docs builds what this looks at")
def test_formulas_need_no_script():
    text = (SITE / "theorems" / "theorem1.html").read_text(encoding="utf-8")
    assert text.count("<math") > 100 and "arithmatex" not in text


def test_what_is_too_pale_or_too_wide_is_seen(browser, tmp_path):
    page = tmp_path / "page.html"
    page.write_text(
        "<body><main><p style='color:#999;width:900px'>pale</p><p>dark</p></main></body>"
    )
    open_page(browser, page, PHONE, "light")
    assert sideways(browser) > 0
    assert [one[2] for one in pale(browser)] == ["pale"]
