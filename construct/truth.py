"""The answer key of a transformer: what each head does, at which tokens, what it reads and writes,
and which tasks it serves.

Nothing here is written by hand. Names are those of the layers, of their scores' terms and of the
stream's subspaces. Where a head acts, and what it looks at there, is read off the stored weights:
flags and position codes are known before any prompt is, so the part of a score that reads them
alone (its *fixed part*) says by how much BOS leads. A head acts where that lead is least, of the
tokens that hold what it asks of them; elsewhere it idles. What a layer does, in words, is the first
sentence of the module that makes it. Ours.

    key = truth(model)
    [head for head in key.heads() if 2 in head.serves]      # the heads of task 2
    key.layer("fetch").heads[2].at                          # (Tokens(role='label', slots=(2,)),)

Methods that look for heads or places in a model can be scored against it.
"""

import dataclasses
import importlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from construct import checks
from construct.layers import Heads, Layer, Stack, Support
from construct.layout import LABELED
from construct.residual import position_code
from construct.roles import BOS, EXAMPLE, INPUT, LABEL, QUERY, line_flags, roles_of
from construct.words import input_slots

# Scores whose fixed parts differ by less than this share of the coldness T tie: winners are T apart
# from all others.
TIE = 1 / 4
# Of Theorem 4's lines: what stands before an answer, and the answer's words.
ARROW, WORD = "arrow", "word"


@dataclass(frozen=True)
class Tokens:
    """Tokens of one role, in these slots of their example or of the query (BOS is in none)."""

    role: str
    slots: tuple[int, ...]


@dataclass(frozen=True)
class HeadTruth:
    """One head of a layer.

    layer, head: its place, heads counted from 0. serves: the tasks that it works for, all of them
    where it works for any; none if it idles. at: the tokens at which it acts; every other token
    attends to BOS there. support: which tokens it can reach from those, in words; attends: of
    these, the ones that lead by flags and position alone. terms: the summands of its score by name.
    asks, answers: the subspaces that decide beside flags and positions whether it acts, on the
    query token's and on the key token's side. reads, writes: the subspaces that its value is read
    from and written to.
    """

    layer: str
    head: int
    serves: tuple[int, ...]
    at: tuple[Tokens, ...]
    support: str
    attends: tuple[Tokens, ...]
    terms: tuple[str, ...]
    asks: tuple[str, ...]
    answers: tuple[str, ...]
    reads: tuple[str, ...]
    writes: tuple[str, ...]

    @property
    def idle(self) -> bool:
        """Whether it does nothing at any token."""
        return not self.writes


@dataclass(frozen=True)
class MLPTruth:
    """A layer's MLP: its neurons, and the subspaces that it reads and writes."""

    layer: str
    neurons: int
    reads: tuple[str, ...]
    writes: tuple[str, ...]


@dataclass(frozen=True)
class LayerTruth:
    """One layer: its place from 0, its name, what it does, its heads and its MLP (None: empty)."""

    index: int
    name: str
    does: str
    heads: tuple[HeadTruth, ...]
    mlp: MLPTruth | None


@dataclass(frozen=True)
class Truth:
    """The answer key of a transformer; subspaces: the coordinates of each, [start, stop)."""

    theorem: int
    K: int
    task_slots: tuple[int, ...]
    subspaces: Mapping[str, tuple[int, int]]
    layers: tuple[LayerTruth, ...]

    def layer(self, name: str) -> LayerTruth:
        """The layer of that name. Raises KeyError for another name."""
        for layer in self.layers:
            if layer.name == name:
                return layer
        raise KeyError(name)

    def heads(self, idle: bool = False) -> Iterator[HeadTruth]:
        """All heads in order; without those that do nothing unless `idle`."""
        for layer in self.layers:
            yield from (head for head in layer.heads if idle or not head.idle)

    def places(self) -> frozenset[tuple[str, str, str]]:
        """Where something is written: (layer, role, subspace), by heads at the tokens at which
        they act."""
        return frozenset(
            (head.layer, tokens.role, name)
            for head in self.heads()
            for tokens in head.at
            for name in head.writes
        )

    def as_json(self) -> dict[str, Any]:
        """Everything, as plain values."""
        return {"theorem": self.theorem, "K": self.K, "task_slots": list(self.task_slots)} | {
            "subspaces": {name: list(where) for name, where in self.subspaces.items()},
            "layers": [_plain(layer) for layer in self.layers],
        }


