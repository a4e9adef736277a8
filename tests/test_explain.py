"""python -m verify.explain: the page opens in a browser without errors, steps through all layers, and says what the JSON says."""

import json
import shutil
import sys

import numpy as np
import pytest

from construct import build
from verify import cli, explain
from verify.explorer import data as explorer
from verify.explorer.page import page

MOST_BYTES = 4 * 2**20


def command(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["explain", *map(str, arguments)])
    with pytest.raises(SystemExit) as exit:
        cli.run(explain.main, explain.PROG)
    return exit.value.code


@pytest.fixture(scope="module")
def subject():
    return explain.random_subject(K=4, d=16, m=12, n=3, seed=0)


@pytest.fixture(scope="module")
def report(subject):
    return explorer.collect(subject)


@pytest.fixture(scope="module")
def path(report, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "theorem1.html"
    path.write_text(page(report), encoding="utf-8")
    return path


def test_the_page_is_one_small_file_that_loads_nothing(path):
    text = path.read_text(encoding="utf-8")
    assert len(text.encode()) < MOST_BYTES
    head = text.partition("<script")[0]
    assert "src=" not in text.replace("https://", "").split("<body>")[0] and "@@" not in head
    assert "<script src" not in text and '<link rel="stylesheet' not in text


def test_the_data_are_the_traces(subject, report):
    trace = build(subject.spec, subject.tasks).trace(subject.prompts[0])
    now = np.zeros(len(trace.tokens) * len(report["columns"]))
    for (where, values), stream in zip(report["prompts"][0]["steps"], trace.streams.values(), strict=True):
        now[where] = values
        used = [i for i in range(stream.shape[1]) if any(other[:, i].any() for other in trace.streams.values())]
        if len(used) == len(report["columns"]):
            np.testing.assert_allclose(now.reshape(len(stream), -1), stream[:, used], rtol=1e-4)
    for heads, weights in zip(report["prompts"][0]["attention"], trace.attention.values(), strict=True):
        for (where, units), head in zip(heads, weights, strict=True):
            shown = np.zeros(head.size)
            shown[where] = np.array(units) * report["weight_unit"]
            np.testing.assert_allclose(shown, head.ravel(), atol=explorer.WEIGHT_UNIT)
            assert (np.array(units) >= 1).all()


def test_every_layer_has_words_and_formulas(report):
    assert [layer["name"] for layer in report["layers"]] == [
        "lift", "pair", "recognize", "commit", "fetch", "execute", "superpose",
    ]  # fmt: skip
    for number, layer in enumerate(report["layers"], 1):
        assert layer["number"] == number and layer["does"] and layer["statement"].startswith(f"Lemma {number}")
        assert "=" in layer["formula"] and layer["why"]


def test_the_prompts_differ_in_mixture_and_share_the_query(subject, report):
    assert len({prompt.query.tobytes() for prompt in subject.prompts}) == 1 and len(report["prompts"]) == 5
    assert report["holds"] and report["prompts"][2]["prevalence"] == [0, 0, 0, 1]
    assert report["prompts"][4]["message"] == "no evidence" and report["prompts"][4]["weights"] == [0] * 4


def test_a_bound_that_is_passed_is_seen(subject, report, monkeypatch):
    monkeypatch.setattr(explorer.proof, "error_bound", lambda *_: 0.0)
    assert not explorer.collect(subject)["holds"]


def test_typed_prompts(monkeypatch, capsys, tmp_path):
    one, two = tmp_path / "one.txt", tmp_path / "two.txt"
    one.write_text("cat->c\ndog->G\ncow->W\nfish->")
    two.write_text("cat->c\ndog->d\ncow->C\nfi->")
    out = tmp_path / "page.html"
    assert command(monkeypatch, "--prompt", one, two, "--out", out, "--json", "-") == 0
    report = json.loads(capsys.readouterr().out)
    assert [prompt["title"] for prompt in report["prompts"]] == ["one.txt", "two.txt"]
    assert {one["coordinate"]: round(one["value"], 6) for one in report["prompts"][0]["answer"]} == {
        "f": 0.333333, "H": 0.666667,
    }  # fmt: skip
    assert report["prompts"][0]["tokens"][1:5] == ["0 c", "0 a", "0 _", "0 t"]
    assert out.stat().st_size < MOST_BYTES


@pytest.mark.parametrize("texts", [("cat->c\ndog->", "7->9\n3->"), ("cat->c\ndog->",) * 6, ("cat\n",), ("7->9\n" * 120 + "3->",)])
def test_requests_that_make_no_page(monkeypatch, capsys, tmp_path, texts):
    files = [tmp_path / f"{i}.txt" for i in range(len(texts))]
    for file, text in zip(files, texts, strict=True):
        file.write_text(text)
    assert command(monkeypatch, "--out", tmp_path / "page.html", "--prompt", *files) == 2
    assert capsys.readouterr().err.count("\n") == 1 and not (tmp_path / "page.html").exists()


@pytest.fixture(scope="module")
def browser():
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not (chromium and driver):
        pytest.skip("needs Debian's packages chromium and chromium-driver")
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"):
        options.add_argument(argument)
    with webdriver.Chrome(options=options, service=webdriver.ChromeService(driver)) as browser:
        yield browser


def open_page(browser, path, width=1280, scheme="light"):
    from selenium.webdriver.support.wait import WebDriverWait

    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride", {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    )
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]})
    browser.execute_cdp_cmd("Network.enable", {})
    browser.execute_cdp_cmd(
        "Network.emulateNetworkConditions", {"offline": True, "latency": 0, "downloadThroughput": 0, "uploadThroughput": 0}
    )
    browser.get(path.as_uri())
    WebDriverWait(browser, 30).until(lambda page: page.execute_script("return document.body.dataset.ready") == "true")


def cells(browser, table):
    return browser.execute_script(
        f"return [...document.querySelectorAll('#{table} tbody tr')].map(r => [...r.cells].map(c => c.textContent))"
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
            assert browser.find_element("id", "heading").text.lower() == f"{layer['number']} {layer['name']}"
            assert browser.find_element("id", "formula").text.strip() == layer["formula"].strip()
        for row, lemma in zip(cells(browser, "lemmas"), prompt["lemmas"], strict=True):
            assert row[1] == lemma["subspace"] and row[6] == "yes"
            assert float(row[2]) == pytest.approx(lemma["observed"], rel=0.01)
            assert float(row[3]) == pytest.approx(lemma["bound"], rel=0.01)
        tasks = cells(browser, "tasks")
        assert [int(row[1]) for row in tasks] == prompt["counts"]
        assert [float(row[3]) for row in tasks] == pytest.approx(prompt["weights"], abs=1e-6)
    drawn = browser.execute_script(
        "return Bokeh.documents.map(d => d.get_model_by_name('stream-cells')).find(Boolean).data.v.length"
    )
    assert drawn > 100
    assert [entry for entry in browser.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")] == []


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
