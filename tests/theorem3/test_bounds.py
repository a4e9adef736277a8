"""Theorem 3's error bound: honest at every coldness, within a constant of what prompts at the edge
show."""

import numpy as np
import pytest

from proofs import theorem3 as proof
from tests.errors import errors
from tests.mutants import theorem3 as edge
from verify.draw import draw_instance, draw_prompt
from verify.theorem3 import THEOREM3


def test_bound_is_honest():
    for seed, T in enumerate((8.0, 18.0, 28.0)):
        rng = np.random.default_rng(seed)
        instance = draw_instance(
            rng, K=8, d=26, m=40, n=9, dtype="float64", coldness=T, sphere=True
        )
        prompts = [
            draw_prompt(rng, instance, **kind)
            for kind in ({}, {"pure": True}, {"agree": True})
            for _ in range(8)
        ]
        assert max(errors(THEOREM3, instance, prompts)) <= proof.error_bound(instance.spec)


@pytest.mark.parametrize("T", [12.0, 18.0, 28.0])
def test_bound_is_within_100_of_the_edge_of_every_hypothesis(T):
    instance = edge.instance("float64", T)
    error = max(errors(THEOREM3, instance, edge.prompts("float64", T)))
    assert error <= proof.error_bound(instance.spec) <= 100 * error


def test_the_leak_falls_as_exp_minus_T():
    colds = np.arange(10.0, 22.0, 2.0)
    worst = [
        max(errors(THEOREM3, edge.instance("float64", T), edge.prompts("float64", T)))
        for T in colds
    ]
    rate = np.polyfit(colds, np.log(worst), 1)[0]
    assert -1.1 <= rate <= -0.9