def truth(model: Stack) -> Truth:
    """The answer key of a transformer, from its stored weights, its names and its roles. Raises
    ValueError for Theorem 4 on vectors, whose heads decide by numbers that no flag tells."""
    if model.readout.version:
        raise checks.refuse(
            "model",
            f"a transformer of {model.readout.name}",
            "has no answer key: what its heads of Commit attend to depends on a mean",
            "ask for that of Theorem 4 on words",
        )
    where = {name: model.residual.where(name) for name in model.residual.names}
    held = _Held(model)
    layers = tuple(_layer(model, i, layer, held) for i, layer in enumerate(model.layers))
    return Truth(
        theorem=model.readout.theorem,
        K=model.spec.K,
        task_slots=model.slots,
        subspaces={name: (one.start, one.stop) for name, one in where.items()},
        layers=layers,
    )


class _Held:
    """The subspaces in which each token of a short prompt may hold something that a prompt
    chooses: at first its content, later what layers wrote."""

    def __init__(self, model: Stack) -> None:
        alias = dict(model.residual.aliases)
        self.tokens = short_prompt(model)
        self.flags = {flag for token in self.tokens for flag in token.flags}
        contents = [token.content for token in self.tokens]
        self.names = [set() if one is None else {alias.get(one, one)} for one in contents]

    def chosen(self, names: tuple[str, ...]) -> tuple[str, ...]:
        """Of these subspaces, the ones that a prompt chooses: not what a token is, or where it
        stands."""
        return tuple(name for name in names if name not in self.flags | {"e", "s"})

    def holding(self, names: Iterable[str]) -> list[int]:
        """The tokens that hold all of these."""
        wanted = set(names)
        return [i for i, held in enumerate(self.names) if wanted <= held]

    def write(self, head: HeadTruth) -> None:
        """Note what a head writes where it acts."""
        for held, token in zip(self.names, self.tokens, strict=True):
            if any(token.role == at.role and token.slot in at.slots for at in head.at):
                held |= set(head.writes)


def _layer(model: Stack, index: int, layer: Layer, held: _Held) -> LayerTruth:
    heads: list[HeadTruth] = []
    for bank in layer.banks:
        heads += _heads(model, layer, bank, len(heads), held)
    for head in heads:
        held.write(head)
    mlp = None
    if layer.mlp is not None:
        held_by = {name: np.asarray(one[...]) for name, one in layer.mlp.matrices.items()}
        W_2 = held_by.pop("W_2")
        reads = _named(model, np.concatenate(list(held_by.values())))
        mlp = MLPTruth(layer.name, W_2.shape[1], reads, _named(model, W_2.T))
        for i in held.holding(held.chosen(mlp.reads)):
            held.names[i] |= set(mlp.writes)
    return LayerTruth(index, layer.name, _does(model, index, layer.name), tuple(heads), mlp)


def _does(model: Stack, index: int, name: str) -> str:
    """The first sentence of the module that makes the layer, without its number."""
    stem = f"{model.readout.module}.layer{index + 1}_{name}"
    text = " ".join((importlib.import_module(stem).__doc__ or "").split())
    return text.partition(": ")[2].partition(". ")[0]


def _heads(model: Stack, layer: Layer, bank: Heads, first: int, held: _Held) -> Iterator[HeadTruth]:
    W_Q, W_K, W_V, W_O = (
        np.asarray(matrix[...], np.float64) for matrix in (bank.W_Q, bank.W_K, bank.W_V, bank.W_O)
    )
    fixed = _fixed_scores(model, W_Q, W_K, held.tokens)
    for i in range(bank.count):
        asks = held.chosen(_named(model, W_Q[i]))
        at, attends = ((), ()) if bank.idle else _acts(model, layer, fixed[i], asks, held)
        yield HeadTruth(
            layer=layer.name,
            head=first + i,
            serves=() if bank.idle else _serves(model, bank, i, attends),
            at=at,
            support="" if bank.idle else layer.support.value,
            attends=attends,
            terms=() if bank.idle else tuple(name for name, _ in bank.terms),
            asks=asks,
            answers=held.chosen(_named(model, W_K[i])),
            reads=_named(model, W_V[i]),
            writes=_named(model, W_O[i].T),
        )


def _named(model: Stack, rows: Float[np.ndarray, "rows D"]) -> tuple[str, ...]:
    """The subspaces in which some row is not 0."""
    residual = model.residual
    return tuple(name for name in residual.names if rows[:, residual.where(name)].any())


def _serves(model: Stack, bank: Heads, head: int, attends: tuple[Tokens, ...]) -> tuple[int, ...]:
    """The tasks that a head works for: of a bank of K heads each has its own; another one, all of
    them, or those that read the slot that it looks at, where prompts are lines (Theorem 4)."""
    every = tuple(range(model.spec.K))
    if model.readout.layout is LABELED:
        return (head,) if bank.count == len(every) > 1 else every
    looked = {slot for tokens in attends if tokens.role == INPUT for slot in tokens.slots}
    return tuple(i for i in every if model.slots[i] in looked) if looked else every


