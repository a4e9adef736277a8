"""Token ids and embedding tables: their sum is the stream before the first layer, bit for bit; what
has no place is refused."""

import json

import numpy as np
import pytest

from construct.export import Sentences, Vocabulary
from construct.export.sentences import END_OF_ANSWER, word_tasks
from construct.export.tokens import position_rows
from construct.families import from_table, ret, word
from construct.residual import Residual
from construct.theorem4 import build as build4
from construct.theorem4 import spec_of
from construct.words import WordPrompt
from verify.families.tables import load
from verify.theorem import ALL

VERBS = load("verbs").family().narrowed([([], row) for row in list(load("verbs").rows)[:5]])
SUMS = from_table(
    {"a": ["x", "x", "y"], "b": ["x", "y", "y"], "same": ["1", "0", "1"], "first": ["x", "x", "y"]},
    inputs=["a", "b"],
)


def embedded(model, prompt) -> np.ndarray:
    return np.asarray(model.trace(prompt, attention=False, enforce=False).streams["embed"])


@pytest.mark.slow
@pytest.mark.parametrize("number", [1, 2, 3])
@pytest.mark.parametrize("family", [VERBS, SUMS, word(4)], ids=lambda family: family.name)
def test_tables_make_the_stream_of_a_full_prompt(family, number):
    if family.sum_slot and number > 1:
        pytest.skip("Theorem 1 alone has sum slots")
    m = 3
    model = ALL[number].build(family.spec(m), family.tasks, family.feature_map)
    rows = list(family.rows) or [("abc",), ("d",), ("wxyz",)]
    examples = [(rows[j], family.answers(rows[j])[0]) for j in range(m)]
    vocabulary = Vocabulary(family, model.spec)
    W_E, W_pos = vocabulary.embeddings(model.residual)
    ids = vocabulary.ids(examples, rows[0])
    assert len(ids) == model.spec.tokens and len(W_E) == len(vocabulary.tokens)
    stream = embedded(model, family.prompt(examples, rows[0]))
    np.testing.assert_array_equal((W_E[ids] + W_pos).astype(np.float32), stream)


def test_positions_hold_all_but_the_content_of_vectors():
    rng = np.random.default_rng(0)
    made = ALL[1].draw_instance(rng, K=2, d=3, m=4, n=4, sum_slot=True)
    model = ALL[1].build(made.spec, made.tasks)
    prompt = ALL[1].draw_prompt(rng, made)
    stream = embedded(model, prompt)
    rows = position_rows(model.residual, made.spec)
    for name in model.residual.names:
        where = model.residual.where(name)
        if name not in ("x", "y"):
            np.testing.assert_array_equal(stream[:, where], rows[:, where])
    assert not rows[:, model.residual.where("x")].any()


def test_pads_are_tokens_without_a_role():
    vocabulary = Vocabulary(VERBS, VERBS.spec(4))
    model = ALL[1].build(vocabulary.spec, VERBS.tasks)
    W_E, W_pos = vocabulary.embeddings(model.residual)
    ids = vocabulary.ids([(VERBS.rows[0], VERBS.answers(VERBS.rows[0])[0])], VERBS.rows[1])
    pads = [i for i, one in enumerate(ids) if vocabulary.tokens[one] == "<pad>"]
    assert len(pads) == 3 * vocabulary.spec.n
    flags = [model.residual.where(name).start for name in ("bos", "inp", "lab", "qry")]
    assert not (W_E[ids] + W_pos)[pads][:, flags].any()


def words(*parts) -> WordPrompt:
    return WordPrompt(*map(np.array, parts))


def sentences(L: int = 2, S: int = 2, d: int = 6, m: int = 4) -> tuple[Sentences, list, Residual]:
    rng = np.random.default_rng(1)
    made = ALL[4].draw_instance(rng, K=3, d=d, m=m, n=S + 1 + L, L=L)
    model = build4(made.spec, made.tasks)
    text = Sentences(made.spec, tuple(f"w{i}" for i in range(d)))
    return text, [model, made, rng], model.residual


