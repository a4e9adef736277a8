"""Training: batches, the curriculum, going on after a break, and the recorded run once more."""

import json
import math
import sys
from dataclasses import replace

import numpy as np
import pytest

from verify import cli
from verify.bench.subjects.trained import trained
from verify.bench.tasksets import counted, open_set
from verify.decoder import Shape
from verify.train import __main__ as program
from verify.train.checkpoint import Checkpoint, load, save
from verify.train.loop import FIRST, NEXT, Progress, Run, train
from verify.train.runs import ALL, CHECKPOINTS, FROM_NOISE
from verify.train.tasks import Tasks

TINIEST = "plus10-layers1-width16"
DECODERS = sorted(path for path in CHECKPOINTS.glob("*.safetensors") if path.stem not in FROM_NOISE)
SMALL = Run("small", Shape(1, 8, 2, 11, 8), Tasks("plus", 10, 4), steps=20, batch=4)


@pytest.mark.parametrize(
    "tasks",
    [Tasks("ret", 4, 5), Tasks("plus", 10, 5), Tasks("chain", 4, 5)],
    ids=lambda tasks: tasks.kind,
)
def test_a_batch_is_of_one_task_a_prompt(tasks):
    tokens, answers = tasks.batch(np.random.default_rng(0), 40, 3)
    rows = np.concatenate([tokens, answers[:, -1, -1:]], 1).reshape(40, 5, tasks.line)
    assert (rows[..., tasks.inputs] == len(tasks.symbols) - 1).all()
    np.testing.assert_array_equal(rows[..., tasks.inputs + 1 :], answers)
    said = tasks.answers(rows[..., : tasks.inputs])
    task = (said == answers[..., None, :]).all((1, 3)).argmax(1)
    assert set(task) == {0, 1, 2}
    assert all((said[i, :, t] == answers[i]).all() for i, t in enumerate(task))
    # The tokens that are trained on stand right before an answer's words.
    following = np.concatenate([tokens[:, 1:], answers[:, -1, -1:]], 1)[:, tasks.rows]
    np.testing.assert_array_equal(following, answers.reshape(40, -1))


def test_a_chains_answers_part_word_by_word():
    tasks = Tasks("chain", 4, 1)
    said = tasks.answers(np.array([[8]]))[0]
    assert said.tolist() == [[5, 6, 7], [9, 0, 1], [9, 3, 4], [9, 0, 2]]
    bench = open_set("chain4")
    assert bench.names == tasks.names
    assert bench.family.answers("8") == tuple(" ".join(map(str, one)) for one in said)


def test_the_curriculum_adds_a_task_when_the_loss_is_low():
    progress = Progress().after(2.0, 3)
    assert (progress.in_play, progress.solved, progress.loss) == (FIRST, None, 2.0)
    while progress.in_play == FIRST:
        progress = progress.after(0.1, 3)
    assert progress.loss == pytest.approx(math.log(3)) and progress.solved is None
    while progress.solved is None:
        progress = progress.after(0.1, 3)
    assert progress.loss < NEXT and progress.in_play == 3
    assert not progress.finished(replace(SMALL, steps=10**6))


def test_a_run_that_was_cut_off_goes_on_as_it_would_have(tmp_path):
    *_, (whole, done) = train(SMALL)
    file = tmp_path / "small.npz"
    for _, progress in train(SMALL, file, every=0):
        if progress.step == 10:
            break
    *_, (resumed, again) = train(SMALL, file)
    assert again.step == done.step == 20 and again.curve == done.curve
    for name, value in whole.weights.items():
        np.testing.assert_array_equal(resumed.weights[name], value)
    with pytest.raises(ValueError, match="must be of the same run"):
        next(train(replace(SMALL, seed=1), file))


