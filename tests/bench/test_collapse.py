"""Collapse along a generated answer: by hand, on Theorem 4's transformer, on a decoder, and as a
command."""

import json

import jax.numpy as jnp
import numpy as np
import pytest

from construct.layers import in_dtype
from tests.bench.test_decoder import BARE, CASES, chances
from tests.theorem4.test_command import exits
from verify import cli
from verify import collapse as command
from verify.bench.material import Material, Sizes
from verify.bench.methods import collapse
from verify.bench.subject import Writer
from verify.bench.subjects.constructed import Constructed
from verify.bench.subjects.words import Words
from verify.bench.tasksets import open_set
from verify.posteriors import Said

SIZES = Sizes(lines=8, each=2, prompts=3)
CHAIN = open_set("chain4")
DECODER = "chain4-layers2-width32"


class Known:
    """A writer that says what the definition says; or, if it picks, the first line's task alone,
    and `lost` of the time a word that no task says."""

    name, kind = "known", "trained"
    vocabulary = CHAIN.family.vocabulary

    def __init__(self, picks=False, lost=0.0):
        self.picks, self.lost, self.soft = picks, lost, not picks

    def prepare(self, tasks, lines):
        pass

    def written(self, case):
        return [tuple(map(int, answer.split())) for answer in case.answers]

    def ask(self, prompt, prefixes):
        due = collapse.Law(self, 10).ask(prompt, prefixes)
        if not self.picks:
            return due
        task, found = prompt.tasks[0], []
        for prefix in prefixes:
            answer, t = self.written(prompt)[task], len(prefix)
            held = answer[:t] == tuple(prefix.tolist())
            rest = (1 - self.lost) ** (len(answer) - t) * held
            word = np.eye(10)[answer[t]] * (1 - self.lost)
            found.append(Said(word, np.eye(4)[task] * rest))
        return found


def material(writer):
    return Material(writer, CHAIN, SIZES, seed=3)


def test_how_many_tasks_are_left():
    assert collapse.tasks_left(np.full(4, 0.1)) == pytest.approx(4)
    assert collapse.tasks_left(np.array([0, 0.3, 0])) == pytest.approx(1)
    assert np.isnan(collapse.tasks_left(np.zeros(3)))


def left(values, how):
    return [one[0] for one in values["decodings"][how]["left"]]


def test_what_follows_the_definition_collapses_as_words_are_said():
    values = collapse.find(material(Known())).values
    # 7 8 9 parts from the others at the first word, 1 5 6 at the second, 1 2 3 and 1 2 4 at last.
    assert left(values, "sample") == pytest.approx([4, 1 / 4 + 3 * 3 / 4, 1 / 2 + 2 / 2])
    assert left(values, "greedy") == pytest.approx([4, 3, 2])
    assert left(values, "superposed") == pytest.approx([4, 4, 4])
    for how in ("sample", "superposed"):
        np.testing.assert_allclose(values["decodings"][how]["posterior"], 0.25)
    assert values["answers"][0][3]["own"] == pytest.approx([1 / 4, 1 / 3, 1 / 2])
    assert values["other"][0] == pytest.approx(0)


def test_what_picks_a_task_has_collapsed_before_a_word():
    values = collapse.find(material(Known(picks=True, lost=0.1))).values
    assert left(values, "sample") == left(values, "greedy") == pytest.approx([1, 1, 1])
    assert "superposed" not in values["decodings"]
    assert values["other"][0] == pytest.approx(1 - 0.9**3)
    mean = np.array(values["decodings"]["sample"]["posterior"])
    # By the chain rule the mean over samples stays, whatever the model.
    np.testing.assert_allclose(mean, [mean[0]] * 3)
    assert mean[0].sum() == pytest.approx(0.9**3) and mean[0].min() == 0


def test_answers_of_different_lengths_end_where_they_end():
    class Uneven(Known):
        def written(self, case):
            """7, 1 2 3, 1 5 and 1 2 4 in the place of 7 8 9, 1 2 3, 1 5 6 and 1 2 4."""
            lengths = (1, 3, 2, 3)
            return [a[:size] for a, size in zip(super().written(case), lengths, strict=True)]

    writer = Uneven()
    written = writer.written(material(writer).evenly[0])
    values = collapse.find(material(writer)).values
    # Those that go on: all, then all but 7, then 1 2 3 and 1 2 4.
    assert left(values, "sample") == left(values, "greedy") == pytest.approx([4, 3, 2])
    # What has ended keeps its task: the mean stays.
    np.testing.assert_allclose(values["decodings"]["sample"]["posterior"], 0.25)
    assert [len(one["own"]) for one in values["answers"][0]] == list(map(len, written))


