"""Each method on a subject that is known by hand, and its formulas on a few numbers."""

import numpy as np
import pytest

from tests.bench.puppet import Puppet
from verify.bench.material import MIXED, SHARES, Material, Sizes
from verify.bench.methods import ALL, decodability, label_heads, positions
from verify.bench.stats import correlation, interval, ridge, span, variance_ratio
from verify.bench.subject import Claim
from verify.bench.tasksets import NOISE, case, counted, open_set, sampled

SIZES = Sizes(lines=8, each=2, prompts=60, sweep=60, mixed=24, queries=12, causal=8)


def material(picks=False):
    return Material(Puppet(picks), open_set("ret4"), SIZES, seed=1)


KNOWN, PICKING = material(), material(picks=True)


def values(method, of=KNOWN):
    return ALL[method].find(of).values


# Task sets.


@pytest.mark.parametrize("name", ["ret4", "plus10", "past-ing", "numbers", "country"])
def test_a_case_says_what_its_lines_are(name):
    tasks = open_set(name)
    one = case(tasks, np.random.default_rng(3), [*range(tasks.K), NOISE])
    said = [[f(words) for f in tasks.family.functions.values()] for words, _ in one.lines]
    for task, answers, (words, label) in zip(one.tasks, said, one.lines, strict=True):
        assert len(set(answers)) == tasks.K and words != one.query
        assert label == answers[task] if task != NOISE else label not in answers
    assert one.share(tasks.K) == pytest.approx(1 / tasks.K)


def test_counts_are_exact_and_samples_follow_their_share():
    tasks, rng = open_set("ret4"), np.random.default_rng(0)
    assert all(one.share(4)[0] == 0.75 for one in counted(tasks, rng, [3, 0, 0, 1], 5))
    shares = [one.share(4)[0] for one in sampled(tasks, rng, 0.3, 10, 200)]
    assert abs(np.mean(shares) - 0.3) < 0.05 and np.std(shares) > 0.05


def test_an_unknown_set_is_refused():
    with pytest.raises(ValueError, match=r"task set 'nothing' is unknown; known are ret2"):
        open_set("nothing")


# Statistics.


def test_the_variance_ratio():
    assert variance_ratio(np.full(9, 0.4)) == 0 == variance_ratio(np.ones(4))
    assert variance_ratio(np.array([1.0, 0, 0, 0])) == pytest.approx(1)
    assert variance_ratio(np.array([0.2, 0.4])) == pytest.approx(0.01 / (0.3 * 0.7))


def test_the_bootstrap_covers_the_mean():
    rng = np.random.default_rng(0)
    found = [interval(rng.normal(0, 1, 40), seed=i) for i in range(40)]
    inside = np.mean([low <= 0 <= high for _, low, high in found])
    assert 0.8 < inside <= 1
    assert interval(np.full(5, 0.3)) == pytest.approx([0.3] * 3)


def test_a_span_leaves_out_what_is_small():
    basis = span(np.array([[1.0, 0, 0], [1, 1, 0], [2, 1, 1e-6]]))
    assert basis.shape == (2, 3)
    np.testing.assert_allclose(np.abs(basis @ [0, 0, 1.0]), 0, atol=1e-6)
    assert span(np.zeros((2, 3))).shape == (0, 3)


def test_ridge_finds_a_line_and_ignores_rounding():
    x = np.linspace(-1, 1, 20)[:, None]
    np.testing.assert_allclose(ridge(x, 3 * x[:, 0] + 1, x, 1e-9), 3 * x[:, 0] + 1, atol=1e-6)
    same = np.ones((6, 3)) + 1e-17 * np.arange(18).reshape(6, 3)
    np.testing.assert_allclose(ridge(same, np.arange(6.0), same), 2.5)


def test_no_correlation_without_variance():
    assert correlation(np.ones(3), np.arange(3.0)) is None
    assert correlation(np.arange(3.0), -np.arange(3.0)) == pytest.approx(-1)


def test_a_claim_that_is_nan_does_not_hold():
    assert Claim("", 1.0, 1.0, 0.0).holds
    assert not Claim("", float("nan"), 1.0, 1.0).holds


# Figures 1 to 3.


def test_figures_1_and_2_tell_a_mixture_from_a_pick():
    own = values("distributions")
    assert own["mean"][0] == pytest.approx([0.25] * 3) and own["V"][0][0] == 0
    assert own["kl"][0] == pytest.approx(0, abs=1e-12) and own["other"][0] == pytest.approx(0)
    picked = values("distributions", PICKING)
    assert all(abs(mean[0] - 0.25) < 0.2 for mean in picked["mean"])
    assert all(V[0] == pytest.approx(1) for V in picked["V"])


def test_figure_3_follows_the_share():
    for row, share in zip(values("sweep")["rows"], SHARES, strict=True):
        assert row["share"] == share and abs(row["first"][0] - share) < 0.1
        assert row["first"][0] + row["second"][0] == pytest.approx(1)
        assert row["V_own"][0] == pytest.approx(0, abs=1e-20)
        # Lines are drawn: their share alone varies by 1/lines of p (1 - p).
        assert 0.3 / 8 < row["V"][0] < 3 / 8
    for row in values("sweep", PICKING)["rows"]:
        assert row["V"][0] == pytest.approx(1)


# Task vectors.


def test_figure_4_puts_mixtures_at_their_share():
    found = values("positions")
    assert found["layer_name"] == "one" and found["accuracy"] == 1
    assert [row["position"][0] for row in found["rows"]] == pytest.approx(list(MIXED))
    assert 0.3 < found["null_accuracy"][0] < 0.7


