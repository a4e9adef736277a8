"""Hold Theorem 1's stored weights against the form that its lemmas state, whatever the prompt.

The forms below are written from the statements (`proofs/README.md`, `proofs/rocq/statement.v`) and
share no code with the layers' constructors. Gains are read off the stored weights; every other
entry must then be what the form makes of them, and the gains must satisfy the lemmas' inequalities.
With the machine-checked theorem this is a proof for these weights and all prompts, up to the
rounding that section 6 of the README pays for: each product with a gain, and each cosine, is stored
rounded."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from functools import lru_cache

import numpy as np
from jaxtyping import Float

from construct import FeatureMap, Spec, Task, Transformer
from construct.gains import Infeasible
from construct.theorem1.gains import derive
from verify.theorem1.hypotheses import Hypotheses, StoredGains, code_rounding
from verify.weights import (
    Fault,
    HeadForm,
    Layout,
    Rows,
    StoredLayer,
    common,
    head_faults,
    heads_of,
    idle_faults,
    joined,
    matrix_faults,
    stored,
    stored_product,
)

LAYERS = ("lift", "pair", "recognize", "commit", "fetch", "execute", "superpose")
HALF = Fraction(1, 2)


def check_weights(
    model: Transformer, tasks: Sequence[Task], feature_map: FeatureMap | None = None
) -> list[str]:
    """What is wrong with the model's weights; empty if they have the form that the theorem assumes.

    Raises ValueError for tasks that the model's Spec does not describe.
    """
    places = {name: model.residual.where(name) for name in model.residual.names}
    return [str(fault) for fault in faults(stored(model), places, model.spec, tasks, feature_map)]


def faults(
    layers: Sequence[StoredLayer],
    places: Mapping[str, slice],
    spec: Spec,
    tasks: Sequence[Task],
    feature_map: FeatureMap | None = None,
) -> list[Fault]:
    """What is wrong with stored layers over a stream whose subspaces lie in these places, layer by
    layer. Raises ValueError for tasks that the Spec does not describe."""
    wrong = _shape_faults(layers, places, spec)
    if wrong:
        return wrong
    try:
        spec.check_tasks(tasks, feature_map)
        form = Form(layers, places, spec, tasks, feature_map)
        entries = [fault for layer in layers for fault in form.faults(layer)]
        return [*entries, *_gain_faults(form.gains, spec)]
    except Infeasible as error:
        return [Fault("recognize", f"the Spec has no gains: {error}")]


# ---- Shapes ------------------------------------------------------------------------------------


def _bits(count: int) -> int:
    """ceil(log2(count))."""
    return next(bits for bits in range(count) if 2**bits >= count)


def _sizes(spec: Spec) -> dict[str, int]:
    """The subspaces of the theorem's stream."""
    sizes = {"x": spec.d, "y": spec.d, "f": spec.features, "z": 2}
    sizes |= dict.fromkeys(("count", "ok", "one", "bos", "inp", "lab", "qry"), 1)
    sizes |= {"sum": int(spec.sum_slot), "e": _bits(spec.m + 1), "s": _bits(spec.n)}
    return {name: size for name, size in sizes.items() if size}


def _ranks(spec: Spec, name: str) -> tuple[int, int, int]:
    """Of a layer: how many heads work, the rank of their scores, the size of their values."""
    e, L = _bits(spec.m + 1), _bits(spec.m + 1) + _bits(spec.n)
    return {
        "lift": (int(spec.sum_slot), e + 2, spec.d),
        "pair": (1, e + 2, spec.d),
        "recognize": (spec.K, L + spec.d + 2, 3),
        "commit": (1, e + 2, 3),
        "fetch": (spec.K, 5, spec.r),
        "execute": (spec.K, L + 5, spec.d),
        "superpose": (1, 2, spec.d),
    }[name]


