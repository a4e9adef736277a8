"""The command `python -m verify.constants`: every theorem's constants, swept: leak against
coldness, the most tasks by format, widths, parameters beside the lower bound.

Everything is computed from a Spec or counted in built weights. The Specs are those of random tasks,
drawn as the theorem's own command draws them. An admissible K is searched by doubling and halving
on the Spec alone: no weight is built for it.
"""

import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from construct import Spec, Transformer
from construct.gains import Infeasible
from proofs.lower_bound import least_parameters, least_word_bits
from verify import cli, extras
from verify.record import Theorem
from verify.theorem import ALL

if TYPE_CHECKING:
    from rich.console import Console

PROG = "python -m verify.constants"
# The search for an admissible K ends here; nobody has tables of more tasks.
MOST_K = 2**20
COLDNESSES = tuple(range(5, 41, 5))


@dataclass(frozen=True)
class Leak:
    """A theorem's bound on the error in exact arithmetic at a coldness T; None where T is not
    admissible."""

    theorem: int
    T: float
    leak: float | None


@dataclass(frozen=True)
class Admissible:
    """The most tasks that a theorem's gains admit in a format, and what stops the next one.
    at_least: the search ended before anything did."""

    theorem: int
    dtype: str
    K: int
    at_least: bool
    stopped_by: str


@dataclass(frozen=True)
class Size:
    """A theorem's transformer: width D, entries stored, those that are not 0, and the least that
    any architecture needs (for Theorem 4, bits in place of parameters)."""

    theorem: int
    K: int
    d: int
    m: int
    n: int
    layers: int
    width: int
    stored: int
    nonzero: int
    least: float
    unit: str


def spec_for(theorem: Theorem, *, K: int, d: int, m: int, dtype: str, seed: int = 0) -> Spec:
    """The Spec of random tasks, as the theorem's own command draws them."""
    return _drawn(theorem, K=K, d=d, m=m, dtype=dtype, seed=seed).spec


def _drawn(theorem: Theorem, *, K: int, d: int, m: int, dtype: str, seed: int) -> Any:
    return theorem.draw_instance(
        np.random.default_rng(seed),
        K=K,
        d=d,
        m=m,
        n=theorem.n,
        coldness=None,
        dtype=dtype,
        **theorem.drawn,
    )


def leaks(theorem: Theorem, spec: Spec, coldnesses: Sequence[float]) -> Iterator[Leak]:
    """The bound on the leak by coldness; None where the construction is refused as too warm or too
    cold."""
    for T in coldnesses:
        try:
            found = theorem.proof.leak(replace(spec, coldness=float(T)))
        except Infeasible:
            found = None
        yield Leak(theorem.number, float(T), found)


def admissible(theorem: Theorem, spec: Spec, dtype: str, most: int = MOST_K) -> Admissible:
    """The most tasks that the gains admit, all else as in the Spec: doubled until refused, then
    halved between. The gains' demands grow with K, so that what lies below is admitted too."""

    def refusal(K: int) -> str | None:
        try:
            theorem.derive(replace(spec, K=K, dtype=dtype))
        except Infeasible as error:
            return str(error).split("; ")[0]
        return None

    good, bad, why = 0, 1, refusal(1)
    while why is None and bad < most:
        good, bad = bad, min(2 * bad, most)
        why = refusal(bad)
    if why is None:
        return Admissible(theorem.number, dtype, bad, True, "")
    while bad - good > 1:
        middle = (good + bad) // 2
        if (found := refusal(middle)) is None:
            good = middle
        else:
            bad, why = middle, found
    return Admissible(theorem.number, dtype, good, False, why)


def size(theorem: Theorem, K: int, d: int, m: int, seed: int = 0) -> Size:
    """Build a theorem's transformer for random tasks, and count."""
    instance = _drawn(theorem, K=K, d=d, m=m, dtype="float32", seed=seed)
    spec = instance.spec
    model = theorem.build(spec, instance.tasks, instance.feature_map)
    stored, nonzero = count(model)
    words = not theorem.labeled
    return Size(
        theorem=theorem.number,
        K=K,
        d=d,
        m=m,
        n=spec.n,
        layers=len(model.layers),
        width=model.residual.dim,
        stored=stored,
        nonzero=nonzero,
        least=least_word_bits(K, d, spec.L)
        if words
        else least_parameters(K, d, unit_outputs=bool(theorem.drawn.get("sphere"))),
        unit="bits" if words else "parameters",
    )