def test_lda_weighs_directions_by_their_scatter():
    rng = np.random.default_rng(0)
    scatter = rng.normal(0, [0.1, 10], (400, 2))
    first, second = scatter[:200] + [1, 5], scatter[200:]
    axis = positions.axis_of(first, second)
    assert abs(axis[1] / axis[0]) < 0.02 and axis[0] > 0 > positions.axis_of(second, first)[0]
    assert positions.position(first, axis, first, second).mean() == pytest.approx(1)
    assert np.isnan(positions.position(first, np.zeros(2), first, second)).all()


def test_figure_5_interpolates():
    found = values("patching")
    assert found["layer_name"] == "one" and found["zero_shot"][0][0] == 0
    for rows in (found["patched"], found["prompted"]):
        for row in rows:
            assert row["first"][0] == pytest.approx(row["share"])
            assert row["second"][0] == pytest.approx(1 - row["share"])


def test_figure_6_counts_tasks():
    assert values("completed")["completed"] == pytest.approx([4.0] * 3)
    # The one that picks has 0 left for all others, which ties with every word that nobody says.
    assert values("completed", PICKING)["kl"][0] > 1


def test_mixtures_lie_on_the_line():
    rows = [row for row in values("geometry")["rows"] if row["layer"] == 1]
    assert [row["share"] for row in rows] == [0.25, 0.5, 0.75]
    assert [row["kappa"] for row in rows if row["kappa"] is not None] == pytest.approx([1, 1])
    assert [row["along"] for row in rows] == pytest.approx([0.25, 0.5, 0.75])
    assert max(row["rest"] for row in rows) < 1e-12


# Heads.


def test_label_scores_by_hand():
    W = np.array([[1.0, 0, 0], [0, 1, 0]])
    a = np.zeros((1, 1, 3, 3))
    a[0, 0, 0], a[0, 0, 1], a[0, 0, 2] = [3, 4, 7], [0, 0, 5], [1, 0, 0]
    TR, TL = label_heads.label_scores(a, W, np.array([0]))
    np.testing.assert_allclose(TR, [[5, 0, 1]])
    # a.(w_y* - w_y') / TR: (3 - 4) / 5, nothing where TR is 0, and 1.
    np.testing.assert_allclose(TL, [[-0.2, 0, 1]])
    assert label_heads.top(TR) == [(0, 0)] and label_heads.top(np.zeros((2, 2))) == []


def test_tsla_finds_the_head_that_writes_labels_and_no_other():
    found = values("label_heads")
    assert found["top"] == {"TR": [[1, 0]], "TL": [[1, 0]]}
    TR = np.array(found["TR"])
    assert TR[1, 0] == pytest.approx(16) and TR.sum() == pytest.approx(16)
    ablated = found["ablation"]
    assert ablated["none"]["p"][0] == 1 and ablated["random 1"]["p"][0] == 1
    assert ablated["TR"]["p"][0] == 0 and ablated["TR"]["TR_ratio"][0] == 0
    assert ablated["none"]["accuracy"][0] == 1 and ablated["TR"]["accuracy"][0] == 0


def test_attribution_beside_ablation():
    found = values("attribution")
    effects = dict(zip(map(tuple, found["heads"]), found["ablation"], strict=True))
    assert effects == pytest.approx({(0, 0): -1, (0, 1): 0, (1, 0): -1, (1, 1): 0})
    np.testing.assert_allclose(found["first_order"], [[-1, 0], [-1, 0]])
    # What layer 1 writes is no label: direct attribution cannot see it.
    np.testing.assert_allclose(found["direct"], [[0, 0], [1, 0]])
    assert found["correlation"]["attribution patching"] == pytest.approx(1)
    # The whole task is there after either layer, to first order too.
    assert [row["effect"] for row in found["patching"]] == pytest.approx([-2, -2])
    assert [row["first_order"] for row in found["patching"]] == pytest.approx([-2, -2])


# Places.


def test_decodability_of_clusters_of_nothing_and_of_noise():
    rng = np.random.default_rng(0)
    classes = np.repeat([0, 1], 30)
    apart = rng.normal(0, 0.1, (60, 5)) + 3 * classes[:, None]
    assert decodability.decodable(apart, classes) == 1
    assert decodability.decodable(np.ones((60, 5)), classes) == 0.5
    assert decodability.decodable(np.ones((50, 5)), classes[:50]) == 0.5
    assert 0.3 < decodability.decodable(rng.normal(size=(60, 5)), classes) < 0.7


def test_decodability_and_probes_by_layer():
    assert values("decodability")["measured"]["answer"][:2] == [0.5, 1.0]
    assert values("decodability")["measured"]["label"] == [0.5] * 3
    probes = values("probes")["measured"]
    assert probes["task"]["answer"] == [0.5, 1, 1] and probes["task"]["query"] == [0.5] * 3
    assert probes["share"]["answer"][1] == pytest.approx(1, abs=1e-3)
    assert probes["share"]["answer"][0] == pytest.approx(0)


def test_another_tasks_mean_takes_over():
    rows = {(row["target"], row["layer"]): row for row in values("task_mean")["rows"]}
    assert rows["answer", 1]["other"][0] == pytest.approx(1)
    assert rows["answer", 1]["own"][0] == pytest.approx(0)
    assert rows["labels", 1]["own"][0] == 1