def _shape_faults(
    layers: Sequence[StoredLayer], places: Mapping[str, slice], spec: Spec
) -> list[Fault]:
    """What must hold before an entry can be looked at: layers, subspaces, heads, shapes, numbers of
    the Spec's format."""
    names = tuple(layer.name for layer in layers)
    if names != LAYERS:
        return [Fault("transformer", f"its layers are {', '.join(names)}, not {', '.join(LAYERS)}")]
    sizes = _sizes(spec)
    D = sum(sizes.values())
    taken = [place for where in places.values() for place in range(where.start, where.stop)]
    found = {name: where.stop - where.start for name, where in places.items()}
    if found != sizes or sorted(taken) != list(range(D)):
        return [
            Fault("transformer", f"its stream holds {found}, must hold {sizes}, each by itself")
        ]
    wrong = []
    for layer in layers:
        used, rank, v = _ranks(spec, layer.name)
        heads = list(heads_of(layer))
        if len(heads) != spec.K:
            wrong.append(Fault(layer.name, f"{len(heads)} heads, must be K = {spec.K}"))
        for i, head in enumerate(heads):
            shapes = tuple(matrix.shape for matrix in head)
            right = ((rank, D), (rank, D), (v, D), (D, v))
            if (i < used and shapes != right) or not {shapes[2][-1], shapes[3][0]} <= {D}:
                wrong.append(Fault(layer.name, f"head {i} has shapes {shapes}, must have {right}"))
            if {matrix.dtype for matrix in head} != {np.dtype(spec.dtype)}:
                wrong.append(Fault(layer.name, f"head {i} is not stored as {spec.dtype}"))
        units = {"lift": spec.features, "commit": 4}.get(layer.name, 0)
        mlp = None if layer.mlp is None else tuple(matrix.shape for matrix in layer.mlp)
        if mlp != (((units, D), (D, units)) if units else None):
            wrong.append(Fault(layer.name, f"its MLP has shapes {mlp}, must have {units} units"))
    return wrong


# ---- Gains, read off the weights -----------------------------------------------------------------


@dataclass(frozen=True)
class _Gains:
    """Gains as they are stored; `constant` is Recognize's P2 L - T0, and one gate serves Fetch and
    Execute."""

    T: float
    beta: float
    P2: float
    constant: float
    recognize_raise: float
    G: float
    threshold: float
    abstain: float
    elsewhere: float


def _read(layers: Sequence[StoredLayer], spec: Spec, places: Mapping[str, slice]) -> _Gains:
    """The gains: where several entries hold one, the number that most of them hold."""
    at = {name: where.start for name, where in places.items()}
    by_name = {layer.name: layer.banks[0] for layer in layers}
    e, d = places["e"], spec.d
    bits = e.stop - e.start
    L = bits + _bits(spec.n)

    def diagonal(name: str, subspace: str, first: int) -> Float[np.ndarray, "*entries"]:
        where = places[subspace]
        block = by_name[name].W_Q[:, first : first + where.stop - where.start, where]
        return np.diagonal(block, axis1=1, axis2=2).ravel()

    positions = np.abs(by_name["fetch"].W_K[:, 0, e].ravel())
    T = [
        diagonal("pair", "e", 0),
        diagonal("commit", "e", 0),
        diagonal("execute", "e", 0),
        positions,
    ]
    third = by_name["recognize"].W_Q
    gate = np.concatenate([by_name["fetch"].W_Q[:, 1:], by_name["execute"].W_Q[:, L + 1 :]])
    one = gate[:, :, at["one"]]
    return _Gains(
        T=common(np.concatenate(T)),
        beta=common(diagonal("recognize", "y", L)),
        P2=common(
            np.concatenate([diagonal("recognize", "e", 0), diagonal("recognize", "s", bits)])
        ),
        constant=common(third[:, L + d, at["one"]]),
        recognize_raise=common(third[:, L + d + 1, at["qry"]]),
        # The first code is (1, 0), so that its G is stored as it is, with a sign.
        G=common(np.append(one[:, 1], -gate[:: spec.K, 1, at["z"]])),
        threshold=-common(one[:, 0]),
        abstain=common(np.append(one[:, 2], -gate[:, 2, at["ok"]])),
        elsewhere=common(np.append(one[:, 3], -gate[:, 3, at["lab"]])),
    )


