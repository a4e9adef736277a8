"""Check of Lemma 2: the input that a task explains holds the task's output on the query, and ok =
1."""

from verify.ideal import Ideal, example_inputs

WRITES = ("y", "ok")
WINNERS_SCORE_0 = False
asks = example_inputs


def expect(ideal: Ideal) -> None:
    """What Recognize must leave behind."""
    examples, slots = ideal.committed()
    verdict = ideal.verdict
    ideal.inputs("y")[examples, slots] = verdict.outputs[verdict.recognized[examples]]
    ideal.inputs("ok")[examples, slots] = 1
