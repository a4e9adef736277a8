"""A theorem is one record in one list: a made-up one is verified, certified, explained and mutated,
with no edit elsewhere."""

import json
import sys
from dataclasses import replace

import pytest

from tests.layers import assert_lemma
from tests.mutants import theorem2 as edge
from tests.mutants.faults import all_faults, copy
from tests.mutants.suite import Suite
from tests.strategies import Case, Shape
from verify import cli, command, explain
from verify.command import OPTIONS
from verify.theorem import ALL, Theorem

SIZES = ["--K", "3", "--d", "4", "--m", "6", "--n", "3"]


@pytest.fixture
def made_up(monkeypatch):
    """Theorem 9: the layers of Theorem 2, whose tasks read no features."""
    theorem = replace(
        ALL[2],
        number=9,
        source="made up",
        statement="Three layers do, as in Theorem 2.",
        width_formula=lambda spec: "3d + log2(mn) + 8",
        options=(),
    )
    monkeypatch.setitem(ALL, theorem.number, theorem)
    return theorem


def exits(monkeypatch, call, *arguments):
    """The exit code of a command with these arguments."""
    monkeypatch.setattr(sys, "argv", ["verify", *map(str, arguments)])
    with pytest.raises(SystemExit) as caught:
        call()
    return caught.value.code


def test_its_command_verifies_and_certifies(made_up, monkeypatch, capsys):
    def run():
        command.run(made_up)

    assert exits(monkeypatch, run, *SIZES, "--noise", 1, "--certify") == cli.HOLDS
    out = capsys.readouterr().out
    assert "Theorem 9 holds on 1 prompt" in out and "= 3d + log2(mn) + 8" in out
    assert out.rstrip().endswith("certified")
    assert exits(monkeypatch, run, *SIZES, "--features", 2) == cli.BAD_REQUEST
    assert "python -m verify.theorem9" in capsys.readouterr().err


def test_it_is_explained(made_up, monkeypatch, capsys, tmp_path):
    def run():
        cli.run(explain.main, explain.PROG)

    page = tmp_path / "page.html"
    request = ("--theorem", 9, *SIZES, "--out", page, "--json", "-")
    assert exits(monkeypatch, run, *request) == cli.HOLDS
    report = json.loads(capsys.readouterr().out)
    assert report["theorem"]["number"] == 9 and report["holds"]
    assert report["theorem"]["source"] == "made up" in page.read_text()


def test_its_faults_are_rejected_at_their_layer(made_up):
    suite = Suite(made_up, edge)
    model = suite.build()
    assert suite.first_fault(model) is None
    one_a_layer = {fault.layer: fault for fault in all_faults(suite, model)}
    assert len(one_a_layer) == len(made_up.layers)
    for layer, fault in one_a_layer.items():
        struck = copy(model)
        fault.strike(struck)
        assert suite.first_fault(struck) == layer


def test_its_lemmas_are_tried_on_cases(made_up):
    case = Case("random", Shape(3, 4, 6, 3), 0, (6,), (1,), (0,), theorem=made_up)
    for name in ("pair", "recognize", "superpose"):
        assert_lemma(case, name)


def test_without_its_record_it_is_unknown(monkeypatch, capsys):
    def run():
        cli.run(explain.main, explain.PROG)

    assert exits(monkeypatch, run, "--theorem", 9) == cli.BAD_REQUEST
    assert "9" in capsys.readouterr().err


@pytest.mark.parametrize("theorem", ALL.values(), ids=str)
def test_a_record_names_options_that_there_are(theorem: Theorem):
    assert set(theorem.options) <= set(OPTIONS)
    assert ALL[theorem.number] is theorem
    options = vars(command.parser(theorem).parse_args([]))
    assert {name for name in OPTIONS if name in options} == set(theorem.options)
