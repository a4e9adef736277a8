"""The benchmarks compute what they time: every stack gives our answer, a wrong one is refused, and
reports have their fields.

Nothing here asserts a time.
"""

import json
import subprocess
import sys
from dataclasses import replace

import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks import (
    accuracy,
    api,
    bf16,
    build,
    device,
    evaluators,
    measure,
    memory,
    peers,
    scale,
    speed,
    stacks,
    start,
)
from benchmarks.evaluators import EVALUATORS, Setting, Unavailable, Way, check, draw_setting
from tests.theorem1.cases import FEATURES, RANDOM, SUMS

pytestmark = pytest.mark.slow

PACKAGES = {"haiku": "haiku", "nnx": "flax", "torch": "torch"}
TIMES = {"first_s", "median_s", "least_s", "repeats"}


def setting_of(case):
    """The full prompt of a case; stacks know no padding."""
    return Setting(case.instance, [case.prompts[-1]])


@pytest.fixture(scope="module", params=[RANDOM, SUMS, FEATURES], ids=["random", "sums", "features"])
def setting(request):
    """One prompt of each kind of task."""
    return setting_of(request.param)


@pytest.fixture
def quick(monkeypatch):
    """One tiny size, no bursts, a small matrix product."""
    monkeypatch.setattr(measure, "BURST", 0.0)
    monkeypatch.setattr(api, "BATCH", 3)
    monkeypatch.setattr(peers, "GEMM", 16)
    monkeypatch.setattr(scale, "SIDE", 16)
    monkeypatch.setattr(scale, "MANY", (scale.Case(64, 6, 0.25),))
    sizes = {"small": (2, 3, 6, 3)}
    for module in (evaluators, peers, speed, bf16, api):
        monkeypatch.setattr(module, "SIZES", sizes)
    monkeypatch.setattr(
        device, "PLATFORMS", dict.fromkeys(("cpu", "gpu"), device.Sizes((2, 3, 6, 3), 6, 16, 64))
    )
    monkeypatch.setattr(build, "SWEEPS", {"K": ((1, 3, 4), (2, 3, 4))})
    monkeypatch.setattr(accuracy, "SIZES", ((2, 3, 6, 3),))
    monkeypatch.setattr(memory, "QUERIES", 64)
    monkeypatch.setattr(start, "BARE", "pass")
    monkeypatch.setattr(start, "seconds", lambda arguments, cache: float(len(arguments)))


@pytest.mark.parametrize("name", stacks.STACKS)
def test_a_stack_gives_our_answer(setting, name):
    pytest.importorskip(PACKAGES[name])
    way = EVALUATORS[name](setting)
    assert check(name, setting, way.read(way.call())) <= setting.tolerance


@pytest.mark.parametrize("name", ["dense", "dense call", "restricted call", "oracle"])
def test_ours_gives_our_answer(setting, name):
    try:
        way = EVALUATORS[name](setting)
    except Unavailable as reason:
        pytest.skip(str(reason))
    assert check(name, setting, way.read(way.call())) <= setting.tolerance


@pytest.mark.parametrize("name", stacks.STACKS)
@pytest.mark.parametrize("part", ["W_Q", "W_V"])
def test_a_stack_with_wrong_weights_is_refused(name, part):
    pytest.importorskip(PACKAGES[name])
    setting = setting_of(RANDOM)
    execute = setting.layers[5]
    setting.layers[5] = execute._replace(
        **{part: 1.01 * getattr(execute, part) if part == "W_V" else -getattr(execute, part)}
    )
    way = EVALUATORS[name](setting)
    with pytest.raises(ValueError, match=rf"evaluator '{name}' = an error of .*: must be at most"):
        check(name, setting, way.read(way.call()))


def test_a_wrong_answer_is_refused():
    setting = setting_of(RANDOM)
    assert check("oracle", setting, setting.answers) == 0
    for wrong in (setting.answers + 2 * setting.tolerance, np.full_like(setting.answers, np.nan)):
        with pytest.raises(ValueError, match="must be at most"):
            check("oracle", setting, wrong)


@pytest.mark.parametrize("name", stacks.STACKS)
def test_a_batch_in_pieces_gives_the_same(monkeypatch, name):
    pytest.importorskip(PACKAGES[name])
    setting = draw_setting((2, 3, 6, 3), 4)
    shape = setting.embedded[0].shape
    assert stacks.piece(shape, 2, 4) == 4
    monkeypatch.setattr(stacks, "SCORE_BYTES", 3 * 2 * shape[1] ** 2 * 4)
    assert stacks.piece(shape, 2, 4) == 2  # three would fit, but four are not cut into threes
    way = EVALUATORS[name](setting)
    check(name, setting, way.read(way.call()))
    monkeypatch.setattr(stacks, "SCORE_BYTES", 1)
    assert stacks.piece(shape, 2, 4) == 1