def _gain_faults(gains: _Gains, spec: Spec) -> Iterator[Fault]:
    """The inequalities that the lemmas assume between the gains, with as much of the coldness as
    the scores' rounding leaves."""
    derived = derive(spec)
    if not np.isfinite(list(asdict(gains).values())).all():
        yield Fault("transformer", "a gain is not finite")
        return
    if gains.T < derived.T:
        yield Fault("pair", f"the coldness is {gains.T:.9g}, must be at least {derived.T:.9g}")
    recognize, gate = _broken(spec, gains)
    for words in recognize:
        yield Fault("recognize", f"its gains must satisfy {words}")
    for layer in ("fetch", "execute"):
        for words in gate:
            yield Fault(layer, f"the gains of its gate must satisfy {words}")


@lru_cache(maxsize=64)
def _broken(spec: Spec, gains: _Gains) -> tuple[list[str], list[str]]:
    """The inequalities that Recognize's gains, and the gate's, do not satisfy."""
    derived, P2 = derive(spec), Fraction(gains.P2)
    exact = StoredGains(
        T=Fraction(gains.T),
        beta=Fraction(gains.beta),
        T0=P2 * (_bits(spec.m + 1) + _bits(spec.n)) - Fraction(gains.constant),
        P2=P2,
        recognize_raise=Fraction(gains.recognize_raise),
        G=Fraction(gains.G),
        threshold=Fraction(gains.threshold),
        abstain=Fraction(gains.abstain),
        elsewhere=Fraction(gains.elsewhere),
    )
    reached = (exact.T - 2 * Fraction(derived.error(name)) for name in ("recognize", "fetch"))
    hypotheses = Hypotheses(spec, exact, Fraction(derived.input_radius), *reached)
    return hypotheses.broken_recognize(), hypotheses.broken_gate()


# ---- The forms -----------------------------------------------------------------------------------


