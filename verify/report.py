"""The result of a verification: as a table for people and as JSON for programs."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from construct import Answer, Spec, Transformer
from construct.gains import SelectionGains
from verify import cli
from verify.check import Lemma
from verify.record import Theorem
from verify.weights import matrices

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table


@dataclass(frozen=True, eq=False)
class Report:
    """Everything a verification found. `wrong`: faults of the structure, and refusals.
    weight_faults: where the stored weights are not of the form that the theorem assumes, None where
    no such form is written down. `answer`, `verdict`: of the first prompt."""

    theorem: Theorem
    model: Transformer
    spec: Spec
    gains: SelectionGains
    wrong: list[str]
    weight_faults: list[str] | None
    heads: list[int]
    embedding_dim: int
    embedding_bound: float
    lemmas: list[Lemma]
    max_error: float
    error_bound: float
    prompts: int
    seconds: float
    device: str
    seed: int
    noise: int
    ambiguous: int
    answer: Answer
    verdict: Any

    @property
    def holds(self) -> bool:
        """The structure is right, every lemma holds, and every answer is within the bound."""
        return (
            not self.wrong
            and not self.weight_faults
            and all(lemma.holds for lemma in self.lemmas)
            and self.max_error <= self.error_bound
        )

    def as_json(self) -> dict[str, Any]:
        """The report with plain numbers; null where a number is not finite (no head of a layer
        prefers any key)."""
        spec = self.spec
        return {
            "holds": self.holds,
            "layers": len(self.heads),
            "heads": self.heads,
            "embedding_dim": self.embedding_dim,
            "embedding_bound": self.embedding_bound,
            "matrices_checked": None if self.weight_faults is None else matrices(self.model),
            "max_error": cli.finite(self.max_error),
            "error_bound": cli.finite(self.error_bound),
            "prompts": self.prompts,
            "seconds": round(self.seconds, 3),
            "device": self.device,
            "lemmas": [
                {
                    "layer": lemma.layer,
                    "name": lemma.name,
                    "holds": lemma.holds,
                    "observed": cli.finite(lemma.observed),
                    "bound": cli.finite(lemma.bound),
                    "least_gap": cli.finite(lemma.least_gap),
                }
                for lemma in self.lemmas
            ],
            "parameters": {
                "K": spec.K,
                "d": spec.d,
                "m": spec.m,
                "n": spec.n,
                "features": spec.features,
                "dtype": spec.dtype,
                "seed": self.seed,
                "margin": spec.margin,
                "tolerance": spec.tolerance,
                "radius": spec.radius,
                "coldness": self.gains.T,
                "noise": self.noise,
                "ambiguous": self.ambiguous,
            },
        }

    def show(self, console: "Console") -> None:
        """Print the report as a table, a row a layer, and the prevalences beside the weights that
        the answer holds."""
        spec = self.spec
        console.print(
            f"{self.theorem.name}: {len(self.heads)} layers, K = {spec.K} heads in each, "
            f"d = {spec.d}, m = {spec.m}, n = {spec.n}"
            + (f", r = {spec.features} ReLU features" if spec.features else "")
            + (", sum slot" if spec.sum_slot else "")
        )
        console.print(
            f"embedding dimension D = {self.embedding_dim} <= {self.embedding_bound:.2f} = "
            f"{self.theorem.width_formula(spec)}"
        )
        console.print(f"coldness T = {self.gains.T:g}; {spec.dtype} on {self.device}")
        if self.weight_faults == []:
            console.print(
                f"weights: all {matrices(self.model)} matrices have the form that the "
                "machine-checked theorem assumes"
            )
        for fault in self.weight_faults or ():
            console.print(fault, style="bold red")
        for fault in self.wrong:
            console.print(f"structure: {fault}", style="bold red")
        console.print(self._lemma_table())
        for lemma in self.lemmas:
            for fault in lemma.faults:
                console.print(f"{lemma.name}: {fault}", style="bold red")
        console.print(self._prevalence_table())
        verdict = "holds" if self.holds else "DOES NOT HOLD"
        console.print(
            f"answer error {self.max_error:.2e} <= bound {self.error_bound:.2e}"
            if self.max_error <= self.error_bound
            else f"answer error {self.max_error:.2e} exceeds bound {self.error_bound:.2e}"
        )
        console.print(
            f"{self.theorem.name} {verdict} on {self.prompts} "
            f"prompt{'s' * (self.prompts > 1)} ({self.seconds:.1f} s)",
            style="bold green" if self.holds else "bold red",
        )

    def _lemma_table(self) -> "Table":
        from rich.box import SIMPLE_HEAD
        from rich.table import Table

        table = Table(
            "layer", "lemma", "subspace", "observed", "bound", "least gap", "holds", box=SIMPLE_HEAD
        )
        for column in table.columns[3:6]:
            column.justify = "right"
        for lemma in self.lemmas:
            gap = f"{lemma.least_gap:.2f}" if math.isfinite(lemma.least_gap) else "-"
            table.add_row(
                f"{lemma.layer} {lemma.name.capitalize()}",
                f"Lemma {lemma.layer}",
                lemma.subspace,
                f"{lemma.observed:.2e}",
                f"{lemma.bound:.2e}",
                gap,
                "yes" if lemma.holds else "NO",
                style=None if lemma.holds else "bold red",
            )
        return table

    def _prevalence_table(self) -> "Table":
        from rich.box import SIMPLE_HEAD
        from rich.table import Table

        title = f"first prompt: {self.answer.message}"
        table = Table(
            "task",
            "examples",
            "prevalence m_i/M",
            "weight in the answer",
            title=title,
            title_justify="left",
            box=SIMPLE_HEAD,
        )
        for column in table.columns:
            column.justify = "right"
        weights = recovered_weights(self.answer, self.verdict.outputs)
        shown = np.argsort(-self.verdict.prevalence, kind="stable")[:12]
        for i in sorted(shown):
            weight = "-" if weights is None else f"{weights[i]:.6f}"
            table.add_row(
                str(i), str(self.verdict.counts[i]), f"{self.verdict.prevalence[i]:.6f}", weight
            )
        if len(shown) < self.spec.K:
            table.caption = f"the 12 most prevalent of {self.spec.K} tasks"
        if weights is None:
            table.caption = (
                f"{table.caption or ''} K > d + 1 or dependent outputs: one answer "
                "does not determine the weights"
            ).strip()
        return table


def recovered_weights(
    answer: Answer, outputs: Float[np.ndarray, "K d"]
) -> Float[np.ndarray, "K"] | None:
    """The weights w with sum_i w_i g_i(query) = the answer that sum to 1, or to 0 without evidence;
    None where the outputs do not determine them. An answer of 0 without evidence has zero
    weights."""
    if not answer.evidence and not answer.vector.any():
        return np.zeros(len(outputs))
    system = np.vstack([outputs.T, np.ones(len(outputs))])
    total = 1.0 if answer.evidence else 0.0
    weights, _, rank, _ = np.linalg.lstsq(
        system, np.append(answer.vector.astype(np.float64), total), rcond=None
    )
    return weights if rank == len(outputs) else None
