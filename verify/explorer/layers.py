"""What the explorer says of a layer: its lemma in words, from the docstrings, and what its weights
can do, from the weights."""

import inspect
from types import ModuleType
from typing import Any

import numpy as np

from construct.layers import Layer
from construct.residual import Residual


def describe(
    number: int, layer: Layer, residual: Residual, weights: ModuleType, lemma: ModuleType
) -> dict[str, Any]:
    """A layer as plain values; `weights` and `lemma` are the modules that make its weights and
    state its lemma."""
    return (
        {"number": number, "name": layer.name} | _words(weights, lemma) | _machine(layer, residual)
    )


def _words(weights: ModuleType, lemma: ModuleType) -> dict[str, str]:
    """What the layer does, its scores and values as formulas, its lemma's statement and why it
    holds."""
    built, proved = inspect.getdoc(weights) or "", inspect.getdoc(lemma) or ""
    formula = [line.removeprefix("    ") for line in built.splitlines() if line.startswith("    ")]
    does = built.split("\n\n")[0].replace("\n", " ").partition(": ")[2].partition(" Realizes")[0]
    statement, *rest = (part.replace("\n", " ") for part in proved.split("\n\n"))
    return {
        "does": does[:1].upper() + does[1:],
        "formula": "\n".join(formula),
        "statement": statement,
        "why": next(iter(rest), ""),
    }


def _machine(layer: Layer, residual: Residual) -> dict[str, Any]:
    """heads: those that move anything; the others' weights are 0. reads: the keys that they can
    reach besides BOS. heads_write, mlp_writes: the subspaces that the weights write into. mlp: it
    has one. causal: a token sees itself and the tokens before it alone."""
    outs = [np.asarray(bank.W_O[...]) for bank in layer.banks]
    values = [np.asarray(bank.W_V[...]) for bank in layer.banks]
    moving = [out.any((1, 2)) & value.any((1, 2)) for out, value in zip(outs, values, strict=True)]
    by_heads = np.stack([out.any((0, 2)) for out in outs]).any(0)
    by_mlp = np.zeros(residual.dim, bool)
    if layer.mlp is not None:
        by_mlp |= np.asarray(layer.mlp.W_2[...]).any(1)
    return {
        "heads": np.flatnonzero(np.concatenate(moving)).tolist(),
        "reads": layer.support.value,
        "heads_write": _subspaces(by_heads, residual),
        "mlp": layer.mlp is not None,
        "mlp_writes": _subspaces(by_mlp, residual),
        "causal": layer.causal,
    }


def _subspaces(written: Any, residual: Residual) -> list[str]:
    return [name for name in residual.names if written[residual.where(name)].any()]
