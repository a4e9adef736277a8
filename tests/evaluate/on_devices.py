"""Properties of streaming over a mesh. Run by test_devices.py with eight virtual devices, under a
name that pytest passes over where there is one.

Chunks and pieces are made small, so that a short prompt fills many: both are matters of speed
alone.
"""

import jax
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from jax.sharding import Mesh

from construct import theorem1, theorem2, theorem3
from construct.evaluate import attention, chunk, prepared, sharding
from construct.evaluate import mesh as meshes
from construct.evaluate.plan import make_plan
from proofs import theorem1 as proof1
from proofs import theorem2 as proof2
from proofs import theorem3 as proof3
from verify.draw import draw_instance, draw_prompt

chunk.CHUNK, prepared.LONGEST_PIECE = 32, 16

M = 128
LEAST = M - 15  # so that the last chunk is longer than a piece: fewer shapes to compile


class Case:
    """A theorem's model with its error bound, and prompts of it; `screen` as `stream` takes it."""

    def __init__(self, build, proof, seed, screen=None, **request):
        rng = np.random.default_rng(seed)
        self.instance = draw_instance(rng, m=M, **request)
        self.spec = self.instance.spec
        self.model = build(self.spec, self.instance.tasks, self.instance.feature_map)
        self.bound = 2 * proof.error_bound(self.spec)
        self.screen = screen

    def prompt(self, seed, examples=M, **kinds):
        """A random prompt."""
        return draw_prompt(np.random.default_rng(seed), self.instance, examples=examples, **kinds)

    def stream(self, prompt, mesh=None, cuts=()):
        """Its answer, with the examples in blocks that end at `cuts`."""
        blocks = zip(np.split(prompt.inputs, cuts), np.split(prompt.labels, cuts), strict=True)
        return self.model.stream(blocks, prompt.query, screen=self.screen, mesh=mesh)


CASES = {
    "theorem 1": Case(theorem1.build, proof1, 0, screen=True, K=8, d=32, n=3),
    "theorem 2": Case(theorem2.build, proof2, 1, K=4, d=6, n=4, dtype="float64"),
    "theorem 3": Case(theorem3.build, proof3, 2, K=4, d=10, n=2, sphere=True),
}


def mesh_of(**axes):
    """A mesh of the first devices."""
    devices = np.array(jax.devices())[: np.prod(list(axes.values()))]
    return Mesh(devices.reshape(tuple(axes.values())), tuple(axes))


SHARED = [("theorem 1", 8), ("theorem 3", 3)]
SPLIT = [("theorem 1", 2, 4), ("theorem 2", 4, 2)]
prompts = (
    st.integers(0, 2**32 - 1),
    st.integers(LEAST, M),
    st.lists(st.integers(0, LEAST), max_size=3).map(sorted),
)


@settings(max_examples=20)
@given(st.sampled_from(SHARED), *prompts)
@example(("theorem 1", 8), 0, M, [])
@example(("theorem 3", 3), 1, LEAST, [5])
def test_examples_shared_out_give_one_devices_bits(which, seed, examples, cuts):
    name, devices = which
    case = CASES[name]
    prompt = case.prompt(seed, examples, noise=3)
    one, shared = case.stream(prompt), case.stream(prompt, mesh_of(examples=devices), cuts)
    assert np.array_equal(one.vector, shared.vector)
    assert np.array_equal(one.recognized, shared.recognized) and np.array_equal(
        one.counts, shared.counts
    )


@settings(max_examples=20)
@given(st.sampled_from(SPLIT), *prompts)
@example(("theorem 1", 2, 4), 0, M, [])
@example(("theorem 2", 4, 2), 1, LEAST, [5])
def test_heads_shared_out_agree_within_the_rounding(which, seed, examples, cuts):
    name, devices, heads = which
    case = CASES[name]
    prompt = case.prompt(seed, examples, noise=3)
    one, shared = (
        case.stream(prompt),
        case.stream(prompt, mesh_of(examples=devices, heads=heads), cuts),
    )
    assert np.abs(one.vector - shared.vector).max() <= case.bound
    assert np.array_equal(one.recognized, shared.recognized)


