"""Check of Lemma 1: a sum slot holds the sum of its example's other inputs, an input token its
features."""

from verify.ideal import Ideal, sum_slots

WRITES = ("x", "f")
WINNERS_SCORE_0 = False
asks = sum_slots


def expect(ideal: Ideal) -> None:
    """What Lift must leave behind."""
    verdict = ideal.verdict
    ideal.inputs("x")[:] = verdict.inputs
    ideal.query_inputs("x")[:] = verdict.query
    ideal.inputs("f")[:] = verdict.features
    ideal.query_inputs("f")[:] = verdict.query_features
