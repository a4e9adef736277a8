"""Families: weights equal functions on every word, residuals are 0 or sqrt 2, answers are
distributions."""

import dataclasses
import itertools
import math
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from construct import build
from construct.families.family import SILENT, matrix, vocabulary
from construct.families.hats import number_features, read_number
from verify.families import WRITINGS, language_words, open_family
from verify.oracle import features_of, fill, judge

EXAMPLES = 8
family_names = pytest.mark.parametrize("name", list(WRITINGS))


@cache
def opened(name):
    return open_family(name, 8)


@cache
def built(name):
    family = opened(name)
    return build(family.spec(EXAMPLES), family.tasks, family.feature_map)


def every_input(name):
    """All words of a family where they can be listed, else many random ones."""
    family = opened(name)
    if name in ("AB", "add_translate"):
        return list(itertools.product(sorted(family.domain), repeat=2))
    if name == "country":
        return [(word,) for word in sorted(family.domain)]
    if name == "plus":
        return [(digit,) for digit in "0123456789"]
    rng = np.random.default_rng(0)
    extra = ["a", "ab", "Zz", "aa", "Language"] if name == "word" else ["aaaaaaaa"]
    return [(word,) for word in extra] + [WRITINGS[name].draw(rng) for _ in range(200)]


def outputs(family, inputs):
    """By task and slot: W_i phi(x_slot) + b_i for stacked inputs, sum slots filled."""
    features = features_of(family.feature_map, fill(inputs, family.sum_slot))
    return [
        [features[:, slot] @ task.weight.T for slot in range(family.slots)] for task in family.tasks
    ]


@family_names
def test_weights_are_the_functions_on_every_word(name):
    family, examples = opened(name), every_input(name)
    for start in range(0, len(examples), 1000):
        part = examples[start : start + 1000]
        inputs = np.stack([family.vectors(family.layout(words)) for words in part])
        for task, function, by_slot in zip(
            family.tasks, family.functions.values(), outputs(family, inputs), strict=True
        ):
            np.testing.assert_array_equal(
                by_slot[task.slot], family.vectors(function(words) for words in part)
            )


@family_names
def test_radius_and_input_radius_bound_every_slot(name):
    family, spec = opened(name), opened(name).spec(EXAMPLES)
    examples = every_input(name)[:: 7 if name in ("AB", "add_translate") else 1]
    examples += [("99", "99"), ("10", "10")] if family.sum_slot else []
    inputs = np.stack([family.vectors(family.layout(words)) for words in examples])
    assert np.linalg.norm(fill(inputs, family.sum_slot), axis=-1).max() <= spec.input_radius
    for by_slot in outputs(family, inputs):
        for out in by_slot:
            assert np.linalg.norm(out, axis=-1).max() <= spec.radius * (1 + 1e-15)


def test_ab_needs_its_radius_of_two():
    family = opened("AB")
    inputs = family.vectors(family.layout(("12", "12")))[None]
    assert max(np.linalg.norm(out) for by_slot in outputs(family, inputs) for out in by_slot) == 2


def draw_prompt(name, seed, kinds):
    """A prompt of a family: an example's label is a random task's, or (kind 0) a random word of the
    vocabulary."""
    family, rng = opened(name), np.random.default_rng(seed)
    examples = []
    for kind in kinds:
        words = WRITINGS[name].draw(rng)
        labels = family.answers(words) if kind else family.vocabulary
        examples.append((words, labels[rng.integers(len(labels))]))
    return examples, WRITINGS[name].draw(rng)