def count(model: Transformer) -> tuple[int, int]:
    """The entries of every matrix of every head that was not built to do nothing, and of every MLP;
    and how many are not 0."""
    arrays = []
    for layer in model.layers:
        for bank in layer.banks:
            if not bank.idle:
                arrays += [bank.W_Q, bank.W_K, bank.W_V, bank.W_O]
        if layer.mlp is not None:
            arrays += layer.mlp.matrices.values()
    values = [np.asarray(array[...]) for array in arrays]
    return sum(one.size for one in values), sum(int(np.count_nonzero(one)) for one in values)


@dataclass(frozen=True)
class Constants:
    """All sweeps."""

    K: int
    d: int
    m: int
    leaks: list[Leak]
    admissible: list[Admissible]
    sizes: list[Size]

    def as_json(self) -> dict[str, Any]:
        """Everything, as plain values."""
        return asdict(self)


def sweep(
    theorems: Sequence[Theorem], *, K: int, d: int, m: int, tasks: Sequence[int]
) -> Constants:
    """Leaks at (K, d, m), admissible K at (d, m), sizes at every number of tasks."""
    found = Constants(K, d, m, [], [], [])
    for theorem in cli.progress(theorems, len(theorems), "theorems"):
        for dtype in ("float32", "float64"):
            spec = spec_for(theorem, K=K, d=d, m=m, dtype=dtype)
            found.admissible.append(admissible(theorem, spec, dtype))
        # In float64, where more coldnesses are admissible: a leak is of exact arithmetic.
        found.leaks.extend(leaks(theorem, spec, COLDNESSES))
        found.sizes.extend(size(theorem, number, d, m) for number in tasks)
    return found