def test_a_package_that_is_missing_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, "haiku", None)
    record = peers.compared(draw_setting((1, 1, 1, 2), 1), ["haiku"], 1, lambda text: None)
    assert "pip install dm-haiku" in record["evaluators"]["haiku"]["skipped"]
    assert "median_s" in record["evaluators"]["gemm jax"]


def test_a_wrong_evaluator_stops_the_run(quick, monkeypatch):
    monkeypatch.setitem(
        EVALUATORS,
        "oracle",
        lambda setting: Way(lambda: jnp.zeros(1), lambda _: setting.answers + 1),
    )
    with pytest.raises(ValueError, match="evaluator 'oracle'"):
        peers.compared(draw_setting((2, 3, 6, 3), 1), ["oracle"], 1, lambda text: None)


def test_rounds_are_interleaved(monkeypatch):
    monkeypatch.setattr(measure, "BURST", 0.0)
    order = []
    calls = {name: lambda name=name: order.append(name) for name in "ab"}
    timings = measure.interleave(calls, 3, lambda text: None, {"a": 5.0})
    assert "".join(order) == "b" + "ab" * 3
    assert timings["a"].first == 5.0 and len(timings["a"].seconds) == 3
    slow, fast = measure.Timing(9.0, (2.0, 6.0, 30.0)), measure.Timing(9.0, (1.0, 2.0, 3.0))
    assert (slow.median, slow.times(fast)) == (6.0, 3.0)
    assert slow.report() == {"first_s": 9.0, "median_s": 6.0, "least_s": 2.0, "repeats": 3}


def test_flops_are_counted():
    setting = setting_of(RANDOM)
    B, N, D = setting.embedded[0].shape
    K, key, _ = setting.layers[0].W_Q.shape
    assert (B, K, key) == (1, 4, D)
    # Seven layers of three projections in, one out, scores and values; the MLP of width 4.
    assert evaluators.stack_flops(setting) == 7 * (
        2 * 4 * N * D * D * K + 2 * 2 * K * N * N * D + 2 * 2 * N * D * 4
    )
    assert evaluators.dense_flops(setting) < evaluators.stack_flops(setting) / 3


@pytest.fixture
def command(monkeypatch, capsys):
    """Run a benchmark command in this process; returns its exit code, stdout and stderr."""

    def call(questions, *arguments):
        monkeypatch.setattr(sys, "argv", ["benchmarks", *arguments])
        with pytest.raises(SystemExit) as caught:
            measure.command(questions, "benchmarks")
        out, err = capsys.readouterr()
        return caught.value.code, out, err

    return call


def test_all_questions_write_one_report(quick, command, tmp_path):
    from benchmarks.__main__ import QUESTIONS

    out = tmp_path / "here.json"
    code, tables, err = command(
        QUESTIONS,
        "--out",
        str(out),
        "--repeats",
        "2",
        "--batches",
        "2",
        "--evaluators",
        "dense,nnx,oracle",
        "--largest",
        "6",
        "--log-m",
        "6",
    )
    assert code == 0, err
    report = json.loads(out.read_text(), parse_constant=lambda name: pytest.fail(name))
    assert set(report) == {
        "machine",
        "started",
        "repeats",
        "peers",
        "scale",
        "memory",
        "bf16",
        "device",
        "speed",
        "start",
        "build",
        "accuracy",
        "api",
    }
    assert {"device", "cores", "processor", "versions", "load_average"} <= set(report["machine"])
    assert set(report["machine"]["versions"]) == set(measure.PACKAGES)
    first = report["peers"][0]
    assert {
        "K",
        "d",
        "m",
        "n",
        "D",
        "N",
        "batch",
        "size",
        "tolerance",
        "stack_batch",
        "evaluators",
    } == set(first)
    assert set(first["evaluators"]) == {"dense", "nnx", "oracle", "gemm jax", "gemm numpy"}
    assert TIMES | {"max_error", "times_dense", "gflop_per_s"} == set(first["evaluators"]["nnx"])
    assert [one["batch"] for one in report["peers"]] == [2]
    assert (
        set(report["bf16"][0]["passes"]) == {"dense", "bf16"}
        and report["bf16"][0]["max_error"] < 1e-6
    )
    reached = {one["evaluator"]: one for one in report["device"]}
    assert set(reached) == {"dense", "bf16", "restricted"} and all(
        one["share_of_product"] > 0 for one in reached.values()
    )
    restricted = reached["restricted"]
    assert (restricted["bytes"], restricted["flops"]) == (2 * 4 * 64 * 64, 2 * 64 * 16 * 64**2)
    assert restricted["byte_per_s"] == pytest.approx(restricted["bytes"] / restricted["median_s"])
    assert restricted["share_of_copy"] == pytest.approx(
        restricted["byte_per_s"] / restricted["peaks"]["copy"]
    )
    assert TIMES | {"max_error"} == set(report["speed"][0]["calls"]["dense call"])
    assert {"varied", "K", "d", "m", "n", "median_s", "least_s", "repeats", "weight_bytes"} == set(
        report["build"][0]
    )
    assert all(one["max_error"] <= one["error_bound"] for one in report["accuracy"])
    (api_costs,) = report["api"]
    assert api_costs["file_bytes"] > 0 and set(api_costs["times_dense"]) == {
        "look",
        "write",
        "head",
    }
    assert {"trace", "build", "save", "load"} < set(api_costs["calls"])
    sizes = [(one["K"], one["log_m"], one["screen"]) for one in report["scale"]]
    assert sizes == [(16, 6, False), (64, 6, False), (64, 6, True)]
    assert all(
        one["error"] <= one["error_bound"] and one["times_gemm"] > 0 for one in report["scale"]
    )
    (remembered,) = report["memory"]
    assert set(remembered["ways"]) == set(memory.WAYS) and remembered["examples"] == 32
    assert remembered["times_product"] > 0
    assert report["start"][0]["ways"]["second run"]["times_bare"] == 6 / 2
    # A process with JAX in it, which alone is more than this prompt.
    assert report["scale"][0]["peak_bytes"] > report["scale"][0]["prompt_bytes"] == 2 * 4 * 64 * 64
    assert out.with_suffix(".png").stat().st_size and out.with_suffix(".svg").stat().st_size
    assert all(question.text[:20] in tables for question in QUESTIONS)


def test_a_start_is_a_process_with_a_cache_of_its_own(tmp_path):
    code = "import os, sys; sys.exit(os.environ['XDG_CACHE_HOME'] != sys.argv[1])"
    assert start.seconds(["-c", code, str(tmp_path)], str(tmp_path)) > 0
    with pytest.raises(subprocess.CalledProcessError):
        start.seconds(["-c", code, "elsewhere"], str(tmp_path))


def test_a_memory_that_is_wrong_is_not_timed():
    subject = scale.Million(scale.Case(3, 6, 0.5))
    remembered = subject.model.remember([(subject.inputs, subject.labels)])
    queries = subject.inputs[:4]
    assert memory.check(subject, remembered, queries)["map_error"] < 1e-5
    remembered.counts = np.roll(remembered.counts, 1)
    remembered._changed()
    with pytest.raises(ValueError, match="error"):
        memory.check(subject, remembered, queries)


def test_the_scale_subject_refuses_a_wrong_answer(monkeypatch):
    subject = scale.Million(scale.Case(3, 6, 0.5))
    right = subject.answer()
    assert subject.check(right) < 1e-6
    for wrong in (
        replace(right, vector=right.vector + 1e-3),
        replace(right, recognized=np.roll(right.recognized, 1)),
    ):
        monkeypatch.setattr(subject, "answer", lambda screen, wrong=wrong: wrong)
        with pytest.raises(ValueError, match=r"Case.*screen=True"):
            scale.checked(subject, scale.Case(3, 6, 0.5, screen=True))


def test_a_bit_that_differs_is_refused():
    answer = np.array([[0.25, 0.75]], np.float32)
    bf16.same(answer, answer)
    for wrong in (np.nextafter(answer, np.float32(1)), np.full_like(answer, np.nan)):
        with pytest.raises(ValueError, match="must have the same bits"):
            bf16.same(answer, wrong)


def test_the_fitted_exponent():
    records = [{"K": 16, "log_m": i, "median_s": 1e-6 * 2 ** (1.05 * i)} for i in (12, 14, 16)]
    assert scale.exponent([*records, {"K": 64, "log_m": 17, "median_s": 9.0}]) == pytest.approx(
        1.05
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ["--sizes", "huge"],
        ["--batches", "0"],
        ["--batches", "two"],
        ["--evaluators", "haikku"],
        ["--repeats", "0"],
        ["--out", "report.txt"],
        ["--out", "/nonexistent/report.json"],
    ],
    ids=" ".join,
)
def test_a_bad_request_is_one_line(command, arguments):
    code, out, err = command([peers.QUESTION], *arguments)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith("benchmarks: ") and arguments[0] in err


def test_results_are_named_by_the_device():
    path = measure.default_path()
    assert path.parent == measure.RESULTS and path.suffix == ".json"
    assert set(path.stem) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")
    # One question alone does not replace what all of them found.
    alone = measure.default_path([peers.QUESTION])
    assert alone.stem == f"{path.stem}-peers"
    assert measure.default_path([peers.QUESTION, peers.QUESTION]) == path