@pytest.mark.slow
@family_names
@given(
    seed=st.integers(0, 2**32 - 1),
    kinds=st.lists(st.integers(0, 4), min_size=EXAMPLES, max_size=EXAMPLES),
)
@settings(max_examples=6, deadline=None)
def test_the_answer_is_the_distribution_that_the_words_define(name, seed, kinds):
    family, model = opened(name), built(name)
    examples, query = draw_prompt(name, seed, kinds)
    prompt = family.prompt(examples, query)
    verdict = judge(family.tasks, prompt, 0.0, math.sqrt(2), family.feature_map, family.sum_slot)
    explained = [family.explain(*example) for example in examples]
    assert [tuple(np.flatnonzero(column)) for column in verdict.explains.T] == explained
    residuals = verdict.residuals
    assert (np.minimum(residuals, abs(residuals - math.sqrt(2))) < 1e-12).all()

    answer = model(prompt)
    np.testing.assert_array_equal(
        answer.recognized, [tasks[0] if len(tasks) == 1 else -1 for tasks in explained]
    )
    assert answer.vector.min() >= -1e-7
    assert answer.vector.sum() == pytest.approx(1 if answer.evidence else 0, abs=1e-6)
    expected = np.zeros(len(family.vocabulary))
    for i, word in enumerate(family.answers(query)):
        expected[family.coordinate[word]] += answer.counts[i] / max(answer.evidence, 1)
    np.testing.assert_allclose(answer.vector, expected, atol=1e-6)


@given(st.integers(0, 40), st.integers(0, 30))
def test_hats_are_one_hot_at_whole_numbers(least, width):
    greatest = least + width
    words = vocabulary(str(number) for number in range(greatest + 1))
    values = {word: int(word) for word in words}
    names = {number: str(number) for number in range(least, greatest + 1)}
    features, reads = (
        number_features(words, values, names),
        read_number(words, names, names),
    )
    for number in range(greatest + 1):
        x = np.eye(len(words))[number]
        hot = x if number >= least else np.zeros(len(words))
        np.testing.assert_array_equal(reads @ features_of(features, x), hot)


@pytest.mark.parametrize("name", ["AB", "add_translate"])
def test_sums_of_numbers_do_not_fit_float32_and_the_error_names_float64(name):
    family = dataclasses.replace(opened(name), dtype="float32")
    with pytest.raises(ValueError, match="dtype = 'float64' would do"):
        build(family.spec(EXAMPLES), family.tasks, family.feature_map)


def test_some_examples_are_ambiguous_by_nature():
    assert opened("AB").explain(("12", "12"), "12") == (0, 1)
    assert opened("word").explain(("abca",), "a") == (0, 1)
    assert opened("word").explain(("Abc",), "A") == (0, 2)
    assert opened("country").explain(("Japan",), "Paris") == ()
    assert opened("ret").explain(("aaaaaaaa",), "a") == tuple(range(8))


def test_known_facts():
    assert opened("country").answers(("France",)) == ("Paris", "Europe", "FRANCE")
    assert opened("add_translate").answers(("23", "41")) == (
        "64",
        "sixty-four",
        "soixante-quatre",
        "sesenta y cuatro",
    )
    assert opened("AB").answers(("23", "41")) == ("23", "41", "64")
    assert opened("plus").answers(("7",)) == tuple("7890123456")
    assert len(opened("country").domain) > 190 and len(language_words()) > 300


def test_a_word_s_last_letter_is_in_the_last_slot():
    family = opened("word")
    assert family.layout(("abc",)) == ("a", "b", "", "", "", "", "", "c")
    assert family.layout(("a",)) == ("a", "", "", "", "", "", "", "a")


def test_a_family_refuses_what_does_not_fit():
    family = opened("plus")
    with pytest.raises(ValueError, match="one for each of 9 functions"):
        _ = dataclasses.replace(family, functions=dict(list(family.functions.items())[:9])).tasks
    with pytest.raises(ValueError, match="vocabulary = '3': must be listed once"):
        dataclasses.replace(family, vocabulary=(*family.vocabulary[:9], "3"))
    with pytest.raises(ValueError, match="word = 'x'"):
        family.vectors(["x"])
    with pytest.raises(ValueError, match=r"examples\[1\] = no label"):
        family.prompt([(("1",), "2"), (("1",), SILENT)], ("3",))
    with pytest.raises(ValueError, match="must be one of AB, add_translate"):
        open_family("colors")


def test_a_single_word_may_be_a_string():
    family = opened("plus")
    pairs, plain = [(("1",), "3"), (("4",), "5")], [("1", "3"), ("4", "5")]
    for one, other in zip(
        vars(family.prompt(pairs, ("3",))).values(),
        vars(family.prompt(plain, "3")).values(),
        strict=True,
    ):
        np.testing.assert_array_equal(one, other)
    assert family.answers("3") == family.answers(("3",)) and family.explain("1", "3") == (2,)
    assert opened("country").narrowed([([("France", "Paris")], "Peru")]).rows == (
        ("France",),
        ("Peru",),
    )


