"""The command: plan, kept results, page and figures."""

import json
import re
import sys

import pytest

from verify import cli
from verify.bench import __main__ as bench
from verify.bench import runner
from verify.bench.methods import ALL
from verify.bench.report import DOCS, draw, filled, load, write
from verify.bench.subjects import openers
from verify.bench.tables import TABLES, markdown, number, ranged
from verify.bench.tasksets import OPENERS

PLAN = {
    "seed": 1,
    "groups": {
        "one": {
            "subjects": ["theorem1-float32"],
            "sets": {"ret2": {"lines": 4, "each": 2, "prompts": 4, "methods": ["completed"]}},
        },
        "other": {
            "optional": True,
            "subjects": ["smollm2"],
            "sets": {"numbers": {"lines": 4, "each": 2}},
        },
    },
}


@pytest.fixture
def plan(tmp_path, monkeypatch):
    path = tmp_path / "plan.json"
    path.write_text(json.dumps(PLAN))
    monkeypatch.setattr(runner, "PLAN", path)
    return tmp_path


def command(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["bench", *map(str, arguments)])
    with pytest.raises(SystemExit) as exit:
        cli.run(bench.main, bench.PROG)
    return exit.value.code


def test_results_are_kept_and_found_again(plan, monkeypatch, capsys):
    out = plan / "results"
    assert command(monkeypatch, "--out", out, "--json", plan / "all.json") == 0
    report = json.loads((plan / "all.json").read_text())
    (result,) = report["results"]
    assert report["holds"] and result["method"] == "completed" and result["seed"] == 1
    path = out / "theorem1-float32" / "ret2.completed.json"
    assert json.loads(path.read_text()) == result
    # Found again: what stands in the file is told, and nothing is run.
    monkeypatch.setattr(runner, "open_subject", None)
    path.write_text(json.dumps(result | {"claims": [result["claims"][0] | {"holds": False}]}))
    capsys.readouterr()
    assert command(monkeypatch, "--out", out) == 1
    assert "tasks completed: 2.0, not 2.0" in capsys.readouterr().err


def test_another_seed_is_another_result():
    (job,) = runner.jobs(PLAN)
    (other,) = runner.jobs(PLAN | {"seed": 2})
    assert job.key != other.key and job.subject == "theorem1-float32"


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("--subjects", "nobody"), "--subjects nobody: not in the plan"),
        (("--methods", "guessing"), "--methods guessing: unknown"),
        (("--sets", "nosuch"), "--sets nosuch: not in the plan"),
        (("--methods", "collapse"), "the plan has nothing of all of these"),
        (("--out", ""), "'' is no folder"),
    ],
)
def test_bad_requests_are_one_line(plan, monkeypatch, capsys, arguments, error):
    assert command(monkeypatch, *arguments) == 2
    err = capsys.readouterr().err
    assert error in err and err.count("\n") == 1


def test_the_language_model_is_asked_by_name_alone():
    assert [job.subject for job in runner.jobs(PLAN, ["smollm2"])] == ["smollm2"]
    assert runner.jobs(PLAN, sets=["numbers"]) == []


def test_the_plan_names_what_there_is():
    plan = runner.read_plan()
    for job in runner.jobs(plan) + runner.jobs(plan, ["smollm2"]):
        assert job.subject in openers() and job.tasks in OPENERS and set(job.methods) <= set(ALL)


def test_strict_json():
    plain = runner.plain({1: [float("nan"), 1 / 3, True, None, "x"]})
    assert plain == {"1": [None, 0.333333, True, None, "x"]}


# The page.


def test_numbers_as_people_read_them():
    assert [number(x) for x in (None, 0.0, 1.0, 0.25, -0.5, 1e-7, 12345.0)] == [
        "-",
        "0.000".replace("0.", ".", 1),
        "1",
        ".250",
        "-.500",
        "1e-7",
        "1.23e+04",
    ]
    assert ranged([0.5, 0.4, 0.6]) == ".500 [.400, .600]" and ranged([1.0, 1.0, 1.0]) == "1"
    assert markdown(["a", "b"], [[1, 2]]) == "| a | b |\n|---|---|\n| 1 | 2 |"


def test_the_page_has_the_recorded_tables():
    text = (DOCS / "bench.md").read_text()
    assert filled(text, load()) == text, "python -m verify.bench --report"
    assert set(re.findall(r"<!-- table: (\w+) -->", text)) == {*TABLES, "audit"}
    figures = set(re.findall(r"\(bench/(\w+)\.svg\)", text))
    assert figures == set(ALL) and all((DOCS / "bench" / f"{name}.svg").exists() for name in ALL)


def test_an_unknown_table_is_refused():
    with pytest.raises(ValueError, match="table 'guess' is unknown"):
        filled("<!-- table: guess -->\n<!-- end -->", load())


def test_all_recorded_results_are_of_the_plan_and_hold():
    plan, found = runner.read_plan(), load()
    jobs = runner.jobs(plan) + runner.jobs(plan, ["smollm2"])
    planned = {(job.subject, job.tasks, method): job.key for job in jobs for method in job.methods}
    assert {name: result["key"] for name, result in found.items()} == planned
    for result in found.values():
        assert all(claim["holds"] for claim in result["claims"])
        if result["kind"] == "constructed" and result["method"] == "distributions":
            assert all(V[0] <= 1e-12 for V in result["values"]["V"])


@pytest.mark.parametrize("name", ["sweep", "completed", "collapse"])
def test_figures_are_drawn(tmp_path, name):
    path = draw(name, load(), tmp_path / "one.svg")
    assert path and "<svg" in path.read_text()


def test_without_results_there_is_no_report(tmp_path):
    with pytest.raises(ValueError, match=r"no results; run python -m verify\.bench"):
        list(write(tmp_path))
