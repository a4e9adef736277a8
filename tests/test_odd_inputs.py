"""A hundred odd things to pass to the API: each is refused by the name of what is wrong, or right.

No traceback of another kind, no silent number: a refusal is a ValueError that starts with the
argument, and what is accepted gives the same answer as its plain form.
"""

import numpy as np
import pytest

from construct import FeatureMap, Prompt, Spec, Task, Transformer, build, theorem2, theorem3
from construct.families import from_table
from proofs import theorem1 as proof
from tests.properties.padded import unchecked
from tests.theorem1.cases import RANDOM

MODEL, PROMPT, SPEC, TASKS = RANDOM.model, RANDOM.prompts[-1], RANDOM.spec, RANDOM.tasks
X, Y, Q = PROMPT.inputs, PROMPT.labels, PROMPT.query
HALF = Prompt(X[:7], Y[:7], Q)
KEEP = {("commit", "z"): lambda z: None}


def spec(**changed):
    """A Spec of two tasks with something changed."""
    tasks = [Task(slot=0, weight=np.eye(3)), Task(slot=0, weight=-np.eye(3))]
    plain = {"m": 4, "n": 2, "margin": 0.5, "radius": 2.0}
    return Spec.of(tasks, **(plain | changed))


def table(**columns):
    """Tasks from a table of these columns."""
    return from_table(columns)


REFUSED = {
    "spec": [
        lambda: build("x", TASKS),
        lambda: build(None, TASKS),
        lambda: build(TASKS, SPEC),
        lambda: theorem2.build("x", TASKS),
        lambda: theorem3.build(3, TASKS),
        lambda: proof.error_bound("x"),
        lambda: proof.error_bound(None),
        lambda: proof.leak([SPEC]),
        lambda: proof.rounding({}),
    ],
    "tasks": [
        lambda: build(SPEC, []),
        lambda: build(SPEC, [np.eye(16)] * 4),
        lambda: build(SPEC, [None] * 4),
        lambda: build(SPEC, [TASKS[0]] * 4),
    ],
    "margin": [
        lambda: spec(margin=0),
        lambda: spec(margin=-1),
        lambda: spec(margin=np.nan),
        lambda: spec(margin=np.inf),
        lambda: spec(margin="wide"),
        lambda: spec(margin=None),
        lambda: spec(margin=5.0),
        lambda: spec(margin=True),
    ],
    "tolerance": [lambda: spec(tolerance=0.5), lambda: spec(tolerance=-0.1)],
    "radius": [lambda: spec(radius=0), lambda: spec(radius=np.nan), lambda: spec(radius=1j)],
    "m": [lambda: spec(m=0), lambda: spec(m=2.5), lambda: spec(m=True), lambda: spec(m="4")],
    "n": [lambda: spec(n=1), lambda: spec(n=2, sum_slot=True), lambda: spec(n=2.0)],
    "dtype": [
        lambda: spec(dtype=None),
        lambda: spec(dtype="float16"),
        lambda: spec(dtype=int),
        lambda: spec(dtype="nope"),
    ],
    "coldness": [
        lambda: spec(coldness=0),
        lambda: spec(coldness=-3),
        lambda: spec(coldness=np.nan),
        lambda: build(spec(coldness=2), [TASKS[0]]),
    ],
    "sum_slot": [lambda: spec(sum_slot=1), lambda: spec(sum_slot="yes")],
    "Task": [
        lambda: Task(slot=-1, weight=np.eye(2)),
        lambda: Task(slot=0.5, weight=np.eye(2)),
        lambda: Task(slot=0, weight=[1, 2]),
        lambda: Task(slot=0, weight=np.eye(2), bias=[0, np.nan]),
        lambda: Task(slot=0, weight=np.eye(2), bias=np.ones((2, 1))),
        lambda: FeatureMap(weight=np.eye(2), bias=np.ones(3)),
    ],
    "inputs": [
        lambda: Prompt(X[0], Y, Q),
        lambda: Prompt(X[:0], Y[:0], Q),
        lambda: Prompt(X * np.nan, Y, Q),
        lambda: Prompt(X.astype(str), Y, Q),
        lambda: Prompt(X > 0, Y, Q),
        lambda: Prompt(None, Y, Q),
        lambda: MODEL(Prompt(X[:, :1], Y, Q[:1])),
        lambda: MODEL(Prompt(X[..., :3], Y[:, :3], Q[:, :3])),
        lambda: MODEL(Prompt(np.repeat(X, 2, 0), np.repeat(Y, 2, 0), Q)),
        lambda: MODEL(Prompt(1e6 * X, Y, Q)),
    ],
    "labels": [lambda: Prompt(X, Y[:-1], Q), lambda: Prompt(X, Y.T, Q), lambda: Prompt(X, 9, Q)],
    "query": [lambda: Prompt(X, Y, Q[0]), lambda: Prompt(X, Y, Q + np.inf)],
    "prompt": [lambda: MODEL("x"[0:0] or X), lambda: MODEL(None), lambda: MODEL([PROMPT, X])],
    "evaluator": [
        lambda: MODEL(PROMPT, evaluator="fast"),
        lambda: MODEL(PROMPT, evaluator=3),
        lambda: MODEL(PROMPT, evaluator="restricted", hooks=KEEP),
        lambda: MODEL(PROMPT, evaluator="bf16", enforce=False),
    ],
    "hooks": [
        lambda: MODEL(PROMPT, hooks={"nope": abs}),
        lambda: MODEL(PROMPT, hooks={("commit", "nope"): abs}),
        lambda: MODEL(PROMPT, hooks={"commit.attn": abs}),
        lambda: MODEL(PROMPT, hooks={"commit.resid_pre": abs}),
        lambda: MODEL(PROMPT, hooks={0: abs}),
        lambda: MODEL(PROMPT, hooks={("commit",): abs}),
        lambda: MODEL(PROMPT, hooks={("commit", "z"): "z"}),
        lambda: MODEL(PROMPT, hooks={("commit", "z"): lambda z: z[:, :1]}),
        lambda: MODEL(PROMPT, hooks={("commit", "z"): lambda z: z.T}),
        lambda: MODEL(PROMPT, hooks={("commit", "z"): lambda z: np.nan * z}),
        lambda: MODEL(PROMPT, hooks={("commit", "z"): lambda z: z + 1j}),
        lambda: MODEL(PROMPT, hooks={("commit", "z"): lambda z: z > 0}),
        lambda: MODEL(PROMPT, hooks={("commit", "z"): lambda z: [[1, 2], [3]]}),
        lambda: MODEL.trace(PROMPT, hooks={"nope": abs}),
        lambda: MODEL.forward(*MODEL.embed(X, Y, Q), hooks={"nope": abs}),
        lambda: MODEL([PROMPT, HALF], hooks=[KEEP]),
    ],
    "layer": [
        lambda: MODEL.layer("nope"),
        lambda: MODEL.layer(3),
        lambda: MODEL.trace(HALF).read("nope", "z"),
        lambda: MODEL.trace(HALF).read("commit.attn", "z"),
        lambda: MODEL.trace(HALF).read("commit", "nope"),
        lambda: MODEL.trace(HALF).heads("nope"),
        lambda: MODEL.trace(HALF, attention=False).heads("pair"),
        lambda: MODEL.trace(HALF).task_vector,
    ],
    "path": [
        lambda: Transformer.load("/nonexistent/model"),
        lambda: Transformer.load(__file__),
        lambda: MODEL.save("/nonexistent/model"),
    ],
    "table": [
        lambda: table(),
        lambda: table(word=["a", "b"]),
        lambda: table(word=["a", "b"], past=["c"]),
        lambda: table(word=["a", "a"], past=["c", "d"]),
        lambda: table(word=["", "b"], past=["c", "d"]),
        lambda: from_table(3),
    ],
}
CASES = [(what, i) for what, calls in REFUSED.items() for i in range(len(calls))]