def test_what_a_family_cannot_hold_is_refused():
    family = opened("country")
    with pytest.raises(ValueError, match="examples = none: must be one at least"):
        family.prompt([], "Peru")
    with pytest.raises(ValueError, match="word = 'Pari': must be in the vocabulary of country"):
        family.narrowed([([("France", "Pari")], "Peru")])
    with pytest.raises(ValueError, match="country = 'Atlantis': must be the inputs of a row"):
        family.answers("Atlantis")
    narrow = family.narrowed([([("France", "Paris")], "Peru")])
    with pytest.raises(ValueError, match="word = 'Japan': must be in the vocabulary"):
        narrow.narrowed([([("Japan", "Paris")], "Peru")])


def test_a_missing_package_is_named(monkeypatch):
    def missing(size):
        raise ModuleNotFoundError("no babel", name="babel")

    monkeypatch.setitem(WRITINGS, "country", dataclasses.replace(WRITINGS["country"], open=missing))
    with pytest.raises(ValueError, match=r"needs the package babel; .* -m pip install .Babel"):
        open_family("country")


@family_names
def test_what_is_written_is_read_back(name):
    rng = np.random.default_rng(1)
    for _ in range(50):
        words = WRITINGS[name].draw(rng)
        assert WRITINGS[name].words(WRITINGS[name].write(words)) == words


def test_a_matrix_is_zero_where_there_is_no_image():
    np.testing.assert_array_equal(
        matrix(("a", "b"), {"a": "b", "b": "c", "d": "a"}), [[0, 0], [1, 0]]
    )


@family_names
@given(seed=st.integers(0, 2**32 - 1), kinds=st.lists(st.integers(0, 4), min_size=1, max_size=6))
@settings(max_examples=25, deadline=None)
def test_a_narrowed_family_judges_and_answers_alike(name, seed, kinds):
    whole = opened(name)
    examples, query = draw_prompt(name, seed, kinds)
    narrow = whole.narrowed([(examples, query)])
    places = [whole.coordinate[word] for word in narrow.vocabulary]
    assert places == sorted(places)
    verdicts = [
        judge(
            family.tasks,
            family.prompt(examples, query),
            0.0,
            math.sqrt(2),
            family.feature_map,
            family.sum_slot,
        )
        for family in (whole, narrow)
    ]
    np.testing.assert_array_equal(verdicts[0].residuals, verdicts[1].residuals)
    np.testing.assert_array_equal(verdicts[0].outputs[:, places], verdicts[1].outputs)
    # What has no coordinate is nothing that a task says of the query.
    assert not np.delete(verdicts[0].outputs, places, axis=1).any()
    # No transformer holds a task twice, and none longer than the radius.
    spec = narrow.spec(len(examples))
    for by_slot in outputs(narrow, narrow.prompt(examples, query).inputs):
        for out in by_slot:
            assert np.linalg.norm(out, axis=-1).max() <= spec.radius * (1 + 1e-15)


def test_a_narrowed_family_has_the_words_of_its_prompts_and_what_tasks_say_of_them():
    country = opened("country")
    prompts = [
        ([(("France",), "Paris"), (("Japan",), "Lima")], ("Peru",)),
        ([(("Peru",), "Lima")], ("France",)),
    ]
    narrow = country.narrowed(prompts)
    france, japan = {"France", "Paris", "Europe", "FRANCE"}, {"Japan", "Tokyo", "Asia", "JAPAN"}
    assert set(narrow.vocabulary) == france | japan | {"Peru", "Lima", "South America", "PERU"}
    assert narrow.domain == {"France", "Japan", "Peru"}
    assert narrow.narrowed(prompts).vocabulary == narrow.vocabulary


def test_tasks_that_a_prompt_cannot_tell_apart_get_a_word_that_does():
    # Of capital letters alone, the first letter and its capital are one function.
    narrow = opened("word").narrowed([([(("CAT",), "C")], ("DOG",))])
    assert narrow.vocabulary == ("a", *"ACDGOT")
    narrow.spec(1)
