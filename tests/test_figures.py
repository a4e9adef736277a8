"""python -m verify.figure2 and figure3: their statistics against formulas, their plots, and that a
collapse fails."""

import dataclasses
import json
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from verify import cli, figure2, figure3, figure5, plots
from verify.mixtures import Outcome, apportion, merge


def outcome(probability, mixture, **more):
    probability, mixture = np.array(probability, float), np.array(mixture, float)
    names = tuple(f"task {i}" for i in range(probability.shape[1]))
    given = {
        "other": 1 - probability.sum(1),
        "abstained": 0,
        "error": 0.0,
        "error_bound": 1e-6,
    } | more
    return Outcome(names, probability, mixture, **given)


def command(monkeypatch, module, *arguments):
    monkeypatch.setattr(sys, "argv", ["figure", *map(str, arguments)])
    with pytest.raises(SystemExit) as exit:
        cli.run(module.main, module.PROG)
    return exit.value.code


def test_calibrated_prompts_hold():
    even = outcome([[0.25, 0.75]] * 8, [[0.25, 0.75]] * 8)
    assert even.holds and even.kl == 0 and not even.variance_ratio.any()
    np.testing.assert_allclose(even.percentiles, [[0.25, 0.75]] * 5)


def test_a_collapse_that_the_average_hides_is_exposed():
    # Each prompt is all or nothing; over prompts the mean is the mixture.
    collapsed = outcome([[1, 0]] * 2 + [[0, 1]] * 6, [[0.25, 0.75]] * 8)
    np.testing.assert_allclose(collapsed.probability.mean(0), [0.25, 0.75])
    np.testing.assert_allclose(collapsed.variance_ratio, 1)
    assert collapsed.kl == np.inf and not collapsed.holds
    assert collapsed.as_json()["kl"] is None


def test_prompts_that_follow_their_own_mixtures_have_no_variance():
    rng = np.random.default_rng(0)
    own = rng.dirichlet(np.ones(4), 50)
    assert outcome(own, own).variance_ratio.max() == 0
    # A model that gives the mean mixture whatever the prompt shows does have.
    assert not outcome(np.tile(own.mean(0), (50, 1)), own).holds


def test_kl_is_the_formula():
    D, P = [0.5, 0.25, 0.25, 0.0], [0.4, 0.3, 0.2, 0.1]
    expected = 0.5 * np.log(0.5 / 0.4) + 0.25 * np.log(0.25 / 0.3) + 0.25 * np.log(0.25 / 0.2)
    assert outcome([P], [D]).kl == pytest.approx(expected)


def test_a_task_that_no_prompt_shows():
    assert outcome([[1, 0]], [[1, 0]]).holds
    assert outcome([[1, 0.1]], [[1, 0]]).variance_ratio[1] == np.inf


@pytest.mark.parametrize(
    "fault",
    [
        {"probability": np.array([[0.5, 0.5 - 1e-4]])},
        {"probability": np.array([[np.nan, 0.5]])},
        {"other": np.array([1e-5])},
        {"other": np.array([-1e-5])},
        {"error": 1e-5},
        {"error": float("nan")},
    ],
)
def test_each_target_can_fail(fault):
    good = outcome([[0.5, 0.5]], [[0.5, 0.5]])
    assert good.holds and not dataclasses.replace(good, **fault).holds


def test_merging_keeps_every_prompt():
    first, second = (
        outcome([[1, 0]], [[1, 0]], error=1e-7),
        outcome([[0, 1]], [[0, 1]], error=float("nan"), abstained=2),
    )
    both = merge([first, second])
    assert (
        len(both.probability) == 2
        and both.abstained == 2
        and np.isnan(both.error)
        and not both.holds
    )


@given(st.integers(0, 500), st.lists(st.integers(1, 20), min_size=1, max_size=12))
def test_apportion_is_fair(total, weights):
    counts = apportion(total, weights)
    assert sum(counts) == total
    for count, weight in zip(counts, weights, strict=True):
        assert abs(count - total * weight / sum(weights)) <= 1 + 1e-9