def show(found: Constants, console: "Console") -> None:
    """Print a table for each question."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    numbers = sorted({one.theorem for one in found.leaks})
    leak = Table("T", *(f"Theorem {number}" for number in numbers), "e^-T", box=SIMPLE_HEAD)
    leak.title = (
        f"leak: the bound in exact arithmetic (K = {found.K}, d = {found.d}, m = {found.m})"
    )
    for T in dict.fromkeys(one.T for one in found.leaks):
        row = {one.theorem: one.leak for one in found.leaks if one.T == T}
        cells = ("refused" if row[n] is None else f"{row[n]:.1e}" for n in numbers)
        leak.add_row(f"{T:g}", *cells, f"{math.exp(-T):.1e}")
    most = Table("theorem", "format", "most K", "the next one is refused, as", box=SIMPLE_HEAD)
    most.title = f"admissible K (d = {found.d}, m = {found.m})"
    for one in found.admissible:
        at_least = ">= " if one.at_least else ""
        why = one.stopped_by or "not reached"
        most.add_row(str(one.theorem), one.dtype, f"{at_least}{one.K}", why)
    sizes = Table(
        "theorem", "K", "layers", "D", "stored", "not 0", "at least", "ratio", box=SIMPLE_HEAD
    )
    sizes.title = f"size (d = {found.d}, m = {found.m}); at least: proofs/lower_bound.md"
    for one in found.sizes:
        bits = one.unit == "bits"
        least = f"{one.least:.0f}{' bits' * bits}"
        ratio = "-" if bits or not one.least else f"{one.stored / one.least:.1f}"
        cells = (one.theorem, one.K, one.layers, one.width, one.stored, one.nonzero)
        sizes.add_row(*map(str, cells), least, ratio)
    for table in (leak, most, sizes):
        for column in table.columns:
            if column.header != "the next one is refused, as":
                column.justify = "right"
        table.title_justify = "left"
        console.print(table)


def plot(found: Constants, stem: str) -> list[Any]:
    """Three panels: leak against coldness, width and parameters against tasks."""
    from verify import plots

    with plots.figure(1, 3, height=3.4) as (drawing, (leak, width, parameters)):
        for number in sorted({one.theorem for one in found.leaks}):
            style = {
                "color": plots.PALETTE[number - 1],
                "marker": plots.MARKERS[number - 1],
                "markersize": 4,
                "label": f"Theorem {number}",
            }
            here = [one for one in found.leaks if one.theorem == number and one.leak is not None]
            leak.semilogy([one.T for one in here], [one.leak for one in here], **style)
            sizes = [one for one in found.sizes if one.theorem == number]
            tasks = [one.K for one in sizes]
            width.semilogx(tasks, [one.width for one in sizes], base=2, **style)
            parameters.loglog(tasks, [one.stored for one in sizes], **style)
        T = sorted({one.T for one in found.leaks})
        dashed = {"linestyle": "--", "color": "#444444", "linewidth": 1}
        leak.semilogy(T, np.exp(-np.array(T)), label="e^-T", **dashed)
        tasks = sorted({one.K for one in found.sizes})
        least = [least_parameters(K, found.d) for K in tasks]
        parameters.loglog(tasks, least, label="K d (d - 1): no model has less", **dashed)
        parameters.set_ylim(top=100 * max(one.stored for one in found.sizes))
        leak.set_xlabel("coldness T: the least score gap")
        leak.set_ylabel("bound on the error in exact arithmetic")
        width.set_xlabel("tasks K")
        width.set_ylabel("width D of the residual stream")
        width.set_ylim(bottom=0)
        parameters.set_xlabel("tasks K")
        parameters.set_ylabel("entries stored in all matrices")
        for axis in (leak, width, parameters):
            axis.legend(frameon=False, fontsize=8)
        for axis in (width, parameters):
            axis.set_xticks(tasks, [str(K) for K in tasks])
            axis.minorticks_off()
        drawing.suptitle(f"d = {found.d}, m = {found.m}; leak at K = {found.K}")
        return plots.save(drawing, stem)


def parser() -> cli.Parser:
    """The options of the command."""
    parser = cli.Parser(
        PROG,
        description="Sweep every theorem's constants: leak against coldness, the most tasks by "
        "format, widths, parameters beside the lower bound.",
    )
    add = parser.add_argument
    add("--theorem", type=int, choices=tuple(ALL), action="append", help="one; repeatable (all)")
    add("--K", type=cli.whole(1), default=4, help="tasks, where the leak is asked for (4)")
    add("--d", type=cli.whole(2), default=16, help="dimension of the vectors (16)")
    add("--m", type=cli.whole(1), default=32, help="in-context examples (32)")
    add(
        "--tasks",
        type=cli.whole(1),
        nargs="+",
        default=[2, 4, 8, 16, 32],
        metavar="K",
        help="numbers of tasks to build and count (2 4 8 16 32)",
    )
    add(
        "--out",
        type=cli.stem,
        default="constants",
        metavar="STEM",
        help="the plot's STEM.png, .svg",
    )
    cli.add_json(parser)
    return parser


def main() -> int:
    """Sweep, print, plot; 0, or 1 where a leak does not fall with the coldness, or a transformer
    stores less than any can."""
    options = parser().parse_args()
    extras.need(*extras.TABLES, *extras.PLOTS)
    theorems = [ALL[number] for number in sorted(set(options.theorem or ALL))]
    found = sweep(theorems, K=options.K, d=options.d, m=options.m, tasks=options.tasks)
    paths = plot(found, options.out)
    if options.json != "-":
        from rich.console import Console

        console = Console()
        show(found, console)
        console.print(f"wrote {', '.join(map(str, paths))}", soft_wrap=True)
    if options.json is not None:
        cli.write_json({"holds": holds(found)} | found.as_json(), options.json)
    if not holds(found):
        print(f"{PROG}: a constant is not as the theorems say", file=sys.stderr)
    return cli.HOLDS if holds(found) else cli.FAILS


def holds(found: Constants) -> bool:
    """Leaks never grow with T, and no transformer stores less than the lower bound (in floats of 32
    bits, where it counts bits)."""
    by_theorem: dict[int, list[float]] = {}
    for one in found.leaks:
        if one.leak is not None:
            by_theorem.setdefault(one.theorem, []).append(one.leak)
    falling = all(list(row) == sorted(row, reverse=True) for row in by_theorem.values())
    enough = all(one.stored * (32 if one.unit == "bits" else 1) >= one.least for one in found.sizes)
    return falling and enough


if __name__ == "__main__":
    cli.run(main, PROG)