def test_an_answer_that_is_how_another_begins_is_refused():
    class Nested(Known):
        def written(self, case):
            return [a[:size] for a, size in zip(super().written(case), (3, 2, 3, 3), strict=True)]

    # 1 2, and 1 2 4.
    with pytest.raises(ValueError, match="is how another's begins"):
        collapse.find(material(Nested()))


def test_where_no_task_is_left_there_is_nothing_to_count():
    class Silent(Known):
        def ask(self, prompt, prefixes):
            return [Said(np.zeros(10), np.zeros(4)) for _ in prefixes]

    values = collapse.find(material(Silent(picks=True))).values
    assert values["decodings"]["sample"]["left"] == [None] * 3 and values["other"][0] == 1


@pytest.fixture(scope="module")
def theorem4():
    return material(Words())


def test_theorem_4_is_as_the_law_says(theorem4):
    found = collapse.find(theorem4)
    assert isinstance(theorem4.subject, Writer) and len(found.claims) == 9
    assert [claim for claim in found.claims if not claim.holds] == []
    assert left(found.values, "sample") == pytest.approx([4, 2.5, 1.5])


def test_a_damaged_transformer_is_seen(theorem4):
    layer = theorem4.subject.model.layers[-1]
    bank = next(bank for bank in layer.banks if not bank.idle)
    whole = jnp.asarray(bank.W_V[...])
    with in_dtype("float64"):
        bank.W_V[...] = 0.9 * whole
        wrong = [claim for claim in collapse.find(theorem4).claims if not claim.holds]
        bank.W_V[...] = whole
    assert wrong


def test_a_decoder_is_asked_for_the_rest_of_each_answer():
    case = BARE.tokens(CASES[1])  # answers 0 4 and 0 5 5
    prefixes = [np.array(p, int) for p in ([], [0], [0, 5], [0, 4], [3])]
    said = BARE.ask(CASES[1], prefixes)
    assert BARE.written(CASES[1]) == [(0, 4), (0, 5, 5)]
    first = [chances(case.text, answer) for answer in case.answers]
    np.testing.assert_allclose(said[0].posterior, first, rtol=1e-4)
    both = [chances([*case.text, 0], rest) for rest in ([4], [5, 5])]
    np.testing.assert_allclose(said[1].posterior, both, rtol=1e-4)
    np.testing.assert_allclose(
        said[1].distribution, [chances([*case.text, 0], [w]) for w in range(11)], rtol=1e-4
    )
    np.testing.assert_allclose(said[2].posterior, [0, chances([*case.text, 0, 5], [5])], rtol=1e-4)
    # A whole answer is of its task, and nothing follows; what no task says is of none.
    assert said[3].posterior.tolist() == [1, 0] and not said[3].distribution.any()
    assert not said[4].posterior.any() and said[4].distribution.sum() == pytest.approx(1, rel=1e-4)


def collapses(monkeypatch, *arguments):
    return exits(monkeypatch, command.main, command.PROG, *arguments)


def test_the_command_follows_subjects_of_the_bench(monkeypatch, capsys, tmp_path):
    request = ("--samples", 20, "--out", tmp_path / "c", "--json", "-", "--subject")
    assert collapses(monkeypatch, *request, "theorem4") == cli.HOLDS
    report = json.loads(capsys.readouterr().out)
    assert report["holds"] and [one["decoding"] for one in report["paths"]] == [
        "sample",
        "greedy",
        "superposed",
    ]
    np.testing.assert_allclose(report["paths"][2]["posterior"], [(0.4, 0.3, 0.2, 0.1)] * 3)
    assert collapses(monkeypatch, *request, DECODER) == cli.HOLDS
    report = json.loads(capsys.readouterr().out)
    assert report["error_bound"] is None and len(report["paths"]) == 2
    assert (tmp_path / "c.svg").exists()


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("--subject", "theorem1"), "--subject theorem1: says no next word"),
        (("--subject", "theorem4", "--counts", 1, 2), "--counts: 2 numbers for 4 tasks"),
        (("--subject", "theorem4", "--set", "nothing"), "task set 'nothing' is unknown"),
        (("--counts", 1), "--counts: 1 numbers for 4 tasks"),
        (("--set", "chain4"), "--set chain4: is of --subject"),
    ],
)
def test_bad_requests_are_one_line(monkeypatch, capsys, arguments, error):
    assert collapses(monkeypatch, *arguments) == cli.BAD_REQUEST
    err = capsys.readouterr().err
    assert error in err and err.count("\n") == 1


def test_one_word_answers_have_no_writer():
    assert not isinstance(Constructed(1), Writer)
    with pytest.raises(ValueError, match="is Theorem 4's to give"):
        print(CHAIN.family.tasks)
