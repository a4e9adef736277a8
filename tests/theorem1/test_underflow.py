"""Numbers so small that a device flushes them to 0: the bounds count them, and a Spec whose scores
they would decide is refused."""

import numpy as np
import pytest

from construct import Prompt, Spec, Task, build, floats
from proofs.theorem1 import error_bound

# The weight, what the Spec adds, and the query: an input that is flushed, a product, a product of
# normal numbers, and a stored weight.
SMALL = [
    (3e38, {"radius": 4.0, "margin": 1e3, "input_radius": 1.2e-38}, 1.17e-38),
    (1e36, {"radius": 1.0, "margin": 1.0, "input_radius": 1e-36}, 1.1e-39),
    (1e-20, {"radius": 1.0, "margin": 1.0}, 1e-21),
    (1e-39, {"radius": 1.0, "margin": 1.0, "input_radius": 1.1e20}, 1e20),
]


def asked(weight, more, query):
    """The error of an answer in float32, and its bounds."""
    task = Task(slot=0, weight=np.array([[weight]]))
    spec = Spec.of([task], m=2, n=2, **more)
    prompt = Prompt(np.zeros((1, 1, 1)), np.zeros((1, 1)), np.array([[query]]))
    answer = build(spec, [task])(prompt)
    assert answer.recognized.tolist() == [0]
    bounds = error_bound(spec), error_bound(spec, prompt), error_bound(spec, prompt, tasks=[task])
    return abs(answer.vector[0] - weight * query), bounds


@pytest.mark.parametrize(("weight", "more", "query"), SMALL)
def test_what_is_flushed_is_within_the_bounds(weight, more, query):
    error, bounds = asked(weight, more, query)
    assert 0 < error <= min(bounds)


@pytest.mark.parametrize(("weight", "more", "query"), SMALL)
def test_it_would_not_be_if_it_were_not_counted(weight, more, query, monkeypatch):
    monkeypatch.setattr(floats, "smallest_normal", lambda dtype: 0.0)
    error, bounds = asked(weight, more, query)
    assert error > min(bounds)


def apart(distance):
    """Two tasks x and x + distance, and a Spec of labels as large."""
    tasks = [Task(slot=0, weight=np.eye(1), bias=np.array([b])) for b in (0.0, distance)]
    scales = {"radius": 2 * distance, "margin": distance, "input_radius": distance}
    return Spec.of(tasks, m=3, n=2, **scales), tasks


def test_scores_that_underflow_are_refused():
    """From a margin of 1.4e20 on beta would be flushed, and every task explain every example."""
    spec, tasks = apart(1e18)
    prompt = Prompt(np.zeros((2, 1, 1)), np.array([[0.0], [1e18]]), np.zeros((1, 1)))
    assert build(spec, tasks)(prompt).recognized.tolist() == [0, 1]
    for distance in (1.4e20, 1e22):
        with pytest.raises(ValueError, match="scores of recognize round"):
            build(*apart(distance))