class Token(NamedTuple):
    """A token of a prompt: its role, its slot and its group (an example's index, that of the query
    last; None: BOS). flags: the coordinates that are 1 there; content: the subspace that holds what
    the prompt says there; decides: whether its example's verdict is kept there."""

    role: str
    slot: int
    group: int | None
    flags: tuple[str, ...]
    content: str | None
    decides: bool


def short_prompt(model: Stack) -> list[Token]:
    """The tokens of a prompt of two examples (one if m = 1): as many as scores can tell apart."""
    spec = model.spec
    groups = [(EXAMPLE, j) for j in range(min(spec.m, 2))] + [(QUERY, spec.m)]
    laid = _labeled if model.readout.layout is LABELED else _line
    bos = Token(BOS, 0, None, ("one", "bos"), None, False)
    return [bos, *(token for group, index in groups for token in laid(model, group, index))]


def _labeled(model: Stack, group: str, index: int) -> Iterator[Token]:
    """Theorems 1 to 3: inputs and a label, or the query's inputs and the answer token."""
    spec = model.spec
    for role in roles_of(group):
        for slot in role.slots(spec.n):
            summed = spec.sum_slot and not role.last and slot == spec.n - 2
            flags = (*role.flags, *(("sum",) if summed else ()))
            yield Token(role.name, slot, index, flags, role.content, role.name == LABEL)


def _line(model: Stack, group: str, index: int) -> Iterator[Token]:
    """Theorem 4: input words, an arrow and answer words, of which the query has all but the
    last."""
    S = input_slots(model.spec)
    whole = line_flags(S, model.spec.L)
    for slot, flags in enumerate(whole if group == EXAMPLE else whole[:-1]):
        role = INPUT if slot < S else ARROW if slot == S else WORD
        content = None if role == ARROW else "x"
        yield Token(role, slot, index, flags, content, slot == len(whole) - 1)


def _fixed_scores(
    model: Stack,
    W_Q: Float[np.ndarray, "H rank D"],
    W_K: Float[np.ndarray, "H rank D"],
    tokens: list[Token],
) -> Float[np.ndarray, "H N N"]:
    """The part of each score that reads flags and position codes alone."""
    spec, residual = model.spec, model.residual
    rows = np.zeros((len(tokens), residual.dim))
    for row, token in zip(rows, tokens, strict=True):
        for flag in token.flags:
            row[residual.where(flag)] = 1
        if token.group is not None:
            row[residual.where("e")] = position_code(token.group, spec.example_bits)
            row[residual.where("s")] = position_code(token.slot, spec.slot_bits)
    return np.einsum("qd,hrd,hre,ke->hqk", rows, W_Q, W_K, rows, optimize=True)


def _acts(
    model: Stack, layer: Layer, fixed: Float[np.ndarray, "N N"], asks: tuple[str, ...], held: _Held
) -> tuple[tuple[Tokens, ...], tuple[Tokens, ...]]:
    """Where a head acts, and which keys lead there by their fixed parts."""
    reach = _reach(layer, held.tokens)
    inside = np.where(reach, fixed, -np.inf)
    best = inside.max(1)
    lead = np.full(len(fixed), np.inf)
    able = [i for i in held.holding(asks) if reach[i].any()]
    lead[able] = fixed[able, 0] - best[able]
    tie = TIE * model.gains.T
    acting = [i for i in able if lead[i] <= lead.min() + tie]
    looked = {int(k) for q in acting for k in np.flatnonzero(inside[q] >= best[q] - tie)}
    return _grouped(held.tokens, acting), _grouped(held.tokens, sorted(looked))


def _reach(layer: Layer, tokens: list[Token]) -> Bool[np.ndarray, "N N"]:
    """Which keys, BOS left out, each token can reach by the layer's support and mask."""
    last = tokens[-1].group

    def reaches(q: int, k: int) -> bool:
        query, key = tokens[q], tokens[k]
        if key.group is None or (layer.causal and k > q):
            return False
        own, asked = query.group == key.group, key.group == last
        return {
            Support.SELF: q == k,
            Support.EXAMPLE: own,
            Support.QUERY: asked,
            Support.EXAMPLE_AND_QUERY: own or asked,
            Support.LABELS: key.decides,
            Support.INPUTS: key.role == INPUT,
        }[layer.support]

    N = range(len(tokens))
    return np.array([[reaches(q, k) for k in N] for q in N])


def _grouped(tokens: list[Token], chosen: list[int]) -> tuple[Tokens, ...]:
    found: dict[str, set[int]] = {}
    for i in chosen:
        found.setdefault(tokens[i].role, set()).add(tokens[i].slot)
    return tuple(Tokens(role, tuple(sorted(slots))) for role, slots in found.items())


def _plain(layer: LayerTruth) -> dict[str, Any]:
    heads = [dataclasses.asdict(head) | {"idle": head.idle} for head in layer.heads]
    return dataclasses.asdict(layer) | {"heads": heads}
