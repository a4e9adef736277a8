"""python -m verify.prompt: what it reads, what it says, what it refuses, and that its check can
fail."""

import dataclasses
import io
import json
import sys

import numpy as np
import pytest

from construct.answer import Answer
from verify import cli, prompt
from verify.families import WRITINGS
from verify.families.text import read

COUNTRIES = "France->Paris\nJapan->Asia\n\nItaly->ITALY\nSpain->Paris\nBrazil->"


def command(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["prompt", *arguments])
    with pytest.raises(SystemExit) as exit:
        cli.run(prompt.main, prompt.PROG)
    return exit.value.code


@pytest.fixture(scope="module")
def reply():
    return prompt.ask(read(COUNTRIES), m=8)


def test_a_reply_says_all(reply):
    assert reply.holds and reply.other == pytest.approx(0, abs=1e-6)
    assert [(task["name"], task["examples"], task["answer"]) for task in reply.tasks] == [
        ("capital", 1, "Brasilia"),
        ("continent", 1, "South America"),
        ("uppercase", 1, "BRAZIL"),
    ]
    assert {word for word, _ in reply.distribution} == {"Brasilia", "South America", "BRAZIL"}
    assert [probability for _, probability in reply.distribution] == pytest.approx(
        [1 / 3] * 3, abs=1e-6
    )
    assert [line.number for line in reply.text.lines] == [1, 2, 4, 5]
    assert [reply.why(j) for j in range(4)] == ["", "", "", "no task explains it"]


def test_a_wrong_answer_does_not_hold(reply):
    answer = reply.answer
    off = dataclasses.replace(answer, vector=answer.vector + np.float32(2 * reply.error_bound))
    assert not dataclasses.replace(reply, answer=off).holds
    nan = dataclasses.replace(answer, vector=np.full_like(answer.vector, np.nan))
    assert not dataclasses.replace(reply, answer=nan).holds
    recognized = np.array([1, 0, 2, -1])
    assert not dataclasses.replace(reply, answer=Answer(answer.vector, recognized, answer.K)).holds


def test_the_command_fails_when_the_answer_is_wrong(monkeypatch, capsys, reply):
    answer = dataclasses.replace(reply.answer, vector=reply.answer.vector + 1)
    monkeypatch.setattr(
        prompt, "ask", lambda text, theorem: dataclasses.replace(reply, answer=answer)
    )
    assert command(monkeypatch, "--text", "France->Paris / Brazil->") == 1
    assert "not the superposition" in capsys.readouterr().err


def test_json_on_stdout_is_all_that_goes_there(monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdin", io.StringIO("3->5\n4->6\n1->1\n1->\n"))
    assert command(monkeypatch, "-", "--json", "-") == 0
    report = json.loads(capsys.readouterr().out)
    assert report["family"] == "plus" and report["evidence"] == 3 and report["holds"]
    assert report["theorem"] == 1 and report["d"] == 10
    assert report["distribution"][0] == {"word": "3", "probability": pytest.approx(2 / 3, abs=1e-6)}
    assert report["examples"][2] == {
        "line": 3,
        "text": "1->1",
        "recognized": "plus0",
        "explained_by": ["plus0"],
        "why_abstained": None,
    }


def test_a_file_and_no_evidence(monkeypatch, capsys, tmp_path):
    path, out = tmp_path / "prompt.txt", tmp_path / "reply.json"
    path.write_text("aba->a\nxyz->q\nabc->")
    assert command(monkeypatch, str(path), "--family", "word", "--json", str(out)) == 0
    shown = capsys.readouterr().out
    assert (
        "no evidence" in shown
        and "2 tasks explain it: first, last" in shown
        and "no task explains it" in shown
    )
    assert json.loads(out.read_text())["distribution"] == []


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (
            "Frnce->Paris\nBrazil->",
            "line 1: unknown word 'Frnce' as input in 'Frnce->Paris' (country); did you mean "
            "'France'?",
        ),
        ("France->Lonndon\nBrazil->", "line 1: unknown word 'Lonndon' as label"),
        ("Paris->Paris\nBrazil->", "line 1: unknown word 'Paris' as input"),
        (
            "\nFrance->Paris\n23@41=",
            "line 3: mixed formats: '23@41=' is not written like 'France->'",
        ),
        ("23@41=64\n23+41->", "line 2: mixed formats"),
        ("France->Paris\nSpain->Madrid", "line 2: no query"),
        ("play -> playing, write -> writing, go ->", "line 1: 'play -> playing, write"),
        ("France->Paris\nSpain->\nItaly->", "line 2: no label"),
        ("France->", "line 1: no example"),
        ("France Paris\nItaly->", "line 1: 'France Paris' has no '->'"),
        ("", "the prompt is empty"),
        (
            "5@10=15\n20@10=",
            "line 1: unknown word '5' as input in '5@10=15' (AB); known are 90 words, from '10' to "
            "'99'",
        ),
        ("Singapore->singapore\nBrazil->", "can be 'Singapore' or 'SINGAPORE'; write which"),
        ("3@4@5=1\n3=", "written like no family here"),
        ("7->12\n3->", "line 1: unknown word '12' as label"),
    ],
)
def test_bad_prompts_are_one_line_that_names_the_line(monkeypatch, capsys, text, wanted):
    assert command(monkeypatch, "--text", text) == 2
    captured = capsys.readouterr()
    assert wanted in captured.err and captured.err.count("\n") == 1 and captured.out == ""