@pytest.mark.parametrize(("L", "S"), [(1, 1), (2, 1), (3, 2)])
def test_sentences_make_the_stream(L, S):
    text, (model, made, rng), residual = sentences(L, S)
    W_E, W_pos = text.embeddings(residual)
    prompt = ALL[4].draw_prompt(rng, made, said=L - 1)
    ids = text.ids(prompt)
    stream = embedded(model, prompt)
    # The query is line m there and the next line here: any code that no example has will do.
    query = stream[-(S + L) :, residual.where("e")]
    here = (W_E[ids] + W_pos[: len(ids)]).astype(np.float32)
    assert prompt.examples == made.spec.m, "so that the two are the same"
    np.testing.assert_array_equal(here, stream)
    assert len(query) == S + L


def test_text_is_what_one_types():
    text, _, _ = sentences()
    prompt = words([[0, 1], [2, 3]], [[4, 5], [0, 0]], [1, 1], [3])
    assert text.text(prompt) == "w0 w1 -> w4 w5\nw2 w3 -> w0 w0\nw1 w1 -> w3"


def test_a_tables_answers_are_split_into_words():
    family = from_table(
        {"animal": ["ant", "cow"], "en": ["small animal", "big animal"], "fr": ["petit", ""]}
    )
    tasks, words = word_tasks(family, split=True)
    assert words == ("ant", "cow", "small", "animal", "petit", "big", END_OF_ANSWER) or set(
        words
    ) == {"ant", "cow", "small", "animal", "petit", "big", END_OF_ANSWER}
    say = [
        [words[i] if i >= 0 else None for i in task.words[:, words.index("ant")]] for task in tasks
    ]
    assert say == [["small", "animal"], ["petit", END_OF_ANSWER]]
    assert (tasks[1].words[:, words.index("cow")] == -1).all()
    whole, spoken = word_tasks(family)
    assert "small animal" in spoken and whole[0].words.shape[0] == 1


def test_letters_are_tasks_of_theorem_4_too():
    tasks, words = word_tasks(ret())
    spec = spec_of(tasks, m=3, S=8)
    assert len(words) == 26 and spec.K == 8 and [task.slot for task in tasks] == list(range(8))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: sentences()[0].ids(words([[0, 0]] * 5, [[0, 0]] * 5, [0, 0])),
            "at most m = 4",
        ),
        (lambda: Sentences(sentences()[0].spec, ("a",) * 6), "word of its own"),
        (lambda: Sentences(sentences()[0].spec, tuple("abcde")), "must be d = 6"),
        (lambda: Sentences(sentences()[0].spec, (*"abcde", "f g")), "blank"),
        (lambda: Sentences(sentences()[0].spec, (*"abcde", "->")), "none of"),
        (lambda: Sentences(sentences()[0].spec, (*"abcde", "x->y")), "arrow"),
        (lambda: word_tasks(SUMS), "several inputs at once"),
        (lambda: word_tasks(ret(), split=True), "rows can be listed"),
        (
            lambda: word_tasks(from_table({"x": ["a", "b"], "y": ["c .", "d"]}), split=True),
            "no word of the table",
        ),
        (
            lambda: Vocabulary(VERBS, VERBS.spec(2)).ids([(VERBS.rows[0], "x")] * 3, VERBS.rows[0]),
            "at most m = 2",
        ),
        (
            lambda: Vocabulary(VERBS, VERBS.spec(2)).ids([(VERBS.rows[0], "nope")], VERBS.rows[0]),
            "must be a token of verbs",
        ),
    ],
)
def test_what_has_no_place_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_files_name_the_tokens_in_order():
    vocabulary = Vocabulary(VERBS, VERBS.spec(2))
    assert json.loads(vocabulary.texts()["vocabulary.json"]) == list(vocabulary.tokens)
    text, _, _ = sentences()
    files = text.texts()
    model = json.loads(files["tokenizer.json"])["model"]
    assert list(model["vocab"]) == list(text.tokens) and model["unk_token"] == "<unk>"