def test_there_are_a_hundred():
    assert len(CASES) + len(RIGHT) >= 100


@pytest.mark.parametrize(("what", "i"), CASES, ids=lambda part: str(part))
def test_an_odd_thing_is_refused_by_name(what, i):
    # As a user has it: without the tests' checks of annotations, which would speak first.
    with unchecked(), pytest.raises(ValueError, match=r"\S+.*: .+") as caught:
        REFUSED[what][i]()
    assert type(caught.value).__module__.split(".")[0] in ("builtins", "construct")
    assert len(str(caught.value)) < 600


RIGHT = {
    "lists for arrays": lambda: MODEL(Prompt(X.tolist(), Y.tolist(), Q.tolist())),
    "a list of float32 rows": lambda: MODEL(Prompt(X, list(Y.astype(np.float32)), Q)),
    "Fortran's order": lambda: MODEL(Prompt(np.asfortranarray(X), np.asfortranarray(Y), Q)),
    "reversed strides": lambda: MODEL(Prompt(X[::-1][::-1], Y, Q)),
    "a tuple of one prompt": lambda: MODEL((PROMPT,))[0],
    "no hooks": lambda: MODEL(PROMPT, hooks={}),
    "a hook that only looks": lambda: MODEL(PROMPT, hooks=KEEP),
    "the same prompt twice": lambda: MODEL([PROMPT, PROMPT])[1],
    "a loose call": lambda: MODEL(PROMPT, enforce=False),
}


@pytest.mark.parametrize("name", RIGHT)
def test_an_odd_thing_is_right(name):
    answer, plain = RIGHT[name](), MODEL(PROMPT)
    assert (answer.recognized == plain.recognized).all()
    assert np.abs(answer.vector - plain.vector).max() <= 2 * proof.error_bound(SPEC)


def test_no_prompts_give_no_answers():
    assert MODEL([]) == []
