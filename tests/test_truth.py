"""The answer key against runs: heads act where it says, look at what it says, write where it says,
and for the tasks that it says."""

import dataclasses
import json
import re

import numpy as np
import pytest

from construct.truth import ARROW, WORD, HeadTruth, Tokens, truth
from verify.record import Theorem
from verify.theorem import ALL

SEED = 5
# A softmax weight that is not 0: losers underflow to exactly 0 in these models.
SEEN = 1e-30


def kind(name: str, n: int, S: int | None) -> tuple[str, int]:
    """The role and slot of a token, from the name that a trace gives it. S: the inputs of a line
    (Theorem 4)."""
    if name == "BOS":
        return "BOS", 0
    if name == "answer":
        return "answer", n - 1
    letter, numbers = name[0], [int(one) for one in re.findall(r"\d+", name)]
    if S is None:
        role = {"x": "input", "y": "label", "q": "query"}[letter]
        return role, n - 1 if role == "label" else numbers[-1]
    if name.startswith("arrow"):
        return ARROW, S
    return (WORD, S + numbers[-1]) if letter == "y" else ("input", numbers[-1])


def within(place: tuple[str, int], among: tuple[Tokens, ...]) -> bool:
    return any(place[0] == tokens.role and place[1] in tokens.slots for tokens in among)


def faults(head: HeadTruth, weights, written, places, residual) -> list[str]:
    """What a run shows against a head's key: weights (N, N), written (N, D), places of the
    tokens."""
    found = []
    for q, place in enumerate(places):
        looked = [places[k] for k in np.flatnonzero(weights[q] > SEEN) if places[k][0] != "BOS"]
        allowed = head.attends if within(place, head.at) else ()
        found += [f"{place} looks at {one}" for one in looked if not within(one, allowed)]
    for name in residual.names:
        if name not in head.writes and np.abs(written[:, residual.where(name)]).any():
            found.append(f"writes {name}")
    return found


def instance(theorem: Theorem, **more):
    rng = np.random.default_rng(SEED)
    made = theorem.draw_instance(rng, K=3, d=6, m=6, n=theorem.n, **theorem.drawn, **more)
    return rng, made, theorem.build(made.spec, made.tasks, made.feature_map)


@pytest.mark.parametrize("theorem", ALL.values(), ids=str)
def test_a_run_shows_what_the_key_says(theorem):
    rng, made, model = instance(theorem)
    key, acted = truth(model), set()
    S = None if theorem.number != 4 else model.inputs_per_line
    for _ in range(4):
        trace = model.trace(theorem.draw_prompt(rng, made))
        places = [kind(name, made.spec.n, S) for name in trace.tokens]
        for head in key.heads():
            weights = trace.attention[head.layer][head.head]
            written = trace.heads(head.layer)[head.head]
            assert faults(head, weights, written, places, model.residual) == []
            if any(
                within(p, head.at) and weights[q, 1:].sum() > SEEN for q, p in enumerate(places)
            ):
                acted.add((head.layer, head.head))
    assert acted == {(head.layer, head.head) for head in key.heads()}, "each acts somewhere"


@pytest.mark.parametrize("theorem", ALL.values(), ids=str)
def test_a_wrong_key_is_seen(theorem):
    rng, made, model = instance(theorem)
    S = None if theorem.number != 4 else model.inputs_per_line
    trace = model.trace(theorem.draw_prompt(rng, made))
    places = [kind(name, made.spec.n, S) for name in trace.tokens]
    head = next(head for head in truth(model).heads() if len(head.serves) == made.spec.K)
    run = (trace.attention[head.layer][head.head], trace.heads(head.layer)[head.head], places)
    for wrong in (
        dataclasses.replace(head, at=()),
        dataclasses.replace(head, attends=()),
        dataclasses.replace(head, writes=()),
    ):
        assert faults(wrong, *run, model.residual)


def test_heads_work_for_the_tasks_that_the_key_says():
    # On a prompt of one task, the heads of Theorem 1 that serve other tasks write nothing.
    theorem = ALL[1]
    rng, made, model = instance(theorem)
    trace = model.trace(theorem.draw_prompt(rng, made, pure=True))
    (task,) = set(trace.answer.recognized)
    own = [head for head in truth(model).heads() if len(head.serves) == 1]
    assert {head.layer for head in own} == {"recognize", "fetch", "execute"}
    for head in own:
        wrote = bool(np.abs(trace.heads(head.layer)[head.head]).any())
        assert wrote == (head.serves == (task,))


def test_a_sum_slot_and_features_are_in_the_key():
    _, _, model = instance(ALL[1], features=5, sum_slot=True)
    lift = truth(model).layer("lift")
    assert [tokens.role for tokens in lift.heads[0].at] == ["input", "query"]
    assert all(tokens.slots == (1,) for tokens in lift.heads[0].at)
    assert lift.mlp is not None and lift.mlp.writes == ("f",) and lift.mlp.neurons == 5


def test_a_changed_head_changes_the_key():
    _, _, model = instance(ALL[1])
    before = truth(model).layer("pair").heads[0]
    bank = model.layer("pair").banks[0]
    bank.W_O[...] = np.roll(np.asarray(bank.W_O[...]), model.spec.d, axis=1)
    after = truth(model).layer("pair").heads[0]
    assert before.writes == ("y",) and after.writes != ("y",)


@pytest.mark.parametrize("theorem", ALL.values(), ids=str)
def test_the_key_is_plain_json(theorem):
    _, made, model = instance(theorem)
    key = truth(model)
    plain = json.loads(json.dumps(key.as_json()))
    assert [layer["name"] for layer in plain["layers"]] == [layer.name for layer in model.layers]
    assert sum(not head["idle"] for layer in plain["layers"] for head in layer["heads"]) == len(
        list(key.heads())
    )
    assert all(layer.does and layer.does[0].islower() for layer in key.layers)
    assert {name for _, _, name in key.places()} <= set(model.residual.names)
    assert len(list(key.heads(idle=True))) == made.spec.K * len(model.layers)
    with pytest.raises(KeyError):
        key.layer("nothing")