def test_figure2(monkeypatch, capsys, tmp_path):
    stem = tmp_path / "two"
    arguments = ("--family", "word", "--prompts", 12, "--examples", 5, "--out", stem, "--json", "-")
    assert command(monkeypatch, figure2, *arguments) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["holds"] and [one["examples"] for one in report["results"]] == [
        [5] * 4,
        [2, 4, 6, 8],
    ]
    for one in report["results"]:
        assert (
            one["kl"] <= 1e-6
            and one["other"] <= 1e-6
            and one["max_error"] <= one["error_bound"]
            and one["prompts"] == 12
        )
    assert (
        stem.with_suffix(".png").read_bytes().startswith(b"\x89PNG")
        and "<svg" in stem.with_suffix(".svg").read_text()
    )


def test_figure3(monkeypatch, capsys, tmp_path):
    stem = tmp_path / "three"
    arguments = (
        "--pair",
        "plus2",
        "plus7",
        "--prompts",
        2,
        "--examples",
        20,
        "--out",
        stem,
        "--json",
        tmp_path / "three.json",
    )
    assert command(monkeypatch, figure3, *arguments) == 0
    assert "plus2, plus7" in capsys.readouterr().out
    (result,) = json.loads((tmp_path / "three.json").read_text())["results"]
    share, probability = (
        np.array(result["share"]["plus2"]),
        np.array(result["probability"]["plus2"]),
    )
    np.testing.assert_array_equal(share, np.repeat(np.arange(21) / 20, 2))
    np.testing.assert_allclose(probability, share, atol=1e-6)
    np.testing.assert_allclose(result["probability"]["plus7"], 1 - share, atol=1e-6)
    assert stem.with_suffix(".png").exists() and stem.with_suffix(".svg").exists()


@pytest.mark.parametrize("module", [figure2, figure3])
def test_a_failed_target_is_exit_code_1(monkeypatch, capsys, tmp_path, module):
    bad = outcome([[1, 0]], [[0.5, 0.5]])
    results = [("word", "even", [1, 1], bad)] if module is figure2 else [("task 0", "task 1", bad)]
    monkeypatch.setattr(module, "experiment", lambda *_: results)
    assert command(monkeypatch, module, "--out", tmp_path / "bad") == 1
    captured = capsys.readouterr()
    assert "NO" in captured.out and "mixture" in captured.err


@pytest.mark.parametrize("pair", [("plus1", "ret1"), ("plus1", "plus1"), ("plus1", "plus10")])
def test_pairs_that_make_no_mixture(monkeypatch, capsys, pair):
    assert command(monkeypatch, figure3, "--pair", *pair) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_plot_may_be_called_as_a_folder_is(tmp_path):
    """The files are STEM.png and STEM.svg."""
    (tmp_path / "three").mkdir()
    assert figure3.parser().parse_args(["--out", str(tmp_path / "three")]).out == str(
        tmp_path / "three"
    )


def drawing(monkeypatch, module, results):
    """What a module would save."""
    saved = []
    monkeypatch.setattr(plots, "save", lambda drawing, stem: saved.append(drawing) or [])
    module.plot(results, "nowhere")
    saved[0].draw_without_rendering()
    return saved[0]


def test_figure3_names_its_lines_and_its_points_beside_them(monkeypatch):
    share = np.linspace(0, 1, 5)
    both = outcome(np.stack([share, 1 - share], 1), np.stack([share, 1 - share], 1))
    figure = drawing(monkeypatch, figure3, [("task 0", "task 1", both)])
    (axis,) = figure.axes
    named = [text.get_text() for text in axis.get_legend().get_texts()]
    assert named == [line.get_label() for line in axis.lines] and len(named) == 3
    assert not axis.get_legend().get_window_extent().overlaps(axis.bbox)


def test_figure5_shows_whole_markers_at_its_edges(monkeypatch):
    share = np.linspace(0, 1, 5)
    answers = np.stack([1 - share, share], 1)
    curves = [
        figure5.Curve("ret", kind, ("ret1", "ret2"), (0, 1), share, answers, 1e-6)
        for kind in ("patched", "prompted")
    ]
    for axis in drawing(monkeypatch, figure5, curves).axes:
        assert axis.get_ylim() == (0, 1) and len(axis.get_legend().get_texts()) == 2
        assert len(axis.lines) == 2 and not any(line.get_clip_on() for line in axis.lines)


def test_a_plot_that_cannot_be_written(monkeypatch, capsys):
    arguments = ("--pair", "plus2", "plus7", "--prompts", 1, "--out", "/nowhere/three")
    assert command(monkeypatch, figure3, *arguments) == 2
