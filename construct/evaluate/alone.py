"""Prompts of less than a chunk, each from the query to the answer in one call, and many of them in
one: where a prompt is short, its time goes by the calls of the device and the arrays handed over.

So a prompt goes there as one row of numbers and comes back as one, and the model's many small
weights as one vector (`construct.evaluate.joined`).
"""

from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from construct.answer import Answer
from construct.evaluate import chunk
from construct.evaluate.chunk import Norms, Survey, Variant
from construct.evaluate.joined import Joined, flattened
from construct.evaluate.prepared import Prepared
from construct.layers import Stack
from construct.prompt import Prompt
from construct.readout import Readings

Examples = tuple[np.ndarray, np.ndarray, np.ndarray]  # query (slots, d), inputs, labels


class Found(NamedTuple):
    """What one prompt gave: the answer's vector, the norms of all tasks' outputs on the query, and
    what was surveyed."""

    vector: Any
    norms: Any
    survey: Survey


@partial(jax.jit, static_argnames="variant")
def run(
    joined: Joined, rows: Float[Array, "prompts row"], *, variant: Variant
) -> Float[Array, "prompts out"]:
    """By prompt, a `Found` as one row; `rows` are as `rows_of` makes them."""
    plan, norms, limits = joined.split()
    slots, d = plan.n - 1, plan.residual.size("x")

    def one(row: Float[Array, "row"]) -> Float[Array, "out"]:
        count, query, x, y = _cut(row, slots, d)
        before, query_norms = chunk.start_query(plan, norms, limits, query, variant=variant)
        parts, survey = chunk.run_chunk(
            plan, norms, limits, before, x, y, 0, count, variant=variant
        )
        found = Found(chunk.vector(plan, before, parts), query_norms, survey)
        leaves, tree = jax.tree.flatten(found)
        ends = np.cumsum([0, *(leaf.size for leaf in leaves)]).tolist()
        # What a row that comes back holds: noted where the program is traced, which always goes
        # before its first row.
        places = zip(pairwise(ends), leaves, strict=True)
        joined.form.notes[row.shape[-1], variant] = (
            tree,
            [(slice(*pair), leaf.shape) for pair, leaf in places],
        )
        return flattened(leaves, row.dtype)

    # One after the other, which is faster on a CPU than side by side: a prompt stays in the cache.
    return one(rows[0])[None] if len(rows) == 1 else jax.lax.map(one, rows)


def _cut(row: Array, slots: int, d: int) -> tuple[Array, Array, Array, Array]:
    """A row's count of examples, query, inputs and labels."""
    examples = (len(row) - 1 - slots * d) // ((slots + 1) * d)
    ends = np.cumsum([1, slots * d, examples * slots * d])
    count, query, x, y = jnp.split(row, ends)
    return (
        count[0].astype(jnp.int32),  # less than a chunk, hence exact as a float
        query.reshape(slots, d),
        x.reshape(examples, slots, d),
        y.reshape(examples, d),
    )


def rows_of(prompts: Sequence[Examples], length: int, dtype: str) -> np.ndarray:
    """Prompts as rows of numbers, with zeros for padding to `length` examples each."""
    slots, d = prompts[0][0].shape
    rows = np.zeros((len(prompts), 1 + slots * d + length * (slots + 1) * d), dtype)
    for row, (query, x, y) in zip(rows, prompts, strict=True):
        row[0] = len(x)
        at = 1
        for part, size in ((query, query.size), (x, length * slots * d), (y, length * d)):
            row[at : at + part.size] = part.ravel()
            at += size
    return rows


def ask(ready: Prepared, prompts: Sequence[Examples], length: int, variant: Variant) -> list[Found]:
    """Prompts of up to `length` examples in one call; what was found, on the host."""
    if length == 2 * variant.piece:  # a loop of two costs more than a larger piece does
        variant = variant._replace(piece=length)
    count = len(prompts)
    filled = [*prompts, *[prompts[0]] * ((1 << (count - 1).bit_length()) - count)]
    rows = rows_of(filled, length, ready.dtype)
    out = np.asarray(run(ready.joined, rows, variant=variant))
    tree, places = ready.joined.form.notes[rows.shape[1], variant]
    return [
        jax.tree.unflatten(tree, [row[where].reshape(shape) for where, shape in places])
        for row in out[:count]
    ]


def answer(
    model: Stack, ready: Prepared, prompts: Sequence[Prompt], names: Sequence[str], longest: int
) -> list[Answer]:
    """The answers to checked prompts of less than a chunk, `longest`, those padded to the same
    length in one call. Raises ValueError where a hypothesis fails on one."""
    groups: dict[int, list[int]] = {}
    for i, prompt in enumerate(prompts):
        length = chunk.padded_length(len(prompt.labels), longest, chunk.SHORTEST)
        groups.setdefault(length, []).append(i)
    answers: dict[int, Answer] = {}
    for length, group in groups.items():
        asked = [(prompts[i].query, prompts[i].inputs, prompts[i].labels) for i in group]
        together = ask(ready, asked, length, ready.variant)
        for i, one, found in zip(group, asked, together, strict=True):
            survey, fits = found.survey, found.norms.max() <= ready.limits.output
            doubtful = bool(survey.doubtful) or not fits
            if doubtful and ready.variant.norms is not Norms.EVERY:
                every = ready.variant._replace(norms=Norms.EVERY)
                survey = ask(ready, [one], length, every)[0].survey
            tasks = recognized(
                model,
                prompts[i].labels,
                names[i],
                survey.found,
                found.norms,
                first=0,
                enforce=doubtful,
            )
            answers[i] = Answer(found.vector, tasks, model.spec.K, "restricted")
    return [answers[i] for i in range(len(prompts))]


def recognized(
    model: Stack,
    labels: Float[np.ndarray, "c d"],
    name: str,
    found: dict[str, Any],
    query_norms: Float[np.ndarray, "K slots 1"],
    *,
    first: int,
    enforce: bool,
) -> Int[np.ndarray, "c"]:
    """The tasks of some examples, from what was found of them (and of padding).

    first: the place of the first of them in the prompt. enforce: the device could not rule out that
    a hypothesis fails, and kept gaps and norms. Raises ValueError where one does.
    """
    found = {key: np.asarray(value)[..., : len(labels)] for key, value in found.items()}
    norms = found.get("output_norm")
    if norms is not None:
        norms = np.concatenate([norms, query_norms], axis=2).swapaxes(1, 2)
    code = found["code"].T if "code" in found else None
    readings = Readings(None, found.get("gap"), norms, code, found.get("ok"))
    return model.readout.decode(
        model, labels, name, readings, enforce=enforce or model.readout.always, first=first
    )
