"""The weights are an ordinary Flax model's: orbax saves and restores them to the last bit."""

import jax
import numpy as np
import orbax.checkpoint as ocp
from flax import nnx

from tests.theorem1.cases import RANDOM


def test_orbax_restores_every_weight(tmp_path):
    graph, state = nnx.split(RANDOM.model)
    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(tmp_path / "weights", state)
        checkpointer.wait_until_finished()
        restored = checkpointer.restore(tmp_path / "weights", jax.tree.map(np.zeros_like, state))
    for left, right in zip(jax.tree.leaves(state), jax.tree.leaves(restored), strict=True):
        assert (np.asarray(left) == np.asarray(right)).all()
    assert (
        nnx.merge(graph, restored)(RANDOM.prompts[-1]).vector
        == RANDOM.model(RANDOM.prompts[-1]).vector
    ).all()
