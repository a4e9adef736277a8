"""python -m verify.explain: a page a theorem, typed prompts, and one line for whatever makes no
page."""

import json
import sys

import numpy as np
import pytest

from verify import cli, explain
from verify.theorem import ALL

NUMBERS = tuple(ALL)


def command(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["explain", *map(str, arguments)])
    with pytest.raises(SystemExit) as exit:
        cli.run(explain.main, explain.PROG)
    return exit.value.code


@pytest.mark.parametrize("number", NUMBERS)
def test_the_page_is_named_after_the_theorem(monkeypatch, capsys, tmp_path, number):
    monkeypatch.chdir(tmp_path)
    assert command(monkeypatch, "--theorem", number) == 0
    assert [file.name for file in tmp_path.iterdir()] == [f"theorem{number}.html"]
    assert f"wrote theorem{number}.html" in capsys.readouterr().out


@pytest.mark.parametrize("number", [number for number in NUMBERS if ALL[number].labeled])
def test_typed_prompts(monkeypatch, capsys, tmp_path, number):
    one, two = tmp_path / "one.txt", tmp_path / "two.txt"
    one.write_text("cat->c\ndog->G\ncow->W\nfish->")
    two.write_text("cat->c\ndog->d\ncow->C\nfi->")
    out = tmp_path / "page.html"
    assert (
        command(monkeypatch, "--theorem", number, "--prompt", one, two, "--out", out, "--json", "-")
        == 0
    )
    report = json.loads(capsys.readouterr().out)
    assert report["theorem"]["number"] == number and all(
        prompt["holds"] for prompt in report["prompts"]
    )
    assert [prompt["title"] for prompt in report["prompts"]] == ["one.txt", "two.txt"]
    said = {one["coordinate"]: one["value"] for one in report["prompts"][0]["answer"]}
    error = report["prompts"][0]["error_bound"]
    assert said.pop("f") == pytest.approx(1 / 3, abs=error) and said.pop("H") == pytest.approx(
        2 / 3, abs=error
    )
    assert max(map(abs, said.values()), default=0) <= error
    assert report["prompts"][0]["tokens"][1:5] == ["0 c", "0 a", "0 _", "0 t"]


def refused(monkeypatch, capsys, out, *arguments):
    """The one line with which a request is refused, and no page is written."""
    assert command(monkeypatch, "--out", out, *arguments) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and not out.exists()
    return error


def written(folder, *texts):
    """Files with these prompts."""
    files = [folder / f"{i}.txt" for i in range(len(texts))]
    for file, text in zip(files, texts, strict=True):
        file.write_text(text)
    return files


@pytest.mark.parametrize(
    "texts",
    [("cat->c\ndog->", "7->9\n3->"), ("cat->c\ndog->",) * 6, ("cat\n",), ("7->9\n" * 120 + "3->",)],
)
def test_requests_that_make_no_page(monkeypatch, capsys, tmp_path, texts):
    refused(monkeypatch, capsys, tmp_path / "page.html", "--prompt", *written(tmp_path, *texts))


@pytest.mark.parametrize(
    ("number", "text", "reason"),
    [
        (2, "23@41=64\n10@20=", "Theorem 2 cannot perform the family AB: sum_slot"),
        (2, "23+41->64\n10+20->", "Theorem 2 cannot perform the family add_translate: sum_slot"),
        (3, "23@41=64\n10@20=", "Theorem 3 cannot perform the family AB: features"),
        (4, "cat->c\ndog->d\nfish->", "Theorem 4 cannot perform the family word: tasks[0]"),
        (2, "cat->c\ndad->d\nfish->", "0.txt: prompt example 1 = explained by tasks 0, 1"),
    ],
)
def test_what_a_theorem_cannot_perform_is_refused(
    monkeypatch, capsys, tmp_path, number, text, reason
):
    arguments = ("--theorem", number, "--prompt", *written(tmp_path, text))
    assert reason in refused(monkeypatch, capsys, tmp_path / "page.html", *arguments)


@pytest.mark.parametrize(
    "arguments", [("--theorem", len(ALL) + 1), ("--family", "AB"), ("--theorem", 3, "--d", 1)]
)
def test_options_that_make_no_page(monkeypatch, capsys, tmp_path, arguments):
    refused(monkeypatch, capsys, tmp_path / "page.html", *arguments)


def test_what_random_prompts_are_drawn_by_is_refused_with_typed_ones(monkeypatch, capsys, tmp_path):
    files = written(tmp_path, "cat->c\ndog->")
    assert "--K, --seed" in refused(
        monkeypatch, capsys, tmp_path / "page.html", "--seed", 0, "--K", 3, "--prompt", *files
    )


def test_a_page_that_cannot_be_written_is_one_line(monkeypatch, capsys, tmp_path):
    assert "--out" in refused(monkeypatch, capsys, tmp_path / "no folder" / "page.html")


@pytest.mark.parametrize("K", [1, 2, 3])
@pytest.mark.parametrize("m", [1, 3, 4])
@pytest.mark.parametrize("ambiguity", [False, True])
def test_a_title_is_true_of_its_prompt(K, m, ambiguity):
    for title, kind in explain._kinds(K, m, ambiguity).items():
        noise, ambiguous = kind.get("noise", 0), kind.get("ambiguous", 0)
        assert noise + ambiguous <= m
        assert bool(noise) == ("noise" in title) and bool(ambiguous) == ("ambiguous" in title)
        assert not ambiguous or (ambiguity and K > 1)
        shares = kind.get("shares")
        if shares is not None:
            drawn = {"only": [K - 1], "0 and 1": [0, 1], "all": list(range(K))}
            assert np.flatnonzero(shares).tolist() == next(
                tasks for words, tasks in drawn.items() if words in title
            )


def test_a_page_is_not_overwritten_by_its_json(monkeypatch, capsys, tmp_path):
    page = tmp_path / "page.html"
    assert "is --out too" in refused(monkeypatch, capsys, page, "--json", page)


def test_a_line_without_an_input_is_refused(monkeypatch, capsys, tmp_path):
    found = refused(monkeypatch, capsys, tmp_path / "page.html", "--theorem", 4, "--n", 2)
    assert "raise --n to 3" in found
