"""Several devices: a chunk's examples are shared out over a mesh, and the heads too if it has an
axis for them.

Examples meet in one softmax, which is a sum and a count: every device runs its rows of a chunk,
piece by piece as one device would, and the pieces' shares are gathered and put together in one
device's order; with examples alone shared out the answer then has the same bits. Heads are summed
over their axis after every attention, in another order: the same up to rounding. BOS, the query and
the layers after the meeting do not grow with the prompt, and every process runs them for itself.

With several processes each keeps the readings of its own rows, checks the hypotheses on them, and
sends the others the tasks that it recognized or the refusal; so all of them return the same answer,
or raise the same error.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Float

from construct.evaluate import chunk, program
from construct.evaluate.chunk import Limits, Norms, Survey, Variant
from construct.evaluate.mesh import EXAMPLES, HEADS, rows_of, together
from construct.evaluate.plan import BankPlan, LayerPlan, Plan
from construct.evaluate.prepared import Prepared
from construct.layers import Stack, remembered

# A refusal travels between processes as so many bytes, cut off there; longer than any that the
# checks word.
MESSAGE = 1024


def split_heads(plan: Plan, size: int) -> Plan:
    """The plan of one device of `size` that share the heads; a bank whose heads they cannot share
    evenly stays whole."""

    def share(bank: BankPlan) -> BankPlan:
        return (
            bank
            if size == 1 or bank.count % size
            else replace(bank, count=bank.count // size, axis=HEADS)
        )

    return replace(
        plan,
        layers=tuple(replace(layer, banks=tuple(map(share, layer.banks))) for layer in plan.layers),
    )


def _specs(plan: Plan, size: int, K: int) -> Plan:
    """Where the arrays of such a plan are: one that differs by head is split with its bank's heads,
    all others are everywhere."""

    def banks(layer: LayerPlan) -> tuple[BankPlan, ...]:
        return tuple(
            _by_head(bank, bank.count * size if bank.axis else None) for bank in layer.banks
        )

    specs = jax.tree.map(lambda _: PartitionSpec(), plan)
    layers = tuple(
        replace(spec, banks=banks(layer))
        for layer, spec in zip(plan.layers, specs.layers, strict=True)
    )
    return replace(specs, layers=layers, outputs=_by_head(plan.outputs, K if size > 1 else None))


def _by_head(tree: Any, heads: int | None) -> Any:
    """Where arrays are: those with a row for each of so many heads are split (None: none is)."""
    return jax.tree.map(
        lambda leaf: PartitionSpec(HEADS) if len(leaf) == heads else PartitionSpec(), tree
    )


@partial(jax.jit, static_argnames=("mesh", "K", "group", "variant"))
def _chunk(
    plan: Plan,
    norms: dict[str, Array],
    limits: Limits,
    before: list[program.Classes],
    x: Float[Array, "c slots d"],
    y: Float[Array, "c d"],
    first: Array,
    count: Array,
    *,
    mesh: Mesh,
    K: int,
    group: int,
    variant: Variant,
) -> tuple[program.Shares, Array, Array, dict[str, Array], dict[str, Array]]:
    """A chunk's shares of the answer in groups of `group` examples; whether a vector is too long,
    whether a hypothesis is in doubt; and what was surveyed, by name: what has a row for each task,
    and the rest with examples first."""

    every = variant.norms is Norms.EVERY

    def run(
        plan: Plan,
        norms: Any,
        limits: Limits,
        before: Any,
        x: Array,
        y: Array,
        first: Array,
        count: Array,
    ) -> tuple:
        start = jax.lax.axis_index(EXAMPLES) * len(x)
        parts, survey = chunk.pieces(
            plan, norms, limits, before, x, y, first, start, count, variant=variant
        )
        banks = plan.layers[program.meeting(plan)].banks
        parts = {
            name: [_gather(bank, part) for bank, part in zip(banks, some, strict=True)]
            for name, some in parts.items()
        }
        grouped = jax.tree.map(
            partial(_grouped, size=group // min(variant.piece, len(x))), parts, is_leaf=_is_part
        )
        flags = jax.lax.pmax(
            jnp.stack([survey.suspect, survey.doubtful]).astype(jnp.int32), mesh.axis_names
        )
        by_task = {name: survey.found[name] for name in ("gap", "output_norm") if every}
        rest = {
            name: jnp.moveaxis(value, -1, 0)
            for name, value in survey.found.items()
            if name not in by_task
        }
        return jax.vmap(program.combine_all)(grouped), flags[0] > 0, flags[1] > 0, by_task, rest

    size = mesh.shape.get(HEADS, 1)
    split = K if size > 1 else None
    everywhere, rows = PartitionSpec(), PartitionSpec(EXAMPLES)
    specs = _specs(plan, size, K)
    heads = HEADS if size > 1 else None
    by_task = {
        "gap": PartitionSpec(heads, EXAMPLES),
        "output_norm": PartitionSpec(
            HEADS if PartitionSpec(HEADS) in jax.tree.leaves(specs.outputs) else None,
            None,
            EXAMPLES,
        ),
    }
    by_slot = type(limits)(*(everywhere for _ in limits))._replace(
        slots=_by_head(limits.slots, split)
    )
    shared = jax.shard_map(
        run,
        mesh=mesh,
        in_specs=(
            specs,
            _by_head(norms, split),
            by_slot,
            everywhere,
            rows,
            rows,
            everywhere,
            everywhere,
        ),
        out_specs=(everywhere, everywhere, everywhere, by_task if every else {}, rows),
        check_vma=False,  # gathered parts are alike everywhere, which its types cannot tell
    )
    return shared(plan, norms, limits, before, x, y, first, count)


def _is_part(tree: object) -> bool:
    return isinstance(tree, program.Share)


def _gather(bank: BankPlan, part: program.Share) -> program.Share:
    """All devices' pieces of a share, (pieces, heads, ...), in the order of the examples and the
    heads."""
    if bank.axis is not None:
        part = jax.tree.map(
            lambda leaf: jax.lax.all_gather(leaf, bank.axis, axis=1, tiled=True), part
        )
    return jax.tree.map(lambda leaf: jax.lax.all_gather(leaf, EXAMPLES, tiled=True), part)


def _grouped(part: program.Share, size: int) -> program.Share:
    """Pieces in groups of what is one chunk on one device, the last group filled up with empty
    shares.

    Sums go by halves of a power of two, so that empty shares at the end, all exact zeros, leave the
    bits as they are.
    """
    pieces = len(part.top)
    size = min(size, 1 << (pieces - 1).bit_length())
    groups = -(-pieces // size)

    def fill(leaf: Array, value: float) -> Array:
        leaf = jnp.pad(
            leaf, [(0, groups * size - pieces)] + [(0, 0)] * (leaf.ndim - 1), constant_values=value
        )
        return leaf.reshape(groups, size, *leaf.shape[1:])

    return program.Share(fill(part.top, -jnp.inf), fill(part.total, 0), fill(part.value, 0))


class Shards:
    """The mesh at work on one prompt: places arrays, runs chunks, and brings the readings back.

    One chunk runs at a time, so that all processes send theirs in the same order, and what it is
    sent must stay as it is: a process reads its own devices' rows of it, perhaps out of a file.
    """

    threads = 1
    copies = False
    alone = None  # no prompt is so short that it is answered in one call

    def __init__(
        self, model: Stack, mesh: Mesh, ready: Prepared, before: list[program.Classes]
    ) -> None:
        # Plain axes, whatever types the caller's mesh gave them.
        names = (EXAMPLES, HEADS) if HEADS in mesh.shape else (EXAMPLES,)
        rows = rows_of(mesh)
        self.mesh = Mesh(rows if len(names) == 2 else rows[:, 0], names)
        self.examples, self.heads = rows.shape
        self.group = min(chunk.CHUNK, ready.longest)
        self.chunk = self.group * self.examples
        self.spec, self.limits, self.variant = model.spec, ready.limits, ready.variant
        self.own = [i for i, row in enumerate(rows) if row[0].process_index == jax.process_index()]

        def place() -> tuple[Plan, dict[str, Array]]:
            shared = split_heads(ready.plan, self.heads)
            specs = _specs(shared, self.heads, model.spec.K)
            norm_specs = _by_head(ready.norms, model.spec.K if self.heads > 1 else None)
            return jax.tree.map(self._put, shared, specs), jax.tree.map(
                self._put, ready.norms, norm_specs
            )

        key = ("shards", ready.sketch, self.mesh)
        self.plan, self.norms = remembered(model, key, place)
        self.before = jax.tree.map(lambda leaf: self._put(leaf, PartitionSpec()), before)

    def _put(self, array: Any, spec: PartitionSpec) -> Array:
        host = np.asarray(array)
        return jax.make_array_from_callback(
            host.shape, NamedSharding(self.mesh, spec), lambda index: host[index]
        )

    def _rows(self, array: np.ndarray, share: int) -> Array:
        """Rows of the prompt, `share` of them on each device that has any, with padding at
        the end."""

        def rows(index: Any) -> np.ndarray:
            part = array[index[0]].astype(self.spec.dtype, copy=False)
            return (
                np.pad(part, [(0, share - len(part))] + [(0, 0)] * (part.ndim - 1))
                if len(part) < share
                else part
            )

        shape = (share * self.examples, *array.shape[1:])
        return jax.make_array_from_callback(
            shape, NamedSharding(self.mesh, PartitionSpec(EXAMPLES)), rows
        )

    def send(
        self, x: np.ndarray, y: np.ndarray, first: int
    ) -> tuple[np.ndarray, np.ndarray, Callable[[Variant], tuple[list[program.Shares], Survey]]]:
        """The chunk as the host keeps it, placed on the devices, and how to run it: for the shares
        of the answer that one device would get, chunk by chunk of its own, and for what is
        found."""
        count, group = len(x), self.group
        # A device gets whole pieces, as one device would cut them: fewer rows could be multiplied
        # in another order.
        length = partial(chunk.padded_length, longest=group, shortest=chunk.SHORTEST)
        share = max(length(-(-count // self.examples)), min(self.variant.piece, length(count)))
        arguments = (
            self.plan,
            self.norms,
            self.limits,
            self.before,
            self._rows(x, share),
            self._rows(y, share),
            np.int32(first),
            np.int32(count),
        )
        fixed = {"mesh": self.mesh, "K": self.spec.K, "group": group}

        def run(variant: Variant) -> tuple[list[program.Shares], Survey]:
            with together():
                parts, suspect, doubtful, by_task, rest = _chunk(
                    *arguments, **fixed, variant=variant
                )
                here = jax.tree.map(lambda leaf: leaf.addressable_data(0), parts)
                shares = [
                    jax.tree.map(lambda leaf, i=i: leaf[i], here) for i in range(-(-count // group))
                ]
            return shares, Survey({"by task": by_task, "rest": rest}, suspect, doubtful)

        return x, y, run

    def agreed(self, survey: Survey) -> Survey:
        """The same with its two flags on the host: every process sees the same ones."""
        with together():
            return survey._replace(suspect=bool(survey.suspect), doubtful=bool(survey.doubtful))

    def recognize(
        self, decode: Callable[..., np.ndarray], survey: dict[str, Any], stop: int
    ) -> np.ndarray:
        """The tasks of a chunk's `stop` examples; decode(found, start, stop) does it for some rows.
        Raises what that raises."""
        if jax.process_count() == 1:
            return decode(_examples_last(jax.tree.map(np.asarray, survey)), 0, stop)
        surveyed = [array.shape[-1] for array in survey["by task"].values()] + [
            len(array) for array in survey["rest"].values()
        ]
        share = surveyed[0] // self.examples
        found = np.full(stop, np.iinfo(np.int32).min, np.int32)
        refusal = b""
        for row in self.own:
            here = slice(row * share, min((row + 1) * share, stop))
            if here.start >= stop:
                continue
            held = jax.tree.map(
                lambda array, first=here.start: _rows_of_device(array, first),
                survey,
                is_leaf=_is_array,
            )
            try:
                found[here] = decode(_examples_last(held), here.start, here.stop)
            except ValueError as error:
                refusal = refusal or str(error).encode()[:MESSAGE]
        return self._share(found, refusal)

    def _share(self, found: np.ndarray, refusal: bytes) -> np.ndarray:
        """Every process' tasks together. Raises ValueError if one of them refuses."""
        from jax.experimental import multihost_utils

        words = np.frombuffer(refusal.ljust(MESSAGE, b"\0"), np.uint8)
        with together():
            all_words, all_found = multihost_utils.process_allgather((words, found))
        for text in np.asarray(all_words):
            if text.any():
                raise ValueError(bytes(text).rstrip(b"\0").decode(errors="replace"))
        return np.asarray(all_found).max(0).astype(np.int64)


def _is_array(tree: object) -> bool:
    return isinstance(tree, jax.Array)


def _examples_last(survey: dict[str, Any]) -> dict[str, np.ndarray]:
    return survey["by task"] | {
        name: np.moveaxis(value, 0, -1) for name, value in survey["rest"].items()
    }


def _rows_of_device(array: Array, first: int) -> np.ndarray:
    """What this process has of the examples from `first` on: the rows of one device, or of all that
    share its heads."""
    sharding = array.sharding
    assert isinstance(sharding, NamedSharding), "placed by _put and _rows"
    by_task = sharding.spec[0] != EXAMPLES
    parts = {}
    for shard in array.addressable_shards:
        index = shard.index[-1 if by_task else 0]
        if (index.start or 0) == first:
            parts[(shard.index[0].start or 0) if by_task else 0] = shard.data
    return np.concatenate([np.asarray(parts[key]) for key in sorted(parts)])