def test_a_checkpoint_keeps_all_and_refuses_others(tmp_path):
    *_, (decoder, progress) = train(SMALL)
    path = tmp_path / "small.safetensors"
    save(path, Checkpoint(SMALL, decoder, progress))
    kept = load(path)
    assert kept.run == SMALL and kept.progress == progress
    for name, value in decoder.weights.items():
        np.testing.assert_array_equal(kept.decoder.weights[name], value)
    path.write_bytes(b"nothing")
    with pytest.raises(ValueError, match="is no whole safetensors file"):
        load(path)
    with pytest.raises(ValueError, match=r"no checkpoint; make it: python -m verify\.train"):
        trained("nothing")


def test_the_tiniest_run_falls_as_it_was_recorded():
    recorded = load(CHECKPOINTS / f"{TINIEST}.safetensors")
    assert recorded.run == ALL[TINIEST]
    curve = {int(step): loss for step, loss, _ in recorded.progress.curve or []}
    for _, progress in train(ALL[TINIEST]):
        if progress.step >= 60:
            break
    again = {int(step): loss for step, loss, _ in progress.curve or []}
    assert again[0] == pytest.approx(curve[0], rel=1e-3)
    # Rounding differs between machines and grows with the steps.
    assert [again[s] for s in (10, 20, 50)] == pytest.approx(
        [curve[s] for s in (10, 20, 50)], rel=0.05
    )
    assert again[50] < 0.9 * again[0]


@pytest.mark.parametrize("path", DECODERS, ids=lambda path: path.stem)
def test_kept_checkpoints_are_those_of_the_list_and_small(path):
    assert path.stem in ALL and path.stat().st_size <= 4 * 2**20
    kept = load(path)
    assert kept.run == ALL[path.stem] and kept.progress.curve
    if kept.progress.solved is not None:
        last = [loss for _, loss, _ in kept.progress.curve][-10:]
        assert kept.progress.in_play == kept.run.tasks.K and np.mean(last) < NEXT


def test_a_solved_decoder_performs_its_tasks():
    subject, tasks = trained("plus10-layers2-width32"), open_set("plus10")
    subject.batch = 10
    subject.prepare(tasks, 20)
    rng = np.random.default_rng(0)
    cases = [counted(tasks, rng, [20 * (j == i) for j in range(10)], 1)[0] for i in range(10)]
    p = subject.run(cases).answers
    assert np.diag(p).min() > 0.5 and np.diag(p).mean() > 0.9
    text = subject.tokens(cases[3])
    symbols = list(subject.token)
    first = "".join(symbols[t] for t in text.text[:3])
    words, label = cases[3].lines[0]
    assert first == f"{words[0]}->{label}"
    assert symbols[text.text[text.places[1]]] == cases[3].lines[-1][1]
    assert symbols[text.text[text.places[3]]] == cases[3].query[0]


def test_plain_values_of_a_run_give_the_run_again():
    assert all(Run.of(json.loads(json.dumps(run.as_json()))) == run for run in ALL.values())


def command(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["train", *map(str, arguments)])
    with pytest.raises(SystemExit) as exit:
        cli.run(program.main, program.PROG)
    return exit.value.code


def test_the_command_trains_keeps_and_says_what_was_not_learned(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(ALL, "small", SMALL)
    arguments = ("small", "--out", tmp_path, "--json", tmp_path / "small.json")
    assert command(monkeypatch, *arguments) == cli.FAILS
    report = json.loads((tmp_path / "small.json").read_text())
    assert not report["learned"] and report["runs"][0]["curve"][0][0] == 0
    assert load(tmp_path / "small.safetensors").progress.step == 20
    assert not (tmp_path / "small.npz").exists()
    assert "small: step 20" in capsys.readouterr().err


def test_an_unknown_run_is_one_line(monkeypatch, capsys):
    assert command(monkeypatch, "nothing") == cli.BAD_REQUEST
    err = capsys.readouterr().err
    assert "run 'nothing' is unknown; known are plus10-layers1-width16" in err
    assert err.count("\n") == 1
