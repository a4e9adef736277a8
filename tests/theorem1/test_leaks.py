"""What tokens hold by mistake at a finite coldness: without these terms the lemmas are false, with
them the bounds hold.

Each term was once missing; the machine-checked proof could not do without it.
"""

from functools import cache

import numpy as np
import pytest

from construct import FeatureMap, Prompt, Spec, Task, Trace, build
from proofs import theorem1 as proof
from proofs.selection import Errors

BEFORE_FETCH, FETCH, EXECUTE = 3, 4, 5
LABEL, N_EXAMPLE = 4, 4  # the first example's label; tokens of an example


@cache
def run() -> tuple[Spec, Trace, list[Errors]]:
    """Three tasks with ReLU features and a sum slot, at T = 7, with the bounds after each layer."""
    feature_map = FeatureMap(weight=np.eye(2))
    weights = [np.diag(row) for row in ((0.9, 0.3), (-0.4, 0.8), (0.5, -0.7))]
    tasks = [
        Task(slot=slot, weight=weight) for slot, weight in zip((0, 1, 2), weights, strict=True)
    ]
    spec = Spec.of(
        tasks,
        m=3,
        n=N_EXAMPLE,
        margin=0.5,
        radius=3.0,
        feature_map=feature_map,
        input_radius=3.0,
        sum_slot=True,
        dtype="float64",
        coldness=7.0,
    )
    inputs = np.array([[[1.0, 0.2], [0.3, 2.0], [0.0, 0.0]]] * 3) * [[[1.0]], [[0.8]], [[0.6]]]
    phi = np.stack([inputs[:, 0], inputs[:, 1], inputs[:, 0] + inputs[:, 1]])
    labels = np.stack([weights[j] @ phi[j, j] for j in range(3)])
    prompt = Prompt(inputs=inputs, labels=labels, query=inputs[0] * 1.1)
    trace = build(spec, tasks, feature_map).trace(prompt, attention=False)
    return spec, trace, proof.errors(proof.setting(spec, prompt.tokens))


def assert_there_and_bounded(observed: float, bound: float) -> None:
    """Something is there that the statement without this term denies, and within its bound."""
    assert 0 < observed <= bound


def test_lemma_1_a_label_holds_features():
    _, trace, bounds = run()
    assert_there_and_bounded(np.abs(trace.read("lift", "f")[LABEL]).max(), bounds[0].rest_f)


def test_bos_is_no_exact_sink():
    spec, trace, bounds = run()
    before, after = (np.linalg.norm(trace.read(name, "f")[0]) for name in ("lift", "fetch"))
    assert_there_and_bounded(before, bounds[0].sink_f)
    # Every head of Fetch idles at BOS and reads it with a weight near 1, so that K = 3 heads make
    # K + 1 times as much of it.
    assert after == pytest.approx((spec.K + 1) * before, rel=1e-3)
    assert after <= bounds[FETCH].sink_f
    assert_there_and_bounded(np.linalg.norm(trace.read("pair", "y")[0]), bounds[1].sink_y)


def test_lemma_5_the_error_of_the_query_s_own_features_is_fetched_too():
    tasks = [Task(slot=1, weight=np.eye(1))]
    spec = Spec.of(
        tasks,
        m=1,
        n=3,
        margin=0.5,
        radius=1.0,
        input_radius=1.0,
        sum_slot=True,
        dtype="float64",
        coldness=7.0,
    )
    inputs = np.array([[[1.0], [0.0]]])
    prompt = Prompt(inputs=inputs, labels=inputs[:, 0], query=inputs[0])
    f = build(spec, tasks).trace(prompt, attention=False).read("fetch", "x")[3]
    off = abs(f[0] - 1)
    tau, K = np.exp(-7.0), 1
    nu = prompt.tokens * tau**2
    assert off > 3 * tau + 4 * nu + 2 * K * tau**3 + K * nu  # 0.00362 > 0.00276
    assert off <= proof.errors(proof.setting(spec, prompt.tokens))[FETCH].f


def test_lemma_7_the_answer_token_has_a_y_of_its_own():
    _, trace, bounds = run()
    for name, index in (("pair", 1), ("execute", EXECUTE)):
        assert_there_and_bounded(np.linalg.norm(trace.read(name, "y")[-1]), bounds[index].idle_y)


def test_without_a_sum_slot_features_do_not_leak():
    tasks = [Task(slot=0, weight=np.eye(1))]
    spec = Spec.of(
        tasks, m=1, n=2, margin=0.5, radius=1.0, input_radius=1.0, dtype="float64", coldness=7.0
    )
    inputs = np.array([[[1.0]]])
    prompt = Prompt(inputs=inputs, labels=inputs[:, 0], query=inputs[0])
    bounds = proof.errors(proof.setting(spec, prompt.tokens))
    assert bounds[BEFORE_FETCH].rest_f == bounds[BEFORE_FETCH].sink_f == 0
    x = build(spec, tasks).trace(prompt, attention=False).read("commit", "x")
    assert not x[[0, 2, 4]].any()  # BOS, the label, the answer token
