"""The commands: python -m verify.theorem4 and python -m verify.collapse."""

import json
import sys

import numpy as np
import pytest

from tests.theorem4.test_generation import MODEL, PROMPT, TASKS
from verify import cli, collapse
from verify.posteriors import Definition, Said, Subject, Transformer4, paths
from verify.theorem4 import command

SMALL = ["--K", 2, "--d", 5, "--m", 4, "--S", 1, "--L", 2]


def exits(monkeypatch, main, prog, *arguments):
    """The exit code of a command with these arguments."""
    monkeypatch.setattr(sys, "argv", ["verify", *map(str, arguments)])
    with pytest.raises(SystemExit) as caught:
        cli.run(main, prog)
    return caught.value.code


def verify(monkeypatch, *arguments):
    return exits(monkeypatch, command.main, command.PROG, *arguments)


@pytest.mark.slow
@pytest.mark.parametrize("version", [[], ["--vectors"]], ids=["words", "vectors"])
def test_it_verifies_the_law(monkeypatch, capsys, version):
    assert verify(monkeypatch, *SMALL, *version, "--samples", 64, "--json", "-") == cli.HOLDS
    report = json.loads(capsys.readouterr().out)
    assert report["holds"] and report["law"]["holds"] and report["layers"] == 4
    assert sum(one["definition"] for one in report["law"]["answers"]) == pytest.approx(1)
    assert report["law"]["step_error"] <= report["law"]["step_bound"]


def test_it_prints_the_answers(monkeypatch, capsys):
    assert verify(monkeypatch, *SMALL, "--samples", 64, "--noise", 1) == cli.HOLDS
    out = capsys.readouterr().out
    for words in ("1 Recognize", "by the definition", "total variation", "chi-square", "law holds"):
        assert words in out


def test_a_wrong_transformer_is_told(monkeypatch, capsys):
    build = command.verify

    def wrong(theorem, instance, *arguments, **more):
        other = theorem.build(instance.spec, instance.tasks[::-1])
        return build(theorem, instance, *arguments, model=other, **more)

    monkeypatch.setattr(command, "verify", wrong)
    assert verify(monkeypatch, *SMALL, "--samples", 64) == cli.FAILS
    assert "DOES NOT HOLD" in capsys.readouterr().out


@pytest.mark.parametrize("version", [[], ["--vectors"]], ids=["words", "vectors"])
def test_cases_are_attacked(monkeypatch, capsys, version):
    assert verify(monkeypatch, *version, "--cases", 1, "--json", "-") == cli.HOLDS
    assert json.loads(capsys.readouterr().out)["cases"] == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["--noise", 5],
        ["--K", 99, "--d", 2, "--L", 1],
        ["--coldness", 1],
        ["--L", 0],
        ["--vectors", "--kind", "small"],
        ["--vectors", "--d", 2],
        ["--vectors", "--coldness", 1],
        ["--cases", 1],
    ],
    ids=["noise", "tasks", "coldness", "words", "kind", "plane", "coldness of vectors", "cases"],
)
def test_what_cannot_be_met_is_one_line(monkeypatch, capsys, arguments):
    assert verify(monkeypatch, *SMALL, *arguments) == cli.BAD_REQUEST
    assert capsys.readouterr().err.count("\n") == 1


def test_no_chance_is_told_where_nothing_was_drawn(monkeypatch, capsys):
    assert verify(monkeypatch, *SMALL, "--samples", 1) == cli.HOLDS
    out = capsys.readouterr().out
    assert "too few, or all alike" in out and "chi-square" not in out.replace("chi-square test", "")


def test_collapse_draws_and_tells(monkeypatch, capsys, tmp_path):
    request = ("--samples", 50, "--out", tmp_path / "c", "--json", "-")
    assert exits(monkeypatch, collapse.main, collapse.PROG, *request) == cli.HOLDS
    report = json.loads(capsys.readouterr().out)
    assert {file.name for file in tmp_path.iterdir()} == {"c.png", "c.svg"}
    by = {one["decoding"]: one for one in report["paths"]}
    assert by["greedy"]["tasks_left"][-1] == pytest.approx(1, abs=1e-5)
    assert by["superposed"]["tasks_left"][-1] == pytest.approx(by["greedy"]["tasks_left"][0])
    np.testing.assert_allclose(by["superposed"]["posterior"][-1], (0.4, 0.3, 0.2, 0.1), atol=1e-5)
    np.testing.assert_allclose(by["sample"]["definition"], [(0.4, 0.3, 0.2, 0.1)] * 4, atol=1e-12)


def test_collapse_needs_an_example(monkeypatch, capsys):
    request = ("--counts", 0, 0, 0, 0)
    assert exits(monkeypatch, collapse.main, collapse.PROG, *request) == cli.BAD_REQUEST
    assert "--counts" in capsys.readouterr().err


class Stuck:
    """A subject that is of task 1 from its first word on, and can be fed words alone."""

    name, soft = "stuck", False

    def ask(self, prompt, prefixes):
        due = Definition(TASKS, 10).ask(prompt, prefixes)
        one = np.array([0.0, 1.0, 0.0])
        return [
            said if not len(prefix) else Said(np.eye(6)[TASKS[1].words[len(prefix), 3]], one)
            for said, prefix in zip(due, prefixes, strict=True)
        ]


def test_any_subject_is_followed():
    subjects = (Transformer4(MODEL), Definition(TASKS, 10), Stuck())
    assert all(isinstance(subject, Subject) for subject in subjects)
    found = collapse.run(subjects, PROMPT, 200, seed=1)
    assert [[one.how for one in ways] for ways in found] == [
        ["sample", "greedy", "superposed"],
        ["sample", "greedy", "superposed"],
        ["sample", "greedy"],
    ]
    for one, due in zip(found[0], found[1], strict=True):
        np.testing.assert_allclose(one.posteriors, due.posteriors, atol=1e-5)
    sampled, _ = found[2]
    np.testing.assert_allclose(sampled.ensemble[1:], [(0, 1, 0)] * 2)
    assert sampled.tasks_left[0] > 2 and sampled.tasks_left[-1] == pytest.approx(1)
    with pytest.raises(ValueError, match="stuck has no such decoding"):
        paths(Stuck(), PROMPT, "superposed")


def test_an_answer_that_ends_early_has_no_posterior_after_it():
    noise = type(PROMPT)(np.array([[1]]), np.array([[1, 1, 1]]), np.array([0]))
    one = paths(Definition(TASKS, 10), noise, "greedy")
    assert (one.words == -1).all() and np.isnan(one.posteriors[0, 1:]).all()
