"""All pages of the documentation in a browser: no error on the console, nothing fetched from
elsewhere, no sideways scrolling on a telephone, contrast enough to read; the search finds.

Of what `make docs` built; skipped where it has not.
"""

from pathlib import Path

import pytest

from tests.browser import emulate, pale

SITE = Path(__file__).parents[1] / "site"
# But for the one that a server shows in the place of a missing page, from its root.
PAGES = sorted(str(page.relative_to(SITE)) for page in SITE.rglob("*.html"))
PAGES = [page for page in PAGES if page != "404.html"]
PHONE, DESK = 400, 1280


def open_page(browser, path, width, scheme):
    emulate(browser, width, 800, scheme)
    browser.get_log("browser")  # of the page before
    browser.get(path.as_uri())


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
    path = SITE / name
    for width in (PHONE, DESK):
        open_page(browser, path, width, scheme)
        assert sideways(browser) <= 0
    painted = browser.execute_script("return document.body.dataset.mdColorScheme")
    assert painted == {"light": "default", "dark": "slate"}[scheme]
    assert not browser.get_log("browser")
    fetched = browser.execute_script(
        "return performance.getEntriesByType('resource').map(e => e.name)"
    )
    assert not [
        address for address in fetched if not address.startswith(("file:", "data:", "blob:"))
    ]
    assert not pale(browser)


@pytest.mark.skipif(not SITE.exists(), reason="make docs builds what this looks at")
def test_every_page_that_is_written_is_looked_at():
    docs = Path(__file__).parents[1] / "docs"
    written = {str(page.relative_to(docs).with_suffix(".html")) for page in docs.rglob("*.md")}
    assert written | {"theorems/theorem1.html", "theorems/lower_bound.html"} <= set(PAGES)


@pytest.mark.slow
@pytest.mark.skipif(not SITE.exists(), reason="make docs builds what this looks at")
@pytest.mark.parametrize("name", ["index.html", "theorems/theorem1.html"])
def test_the_search_finds_without_a_server(browser, name):
    from selenium.webdriver.support.wait import WebDriverWait

    open_page(browser, SITE / name, DESK, "light")
    box = browser.find_element("css selector", ".md-search__input")
    browser.execute_script("arguments[0].focus()", box)
    box.send_keys("prevalence")
    found = WebDriverWait(browser, 20).until(
        lambda page: page.find_elements("css selector", ".md-search-result__link")
    )
    assert "faq.html" in " ".join(one.get_attribute("href") for one in found)
    assert not browser.get_log("browser")


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


OUTSIDE = """
const boxes = [...document.querySelectorAll('rect.box')].map(box => box.getBBox());
const within = (inner, outer) => outer.x <= inner.x && outer.y <= inner.y
  && inner.x + inner.width <= outer.x + outer.width
  && inner.y + inner.height <= outer.y + outer.height;
return [...document.querySelectorAll('text.cell')]
  .filter(text => !boxes.some(box => within(text.getBBox(), box))).map(text => text.textContent);
"""


@pytest.mark.slow
def test_the_numbers_of_the_tutorials_picture_lie_in_their_boxes(browser, tmp_path):
    picture = SITE.parent / "docs" / "worked.svg"
    open_page(browser, picture, DESK, "light")
    assert browser.execute_script(OUTSIDE) == []
    wider = tmp_path / "wider.svg"
    wider.write_text(picture.read_text().replace("y = 1.33, 1.33", "y = 1.3333333, 1.3333333"))
    open_page(browser, wider, DESK, "light")
    assert browser.execute_script(OUTSIDE) == ["y = 1.3333333, 1.3333333"]