def test_a_device_holds_its_heads_alone():
    case = CASES["theorem 1"]
    plan = sharding.split_heads(make_plan(case.model), 4)
    split = [bank for layer in plan.layers for bank in layer.banks if bank.axis]
    assert any(bank.count == case.spec.K // 4 for bank in split)
    specs = jax.tree.leaves(sharding._specs(plan, 4, case.spec.K))
    assert jax.sharding.PartitionSpec("heads") in specs and len(specs) == len(jax.tree.leaves(plan))


# The next two meet a mesh that no other test uses, so that what they compile serves them alone.


def test_without_the_sum_over_devices_the_answer_is_wrong(monkeypatch):
    case = CASES["theorem 2"]
    monkeypatch.setattr(attention, "_all_heads", lambda bank, moved: moved)
    prompt = case.prompt(3)
    one, shared = case.stream(prompt), case.stream(prompt, mesh_of(examples=1, heads=2))
    assert np.abs(one.vector - shared.vector).max() > case.bound


def test_without_the_other_devices_pieces_the_answer_is_wrong(monkeypatch):
    case = CASES["theorem 3"]
    monkeypatch.setattr(sharding, "_gather", lambda bank, part: part)
    prompt = case.prompt(4)
    one, shared = case.stream(prompt), case.stream(prompt, mesh_of(examples=2))
    assert np.abs(one.vector - shared.vector).max() > case.bound


@pytest.mark.parametrize("row", [0, M - 1])
@pytest.mark.parametrize(
    ("name", "axes"), [("theorem 1", {"examples": 8}), ("theorem 2", {"examples": 4, "heads": 2})]
)
def test_a_refusal_is_the_one_of_one_device(name, axes, row):
    case = CASES[name]
    prompt = case.prompt(5)
    wrong = np.array(prompt.labels)
    # Between tolerance and margin of the task that explains it.
    off = np.eye(case.spec.d)[0] * (case.spec.tolerance + case.spec.margin) / 2
    wrong[row] = wrong[row] - off if wrong[row, 0] > 0 else wrong[row] + off
    changed = type(prompt)(prompt.inputs, wrong, prompt.query)
    with pytest.raises(ValueError, match=f"example {row}.*tolerance") as one:
        case.stream(changed)
    with pytest.raises(ValueError, match=f"example {row}.*tolerance") as shared:
        case.stream(changed, mesh_of(**axes))
    assert str(one.value) == str(shared.value)


@pytest.mark.parametrize("bad", [np.nan, 3.0])
def test_a_vector_outside_the_ball_is_refused_wherever_it_is(bad):
    case = CASES["theorem 1"]
    prompt = case.prompt(6)
    labels = np.array(prompt.labels)
    labels[M - 1, 0] = bad
    with pytest.raises(ValueError, match="label"):
        case.model.stream(
            [(prompt.inputs, labels)], prompt.query, screen=True, mesh=mesh_of(examples=8)
        )


@pytest.mark.parametrize(
    ("mesh", "message"),
    [
        (lambda: mesh_of(devices=2), "with an axis 'examples'"),
        (lambda: mesh_of(heads=2), "with an axis 'examples'"),
        (lambda: mesh_of(examples=2, model=2), "and maybe an axis 'heads'"),
        (lambda: mesh_of(examples=1, heads=3), "'heads' must divide K = 8"),
    ],
)
def test_a_mesh_that_cannot_share_the_work_is_refused(mesh, message):
    case = CASES["theorem 1"]
    prompt = case.prompt(7)
    with pytest.raises(ValueError, match=message):
        case.model.stream([(prompt.inputs, prompt.labels)], prompt.query, mesh=mesh())


class Device:
    """A device of a process."""

    def __init__(self, process_index):
        self.process_index = process_index


@pytest.mark.parametrize(
    ("owners", "message"),
    [
        ([[0, 1]], "each row of 'heads' must lie in one process"),
        ([[1, 1]], "must have devices of every"),
    ],
)
def test_a_mesh_across_processes_keeps_heads_together_and_leaves_no_process_out(
    monkeypatch, owners, message
):
    spec = CASES["theorem 1"].spec
    monkeypatch.setattr(meshes, "rows_of", lambda mesh: np.vectorize(Device)(owners))
    with pytest.raises(ValueError, match=message):
        meshes.check_mesh(spec, mesh_of(examples=1, heads=2))
