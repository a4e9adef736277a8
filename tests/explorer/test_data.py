"""The explorer's data are the traces, its words the model's and the theorem's, and whatever fails
is seen."""

from dataclasses import replace

import numpy as np
import pytest

from construct.residual import task_codes
from tests.wrong import damaged
from verify.explorer import data as explorer
from verify.explorer.tasks import MOST_LETTERS, MOST_TICKS, VIEWS


def test_the_data_are_the_traces(report, traces):
    used = np.any([stream.any(0) for trace in traces for stream in trace.streams.values()], axis=0)
    for prompt, trace in zip(report["prompts"], traces, strict=True):
        now = np.zeros(len(trace.tokens) * len(report["columns"]))
        for (where, values), stream in zip(prompt["steps"], trace.streams.values(), strict=True):
            now[where] = values
            np.testing.assert_allclose(now.reshape(len(stream), -1), stream[:, used], rtol=1e-4)
        for layer, heads, weights in zip(
            report["layers"], prompt["attention"], trace.attention.values(), strict=True
        ):
            for i, ((where, units), head) in enumerate(zip(heads, weights, strict=True)):
                if i not in layer["heads"]:
                    assert where == units == []
                    continue
                shown = np.zeros(head.size)
                shown[where] = np.array(units) * report["weight_unit"]
                np.testing.assert_allclose(shown, head.ravel(), atol=explorer.WEIGHT_UNIT)
                assert (np.array(units) >= 1).all()


def test_every_layer_has_words_and_formulas(report, model):
    assert [layer["name"] for layer in report["layers"]] == [layer.name for layer in model.layers]
    for number, layer in enumerate(report["layers"], 1):
        name = layer["name"].capitalize()
        assert (
            layer["number"] == number
            and layer["does"]
            and layer["statement"].startswith(f"Lemma {number} ({name})")
        )
        said = ("score", "value") if layer["heads"] else ("MLP",)
        assert all(word in layer["formula"] for word in said) and layer["why"]


def test_every_layer_writes_what_its_weights_write(report, model, traces, theorem):
    for layer, own, check in zip(report["layers"], model.layers, theorem.checks, strict=True):
        writes = {*layer["heads_write"], *layer["mlp_writes"]}
        aliases = dict(model.residual.aliases)
        assert writes <= {aliases.get(name, name) for name in check.WRITES}
        assert (
            layer["causal"] == own.causal
            and layer["reads"] == own.support.value
            and layer["mlp"] == (own.mlp is not None)
        )
        for trace in traces:
            before = list(trace.streams)[layer["number"] - 1]
            changed = [
                name
                for name in model.residual.names
                if (trace.read(layer["name"], name) != trace.read(before, name)).any()
            ]
            assert set(changed) <= writes
            for head in set(range(own.heads)) - set(layer["heads"]):
                seen = trace.attention[layer["name"]][head]
                assert (seen[-1] == seen[-1, 0]).all()
    assert report["committed"] == next(
        i
        for i, layer in enumerate(report["layers"], 1)
        if {"ok"} & {*layer["heads_write"], *layer["mlp_writes"]}
    )


def test_only_a_causal_layer_hides_keys(report, traces, theorem):
    assert {layer["causal"] for layer in report["layers"]} == {theorem.causal}
    for trace in traces:
        for layer, weights in zip(report["layers"], trace.attention.values(), strict=True):
            if layer["causal"]:
                assert not np.triu(weights, 1).any()


def test_the_prompts_differ_in_mixture_and_share_the_query(subject, report, theorem):
    assert (
        len({prompt.query.tobytes() for prompt in subject.prompts}) == 1
        and len(report["prompts"]) == 5
    )
    assert report["holds"] and report["prompts"][2]["prevalence"] == [0, 0, 0, 1]
    none = report["prompts"][4]
    # The error of the answer, in Euclidean norm, moves the weights by its share of the least
    # singular value of the outputs.
    moved = 0.0
    if theorem.labeled:
        query = subject.prompts[4].query
        outputs = np.stack([task.weight @ query[task.slot] + task.bias for task in subject.tasks])
        least = np.linalg.svd(outputs, compute_uv=False)[-1]
        moved = none["max_error"] * np.sqrt(subject.spec.d) / least
    assert none["message"] == "no evidence" and np.abs(none["weights"]).max() <= moved * (1 + 1e-9)
    several = [
        one
        for prompt in report["prompts"]
        for one in prompt["examples"]
        if len(one["explained_by"]) > 1
    ]
    assert bool(several) == theorem.ambiguity and all(one["recognized"] is None for one in several)


