"""The page is one file; it opens in a browser without errors, steps through all layers, and says
what the data say."""

from importlib.resources import files

import numpy as np
import pytest

from tests.browser import emulate, pale
from verify.explorer.page import page

MOST_BYTES = 2 * 2**20


@pytest.mark.slow
def test_the_page_is_one_small_file_that_loads_nothing(path):
    text = path.read_text(encoding="utf-8")
    assert len(text.encode()) < MOST_BYTES
    head = text.partition("<script")[0]
    assert "src=" not in text.replace("https://", "").split("<body>")[0] and "@@" not in head
    assert "<script src" not in text and '<link rel="stylesheet' not in text


def test_the_page_says_which_theorem_it_shows(path, report, theorem):
    title = f"<title>Theorem {theorem.number} on K = 4 tasks, d = 16, up to m = 12 examples</title>"
    assert title in path.read_text(encoding="utf-8")
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


FIND = "const find = name => Bokeh.documents.map(d => d.get_model_by_name(name)).find(Boolean);"


def drawn(browser, source):
    """The columns of a plot's source."""
    return browser.execute_script(
        f"{FIND} return Object.fromEntries(Object.entries(find('{source}').data)"
        ".map(([name, column]) => [name, [...column]]))"
    )


def legend(browser, plot):
    """What a plot's legend names, and whether that is on the plot."""
    return browser.execute_script(
        f"{FIND} return find('{plot}-legend').items.filter(item => item.visible)"
        ".map(item => [item.label.value, item.renderers[0].data_source.get_length() > 0])"
    )


def names(browser, plot):
    """The names below a plot: the pixels of their middles, their widths, and what they say after
    a line break for each line above."""
    return browser.execute_script(
        f"{FIND} const plot = find('{plot}'), axis = find('{plot}-x'), range = plot.x_range;"
        "const pen = document.createElement('canvas').getContext('2d');"
        "pen.font = '11px helvetica, sans-serif';"
        "const scale = plot.inner_width / (range.end - range.start);"
        "return axis.ticker.ticks.map(at => [at * scale, axis.major_label_overrides.get(at)])"
        ".map(([at, name]) => [at, pen.measureText(name.trim()).width, name])"
    )


def scale(browser, plot):
    """The parts of a color scale: its least value, its colors, its greatest value."""
    return browser.find_elements("css selector", f"#scale-{plot} > *")[:3]


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
            values = drawn(browser, "stream-cells")["v"]
            low, _, high = (one.text for one in scale(browser, "stream"))
            assert float(high) == -float(low) == pytest.approx(np.abs(values).max(), rel=5e-3)
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
def test_every_error_and_bound_has_a_mark_and_every_mark_a_name(browser, path, report):
    open_page(browser, path)
    browser.find_elements("css selector", "#steps button")[-1].click()
    lemmas, least = report["prompts"][0]["lemmas"], report["least_drawn"]
    for field in ("observed", "bound"):
        places = [round(x) for x in drawn(browser, f"errors-{field}")["x"]]
        below = [round(x) for x in drawn(browser, f"errors-{field}-below")["x"]]
        for number, lemma in enumerate(lemmas, 1):
            assert (places.count(number), below.count(number)) == (
                (1, 0) if lemma[field] >= least else (0, 1)
            )
    said = dict(legend(browser, "errors"))
    assert all(said.values()) and {"observed error", "bound", "this layer"} <= said.keys()
    assert (f"error < {least}" in said) == any(lemma["observed"] < least for lemma in lemmas)
    if report["view"]["subspace"] == "ok":  # a heat map: a scale in the place of a legend
        assert [one.text for one in scale(browser, "tasks")] == ["0", "", "1"]
    else:
        said = dict(legend(browser, "tasks"))
        assert len(said) > 1 and all(said.values())


@pytest.mark.slow
@pytest.mark.parametrize("width", [400, 1280])
def test_heat_maps_fit_and_their_names_keep_apart(browser, path, width):
    open_page(browser, path, width)
    browser.find_elements("css selector", "#steps button")[-1].click()
    for plot in ("stream", "attention", "errors"):
        lines: dict[int, float] = {}
        found = names(browser, plot)
        assert len(found) > 2
        for middle, wide, name in found:
            line = name.count("\n")
            assert lines.get(line, -np.inf) < middle - wide / 2
            lines[line] = middle + wide / 2
    for view in ("stream-view", "attention-view"):
        box = browser.find_element("id", view)
        assert int(box.get_property("scrollWidth")) <= int(box.get_property("clientWidth"))


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
    browser.find_elements("css selector", "#steps button")[1].click()
    assert not pale(browser)
    assert [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []
