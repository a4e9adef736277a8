"""Check of Lemma 1: every example input holds its label and the query's content in its own slot,
and the features of both."""

from verify.ideal import Ideal, example_inputs

WRITES = ("y", "q", "f", "h")
WINNERS_SCORE_0 = False
asks = example_inputs


def expect(ideal: Ideal) -> None:
    """What Pair must leave behind."""
    verdict = ideal.verdict
    ideal.inputs("y")[:] = ideal.labels("y")[:, None]
    ideal.inputs("q")[:] = verdict.query
    if "h" in ideal.stream:
        ideal.inputs("f")[:] = verdict.features
        ideal.query_inputs("f")[:] = verdict.query_features
        ideal.inputs("h")[:] = verdict.query_features
