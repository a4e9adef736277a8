"""The constructed subjects: every method's value is the theorem's, a damaged model's is not, and
the audit scores methods against the key."""

from dataclasses import replace

import jax.numpy as jnp
import numpy as np
import pytest

from construct.layers import in_dtype
from verify.bench.audit import Key, audit, beyond, verdict
from verify.bench.material import Material, Sizes
from verify.bench.methods import ALL, USUAL
from verify.bench.subjects.constructed import Constructed
from verify.bench.tasksets import open_set

pytestmark = pytest.mark.slow

SIZES = Sizes(lines=4, each=2, prompts=4, sweep=4, mixed=12, queries=4, causal=4)
TASKS = open_set("ret2")


def material(number):
    subject = Constructed(number)
    subject.batch = 4
    return Material(subject, TASKS, SIZES, seed=3)


@pytest.fixture(scope="module", params=[1, 3], ids=["theorem1", "theorem3"])
def asked(request):
    one = material(request.param)
    return one, {name: ALL[name].find(one) for name in USUAL}


@pytest.mark.parametrize("name", USUAL)
def test_every_value_is_the_theorems(asked, name):
    one, findings = asked
    wrong = [claim for claim in findings[name].claims if not claim.holds]
    assert wrong == []
    no_vector = {"geometry", "positions"} if one.subject.theorem.number == 1 else set()
    assert findings[name].claims or name in no_vector


def test_the_streams_are_the_definitions(asked):
    one, _ = asked
    cases, run = one.even
    # The answer's y rounds in Theorem 3; all else is as the definition says.
    np.testing.assert_allclose(run.streams, one.subject.ideal(cases), atol=1e-9)


def test_slopes_are_difference_quotients(asked):
    one, _ = asked
    cases, pair = one.pure(0)[0][:4], one.pair
    slopes, step = one.subject.slopes(cases, pair), 1e-6
    last = len(one.subject.layers)
    direction = one.subject.unembed([cases[0].answers[0]])[0]
    from verify.bench.subject import Change

    def score(size):
        p = one.subject.run(cases, Change(layer=last, vector=size * direction, add=True)).answers
        return p[0, pair[0]] - p[0, pair[1]]

    quotient = (score(step) - score(-step)) / (2 * step)
    assert slopes.stream[0, last] @ direction == pytest.approx(quotient, rel=1e-4) == 1


@pytest.mark.parametrize("number", [1, 3])
def test_a_damaged_model_is_seen(number):
    one = material(number)
    layer = one.subject.model.layers[-1 if number == 1 else 1]
    with in_dtype("float64"):
        layer.banks[0].W_V[...] = 0.9 * jnp.asarray(layer.banks[0].W_V[...])
    wrong = [c for c in ALL["distributions"].find(one).claims if not c.holds]
    assert wrong and np.isclose(one.even[1].answers.sum(1), 0.9, atol=0.05).all()


def test_the_audit_scores_against_the_key(asked):
    one, findings = asked
    results = {name: {"values": found.values} for name, found in findings.items()}
    judged = {(v.method, v.question): v for v in audit(one.subject.model, results, one.pair)}
    ablation = judged["ablation", "heads that serve the prompt's task"]
    # Theorem 3's three gates of the other task are half open and cancel: without one they do not.
    named = 5 + 3 if one.subject.theorem.number == 3 else ablation.key
    assert ablation.recall == 1 and ablation.named == named
    blind = judged["TSLA: TR > 0", "heads that recognize the task"]
    assert blind.recall == 0
    codes = judged["TSLA in the code's subspace", "heads that recognize the task"]
    assert codes.precision == 1 and codes.recall
    patched = judged[
        "activation patching at the answer token", "layers after which the task is there"
    ]
    assert patched.precision == patched.recall == 1


def test_the_key_knows_where_a_code_is_first():
    key = Key(material(1).subject.model, (0, 1))
    assert key.first("label", "z") == 4 and key.first("answer", "z") is None
    assert key.heads(writes="y", at="answer") == {(6, 0)}
    assert Key(material(3).subject.model, (0, 1)).first("answer", "w") == 2


def test_a_verdict_by_hand():
    one = verdict("m", "q", {1, 2, 3, 4}, {1, 5})
    assert (one.precision, one.recall, one.named, one.key) == (0.25, 0.5, 4, 2)
    assert (
        verdict("m", "q", [], [1]).precision is None and verdict("m", "q", [1], []).recall is None
    )
    assert beyond([[0, 1], [1e-9, -2]]) == {(0, 1), (1, 1)} and beyond([[0.0]]) == set()


def test_float32_is_within_its_own_bound():
    subject = Constructed(1, "float32")
    subject.batch = 4
    one = Material(subject, TASKS, replace(SIZES, prompts=4), seed=3)
    assert all(claim.holds for claim in ALL["distributions"].find(one).claims)