@pytest.mark.parametrize(
    ("text", "theorem", "wanted"),
    [
        ("23@41=64\n10@20=", 2, "Theorem 2 cannot perform the family AB: sum_slot"),
        ("23+41->64\n10+20->", 3, "Theorem 3 cannot perform the family add_translate: features"),
        ("Abc->A\ncat->", 2, "line 1: 'Abc->A' is explained by first, First: Theorem 2 allows one"),
    ],
)
def test_a_theorem_that_cannot_hold_a_prompt_says_so(monkeypatch, capsys, text, theorem, wanted):
    assert command(monkeypatch, "--text", text, "--theorem", str(theorem)) == 2
    captured = capsys.readouterr()
    assert wanted in captured.err and captured.err.count("\n") == 1 and captured.out == ""


# Equal widths where the number of tasks is, so that few programs are compiled.
@pytest.mark.parametrize(
    ("text", "theorem"),
    [
        pytest.param(text, theorem, marks=[pytest.mark.slow] if theorem > 1 else [])
        for text in (
            "France->Paris\nJapan->Asia\nPeru->",
            "cat->c\ndog->G\nhen->",
            "abcdefgh->c\nhgfedcba->h\nbadcfehg->",
            "7->8\n1->1\n3->",
        )
        for theorem in (1, 2, 3)
    ],
)
def test_every_family_without_sums_is_held_by_every_theorem(text, theorem):
    reply = prompt.ask(read(text), theorem=theorem)
    assert reply.holds and reply.answer.evidence == 2


@pytest.mark.parametrize(
    ("text", "alike"),
    [
        ("france -> paris\njapan -> ", "France->Paris\nJapan->"),
        (
            "NEW  zealand->oceania\nItaly->ITALY\nitaly->",
            "New Zealand->Oceania\nItaly->ITALY\nItaly->",
        ),
        ("23 @ 41 = 64\n 10@20=", "23@41=64\n10@20="),
        ("23 + 41 -> Sixty-Four\n23+41->", "23+41->sixty-four\n23+41->"),
        ("Walk -> walked\ngo->", "walk->walked\ngo->"),
    ],
)
def test_blanks_and_case_are_forgiven(text, alike):
    found, wanted = read(text), read(alike)
    assert found.family.name == wanted.family.name
    assert (found.examples, found.query) == (wanted.examples, wanted.query)


def test_a_family_whose_package_is_missing_does_not_hide_the_others(monkeypatch):
    def missing(size):
        raise ModuleNotFoundError("no babel", name="babel")

    monkeypatch.setitem(WRITINGS, "country", dataclasses.replace(WRITINGS["country"], open=missing))
    assert read("cat->c\ndog->").family.name == "word"
    with pytest.raises(ValueError, match="needs the package babel"):
        read("France->Paris\nPeru->", "country")
    with pytest.raises(ValueError, match=r"unknown word 'Paris' .*; not tried: .*package babel"):
        read("France->Paris\nPeru->")


@pytest.mark.parametrize(
    "arguments", [(), ("a", "--text", "b"), ("--family", "colors", "-"), ("/nowhere/at/all",)]
)
def test_bad_requests(monkeypatch, capsys, arguments):
    assert command(monkeypatch, *arguments) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize(
    ("text", "family"),
    [
        ("cat->c\ndog->", "word"),
        ("abcdefgh->c\nhgfedcba->", "ret"),
        ("abcdefga->a\nhgfedcba->A\nabcdefgh->", "word"),
        ("7->9\n3->", "plus"),
        ("23+41->sixty-four\n23+41->", "add_translate"),
        ("12@12=12\n23@41=", "AB"),
        ("walk->walked\ngo->", "verbs"),
        ("big->bigger\nbad->", "adjectives"),
        ("dog->chien\ncat->", "dictionary"),
        ("New Zealand->Oceania\nSão Tomé & Príncipe->", "country"),
    ],
)
def test_the_family_is_picked_by_the_lines(text, family):
    assert read(text).family.name == family


def test_a_family_can_be_named():
    assert read("abcdefgh->h\nhgfedcba->", "ret").family.name == "ret"
    assert read("abcdefgh->h\nhgfedcba->").family.name == "word"
    with pytest.raises(ValueError, match="written like no family here"):
        read("7->9\n3->", "country")
