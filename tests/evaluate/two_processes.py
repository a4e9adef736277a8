"""One of two processes that share a prompt: `python -m tests.evaluate.two_processes HOST:PORT I
FOLDER`. Run by test_devices.py.

Ends with 0 if all is as it should be. FOLDER holds the examples, which each process maps into
memory.
"""

import sys
from pathlib import Path
from unittest import mock

import jax
import numpy as np
from jax.sharding import Mesh

from construct import theorem1, theorem2
from construct.evaluate import chunk, prepared, sharding
from proofs import theorem1 as proof
from verify.draw import draw_instance, draw_prompt

M = 128


def drawn():
    """An instance and a prompt, the same in every process."""
    rng = np.random.default_rng(0)
    instance = draw_instance(rng, K=4, d=6, m=M, n=3)
    return instance, draw_prompt(rng, instance, noise=2)


def refusal(call, *arguments, **options):
    """The words of the ValueError that a call raises."""
    try:
        call(*arguments, **options)
    except ValueError as error:
        return str(error)
    raise AssertionError("not refused")


def rows_here(array):
    """How many rows of an array, of how many in all, this process holds."""
    here = {(shard.index[0].start or 0, len(shard.data)) for shard in array.addressable_shards}
    return sum(count for _, count in here), len(array)


def watched(taken):
    """Notes how many rows of the prompt are read and placed by this process."""
    place = sharding.Shards._rows

    def placing(self, array, share):
        placed = place(self, array, share)
        taken.append(rows_here(placed))
        return placed

    return placing


def check(build, mesh, folder):
    """Both processes together give one device's answer, and one device's refusal whichever process
    has the bad row; each takes half of the rows."""
    instance, prompt = drawn()
    spec, model = instance.spec, build(instance.spec, instance.tasks)
    x, y = (np.load(folder / f"{name}.npy", mmap_mode="r") for name in ("inputs", "labels"))
    taken = []
    with mock.patch.object(sharding.Shards, "_rows", watched(taken)):
        one, shared = (
            model.stream([(x, y)], prompt.query),
            model.stream([(x, y)], prompt.query, mesh=mesh),
        )
    assert taken and all(2 * here == everywhere for here, everywhere in taken), taken
    allowed = 2 * proof.error_bound(spec) if "heads" in mesh.shape else 0
    assert np.abs(shared.vector - one.vector).max() <= allowed
    assert np.array_equal(shared.recognized, one.recognized) and len(one.recognized) == M
    for row in (0, M - 1):
        off = np.zeros_like(y)
        off[row, 0] = (spec.tolerance + spec.margin) / 2 * (-1 if y[row, 0] > 0 else 1)
        words = refusal(model.stream, [(x, y + off)], prompt.query)
        assert f"example {row}" in words, words
        assert refusal(model.stream, [(x, y + off)], prompt.query, mesh=mesh) == words
    assert "must be a jax.sharding.Mesh" in refusal(
        model.stream, [(x, y)], prompt.query, mesh="devices"
    )


if __name__ == "__main__":
    jax.distributed.initialize(sys.argv[1], 2, int(sys.argv[2]), initialization_timeout=120)
    chunk.CHUNK, prepared.LONGEST_PIECE = 32, 16
    devices = np.array(jax.devices())
    check(theorem1.build, Mesh(devices, ("examples",)), Path(sys.argv[3]))
    check(theorem2.build, Mesh(devices.reshape(-1, 2), ("examples", "heads")), Path(sys.argv[3]))
