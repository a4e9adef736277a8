"""python -m verify.constants: leaks that fall as e^-T, the most tasks by search, parameters counted
beside the lower bound; and the lower bound's own proof on small numbers."""

import json
import math
import sys
from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from construct.gains import Infeasible
from proofs import lower_bound
from verify import cli, constants
from verify.theorem import ALL

SIZES = {"K": 2, "d": 4, "m": 6, "dtype": "float64"}


@pytest.mark.parametrize("theorem", ALL.values(), ids=str)
def test_the_leak_falls_as_e_to_the_minus_T(theorem):
    spec = constants.spec_for(theorem, **SIZES)
    found = [one for one in constants.leaks(theorem, spec, range(8, 30, 2)) if one.leak]
    T, leak = (np.array([getattr(one, name) for one in found]) for name in ("T", "leak"))
    assert len(T) >= 4
    if theorem.number == 3:  # the remainder of its series does not fall with T
        assert (np.diff(leak) <= 0).all()
        return
    slope = np.polyfit(T, np.log(leak), 1)[0]
    assert -1.2 < slope < -0.8  # Theorem 2's grows with T e^-T


@pytest.mark.parametrize("theorem", ALL.values(), ids=str)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_most_tasks_are_admitted_and_one_more_is_not(theorem, dtype):
    spec = constants.spec_for(theorem, **SIZES)
    most = constants.admissible(theorem, spec, dtype, most=2**10)
    theorem.derive(replace(spec, K=most.K, dtype=dtype))
    if most.at_least:
        assert most.K == 2**10
    else:
        with pytest.raises(Infeasible):
            theorem.derive(replace(spec, K=most.K + 1, dtype=dtype))
        assert most.stopped_by


@pytest.mark.parametrize("theorem", ALL.values(), ids=str)
def test_parameters_are_counted(theorem):
    found = constants.size(theorem, K=2, d=4, m=6)
    assert found.layers == len(theorem.layers)
    spec = constants.spec_for(theorem, **SIZES)
    assert found.width == theorem.width(replace(spec, dtype="float32"))
    assert 0 < found.nonzero < found.stored
    if theorem.number != 4:
        assert (
            found.stored
            > found.least
            == lower_bound.least_parameters(2, 4, unit_outputs=theorem.number == 3)
        )


def test_the_bound_by_counting_families():
    """d = 2, K = 2: families on the proof's grid, and how many the proof's prompts tell apart."""
    K, d, radius, eps = 2, 2, 1.0, 0.2
    G = math.floor(radius / (eps * math.sqrt(d)))
    grid = np.linspace(-radius / math.sqrt(d), radius / math.sqrt(d), G)
    families = np.array(list(product(grid, repeat=K * d * (d - 1))))
    apart = np.abs(families[:, None] - families[None]).max(-1)
    np.fill_diagonal(apart, np.inf)
    assert apart.min() > 2 * eps
    assert math.log2(len(families)) == pytest.approx(lower_bound.least_bits(K, d, radius, eps))
    columns = families.reshape(len(families), K * (d - 1), d)
    assert np.linalg.norm(columns, axis=-1).max() <= radius + 1e-12


def test_the_bound_refuses():
    for wrong in ({"K": 0, "d": 2}, {"K": 1, "d": 0}):
        with pytest.raises(ValueError, match="must be"):
            lower_bound.least_parameters(**wrong)
    with pytest.raises(ValueError, match="error"):
        lower_bound.least_bits(2, 3, 1.0, 0.0)
    assert lower_bound.least_bits(2, 3, 1.0, 10.0) == 0


def _command(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["constants", *map(str, arguments)])
    with pytest.raises(SystemExit) as caught:
        cli.run(constants.main, constants.PROG)
    return caught.value.code


def test_the_command(monkeypatch, capsys, tmp_path):
    small = ("--K", 2, "--d", 4, "--m", 6, "--tasks", 2, 4, "--out", tmp_path / "swept")
    path = tmp_path / "swept.json"
    assert _command(monkeypatch, *small, "--json", path) == 0
    out = capsys.readouterr().out
    assert "admissible K" in out and "at least" in out
    report = json.loads(path.read_text())
    assert report["holds"] and {one["theorem"] for one in report["sizes"]} == set(ALL)
    assert (tmp_path / "swept.svg").exists() and (tmp_path / "swept.png").exists()


def test_a_constant_that_is_wrong_fails(monkeypatch, tmp_path):
    right = constants.least_parameters
    monkeypatch.setattr(constants, "least_parameters", lambda *a, **b: 10**6 * right(*a, **b))
    small = ("--theorem", 1, "--K", 2, "--d", 4, "--m", 6, "--tasks", 2, "--out", tmp_path / "bad")
    assert _command(monkeypatch, *small) == 1
    rising = constants.Constants(
        2, 4, 6, [constants.Leak(1, 5, 1e-3), constants.Leak(1, 10, 1e-2)], [], []
    )
    assert not constants.holds(rising)
