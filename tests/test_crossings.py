"""Data walks forward: a warm call enters few of the package's files, and seldom turns back."""

import pytest

from benchmarks.crossings import EVALUATORS, crossings, subject
from construct import checks

# Theorems 2 and 3 check each example of a restricted run one by one, which is another room.
MOST = {1: 15, 2: 16, 3: 18}


@pytest.mark.parametrize("theorem", [1, 2, 3])
@pytest.mark.parametrize("evaluator", EVALUATORS)
def test_a_warm_call_crosses_between_few_files(theorem, evaluator):
    model, prompt = subject(theorem)
    model(prompt, evaluator=evaluator)
    found = crossings(lambda: model(prompt, evaluator=evaluator))
    assert 0 < found.total() <= MOST[theorem], "\n".join(map(str, found))


def test_each_call_into_another_file_and_its_return_are_counted():
    """From a function of one file to one of another and back, three times."""
    model, _ = subject(1)
    found = crossings(lambda: [model.spec.check_tasks([], None) for _ in range(0)])
    assert found.total() == 0
    found = crossings(lambda: [_refused(model) for _ in range(3)])
    assert found["call", "tasks.py", "checks.py", checks.refuse.__name__] == 3
    assert found["return", "checks.py", "tasks.py", checks.refuse.__name__] == 3


def _refused(model):
    with pytest.raises(ValueError, match="tasks = an empty list"):
        model.spec.check_tasks([], None)
