"""The page is one file; it opens in a browser without errors, steps through all layers, and says
what the data say."""

from importlib.resources import files

import pytest

from tests.browser import emulate
from verify.explorer.page import page

MOST_BYTES = 2 * 2**20


def test_the_page_is_one_small_file_that_loads_nothing(path):
    text = path.read_text(encoding="utf-8")
    assert len(text.encode()) < MOST_BYTES
    head = text.partition("<script")[0]
    assert "src=" not in text.replace("https://", "").split("<body>")[0] and "@@" not in head
    assert "<script src" not in text and '<link rel="stylesheet' not in text


def test_the_page_says_which_theorem_it_shows(path, report, theorem):
    assert f"<title>Theorem {theorem.number} on K = 4 tasks, d = 16</title>" in path.read_text(
        encoding="utf-8"
    )
    assert (
        report["theorem"]["number"] == theorem.number
        and report["theorem"]["statement"] == theorem.statement
    )
    # What holds for one theorem alone is in the data; template and script say it of none.
    for name in ("page.html", "page.js"):
        text = files("verify.explorer").joinpath(name).read_text(encoding="utf-8").lower()
        assert not [
            word
            for word in ("theorem 1", "seven", "circle", "commit ", "tally", "recognize ")
            if word in text
        ]


def open_page(browser, path, width=1280, scheme="light"):
    from selenium.webdriver.support.wait import WebDriverWait

    emulate(browser, width, 900, scheme)
    browser.execute_cdp_cmd("Network.enable", {})
    browser.execute_cdp_cmd(
        "Network.emulateNetworkConditions",
        {"offline": True, "latency": 0, "downloadThroughput": 0, "uploadThroughput": 0},
    )
    browser.get(path.as_uri())
    WebDriverWait(browser, 30).until(
        lambda page: page.execute_script("return document.body.dataset.ready") == "true"
    )


def drawn(browser, source):
    """The columns of a plot's source."""
    return browser.execute_script(
        "return Object.fromEntries(Object.entries(Bokeh.documents.map(d => "
        f"d.get_model_by_name('{source}')).find(Boolean).data)"
        ".map(([name, column]) => [name, [...column]]))"
    )


def cells(browser, table):
    return browser.execute_script(
        f"return [...document.querySelectorAll('#{table} tbody tr')].map(r => [...r.cells].map(c "
        "=> c.textContent))"
    )


@pytest.mark.slow
def test_the_page_steps_through_all_layers_by_keyboard(browser, path, report):
    from selenium.webdriver.common.keys import Keys
    from selenium.webdriver.support.ui import Select

    open_page(browser, path)
    for i, prompt in enumerate(report["prompts"]):
        Select(browser.find_element("id", "prompt")).select_by_index(i)
        browser.execute_script("document.activeElement.blur()")
        browser.find_element("css selector", "#steps button").click()
        for layer in report["layers"]:
            browser.find_element("css selector", "body").send_keys(Keys.ARROW_RIGHT)
            assert (
                browser.find_element("id", "heading").text.lower()
                == f"{layer['number']} {layer['name']}"
            )
            assert browser.find_element("id", "formula").text.strip() == layer["formula"].strip()
            machine = browser.find_element("id", "machine").text
            assert all(name in machine for name in layer["heads_write"] + layer["mlp_writes"])
            assert ("No MLP" in machine) != layer["mlp"]
            hidden = drawn(browser, "attention-mask")["y"]
            assert len(hidden) == (len(prompt["tokens"]) - 1 if layer["causal"] else 0)
            for name, columns in prompt["frames"][layer["number"]].items():
                assert drawn(browser, f"tasks-{name}") == columns
            said = [one.text for one in browser.find_elements("css selector", "#recognized li")]
            assert said == [
                one["said"] for one in prompt["examples"] if layer["number"] >= report["committed"]
            ]
        for row, lemma in zip(cells(browser, "lemmas"), prompt["lemmas"], strict=True):
            assert row[1] == lemma["subspace"] and row[6] == "yes"
            assert float(row[2]) == pytest.approx(lemma["observed"], rel=0.01)
            assert float(row[3]) == pytest.approx(lemma["bound"], rel=0.01)
        tasks = cells(browser, "tasks")
        assert [int(row[1]) for row in tasks] == prompt["counts"]
        if prompt["weights"] is None:  # tasks that say the same cannot be told apart in the answer
            assert all(row[3] == "\u2013" for row in tasks)
        else:
            assert [float(row[3]) for row in tasks] == pytest.approx(prompt["weights"], abs=1e-6)
        assert (
            f"Theorem {report['theorem']['number']} holds"
            in browser.find_element("id", "verdict").text
        )
    assert len(drawn(browser, "stream-cells")["v"]) > 100
    assert browser.find_element("id", "tasks-title").text == report["view"]["title"]
    assert report["theorem"]["statement"] in browser.find_element("id", "theorem").text
    assert f"{len(report['layers'])} layers" in browser.find_element("id", "summary").text
    assert [
        entry for entry in browser.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")
    ] == []


@pytest.mark.slow
def test_what_fails_is_shown(browser, report, tmp_path):
    first, *others = report["prompts"]
    lemmas = [
        *first["lemmas"][:-1],
        first["lemmas"][-1] | {"holds": False, "within": False, "faults": ["a winner is off"]},
    ]
    wrong = report | {
        "prompts": [first | {"lemmas": lemmas, "holds": False, "recognized_right": False}, *others]
    }
    path = tmp_path / "page.html"
    path.write_text(page(wrong), encoding="utf-8")
    open_page(browser, path)
    browser.find_elements("css selector", "#steps button")[-1].click()
    lemma, verdict = (browser.find_element("id", name).text for name in ("lemma", "verdict"))
    assert "NOT WITHIN" in lemma and "FAULT: a winner is off" in lemma
    assert "DOES NOT HOLD" in verdict and "recognized other tasks" in verdict
    assert [row[6] for row in cells(browser, "lemmas")] == ["yes"] * (len(lemmas) - 1) + ["NO"]


@pytest.mark.slow
@pytest.mark.parametrize("width", [400, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_fits_and_follows_the_color_scheme(browser, path, width, scheme):
    open_page(browser, path, width, scheme)
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    back = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert (sum(int(part) for part in back[4:-1].split(",")) > 384) == (scheme == "light")
    axis = browser.execute_script(
        "const axis = Bokeh.documents.map(d => d.get_model_by_name('stream-y')).find(Boolean);"
        "return axis.major_label_text_color.value ?? axis.major_label_text_color"
    )
    assert axis == ("#1c1f23" if scheme == "light" else "#e8eaed")
    assert [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []
