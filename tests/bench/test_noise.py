"""Training back from noise: the start, the pass, the loss, and the recorded runs."""

import json
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from proofs.theorem1 import error_bound
from tests.bench.test_train import command
from verify import cli
from verify.bench.audit import beyond
from verify.bench.material import Material, Sizes
from verify.bench.subjects.noise import FromNoise, from_noise
from verify.bench.tasksets import counted, open_set
from verify.train import noise
from verify.train.noise import NEAR, Kept, NoiseProgress, NoiseRun, load, save, train
from verify.train.runs import CHECKPOINTS, FROM_NOISE

pytestmark = pytest.mark.slow

SMALL = NoiseRun("small", 2, 3, 0.01, steps=20, batch=4, rate=1e-4)
MODEL = SMALL.built()


def norms(weights):
    return {name: float(jnp.linalg.norm(one)) for name, one in weights.items()}


def test_the_noise_is_the_named_share_of_every_matrix():
    exact, noisy = noise.weights_of(MODEL), SMALL.noisy()
    off = norms({name: noisy[name] - exact[name] for name in exact})
    assert off == pytest.approx({n: 0.01 * size for n, size in norms(exact).items()}, rel=1e-3)
    assert noise.distance(noisy, exact) == pytest.approx(0.01, rel=1e-3)
    assert noise.distance(exact, exact) == 0
    names = {name.split(".")[1] for name in exact}
    assert names == {"pair", "recognize", "commit", "fetch", "execute", "superpose"}


def test_goals_are_the_definitions():
    prompts = noise.draw(SMALL, np.random.default_rng(0), 6)
    for inputs, labels, query, goal in zip(*prompts, strict=True):
        explained = (inputs == labels[:, None]).all(-1)  # task i is slot i's word
        assert (explained.sum(1) == 1).all()
        np.testing.assert_allclose(goal, explained.mean(0) @ query, rtol=1e-6)


def test_the_pass_is_the_models_own():
    prompts, noisy = SMALL.held_out(), SMALL.noisy()
    stream, real = MODEL.embed(*(part[0] for part in prompts[:3]))
    model = noise.put(SMALL.built(), noisy)
    own = jax.jit(lambda stream: noise.forward(noisy, stream))(stream)
    np.testing.assert_allclose(own, model.forward(stream, real), atol=1e-4)
    assert not model.as_built
    exact = noise.forward(noise.weights_of(MODEL), stream)[-1, MODEL.residual.where("y")]
    assert np.abs(exact - prompts.goals[0]).max() <= error_bound(MODEL.spec)


def test_a_run_that_was_cut_off_goes_on_as_it_would_have(tmp_path):
    *_, (whole, done) = train(SMALL)
    assert set(done.judged) == {"built", "noisy", "trained"} and done.step == 20
    assert done.judged["noisy"]["off"] > 100 * done.judged["built"]["off"]
    file = tmp_path / "small.npz"
    for _, progress in train(SMALL, file, every=0):
        if progress.step == 10:
            break
    *_, (resumed, again) = train(SMALL, file)
    assert again.curve == done.curve and again.judged == done.judged
    for name, value in whole.items():
        np.testing.assert_array_equal(resumed[name], value)
    with pytest.raises(ValueError, match="must be of the same run"):
        next(train(replace(SMALL, noise=0.02), file))
    path = tmp_path / "small.safetensors"
    save(path, Kept(SMALL, whole, done))
    kept = load(path)
    assert kept.run == SMALL and kept.progress == done
    found = noise.weights_of(kept.model)
    assert all((found[name] == whole[name]).all() for name in whole)


def test_a_loss_that_stays_low_is_solved():
    progress = NoiseProgress()
    for loss in (0.1, NEAR / 2):
        progress = progress.after(loss)
    assert progress.solved is None and progress.curve == [[0, 0.1]]
    while progress.solved is None:
        progress = progress.after(NEAR / 2)
    assert progress.loss < NEAR and progress.solved == progress.step - 1


@pytest.mark.parametrize("name", FROM_NOISE)
def test_recorded_runs_are_those_of_the_list(name):
    path = CHECKPOINTS / f"{name}.safetensors"
    kept = load(path)
    assert kept.run == FROM_NOISE[name] and path.stat().st_size <= 4 * 2**20
    assert kept.progress.step == kept.run.steps
    judged, exact = kept.progress.judged, noise.weights_of(kept.run.built())
    assert judged["noisy"]["distance"] == pytest.approx(kept.run.noise, rel=1e-3)
    assert judged["trained"]["distance"] == pytest.approx(noise.distance(kept.weights, exact))
    # What was recorded of the answers, once more, by the evaluator.
    prompts = noise.draw(kept.run, np.random.default_rng([kept.run.seed, kept.run.steps + 1]), 256)
    model = kept.model
    stream, real = model.embed(*prompts[:3])
    last = jax.jit(jax.vmap(model.forward))(stream, real)[:, -1, model.residual.where("y")]
    off = np.sqrt(np.square(last - prompts.goals).sum(-1).mean())
    assert off == pytest.approx(judged["trained"]["off"], rel=1e-2)


@pytest.mark.slow
def test_the_recorded_run_begins_again_as_it_did():
    kept = load(CHECKPOINTS / "theorem1-noise-0.01.safetensors")
    curve = {int(step): loss for step, loss in kept.progress.curve}
    again: dict[int, float] = {}
    for _, progress in train(kept.run):
        again = {int(step): loss for step, loss in progress.curve}
        if progress.step > 10:
            break
    # Rounding differs between machines and grows with the steps.
    assert again[0] == pytest.approx(curve[0], rel=1e-2)
    assert again[10] == pytest.approx(curve[10], rel=0.05)


# As a subject.

TASKS = open_set("ret2")


def subject(weights):
    one = FromNoise(Kept(SMALL, weights, NoiseProgress()))
    one.batch = 4
    one.prepare(TASKS, 3)
    return one


def test_without_noise_it_answers_as_the_construction():
    exact = subject(noise.weights_of(MODEL))
    assert exact.kind == "trained" and not exact.softmax
    cases = counted(TASKS, np.random.default_rng(0), [2, 1], 4)
    np.testing.assert_allclose(
        exact.run(cases).answers, [[2 / 3, 1 / 3]] * 4, atol=error_bound(MODEL.spec)
    )
    noisy = np.abs(subject(SMALL.noisy()).run(cases).answers - [[2 / 3, 1 / 3]])
    assert noisy.max() > 10 * error_bound(MODEL.spec)


def test_nothing_is_claimed_of_it_and_its_codes_are_looked_for():
    from verify.bench.methods import label_heads

    sizes = Sizes(lines=3, each=1, prompts=4, sweep=4, mixed=8, queries=4, causal=4)
    found = label_heads.find(Material(subject(noise.weights_of(MODEL)), TASKS, sizes, seed=3))
    assert found.claims == []
    assert {i for i, _ in beyond(found.values["codes"]["label"], 0.1)} == {3}


def test_other_tasks_and_longer_prompts_are_refused():
    one = subject(SMALL.noisy())
    for tasks, lines in (("ret4", 3), ("ret2", 4)):
        with pytest.raises(ValueError, match="it knows ret2 in up to 3"):
            one.prepare(open_set(tasks), lines)


def test_a_missing_checkpoint_is_one_line(monkeypatch, tmp_path):
    monkeypatch.setattr("verify.bench.subjects.noise.CHECKPOINTS", tmp_path)
    with pytest.raises(ValueError, match=r"no checkpoint; make it: python -m verify\.train"):
        from_noise("theorem1-noise-0.01")


def test_the_command_trains_it_and_says_what_came_back(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(FROM_NOISE, "small", SMALL)
    arguments = ("small", "--out", tmp_path, "--json", tmp_path / "small.json")
    assert command(monkeypatch, *arguments) == cli.FAILS
    report = json.loads((tmp_path / "small.json").read_text())
    (run,) = report["runs"]
    assert run["noise"] == 0.01 and set(run["judged"]) == {"built", "noisy", "trained"}
    assert load(tmp_path / "small.safetensors").progress.step == 20
    assert "small: step 20, loss " in capsys.readouterr().err