def _circle(prompt, frame, trace, layer, committed):
    codes = task_codes(len(prompt["counts"]))
    points = np.array([frame["points"]["x"], frame["points"]["y"]]).T
    if committed:
        named = [j for j, one in enumerate(prompt["examples"]) if one["recognized"] is not None]
        recognized = [prompt["examples"][j]["recognized"] for j in named]
        np.testing.assert_allclose(points[named], codes[recognized].reshape(-1, 2), atol=1e-5)
    mean = np.array([frame["mean"]["x"], frame["mean"]["y"]]).T
    assert len(mean) == (committed and sum(prompt["counts"]) > 0)
    for point in mean:
        np.testing.assert_allclose(point, np.array(prompt["prevalence"]) @ codes, atol=1e-5)


def _vector(prompt, frame, trace, layer, committed):
    assert (
        frame["held"]["value"] == trace.read(layer, "w")[-1].tolist()
        and frame["due"]["value"] == prompt["prevalence"]
    )
    tallied = layer not in ("embed", "recognize")
    np.testing.assert_allclose(
        frame["held"]["value"], np.array(prompt["prevalence"]) * tallied, atol=1e-5
    )


def _posterior(prompt, frame, trace, layer, committed):
    assert frame["held"]["value"] == trace.read(layer, "omega")[-1].tolist()
    if layer == "posterior":
        np.testing.assert_allclose(frame["held"]["value"], frame["due"]["value"], atol=1e-5)
    else:
        assert not any(frame["held"]["value"])


def _tokens(prompt, frame, trace, layer, committed):
    cells = frame["cells"]
    shown = {
        (j, slot): (ok, task)
        for j, slot, ok, task in zip(cells["y"], cells["x"], cells["v"], cells["task"], strict=True)
    }
    held = dict(zip(trace.tokens, trace.read(layer, "ok")[:, 0], strict=True))
    assert all(ok == held[f"x{j}.{slot}"] for (j, slot), (ok, _) in shown.items())
    marked = {j: task for (j, _), (ok, task) in shown.items() if task}
    said = {
        j: one["said"] for j, one in enumerate(prompt["examples"]) if one["recognized"] is not None
    }
    assert marked == (said if committed else {}) and sum(ok for ok, _ in shown.values()) == len(
        marked
    )


def test_the_tasks_are_seen_where_the_stream_holds_them(report, traces, theorem):
    see = {"z": _circle, "omega": _posterior, "w": _vector, "ok": _tokens}[
        report["view"]["subspace"]
    ]
    for prompt, trace in zip(report["prompts"], traces, strict=True):
        for step, (layer, frame) in enumerate(zip(trace.streams, prompt["frames"], strict=True)):
            see(prompt, frame, trace, layer, step >= report["committed"])


def test_a_bound_that_is_passed_is_seen(subject, theorem, monkeypatch):
    monkeypatch.setattr(theorem.proof, "error_bound", lambda *_, **__: 0.0)
    assert not explorer.collect(theorem, subject)["holds"]


def test_a_layer_that_breaks_its_lemma_is_seen(subject, theorem):
    last = theorem.lemmas[-1].__name__.rpartition("_")[2]
    wrong = replace(
        theorem,
        build=lambda *parts: damaged(theorem.build(*parts), last, "W_O", lambda W_O: 1.01 * W_O),
    )
    report = explorer.collect(wrong, subject)
    lemmas = report["prompts"][0]["lemmas"]
    assert not report["holds"] and [lemma["within"] for lemma in lemmas] == [True] * (
        len(lemmas) - 1
    ) + [False]
    assert not lemmas[-1]["holds"] and lemmas[-1]["observed"] > lemmas[-1]["bound"]


def test_a_task_that_is_mistaken_for_another_is_seen(subject, theorem):
    wrong = replace(
        theorem,
        build=lambda spec, tasks, feature_map: theorem.build(spec, tasks[::-1], feature_map),
    )
    report = explorer.collect(wrong, subject)
    assert not report["holds"] and not report["prompts"][0]["recognized_right"]


def test_as_many_tasks_are_named_as_there_is_room_for(report):
    """Of 200 tasks every one has its place, and not every one its name beside it."""
    if report["view"]["subspace"] == "ok":
        pytest.skip("the cells of a heat map name the examples' tasks")
    many = report | {"tasks": [{"name": f"a task of number {i}"} for i in range(200)]}
    view = next(view for view in VIEWS if view.subspace == report["view"]["subspace"])
    plot = view.plot(many)
    if view.subspace == "z":
        (named,) = (part for part in plot.renderers if part.name == "tasks-names")
        names = named.data_source.data["text"]
        assert max(map(len, names)) <= MOST_LETTERS
    else:
        names = plot.xaxis.ticker.ticks
    assert 1 < len(names) <= MOST_TICKS
