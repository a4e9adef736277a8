"""Every bad input is one ValueError that names the argument, its value, what is required, and the
way out."""

from dataclasses import replace

import numpy as np
import pytest

from construct import FeatureMap, Prompt, Spec, Task, build
from construct.theorem1.gains import Infeasible, derive
from tests.properties.padded import unchecked

EYE = np.eye(3)
X, Y, Q = np.zeros((4, 2, 3)), np.zeros((4, 3)), np.zeros((2, 3))
GOOD = {"K": 2, "d": 3, "m": 4, "n": 3, "margin": 1.0, "radius": 2.0, "weight_norm": 1.0}
TASKS = [Task(slot=0, weight=EYE), Task(slot=1, weight=-EYE, bias=np.array([0.0, 0.0, 1.0]))]


def spec_of(tasks=TASKS, **more):
    """A Spec of the tasks for the prompts of this module."""
    return Spec.of(tasks, **({"m": 4, "n": 3, "margin": 0.5, "radius": 3.0} | more))


def spec(**wrong):
    return lambda: Spec(**(GOOD | wrong))


def changed(array, value, where):
    array = array.copy()
    array[where] = value
    return array


# name: (what to do, argument, value, requirement, way out)
BAD = {
    "K zero": (spec(K=0), "K", "0", "at least 1", "pass at least one task"),
    "K fraction": (spec(K=2.5), "K", "2.5", "whole number", "pass an int"),
    "K bool": (spec(K=True), "K", "True", "whole number", "pass an int"),
    "d zero": (spec(d=0), "d", "0", "at least 1", "at least one coordinate"),
    "m zero": (spec(m=0), "m", "0", "at least 1", "allow at least one example"),
    "n one": (spec(n=1), "n", "1", "at least 2", "at least one input and its label"),
    "n string": (spec(n="3"), "n", "'3'", "whole number", "pass an int"),
    "features negative": (spec(features=-1), "features", "-1", "at least 0", "identity"),
    "margin zero": (spec(margin=0.0), "margin", "0.0", "greater than 0", "pass delta > 0"),
    "margin NaN": (spec(margin=float("nan")), "margin", "nan", "finite", "pass delta > 0"),
    "margin string": (spec(margin="wide"), "margin", "'wide'", "real number", "pass delta > 0"),
    "radius infinite": (spec(radius=float("inf")), "radius", "inf", "finite", "labels' norms"),
    "radius zero": (spec(radius=0), "radius", "0", "greater than 0", "labels' norms"),
    "weight norm negative": (
        spec(weight_norm=-1.0),
        "weight_norm",
        "-1.0",
        "at least 0",
        "Spec.of",
    ),
    "tolerance negative": (
        spec(tolerance=-0.1),
        "tolerance",
        "-0.1",
        "at least 0",
        "0 <= rho < margin",
    ),
    "tolerance = margin": (
        spec(tolerance=1.0),
        "tolerance",
        "1.0",
        "less than margin = 1",
        "lower it",
    ),
    "input radius zero": (
        spec(input_radius=0),
        "input_radius",
        "0",
        "greater than 0",
        "inputs' norms",
    ),
    "coldness zero": (spec(coldness=0), "coldness", "0", "greater than 0", "leave it out"),
    "dtype float16": (
        spec(dtype="float16"),
        "dtype",
        "float16",
        "float32, float64",
        "derived for these",
    ),
    "dtype int": (spec(dtype="int32"), "dtype", "int32", "float32, float64", "derived for these"),
    "dtype unknown": (
        spec(dtype="nonsense"),
        "dtype",
        "nonsense",
        "float32, float64",
        "derived for these",
    ),
    "sum slot number": (spec(sum_slot=1), "sum_slot", "1", "True or False", "pass a bool"),
    "sum slot at n = 2": (spec(sum_slot=True, n=2), "n", "2", "n >= 3", "drop sum_slot"),
    "feature norm without features": (
        spec(feature_norm=2.0),
        "feature_norm",
        "2.0",
        "1 and 0",
        "leave them out",
    ),
    "task slot negative": (
        lambda: Task(slot=-1, weight=EYE),
        "Task.slot",
        "-1",
        "at least 0",
        "from 0 to n-2",
    ),
    "task weight vector": (
        lambda: Task(slot=0, weight=np.ones(3)),
        "Task.weight",
        "(3,)",
        "(d, r)",
        "2 axes",
    ),
    "task weight empty": (
        lambda: Task(slot=0, weight=np.ones((0, 3))),
        "Task.weight",
        "(0, 3)",
        "d, r >= 1",
        "pass a matrix",
    ),
    "task weight NaN": (
        lambda: Task(slot=0, weight=changed(EYE, np.nan, (1, 2))),
        "Task.weight[1, 2]",
        "nan",
        "finite",
        "remove NaN",
    ),
    "task bias long": (
        lambda: Task(slot=0, weight=EYE, bias=np.ones(4)),
        "Task.bias",
        "(4,)",
        "(3,)",
        "shapes agree",
    ),
    "task weight complex": (
        lambda: Task(slot=0, weight=EYE * 1j),
        "Task.weight",
        "complex128",
        "real numbers",
        ".astype(float)",
    ),
    "task weight bool": (
        lambda: Task(slot=0, weight=EYE > 0),
        "Task.weight",
        "bool",
        "real numbers",
        ".astype(float)",
    ),
    "task weight ragged": (
        lambda: Task(slot=0, weight=[[1.0], [1.0, 2.0]]),
        "Task.weight",
        "ragged",
        "one array",
        "pad it",
    ),
    "feature bias": (
        lambda: FeatureMap(weight=np.ones((4, 3)), bias=np.ones(3)),
        "FeatureMap.bias",
        "(3,)",
        "(4,)",
        "shapes agree",
    ),
    "feature map empty": (
        lambda: FeatureMap(weight=np.ones((0, 3))),
        "FeatureMap.weight",
        "(0, 3)",
        "r, d >= 1",
        "pass a matrix",
    ),
    "no tasks": (lambda: spec_of([]), "tasks", "empty list", "K >= 1", "at least one Task"),
    "tasks disagree": (
        lambda: spec_of([TASKS[0], Task(slot=0, weight=np.eye(2))]),
        "tasks[1].weight",
        "(2, 2)",
        "(3, 3)",
        "shapes agree",
    ),
    "slot does not exist": (
        lambda: spec_of([Task(slot=2, weight=EYE)]),
        "tasks[0].slot",
        "2",
        "0..1 for n = 3",
        "raise n",
    ),
    "equal tasks": (
        lambda: spec_of([TASKS[0], Task(slot=0, weight=EYE, bias=-np.zeros(3))]),
        "tasks[1]",
        "equal to tasks[0]",
        "differ in slot, matrix or bias",
        "remove one",
    ),
    "feature map of another d": (
        lambda: spec_of(feature_map=FeatureMap(weight=np.ones((3, 2)))),
        "feature_map.weight",
        "(3, 2)",
        "d = 3",
        "use the tasks' d",
    ),
    "Spec of other tasks": (
        lambda: build(spec_of(), TASKS[:1]),
        "spec.K",
        "2",
        "must be 1",
        "Spec.of(tasks",
    ),
    "Spec with small norms": (
        lambda: build(replace(spec_of(), weight_norm=0.5), TASKS),
        "spec.weight_norm",
        "0.5",
        "at least 1",
        "Spec.of(tasks",
    ),
    "inputs of two axes": (
        lambda: Prompt(inputs=Y, labels=Y, query=Q),
        "inputs",
        "(4, 3)",
        "(m, n-1, d)",
        "3 axes",
    ),
    "labels too few": (
        lambda: Prompt(inputs=X, labels=Y[:3], query=Q),
        "labels",
        "(3, 3)",
        "(4, 3)",
        "shapes agree",
    ),
    "labels of another d": (
        lambda: Prompt(inputs=X, labels=np.zeros((4, 2)), query=Q),
        "labels",
        "(4, 2)",
        "(4, 3)",
        "shapes agree",
    ),
    "query too short": (
        lambda: Prompt(inputs=X, labels=Y, query=Q[:1]),
        "query",
        "(1, 3)",
        "(2, 3)",
        "shapes agree",
    ),
    "no examples": (
        lambda: Prompt(inputs=X[:0], labels=Y[:0], query=Q),
        "inputs",
        "no examples",
        "at least one",
        "m' >= 1",
    ),
    "no inputs": (
        lambda: Prompt(inputs=X[:, :0], labels=Y, query=Q[:0]),
        "inputs",
        "(4, 0, 3)",
        "n >= 2",
        "at least one input",
    ),
    "no coordinates": (
        lambda: Prompt(inputs=X[..., :0], labels=Y[:, :0], query=Q[:, :0]),
        "inputs",
        "(4, 2, 0)",
        "d >= 1",
        "pass d >= 1",
    ),
    "input NaN": (
        lambda: Prompt(inputs=changed(X, np.nan, (2, 1, 0)), labels=Y, query=Q),
        "inputs[2, 1, 0]",
        "nan",
        "finite",
        "remove NaN",
    ),
    "label infinite": (
        lambda: Prompt(inputs=X, labels=changed(Y, -np.inf, (0, 0)), query=Q),
        "labels[0, 0]",
        "-inf",
        "finite",
        "remove NaN",
    ),
    "query NaN": (
        lambda: Prompt(inputs=X, labels=Y, query=Q + np.nan),
        "query[0, 0]",
        "nan",
        "finite",
        "remove NaN",
    ),
    "labels objects": (
        lambda: Prompt(inputs=X, labels=Y.astype(object), query=Q),
        "labels",
        "object",
        "real numbers",
        ".astype(float)",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input(name):
    make, *parts = BAD[name]
    with pytest.raises(ValueError, match=r"=.*:.*;") as caught:
        make()
    says(caught, *parts)


def says(caught, argument, value, requirement, way_out):
    """One line: 'argument = value: requirement; way out', with each part in its place."""
    message = str(caught.value)
    assert "\n" not in message
    named, _, rest = message.partition(" = ")
    shown, _, rest = rest.partition(": ")
    required, _, way = rest.partition("; ")
    assert argument in named
    assert value in shown
    assert requirement in required
    assert way_out in way


@pytest.fixture(scope="module")
def model():
    return build(spec_of(), TASKS)


def examples(count=4, d=3, slots=2):
    """A prompt on which task 0 explains every example: inputs e_0 in slot 0 and zeros elsewhere,
    labels e_0."""
    inputs = np.zeros((count, slots, d))
    inputs[:, 0, 0] = 1
    return {"inputs": inputs, "labels": inputs[:, 0].copy(), "query": inputs[0].copy()}


def prompt(**changes):
    return Prompt(**(examples() | changes))


VIOLATED = {
    "d": (
        lambda: Prompt(**examples(d=2)),
        "prompt.inputs",
        "dimension 2",
        "d = 3",
        "match the Spec",
    ),
    "n": (
        lambda: Prompt(**examples(slots=3)),
        "prompt.inputs",
        "3 inputs",
        "n - 1 = 2",
        "match the Spec",
    ),
    "more than m": (
        lambda: Prompt(**examples(count=5)),
        "prompt.inputs",
        "5 examples",
        "at most m = 4",
        "larger m",
    ),
    "label beyond the radius": (
        lambda: prompt(labels=changed(examples()["labels"], [0, 0, 3.1], 2)),
        "prompt.labels[2]",
        "norm 3.1",
        "radius = 3",
        "larger radius",
    ),
    "input beyond the room": (
        lambda: prompt(inputs=changed(examples()["inputs"], [0, 0, 1e9], (1, 1))),
        "prompt.inputs[1, 1]",
        "1e+09",
        "input_radius",
        "or rescale",
    ),
    "an output beyond the radius": (
        lambda: prompt(query=np.array([[3.5, 0, 0], [0, 0, 0]])),
        "prompt query, slot 0",
        "norm 3.",
        "at most radius = 3",
        "larger radius",
    ),
    "an output in a slot that is not read": (
        lambda: prompt(inputs=changed(examples()["inputs"], [0, 4, 0], (3, 1))),
        "prompt example 3, slot 1",
        "norm 4",
        "radius = 3",
        "larger radius",
    ),
    "between tolerance and margin": (
        lambda: prompt(labels=changed(examples()["labels"], [1, 0.3, 0], 2)),
        "prompt example 2, task 0",
        "0.3",
        "margin = 0.5",
        "move the label",
    ),
}


@pytest.mark.parametrize("name", VIOLATED)
def test_violated_hypothesis(model, name):
    make, *parts = VIOLATED[name]
    with pytest.raises(ValueError, match=r"=.*:.*;") as caught:
        model(make())
    says(caught, *parts)


def test_a_batch_names_the_prompt(model):
    with pytest.raises(ValueError, match=r"^prompts\[1\] example 2, task 0 = "):
        model([prompt(), VIOLATED["between tolerance and margin"][0]()])


def test_the_good_prompt_is_answered(model):
    answer = model(prompt())
    assert answer.recognized.tolist() == [0] * 4
    assert np.allclose(answer.vector, [1, 0, 0], atol=1e-6)


def test_a_filled_sum_slot_is_refused():
    model = build(spec_of(sum_slot=True), TASKS)
    bad = prompt(inputs=changed(examples()["inputs"], [0, 0.5, 0], (1, 1)))
    with pytest.raises(ValueError, match=r"=.*:.*;") as caught:
        model(bad)
    says(caught, "prompt.inputs", "0.5 in slot 1", "must be blank", "pass zeros")


def test_integers_are_converted_on_purpose():
    counted = Prompt(inputs=np.ones((1, 1, 2), int), labels=[[1, 2]], query=[[0, 1]])
    assert counted.inputs.dtype == counted.labels.dtype == counted.query.dtype == np.float64
    with pytest.raises(ValueError, match="read-only"):
        counted.inputs[0] = 2


INFEASIBLE = {
    "scores": (
        Spec(K=2, d=16, m=32, n=3, margin=0.01, radius=8.0, weight_norm=1.0),
        ("margin", "float64"),
    ),
    "coldness": (
        Spec(
            K=4,
            d=3,
            m=8,
            n=3,
            margin=1.0,
            radius=2.0,
            weight_norm=1.0,
            dtype="float64",
            coldness=1.0,
        ),
        ("coldness",),
    ),
    "code": (
        Spec(
            K=64,
            d=3,
            m=8,
            n=3,
            margin=1.0,
            radius=2.0,
            weight_norm=1.0,
            dtype="float64",
            coldness=7.0,
        ),
        ("coldness",),
    ),
    "rounding": (Spec(K=2, d=16, m=4, n=2, margin=1e-6, radius=8.0, weight_norm=1.0), ("margin",)),
}


@pytest.mark.parametrize("name", INFEASIBLE)
def test_the_way_out_works(name):
    spec, ways = INFEASIBLE[name]
    with pytest.raises(Infeasible, match="would do") as caught:
        derive(spec)
    message = str(caught.value)
    assert isinstance(caught.value, ValueError)
    outs = [part for part in message.split("; ") if "would do" in part]
    for way in ways:
        assert any(way in out for out in outs)
    for out in outs:
        argument, _, rest = out.partition(" = ")
        value = rest.split(" would do")[0].strip("'")
        value = value if argument == "dtype" else float(value)
        better = {argument: value} | (
            {"tolerance": spec.tolerance / spec.margin * value} if argument == "margin" else {}
        )
        assert derive(replace(spec, **better)).T > 0


def test_no_way_out_says_so():
    with pytest.raises(Infeasible, match="shrink K, d, the radius or the inputs"):
        derive(
            Spec(
                K=2,
                d=3,
                m=4,
                n=3,
                margin=1.0,
                radius=1.0,
                weight_norm=1.0,
                input_radius=1e300,
                dtype="float64",
            )
        )


def edge(make, low, high):
    """The largest margin that is refused and the least that is accepted, an ulp-ish apart."""
    while high - low > 1e-9 * high:
        middle = (low + high) / 2
        try:
            derive(make(middle))
            high = middle
        except Infeasible:
            low = middle
    return low, high


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_both_sides_of_representability(dtype):
    def make(margin):
        return Spec(
            K=2,
            d=3,
            m=4,
            n=3,
            margin=margin,
            radius=1.0,
            weight_norm=1.001,
            input_radius=0.5,
            dtype=dtype,
        )

    low, high = edge(make, 1e-8, 1.0)
    with pytest.raises(Infeasible, match=r"round by|leave tolerance"):
        derive(make(low))
    spec = make(high)
    # On the good side the transformer is right, with tasks as near each other as the margin lets
    # them be.
    tasks = [Task(slot=0, weight=EYE), Task(slot=0, weight=EYE, bias=np.array([0, 1.5 * high, 0]))]
    spec = replace(spec, bias_norm=2 * high, radius=1.0)
    inputs = np.array([[[0.3, 0.2, 0.1], [0, 0, 0]]] * 4)
    labels = np.array(
        [inputs[j, 0] + (j % 3 == 0) * np.array([0, 1.5 * high, 0]) for j in range(4)]
    )
    try:
        model = build(spec, tasks)
    except Infeasible:  # the bias norm moved the edge: take a hair more
        spec = replace(spec, margin=1.2 * high, tolerance=0.3 * high)
        model = build(spec, tasks)
    answer = model(Prompt(inputs=inputs, labels=labels, query=inputs[0]))
    assert answer.recognized.tolist() == [1, 0, 0, 1]


@pytest.mark.parametrize(
    ("name", "match"),
    [(("lift", "y", "x"), "layer"), (("pears", "y"), "layer"), (("pair", "peel"), "subspace")],
)
def test_bad_hooks(model, name, match):
    with pytest.raises(ValueError, match=match):
        model(
            prompt(), hooks={name[:2] if match != "layer" else ("pears", "y"): lambda value: value}
        )


@pytest.mark.parametrize(
    ("wrong", "match"),
    [
        (lambda: Spec.of([3], m=1, n=2, margin=0.5, radius=1.0), r"tasks\[0\] = 3: must be a Task"),
        (
            lambda: Spec(K=1, d=1, m=10**400, n=2, margin=0.5, radius=1.0, weight_norm=1.0),
            "m = a huge number: must be at most",
        ),
        (
            lambda: Spec(K=1, d=1, m=1, n=2, margin=0.5, radius=10**400, weight_norm=1.0),
            "radius = .*must be a real number that a float",
        ),
        (
            lambda: derive(Spec(K=1, d=1, m=1, n=2, margin=0.5, radius=1e200, weight_norm=1.0)),
            "residuals round by .*an eighth of margin",
        ),
        (
            lambda: derive(
                Spec(
                    K=1, d=1, m=1, n=2, margin=1e2, radius=1e3, weight_norm=1e39, input_radius=1e-45
                )
            ),
            "the weights reach .*beyond the format's range",
        ),
    ],
    ids=["task", "huge m", "huge radius", "overflow", "weights"],
)
def test_numbers_that_no_float_holds(wrong, match):
    with pytest.raises(ValueError, match=match):
        wrong()


def test_what_is_no_prompt_and_no_hook():
    task = Task(slot=0, weight=np.eye(1))
    model = build(Spec.of([task], m=1, n=2, margin=0.5, radius=1.0), [task])
    prompt = Prompt(inputs=np.zeros((1, 1, 1)), labels=np.zeros((1, 1)), query=np.zeros((1, 1)))
    with pytest.raises(ValueError, match="must name a layer"):
        model(prompt, hooks={("commi", "z"): lambda z: z})
    with pytest.raises(ValueError, match="must be a layer of this trace"):
        model.trace(prompt).read("commi", "z")
    for token in (1000, -1000, "qry"):
        with unchecked(), pytest.raises(ValueError, match=r"token = .*must be a place from 0 to 4"):
            model.trace(prompt).attribution(token=token)
    with unchecked(), pytest.raises(ValueError, match="must be a layer of this trace"):
        model.trace(prompt).read(3, "z")
    with unchecked(), pytest.raises(ValueError, match="must be a layer of this trace"):
        model.trace(prompt).heads(["pair"])


@pytest.mark.parametrize("part", ["inputs", "labels", "query"])
def test_a_vector_that_float32_made_longer_than_the_radius_is_accepted(part):
    rng = np.random.default_rng(0)
    d, radius = 5, 1.0
    tasks = [Task(slot=0, weight=np.eye(d)), Task(slot=0, weight=-np.eye(d))]
    spec = Spec.of(tasks, m=2, n=2, margin=1.0, radius=radius, input_radius=radius)
    model = build(spec, tasks)
    unit = rng.normal(size=(1000, d))
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    rounded = np.float32(unit).astype(float)
    x = rounded[np.linalg.norm(rounded, axis=1).argmax()]
    assert np.linalg.norm(x) > radius * (1 + 1e-8)
    prompt = Prompt(inputs=np.tile(x, (2, 1, 1)), labels=np.stack([x, -x]), query=x[None])
    for evaluator in ("dense", "restricted"):
        answer = model(prompt, evaluator=evaluator)
        assert (answer.counts == [1, 1]).all() and np.abs(answer.vector).max() <= 1e-6
    # Longer than a rounding makes it, or not a float32 vector at all: refused.
    for longer in (np.float32(x * (1 + 3e-7)).astype(float), x * (1 + 1e-9)):
        wrong = {"inputs": prompt.inputs, "labels": prompt.labels, "query": prompt.query}
        wrong[part] = np.tile(longer, (*wrong[part].shape[:-1], 1))
        with pytest.raises(ValueError, match=f"{part}.*norm at most"):
            model(Prompt(**wrong))