def _code(index: int, bits: int) -> Float[np.ndarray, "bits"]:
    """The +-1 code of an index, lowest bit first."""
    return np.array([1.0 if index // 2**bit % 2 else -1.0 for bit in range(bits)])


class Form:
    """What every matrix of the seven layers must be, given the gains that most of their entries
    hold."""

    def __init__(
        self,
        layers: Sequence[StoredLayer],
        places: Mapping[str, slice],
        spec: Spec,
        tasks: Sequence[Task],
        feature_map: FeatureMap | None,
    ) -> None:
        self.spec, self.tasks, self.feature_map = spec, tasks, feature_map
        self.gains = _read(layers, spec, places)
        # Without a feature map the features are the inputs themselves.
        where = {"f": places["x"]} | dict(places)
        self.layout = Layout(where, sum(_sizes(spec).values()), spec.dtype)
        self.e, self.s = _bits(spec.m + 1), _bits(spec.n)
        self.L = self.e + self.s

    def faults(self, layer: StoredLayer) -> Iterator[Fault]:
        """What is wrong with a layer, entry by entry."""
        form = {
            "lift": self._lift,
            "pair": self._pair,
            "recognize": self._recognize,
            "commit": self._commit,
            "fetch": self._fetch,
            "execute": self._execute,
            "superpose": self._superpose,
        }[layer.name]
        used, _, _ = _ranks(self.spec, layer.name)
        for i, head in enumerate(heads_of(layer)):
            if i < used:
                yield from head_faults(self.layout, layer.name, i, head, form(i))
            else:
                yield from idle_faults(layer.name, i, head)
        if layer.mlp is not None:
            yield from self._mlp_faults(layer.name, *layer.mlp)

    def _mlp_faults(self, name: str, W_1: np.ndarray, W_2: np.ndarray) -> Iterator[Fault]:
        read, write = self._features() if name == "lift" else self._trapezoid()
        units = [f"unit {i}" for i in range(len(W_1))]
        yield from matrix_faults(self.layout, name, "W_1", W_1, read, units)
        yield from matrix_faults(self.layout, name, "W_2", W_2.T, write, units)

    def _T(self, factor: Fraction | int) -> float:
        return self.layout.multiple(self.gains.T, factor)

    def _to_bos(self, **parts: float | np.ndarray) -> tuple[Rows, Rows]:
        """A term that adds a reading of the query token to the score of BOS alone."""
        return self.layout.row(parts), self.layout.row({"bos": 1})

    def _match(self, gain: float, *subspaces: str) -> tuple[Rows, Rows]:
        """gain times the inner product of what query and key token hold there."""
        read = self.layout.read
        return (
            joined([read(name, gain) for name in subspaces]),
            joined([read(name) for name in subspaces]),
        )

    def _in_example(
        self, kind: Mapping[str, float], idle: Mapping[str, float], value: Rows, out: Rows
    ) -> HeadForm:
        """T <e_q, e_k> + T kind_k; BOS: T |e| + 3T (1 + idle)_q."""
        raised = {name: self._T(3 * int(sign)) for name, sign in idle.items()}
        return HeadForm(
            {
                "example": self._match(self._T(1), "e"),
                "kind": (self.layout.row({"one": self._T(1)}), self.layout.row(kind)),
                "bos": self._to_bos(one=self._T(self.e + 3), **raised),
            },
            value,
            out,
        )

    def _lift(self, head: int) -> HeadForm:
        # T <e_q, e_k> + T (inp - sum)_k; BOS: T |e| + 3T (1 - sum)_q; value (n - 2) x -> x.
        read = self.layout.read
        value, out = read("x", self.spec.n - 2), read("x")
        return self._in_example({"inp": 1, "sum": -1}, {"sum": -1}, value, out)

    def _features(self) -> tuple[Rows, Rows]:
        # max(B x + c inp, 0) -> f.
        assert self.feature_map is not None
        rows = self.layout.rows(self.spec.features)
        rows.values[:, self.layout.where["x"]] = self.feature_map.weight
        rows.values[:, self.layout.where["inp"]] = np.asarray(self.feature_map.bias)[:, None]
        return rows, self.layout.read("f")

    def _pair(self, head: int) -> HeadForm:
        # T <e_q, e_k> + T lab_k; BOS: T |e| + 3T (1 - inp + qry)_q; value y -> y.
        y = self.layout.read("y")
        return self._in_example({"lab": 1}, {"inp": -1, "qry": 1}, y, y)

    def _output_less_y(self, head: int, flag: str) -> Rows:
        """W_i f + b_i flag - y, each number the nearest float."""
        task, rows = self.tasks[head], self.layout.read("y", -1)
        rows.values[:, self.layout.where["f"]] = task.weight
        rows.values[:, self.layout.where[flag]] = np.asarray(task.bias)[:, None]
        return rows

    def _recognize(self, head: int) -> HeadForm:
        # P2 (<e_q, e_k> + <s_q, s_k>) - beta <r_i(q), r_i(k)>;
        # BOS: P2 L - T0 + raise (1 - inp + qry + [bits of the slot that are not p_i's])_q;
        # value c_i inp -> z, inp -> count.
        gains, layout = self.gains, self.layout
        miss = self._output_less_y(head, "inp")
        product = -gains.beta * miss.values
        errors = [
            (layout.where[name], stored_product(self.spec.dtype, product[:, layout.where[name]]))
            for name in ("f", "inp")
        ]
        raised = gains.recognize_raise
        half = layout.multiple(raised, HALF)
        elsewhere = self._to_bos(
            one=layout.multiple(raised, 1 + self.s * HALF),
            inp=-raised,
            qry=raised,
            s=-half * _code(self.tasks[head].slot, self.s),
        )
        value = joined([self._code_row(head, axis) for axis in (0, 1)] + [layout.row({"inp": 1})])
        return HeadForm(
            {
                "position": self._match(gains.P2, "e", "s"),
                "residual": (Rows(product, errors), miss),
                "threshold": self._to_bos(one=gains.constant),
                "elsewhere": elsewhere,
            },
            value,
            joined([layout.read("z"), layout.read("count")]),
        )

    def _circle(self, head: int) -> Float[np.ndarray, "2"]:
        angle = 2 * np.pi * head / self.spec.K
        return np.array([np.cos(angle), np.sin(angle)])

    def _code_row(self, head: int, axis: int) -> Rows:
        """c_i[axis] inp, up to its rounding (but the first code, (1, 0), is exact)."""
        rows = self.layout.row({"inp": self._circle(head)[axis]})
        if head > 0:
            error = np.array([[float(code_rounding(self.spec.dtype))]])
            rows.errors.append((self.layout.where["inp"], error))
        return rows

    def _commit(self, head: int) -> HeadForm:
        # T <e_q, e_k> + T inp_k; BOS: T |e| + 3T (1 - lab)_q; value (n - 1) (z, count).
        read, n = self.layout.read, self.spec.n
        value = joined([read("z", n - 1), read("count", n - 1)])
        out = joined([read("z"), read("count")])
        return self._in_example({"inp": 1}, {"lab": -1}, value, out)

    def _trapezoid(self) -> tuple[Rows, Rows]:
        # ok = 2 (c - 1/4)+ - 2 (c - 3/4)+ - 2 (c - 5/4)+ + 2 (c - 7/4)+, c the count.
        row = self.layout.row
        corners = (0.25, 0.75, 1.25, 1.75)
        return (
            joined([row({"count": 1, "one": -corner}) for corner in corners]),
            joined([row({"ok": slope}) for slope in (2, -2, -2, 2)]),
        )

    def _gate(self, head: int) -> dict[str, tuple[Rows, Rows]]:
        """BOS: - threshold + G (1 - <z, c_i>) + abstain (1 - ok) + elsewhere (1 - lab)."""
        gains, G = self.gains, self.gains.G
        code = self._to_bos(one=G, z=-G * self._circle(head))
        if head > 0:
            error = abs(G) * float(code_rounding(self.spec.dtype))
            code[0].errors.append((self.layout.where["z"], np.full((1, 2), error)))
        return {
            "threshold": self._to_bos(one=-gains.threshold),
            "code": code,
            "abstain": self._to_bos(one=gains.abstain, ok=-gains.abstain),
            "elsewhere": self._to_bos(one=gains.elsewhere, lab=-gains.elsewhere),
        }

    def _fetch(self, head: int) -> HeadForm:
        # T (<code(m), e_k> + <code(p_i), s_k> - L (1 - bos)_k); BOS: the gate; value f -> f.
        f, row = self.layout.read("f"), self.layout.row
        place = row(
            {
                "e": self._T(1) * _code(self.spec.m, self.e),
                "s": self._T(1) * _code(self.tasks[head].slot, self.s),
                "one": self._T(-self.L),
                "bos": self._T(self.L),
            }
        )
        return HeadForm({"place": (row({"one": 1}), place)} | self._gate(head), f, f)

    def _execute(self, head: int) -> HeadForm:
        # T (<e_q, e_k> + <s_q, s_k> - L (1 - bos)_k); BOS: the gate; value W_i f + b_i lab - y ->
        # y.
        row = self.layout.row
        fold = row({"one": 1}), row({"one": self._T(-self.L), "bos": self._T(self.L)})
        return HeadForm(
            {"position": self._match(self._T(1), "e", "s"), "fold": fold} | self._gate(head),
            self._output_less_y(head, "lab"),
            self.layout.read("y"),
        )

    def _superpose(self, head: int) -> HeadForm:
        # 3T (ok - inp - 1 + bos)_k - T bos_k; BOS: + 3T (1 - qry + inp)_q; value y -> y.
        y, row, three = self.layout.read("y"), self.layout.row, self._T(3)
        committed = {"ok": three, "inp": -three, "one": -three, "bos": self._T(2)}
        return HeadForm(
            {
                "committed": (row({"one": 1}), row(committed)),
                "idle": self._to_bos(one=three, qry=-three, inp=three),
            },
            y,
            y,
        )
